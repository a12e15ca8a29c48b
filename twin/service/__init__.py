"""The twin as a running service: stores, a real broker, an HTTP API."""
