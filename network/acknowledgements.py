"""What the receiver of one direction of a connection has acknowledged, and when its sender hears of it.

An acknowledgement goes in a segment of its own, or in one with data that goes the same way and is there when
that is. Each repeats what earlier ones have said, so what was lost or is late is heard with the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import TypeAlias

Ack: TypeAlias = tuple[int, int, int]
"""How many segments have arrived, how many of them widen the window, and up to where all has arrived."""
Later: TypeAlias = tuple[int, float, float]
"""Number of a transmission behind a gap, when its acknowledgement is there, and its round trip."""


class Acknowledgements:
    """`losing` is what loses those with a segment of their own; `count` is how many were given.

    `pending` has those not heard yet, oldest first: when each is there (infinite: it goes with data, or was
    lost), and what it says.
    """

    __slots__ = ("_later", "count", "losing", "pending")

    def __init__(self) -> None:
        self.losing: list[Callable[[float, int], float | None]] = []
        self.pending: deque[tuple[float, int, int, int]] = deque()
        self.count = 0
        self._later: tuple[int, Later] | None = None

    @property
    def next_s(self) -> float:
        """When the next is there as far as is known; infinite if none is pending."""
        return self.pending[0][0] if self.pending else inf

    def add(self, ack: Ack, at_s: float = inf) -> None:
        """Acknowledge; the sender hears it at this time, if that is known yet."""
        self.pending.append((at_s, *ack))
        self.count += 1

    def loses(self, now: float) -> bool:
        """Whether an acknowledgement with nothing else in its segment is lost."""
        return any(release(now, 0) is None for release in self.losing)

    def keep(self, later: Later) -> None:
        """Keep what the latest, which was lost, has said of data behind a gap."""
        self._later = self.count, later

    def hear(self, count: int, at_s: float) -> Later | None:
        """The first so many are there at this time, if they were not before; give what was kept of them."""
        pending = self.pending
        for place in range(count - self.count + len(pending) - 1, -1, -1):
            known_s, *ack = pending[place]
            if known_s <= at_s:
                break
            pending[place] = (at_s, ack[0], ack[1], ack[2])
        if self._later is None or self._later[0] > count:
            return None
        _, (number, was_s, round_trip_s) = self._later
        self._later = None
        return number, at_s, round_trip_s + at_s - was_s
