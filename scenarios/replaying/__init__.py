"""Replays: one replication recorded, with where everybody and everything was at any time."""
