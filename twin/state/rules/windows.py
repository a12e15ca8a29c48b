"""Windows: which messages are taken together, and when they are looked at.

What a window holds is a tuple of panes, each with the sums of the messages of one hop, one session or one
message; panes are joined when the window is looked at. The clock is that of the engine. A tumbling or hopping
window ends at a multiple of its hop, counted from second 0 of that clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from twin.state.rules.program import Column
from twin.state.rules.syntax import MOST_PANES, Window

GRAIN: Final = 1e-9
"""Of a hop: a time so near to the end of a window belongs to the next one."""


class Pane(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Messages that a window takes together: since when (of a hop: its number), the last one, sums."""

    start: float
    last_s: float
    count: int
    sums: tuple[Any, ...]


class View(NamedTuple):
    """A look at a window: when, and the values of the aggregates."""

    at_s: float
    results: tuple[Any, ...]


class Kept(NamedTuple):
    """What is left of a window after a message or a deadline."""

    panes: tuple[Pane, ...]
    boundary: int = 0
    ticks: int = 0
    due_s: float = math.inf
    view: View | None = None
    is_late: bool = False


NOTHING: Final = Kept(())


def hop_s(window: Window) -> float:
    """How far a tumbling or hopping window moves (seconds)."""
    return window.every_s or window.size_s


def hop_count(window: Window) -> int:
    """Hops in one window."""
    return round(window.size_s / hop_s(window))


def number_of(at_s: float, hop: float) -> int:
    """The hop in which a time is."""
    return math.floor(at_s / hop + GRAIN)


def end_s(number: int, hop: float) -> float:
    """When the hop before this one ends: the third tenth of a second ends at 0.3, not a bit later."""
    return round(number * hop, 9)


def joined(columns: Sequence[Column], panes: Sequence[Pane]) -> tuple[Any, ...]:
    """The values of the aggregates over some panes."""
    found = []
    for number, column in enumerate(columns):
        total = column.sums.empty
        for pane in panes:
            total = column.sums.joined(total, pane.sums[number])
        found.append(column.sums.result(total))
    return tuple(found)


def _with(columns: Sequence[Column], pane: Pane, at_s: float, sums: tuple[Any, ...]) -> Pane:
    both = tuple(column.sums.joined(a, b) for column, a, b in zip(columns, pane.sums, sums))
    return Pane(pane.start, max(at_s, pane.last_s), pane.count + 1, both)


def _one(columns: Sequence[Column], panes: tuple[Pane, ...], at_s: float, sums: tuple[Any, ...]) -> Pane:
    """The only pane, with one more message."""
    return _with(columns, panes[0], at_s, sums) if panes else Pane(at_s, at_s, 1, sums)


def enter(
    window: Window,
    columns: Sequence[Column],
    kept: Kept,
    sums: tuple[Any, ...],
    at_s: float,
    now_s: float,
    late_s: float = 0.0,
) -> Kept:
    """A message of the time `at_s` enters at `now_s`; the two differ in event time only."""
    match window.kind:
        case "sliding":
            panes = [pane for pane in kept.panes if pane.last_s > now_s - window.size_s]
            panes = [*panes, Pane(now_s, now_s, 1, sums)][-MOST_PANES:]
            view = View(now_s, joined(columns, panes))
            return Kept(tuple(panes), due_s=now_s + window.size_s, view=view)
        case "session":
            pane = _one(columns, kept.panes, now_s, sums)
            end_s = now_s + window.size_s
            if window.most_s:
                end_s = min(end_s, pane.start + window.most_s)
            return Kept((pane,), due_s=end_s)
        case "count":
            return _enter_count(window, columns, kept, sums, now_s)
        case "state":
            return Kept((_one(columns, kept.panes, now_s, sums),))
    return _enter_hop(window, columns, kept, sums, at_s, now_s, late_s)


def _enter_count(
    window: Window, columns: Sequence[Column], kept: Kept, sums: tuple[Any, ...], now_s: float
) -> Kept:
    if not window.every_count:
        pane = _one(columns, kept.panes, now_s, sums)
        if pane.count < window.size_count:
            return Kept((pane,))
        return Kept((), view=View(now_s, joined(columns, [pane])))
    panes = (*kept.panes, Pane(now_s, now_s, 1, sums))[-window.size_count :]
    ticks = kept.ticks + 1
    if ticks < window.every_count:
        return Kept(panes, ticks=ticks)
    return Kept(panes, view=View(now_s, joined(columns, panes)))


def _enter_hop(
    window: Window,
    columns: Sequence[Column],
    kept: Kept,
    sums: tuple[Any, ...],
    at_s: float,
    now_s: float,
    late_s: float,
) -> Kept:
    hop = hop_s(window)
    number = number_of(at_s, hop)
    next_end = number_of(now_s - late_s, hop) + 1
    if number + hop_count(window) < next_end:
        return kept._replace(view=None, is_late=True)
    boundary = max(number + 1, next_end)
    if kept.panes:
        boundary = min(boundary, kept.boundary)
    panes = {pane.start: pane for pane in kept.panes}
    old = panes.get(number)
    panes[number] = Pane(number, at_s, 1, sums) if old is None else _with(columns, old, at_s, sums)
    ordered = tuple(panes[each] for each in sorted(panes))
    return Kept(ordered, boundary, due_s=end_s(boundary, hop) + late_s)


def elapse(window: Window, columns: Sequence[Column], kept: Kept, late_s: float = 0.0) -> Kept:
    """The deadline of a window has come: what is left of it, and what it looked like."""
    if window.kind == "sliding":
        return Kept(())
    if window.kind == "session":
        return Kept((), view=View(kept.due_s, joined(columns, kept.panes)))
    hop, count, end = hop_s(window), hop_count(window), kept.boundary
    seen = [pane for pane in kept.panes if end - count <= pane.start < end]
    panes = tuple(pane for pane in kept.panes if pane.start > end - count)
    view = View(kept.due_s, joined(columns, seen)) if seen else None
    if not panes:
        return Kept((), view=view)
    following = max(end + 1, int(panes[0].start) + 1)
    return Kept(panes, following, due_s=end_s(following, hop) + late_s, view=view)
