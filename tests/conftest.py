"""The node that a behaviour under test runs on, and who runs commands."""

import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from twin.kernel.randomness import Stream

_found = importlib.util.spec_from_file_location("warm", Path(__file__).with_name("warm.py"))
sys.modules["warm"] = importlib.util.module_from_spec(_found)
_found.loader.exec_module(sys.modules["warm"])


@dataclass
class FakeContext:
    """What a behaviour sees of its node: a clock and a world that the test sets."""

    node: str = "node"
    now: float = 0.0
    trace: int = 0
    random: Stream = field(default_factory=lambda: Stream(1, "node", "behaviour"))
    senses: dict[str, float] = field(default_factory=dict)

    def sense(self, quantity):
        return self.senses[quantity]


@pytest.fixture
def context():
    """That of a node called "node", which senses nothing."""
    return FakeContext()


@pytest.fixture(scope="session")
def at_node():
    """Make the context of a node with this name, sensing these quantities."""

    def make(node="node", **senses):
        return FakeContext(node, random=Stream(1, node, "behaviour"), senses=senses)

    return make


@pytest.fixture(scope="session")
def keeper():
    """Who runs the commands of a worker's tests, each in a process that has its imports already."""
    with sys.modules["warm"].Keeper() as found:
        yield found
