"""A carrier with one constant delay, and nodes made of plain functions."""

import pytest

from twin.kernel.kernel import Kernel, NodeSpec
from twin.kernel.pacing import VirtualPacer
from twin.kernel.randomness import Streams


class ConstantDelay:
    """Carries every message in the same time; loses what is sent to a name in `cut`."""

    def __init__(self, delay_s, cut=()):
        self.delay_s = delay_s
        self.cut = cut

    def carry(self, flight, timeline):
        if flight.to in self.cut:
            timeline.lose(flight, flight.to, "cut")
        else:
            timeline.schedule(timeline.now + self.delay_s, flight, (timeline.arrive,))


class Scripted:
    """A behaviour that answers each event by a function."""

    def __init__(self, answer):
        self.answer = answer

    def react(self, event, context):
        return self.answer(event, context) or ()


@pytest.fixture
def make_kernel():
    """Build a kernel from {name: function(event, context) -> effects}."""

    def make(nodes, *, delay_s=1.0, cut=(), pacer=None, stations=None, seed=1, **options):
        specs = {
            name: NodeSpec(lambda answer=answer: Scripted(answer), (stations or {}).get(name))
            for name, answer in nodes.items()
        }
        return Kernel(specs, ConstantDelay(delay_s, cut), Streams(seed), pacer or VirtualPacer(), **options)

    return make
