"""The physical world: fire, smoke, people and cars on the scene of a building."""
