"""Real brokers and backends in a run: wall time, sockets, and nodes that are real."""
