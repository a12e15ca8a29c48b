"""When the timeline's faults begin and end on the wire: its clock goes on while the run stands still."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple, Protocol

from network.faults import Fault
from network.wire.timeline import WallTimeline


class Conductor(Protocol):
    """What works at times of its own clock."""

    @property
    def timeline(self) -> WallTimeline:
        """Its clock."""
        ...

    def call_at(self, at_s: float, action: Callable[[], None]) -> None:
        """Call `action` at this time."""
        ...


class Planned(NamedTuple):
    """A fault of the timeline: when it begins (seconds of the run), and how long it lasts, if it ends."""

    fault: Fault
    starts_s: tuple[float, ...]
    lasts_s: float | None


class _Change(NamedTuple):
    at_s: float
    do: Callable[[float], None]


class Agenda:
    """Begins and ends faults at their times; every method is called on the conductor's thread."""

    def __init__(self, planned: Iterable[Planned], on: Conductor) -> None:
        self._on = on
        self._todo = deque(sorted(_changes(planned), key=lambda change: change.at_s))
        self._began_s = 0.0
        self._paused_s: float | None = None
        self._turn = 0

    def start(self, began_s: float) -> None:
        """The run began at this time of the clock."""
        self._began_s = began_s
        self._await()

    def pause(self) -> None:
        """Nothing begins or ends until `resume`."""
        if self._paused_s is None:
            self._paused_s = self._on.timeline.catch_up()
            self._turn += 1

    def resume(self) -> None:
        """Go on where it stood."""
        if self._paused_s is not None:
            self._began_s += self._on.timeline.catch_up() - self._paused_s
            self._paused_s = None
            self._await()

    def _await(self) -> None:
        if self._todo:
            self._on.call_at(self._began_s + self._todo[0].at_s, partial(self._happen, self._turn))

    def _happen(self, turn: int) -> None:
        """Do what is due, unless there was a pause since it was planned."""
        if turn == self._turn:
            self._todo.popleft().do(self._on.timeline.now)
            self._await()


def _changes(planned: Iterable[Planned]) -> Iterator[_Change]:
    for fault, starts_s, lasts_s in planned:
        for at_s in starts_s:
            yield _Change(at_s, fault.begin)
            if lasts_s is not None:
                yield _Change(at_s + lasts_s, fault.end)
