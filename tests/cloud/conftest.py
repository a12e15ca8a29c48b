from dataclasses import dataclass, field

import pytest

from twin.kernel.randomness import Stream


@dataclass
class FakeContext:
    """What a behaviour sees of its node, with a clock that the test sets."""

    node: str = "node"
    now: float = 0.0
    trace: int = 0
    random: Stream = field(default_factory=lambda: Stream(1, "node", "behaviour"))
    senses: dict[str, float] = field(default_factory=dict)

    def sense(self, quantity):
        return self.senses[quantity]


@pytest.fixture
def context():
    return FakeContext()
