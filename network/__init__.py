"""Links between nodes: link laws, stages, topology, transport timing, faults and catalogue data."""
