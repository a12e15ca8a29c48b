import sys
from pathlib import Path

import pytest

for folder in ("sinks", "store"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

import servers  # noqa: E402


def running(make):
    server = make()
    if server.missing:
        pytest.fail(server.missing, pytrace=False)
    with server:
        yield server


@pytest.fixture(scope="session")
def postgres_backend():
    """A PostgreSQL of our own that can be frozen, killed and started again."""
    yield from running(servers.Postgres)


@pytest.fixture(scope="session")
def influx_backend():
    """An InfluxDB 1 of our own."""
    yield from running(servers.Influx)


@pytest.fixture(scope="session")
def victoria_backend():
    """A VictoriaMetrics of our own."""
    yield from running(servers.Victoria)


@pytest.fixture(scope="session")
def s3_backend():
    """An object store of our own."""
    yield from running(servers.S3)


@pytest.fixture(scope="session")
def kafka_backend():
    """A Kafka of one broker."""
    yield from running(servers.Kafka)


@pytest.fixture(scope="session")
def redis_backend():
    """A Redis of our own that writes every change to its log before it answers."""
    yield from running(servers.Redis)
