"""The network model's event queue on the wall clock.

The carrier that moves simulated messages moves real chunks too: it asks for a time line, and this is one.
An event that is worked off late still happens at its due time as far as the model is concerned, so that
lateness does not add up; `lateness_s` says how late.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from typing import Any, Protocol

from twin.kernel.flight import Flight


class Receiver(Protocol):
    """Who gets what has crossed the links."""

    def arrive(self, flight: Flight) -> None:
        """A chunk has reached the other end."""
        ...

    def lose(self, flight: Flight, where: str, cause: str) -> None:
        """A chunk will never reach the other end."""
        ...


class WallTimeline:
    """Events by their due time; `clock` gives seconds that never go back."""

    __slots__ = ("_clock", "_count", "_queue", "_receiver", "arrive", "lateness_s", "lose", "now")

    def __init__(self, clock: Callable[[], float], receiver: Receiver) -> None:
        self._clock = clock
        self._receiver = receiver
        self._queue: list[tuple[float, int, Any, Any]] = []
        self._count = 0
        self.now = clock()
        self.lateness_s = 0.0
        self.arrive = receiver.arrive
        self.lose = receiver.lose

    def schedule(self, at_s: float, flight: Any, then: tuple[Callable[[Any], None], ...]) -> None:
        """Call the one function in `then` with the flight at `at_s`."""
        self._count += 1
        heappush(self._queue, (at_s, self._count, flight, then))

    def catch_up(self) -> float:
        """Set `now` to the clock's time, for what happens outside the queue; return it."""
        self.now = now = max(self.now, self._clock())
        return now

    @property
    def next_s(self) -> float:
        """When the next event is due, infinite if there is none."""
        return self._queue[0][0] if self._queue else inf

    def work(self) -> None:
        """Work off what is due."""
        queue = self._queue
        clock_s = self._clock()
        while queue and queue[0][0] <= clock_s:
            due_s, _, flight, then = heappop(queue)
            self.now = max(self.now, due_s)
            self.lateness_s = max(self.lateness_s, clock_s - due_s)
            then[0](flight)
