"""Sweeps: one or two inputs of a variant over a range, every point with the same seeds."""
