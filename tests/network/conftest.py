"""A timeline that is a heap, and nodes that only write down what reaches them."""

import heapq
import itertools

import pytest

from network.carrier import Network
from network.link import Link
from network.media.cells import Cells
from network.stages.gilbert_elliott import GilbertElliott
from network.topology import Topology
from twin.kernel.flight import Flight
from twin.kernel.randomness import Streams
from twin.message import Message


class HeapTimeline:
    """The kernel's side of the port: an event queue, a log of arrivals and a log of losses."""

    def __init__(self):
        self.now = 0.0
        self.arrived = []
        self.lost = []
        self._heap = []
        self._number = itertools.count()

    def schedule(self, at_s, flight, then):
        assert at_s >= self.now, "an event in the past"
        heapq.heappush(self._heap, (at_s, next(self._number), then[0], flight))

    def arrive(self, flight):
        self.arrived.append((self.now, flight.to, flight.message.topic))

    def lose(self, _flight, where, cause):
        self.lost.append((self.now, where, cause))

    def send_at(self, at_s, carrier, source, to, message=None):
        """Hand a message to the carrier at a time; its topic names it in the log."""
        flight = Flight(source, to, message or Message("m"), at_s, 0)
        self.schedule(at_s, flight, (lambda flown: carrier.carry(flown, self),))

    def call_at(self, at_s, action):
        """Call `action(now)` at a time."""
        self.schedule(at_s, None, (lambda _: action(self.now),))

    def run(self, until_s=float("inf")):
        while self._heap and self._heap[0][0] <= until_s:
            self.now, _, then, flight = heapq.heappop(self._heap)
            then(flight)

    def flying(self):
        """Flights in the event queue."""
        return sum(isinstance(flight, Flight) for _, _, _, flight in self._heap)

    @property
    def times(self):
        """Times of the arrivals."""
        return [at_s for at_s, _, _ in self.arrived]


@pytest.fixture
def timeline():
    return HeapTimeline()


@pytest.fixture
def new_timeline():
    """For tests that need many."""
    return HeapTimeline


class Fates:
    """A stage that lets messages pass or loses them as a list says, then lets all pass."""

    cause = "loss"

    def __init__(self, *fates):
        self.fates = list(fates)

    def release(self, now, size_bytes):
        del size_bytes
        return None if self.fates and self.fates.pop(0) == "lost" else now


@pytest.fixture
def fates():
    return Fates


class Cell:
    """Devices `d1`, `d2`, ... around a gateway, on one technology, with their timeline."""

    def __init__(self, technology, count=1, *, seed=1, has_losses=False, lora=None, **options):
        self.timeline = HeapTimeline()
        topology = Topology()
        self.streams = Streams(seed)
        self.cells = Cells(self.streams)
        if lora is not None:
            self.cells.shared("g", "lorawan", lambda: lora)
        self.links = {}
        for number in range(1, count + 1):
            device = f"d{number}"
            for source, to, is_down in ((device, "g", False), ("g", device, True)):
                link = Link.access(f"{source}>{to}", source, to, technology, self.streams, is_down=is_down)
                if not has_losses:
                    kept = (stage for stage in link.stages if not isinstance(stage, GilbertElliott))
                    link.stages = tuple(kept)
                self.cells.join(link, technology, is_down=is_down, **options)
                self.links[source, to] = link
                topology.add_link(link)
        self.network = Network(topology)

    def send(self, at_s, source, to, size_bytes=20, topic="m"):
        self.timeline.send_at(at_s, self.network, source, to, Message(topic, b"x" * size_bytes))

    def run(self, until_s=float("inf")):
        self.timeline.run(until_s)
        return self.timeline


@pytest.fixture(scope="session")
def cell():
    return Cell
