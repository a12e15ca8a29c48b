"""Runs, what they say about the requirements, and the study that comes of them."""
