"""The player: a replication on its floor plan, moved through in time. One script for pages and reports."""
