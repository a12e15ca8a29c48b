"""The node that a behaviour under test runs on."""

from dataclasses import dataclass, field

import pytest

from twin.kernel.randomness import Stream


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
