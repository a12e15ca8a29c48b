"""What the tests of the registry share."""

import importlib.util
import sys
from pathlib import Path

import pytest

from twin.state.records import Records, Transaction
from twin.state.registry.things import Thing


def _load(name):
    """Let the tests import a neighbour of this folder: they are no package."""
    path = Path(__file__).parents[1] / f"{name}.py"
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)


_load("attempts")

CAR_PARK = (
    Thing(name="gate-1", type="boom_gate", site="car_park", level="L1", via="gateway", tags=("fire", "exit")),
    Thing(name="gate-2", type="boom_gate", site="car_park", level="L2", via="gateway", tags=("entry",)),
    Thing(name="gate-10", type="boom_gate", site="depot", level="L1"),
    Thing(name="det-1", type="smoke_detector", site="car_park", level="L2", bay="L2-B016", via="gateway"),
    Thing(name="gateway", type="gateway", site="car_park"),
)


@pytest.fixture
def transaction():
    """A transaction on empty records at 100 s."""
    return Transaction(Records(), 100.0)


@pytest.fixture
def car_park(transaction):
    """A transaction on the records of a small car park."""
    for thing in CAR_PARK:
        transaction.records.put("thing", thing.name, thing)
    return transaction
