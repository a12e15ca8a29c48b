"""The front door: command line, pytest plugin and public API."""
