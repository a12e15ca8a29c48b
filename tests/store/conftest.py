import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # counting.py is shared with processes that tests start

import postgres
from filled import dict_of, fill, outbox

from twin.service.opening import open_store
from twin.state.records import Records


@pytest.fixture(scope="session")
def postgres_server():
    """The URL of a PostgreSQL that lives as long as the tests of this process."""
    place = postgres.programs()
    if place is None:
        pytest.fail(postgres.INSTALL, pytrace=False)
    with postgres.server(place) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server):
    """The URL of an empty database."""
    return postgres.emptied(postgres_server)


@pytest.fixture
def path(tmp_path):
    """Where the store is, or will be."""
    return tmp_path / "twins.db"


@pytest.fixture
def used(path):
    """A store that was closed well, with a snapshot in the middle; and what it holds."""
    store, _ = open_store(path)
    records = fill(store, Records(), commits=30)
    store.settle([1, 2, 3])
    store.snapshot()
    fill(store, records, start=30, commits=30)
    store.settle([40])
    waiting = [each for each in outbox(store) if each[0] not in (1, 2, 3, 40)]
    store.close()
    return path, dict_of(records), waiting
