"""What is lost on the wire: by link, cause, and the fault that stood."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

from network.faults import Fault

OUTSIDE: Final = "outside faults"
"""The window of what is lost while no fault stands."""


class Losses:
    """Counts losses by link, window and cause; a window has the names of the faults that stand."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self._standing: dict[int, str] = {}
        self._number = 0
        self._window = OUTSIDE

    def add(self, where: str, cause: str) -> None:
        """Something is lost now."""
        self.counts[where, self._window, cause] += 1

    def during(self, name: str, fault: Fault) -> Fault:
        """The fault, whose window is open while it stands."""
        return _Noted(self, name, fault)

    def open(self, name: str) -> int:
        """A fault of this name begins; returns what closes its window."""
        self._number += 1
        self._standing[self._number] = name
        self._name_window()
        return self._number

    def close(self, number: int) -> None:
        """It ends."""
        del self._standing[number]
        self._name_window()

    def _name_window(self) -> None:
        self._window = " + ".join(dict.fromkeys(self._standing.values())) or OUTSIDE


class _Noted:
    """A fault whose windows are kept; it may begin again before it has ended."""

    def __init__(self, losses: Losses, name: str, fault: Fault) -> None:
        self._losses = losses
        self._name = name
        self._fault = fault
        self._numbers: deque[int] = deque()

    def begin(self, now: float) -> None:
        """Open a window, and begin."""
        self._numbers.append(self._losses.open(self._name))
        self._fault.begin(now)

    def end(self, now: float) -> None:
        """End, and close the oldest window."""
        self._fault.end(now)
        self._losses.close(self._numbers.popleft())
