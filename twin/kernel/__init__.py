"""How things run: behaviours, the kernel that drives them, pacing, randomness, stations, observations."""
