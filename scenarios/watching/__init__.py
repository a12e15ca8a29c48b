"""Watched runs: one replication in wall time, at any speed, with orders while it runs."""
