"""One scenario file: schema, loading, wiring, runner, requirements, statistics, results, report."""
