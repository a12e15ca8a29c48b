"""How far a simulation is from the same scenario in wall time, and what the simulation can learn from it."""
