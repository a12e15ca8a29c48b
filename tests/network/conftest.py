"""A timeline that is a heap, and nodes that only write down what reaches them."""

import heapq
import itertools

import pytest

from twin.kernel.flight import Flight
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
