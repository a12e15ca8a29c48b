"""The clock of a bus on which everybody has turns.

Turns come at regular times of a clock that stands still while somebody sends more than a turn holds. So a
turn that lies ahead is known exactly, and moves later by what others send before it.
"""

from __future__ import annotations

import math

TOLERANCE = 1e-9


class TurnClock:
    """Turns of `turn_s` seconds, numbered from 0."""

    def __init__(self, turn_s: float) -> None:
        self.turn_s = turn_s
        self._stood_s = 0.0
        self._stopped_at_s = 0.0

    def next_turn(self, now: float) -> int:
        """The number of the first turn that has not begun."""
        clock_s = max(now - self._stood_s, self._stopped_at_s)
        return math.ceil(clock_s / self.turn_s - TOLERANCE)

    def begins_s(self, turn: int) -> float:
        """When a turn begins if nobody sends before it."""
        return turn * self.turn_s + self._stood_s

    def stand(self, now: float, for_s: float) -> None:
        """The turns that lie ahead come later by so many seconds."""
        self._stopped_at_s = max(now - self._stood_s, self._stopped_at_s)
        self._stood_s += for_s


def next_own_turn(index: int, count: int, from_turn: int) -> int:
    """The first turn of place `index` among `count`, at or after a turn."""
    return from_turn + (index - from_turn) % count
