import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path

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


def _load(name):
    """Let the tests import what all folders share as `cloud_...`: they are no package."""
    path = Path(__file__).parents[1] / f"{name}.py"
    specification = importlib.util.spec_from_file_location(f"cloud_{name}", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[f"cloud_{name}"] = module
    specification.loader.exec_module(module)


_load("attempts")
