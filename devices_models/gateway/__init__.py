"""The hub between field devices and the network."""
