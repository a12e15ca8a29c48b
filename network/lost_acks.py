"""What acknowledgements that were lost have said: the next one says it again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from operator import itemgetter
from typing import TypeAlias

Ack: TypeAlias = tuple[int, int, int]
"""How many segments have arrived, how many of them widen the window, and up to where all has arrived."""
Later: TypeAlias = tuple[int, float, float]
"""Number of a transmission behind a gap, when its acknowledgement is there, and its round trip."""


class LostAcks:
    """Of one direction of a connection; `losing` is what loses acknowledgements on their way."""

    __slots__ = ("_later", "acks", "losing")

    def __init__(self) -> None:
        self.losing: list[Callable[[float, int], float | None]] = []
        self.acks: list[Ack] = []
        self._later: Later | None = None

    def loses(self, now: float) -> bool:
        """Whether an acknowledgement with nothing else in its segment is lost."""
        return any(release(now, 0) is None for release in self.losing)

    def keep(self, ack: Ack, later: Later | None = None) -> None:
        """Keep what a lost acknowledgement has said."""
        self.acks.append(ack)
        self._later = later or self._later

    def take_back(self, acks: deque[tuple[float, int, int, int]], count: int) -> None:
        """The latest so many were lost with what they were sent in."""
        for _ in range(count):
            _, *ack = acks.pop()
            self.acks.append((ack[0], ack[1], ack[2]))
        self.acks.sort(key=itemgetter(2))

    def tell(self, at_s: float, acks: deque[tuple[float, int, int, int]], later: deque[Later]) -> None:
        """Let another acknowledgement say it, which is there at this time."""
        acks.extend((at_s, *ack) for ack in self.acks)
        self.acks.clear()
        if self._later is not None:
            number, was_s, round_trip_s = self._later
            later.append((number, at_s, round_trip_s + at_s - was_s))
            self._later = None
