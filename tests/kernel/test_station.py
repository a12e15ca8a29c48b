"""Stations bound their queues and order them; the fast one equals the explicit one."""

import heapq

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.kernel.flight import Flight
from twin.kernel.station import FifoStation, QueueStation, urgent_first
from twin.message import Message


class Heap:
    """A timeline of its own: schedules, loses, and runs to the end."""

    def __init__(self):
        self.now = 0.0
        self.queue = []
        self.lost = []
        self.served = []

    def schedule(self, at_s, flight, then):
        heapq.heappush(self.queue, (at_s, len(self.served) + len(self.queue) + id(flight), flight, then))

    def lose(self, flight, _where, _cause):
        self.lost.append(flight.message.topic)

    def done(self, flight):
        self.served.append((round(self.now, 9), flight.message.topic))

    def run(self, station, arrivals):
        """Serve arrivals [(at_s, topic)], then return (served, lost)."""
        order = 0
        pending = [(at_s, topic) for at_s, topic in sorted(arrivals, key=lambda pair: pair[0])]
        while pending or self.queue:
            if self.queue and (not pending or self.queue[0][0] <= pending[0][0]):
                self.now, _, flight, then = heapq.heappop(self.queue)
                then[0](flight)
            else:
                self.now, topic = pending.pop(0)
                order += 1
                station.accept(Flight("a", "b", Message(topic), self.now, 0), self, (self.done,))
        return self.served, self.lost


def serve(station, arrivals):
    return Heap().run(station, arrivals)


def test_one_server_serves_in_order_of_arrival():
    """Lindley: a customer starts when it has come and the one before has gone."""
    served, lost = serve(FifoStation(lambda: 2.0), [(0.0, "a"), (1.0, "b"), (10.0, "c")])

    assert served == [(2.0, "a"), (4.0, "b"), (12.0, "c")]
    assert lost == []


def test_two_servers_halve_the_wait():
    """The next customer goes to the server that is free first."""
    served, _ = serve(FifoStation(lambda: 2.0, servers=2), [(0.0, "a"), (0.0, "b"), (1.0, "c")])

    assert [at_s for at_s, _ in served] == [2.0, 2.0, 4.0]


def test_a_full_queue_loses_the_newcomer():
    """One in service, one waiting, the third is lost."""
    served, lost = serve(FifoStation(lambda: 5.0, queue_limit=1), [(0.0, "a"), (1.0, "b"), (2.0, "c")])

    assert [topic for _, topic in served] == ["a", "b"]
    assert lost == ["c"]


def test_a_full_queue_may_lose_its_oldest_instead():
    """Telemetry wants the newest value."""
    station = QueueStation(lambda: 5.0, queue_limit=1, overflow="oldest")
    served, lost = serve(station, [(0.0, "a"), (1.0, "b"), (2.0, "c")])

    assert [topic for _, topic in served] == ["a", "c"]
    assert lost == ["b"]


def test_alarms_overtake_waiting_telemetry_but_not_the_one_in_service():
    """Priority is non-preemptive."""
    station = QueueStation(lambda: 5.0, priority=urgent_first)
    arrivals = [(0.0, "x/telemetry"), (1.0, "y/telemetry"), (2.0, "z/event/alarm")]
    served, _ = serve(station, arrivals)

    assert [topic for _, topic in served] == ["x/telemetry", "z/event/alarm", "y/telemetry"]


def test_a_full_priority_queue_drops_the_least_urgent():
    """An alarm pushes the longest waiting telemetry out."""
    station = QueueStation(lambda: 5.0, queue_limit=1, overflow="oldest", priority=urgent_first)
    arrivals = [(0.0, "a/telemetry"), (1.0, "b/telemetry"), (2.0, "c/event/alarm")]
    served, lost = serve(station, arrivals)

    assert [topic for _, topic in served] == ["a/telemetry", "c/event/alarm"]
    assert lost == ["b/telemetry"]


@settings(max_examples=100, deadline=None)
@given(
    gaps=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=40),
    services=st.lists(st.floats(0.1, 4.0), min_size=1, max_size=10),
    servers=st.integers(1, 4),
    limit=st.integers(0, 5),
)
def test_the_closed_form_equals_the_explicit_queue(gaps, services, servers, limit):
    """Same departures and same losses, for any arrivals, service times, servers and bound.

    Each customer's service time is fixed by its rank among those that are served, as both draw at start
    of service in FIFO order.
    """
    arrivals, at_s = [], 0.0
    for number, gap in enumerate(gaps):
        at_s += gap
        arrivals.append((at_s + number * 1e-6, str(number)))

    def laws():
        state = {"next": 0}

        def law():
            state["next"] += 1
            return services[state["next"] % len(services)]

        return law

    fast = serve(FifoStation(laws(), servers, limit), arrivals)
    explicit = serve(QueueStation(laws(), servers, limit), arrivals)

    assert sorted(fast[0]) == sorted(explicit[0])
    assert fast[1] == explicit[1]


def test_urgency_is_read_from_the_topic():
    """Events and commands before telemetry."""
    assert urgent_first(Message("smoke/L2-D1/event/alarm")) < urgent_first(Message("bay/B1/telemetry"))
    assert urgent_first(Message("gate/GA/cmd/open")) == 0


@pytest.mark.parametrize("servers", [1, 3])
def test_an_idle_station_serves_at_once(servers):
    """No queue, no wait."""
    served, _ = serve(FifoStation(lambda: 0.5, servers=servers), [(3.0, "a")])

    assert served == [(3.5, "a")]
