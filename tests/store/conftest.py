import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # counting.py is shared with processes that tests start

import postgres


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
