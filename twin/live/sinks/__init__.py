"""Sinks: real databases, streams and object stores that keep the records of a run or of the service."""
