"""Stations: how much a node can process. Servers, service time, a bounded queue, what happens when full.

`FifoStation` needs no event per customer but the departure: in a FIFO queue the departure is known at
arrival (Lindley). `QueueStation` keeps its queue explicitly, for priorities and for dropping the oldest.
Property tests hold the two equal where both apply.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace
from typing import Literal, Protocol

from twin.kernel.flight import Flight
from twin.kernel.ports import Timeline
from twin.message import Message

QUEUE_LIMIT = 10_000
QUEUE_FULL = "queue full"

Overflow = Literal["newest", "oldest"]


def urgent_first(message: Message) -> int:
    """Priority class of a message, lower first: events and commands before telemetry."""
    return 0 if "/event/" in message.topic or "/cmd/" in message.topic else 1


def one_class(message: Message) -> int:
    """Every message alike."""
    del message
    return 0


@dataclass(slots=True)
class FifoStation:
    """`servers` equal servers behind one FIFO queue; a newcomer to a full queue is lost.

    `service` draws a service time in seconds; `queue_limit` bounds the customers that wait. `served_count`,
    `busy_s` (server seconds) and `waited_s` add up over those admitted.
    """

    service: Callable[[], float]
    servers: int = 1
    queue_limit: int = QUEUE_LIMIT

    served_count: int = field(init=False, default=0)
    busy_s: float = field(init=False, default=0.0)
    waited_s: float = field(init=False, default=0.0)
    _free: list[float] = field(init=False)
    _starts: deque[float] = field(init=False, default_factory=deque)

    def __post_init__(self) -> None:
        """Start with all servers idle."""
        self._free = [0.0] * self.servers

    def admit(self, now: float) -> float | None:
        """Departure time of a customer that arrives now, or None if the queue is full."""
        free, starts = self._free, self._starts
        start = free[0]
        if start <= now:
            start = now
            if starts:
                starts.clear()
        else:
            while starts and starts[0] <= now:
                starts.popleft()
            if len(starts) >= self.queue_limit:
                return None
            starts.append(start)
        service_s = self.service()
        departure = start + service_s
        self.served_count += 1
        self.busy_s += service_s
        self.waited_s += start - now
        if self.servers == 1:
            free[0] = departure
        else:
            heapreplace(free, departure)
        return departure

    def accept(self, flight: Flight, timeline: Timeline, then: tuple[Callable[[Flight], None], ...]) -> None:
        """Queue an arriving flight and call `then` when it has been served."""
        departure = self.admit(timeline.now)
        if departure is None:
            timeline.lose(flight, flight.to, QUEUE_FULL)
        else:
            timeline.schedule(departure, flight, then)

    @property
    def waiting(self) -> int:
        """Flights that no event stands for: none, since each departure is scheduled at arrival."""
        return 0


class QueueStation:
    """Servers behind an explicit queue: by priority class, FIFO within a class, non-preemptive.

    A full queue drops the newcomer (`newest`) or the longest waiting of the least urgent class (`oldest`).
    """

    def __init__(
        self,
        service: Callable[[], float],
        servers: int = 1,
        queue_limit: int = QUEUE_LIMIT,
        overflow: Overflow = "newest",
        priority: Callable[[Message], int] = one_class,
    ) -> None:
        self._service = service
        self._idle = servers
        self._limit = queue_limit
        self._overflow = overflow
        self._priority = priority
        self._classes: list[int] = []
        self._queues: dict[int, deque[tuple[Flight, float]]] = {}
        self.servers = servers
        self.waiting = 0
        self.served_count = 0
        self.busy_s = 0.0
        self.waited_s = 0.0

    def accept(self, flight: Flight, timeline: Timeline, then: tuple[Callable[[Flight], None], ...]) -> None:
        """Queue an arriving flight and call `then` when it has been served."""
        if self._idle:
            self._idle -= 1
            self._serve(flight, timeline, then)
        elif self.waiting < self._limit:
            self._enqueue(flight, timeline.now)
        elif self._overflow == "newest" or not self.waiting:
            timeline.lose(flight, flight.to, QUEUE_FULL)
        else:
            self._enqueue(flight, timeline.now)
            timeline.lose(self._oldest_of_least_urgent(), flight.to, QUEUE_FULL)

    def _serve(self, flight: Flight, timeline: Timeline, then: tuple[Callable[[Flight], None], ...]) -> None:
        def served(flight: Flight) -> None:
            if self.waiting:
                following, came_s = self._most_urgent()
                self.waited_s += timeline.now - came_s
                self._serve(following, timeline, then)
            else:
                self._idle += 1
            then[0](flight)

        service_s = self._service()
        self.served_count += 1
        self.busy_s += service_s
        timeline.schedule(timeline.now + service_s, flight, (served,))

    def _enqueue(self, flight: Flight, now: float) -> None:
        rank = self._priority(flight.message)
        if rank not in self._queues:
            self._queues[rank] = deque()
        if not self._queues[rank]:
            heappush(self._classes, rank)
        self._queues[rank].append((flight, now))
        self.waiting += 1

    def _most_urgent(self) -> tuple[Flight, float]:
        while not self._queues[self._classes[0]]:
            heappop(self._classes)
        self.waiting -= 1
        return self._queues[self._classes[0]].popleft()

    def _oldest_of_least_urgent(self) -> Flight:
        rank = max(rank for rank, waiting in self._queues.items() if waiting)
        self.waiting -= 1
        return self._queues[rank].popleft()[0]


class Station(Protocol):
    """What stands between a node's arrivals and its behaviour, and what it did: seconds of work and of
    waiting, and flights served.
    """

    servers: int
    busy_s: float
    waited_s: float
    served_count: int

    def accept(self, flight: Flight, timeline: Timeline, then: tuple[Callable[[Flight], None], ...]) -> None:
        """Queue an arriving flight and call `then` when it has been served, or lose it."""
        ...

    @property
    def waiting(self) -> int:
        """Flights that no event stands for."""
        ...
