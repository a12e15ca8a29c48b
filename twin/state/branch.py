"""Branches: all twins as they were at some moment, free to go another way; and what then differs.

A branch shares its records with what it came from until they change, so making one costs a copy of the
dicts. Nothing that happens in it is kept in a store or published.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import msgspec

from twin.errors import InputError
from twin.state.journal import History, Wanted, load, sequence_at, state_at, thing_of
from twin.state.records import Record, Records, Tree

NOW: Final = "now"
LONGEST_SEQUENCE: Final = 18
"""So many digits a sequence has at most."""
ABSENT: Final = None
MOST_DIFFERENCES: Final = 10_000
COMPARED: Final = (
    "thing",
    "group",
    "shadow",
    "telemetry",
    "alarm",
    "command",
    "job",
    "execution",
    "rule",
)
"""The kinds that say something of the twins; the rest is how the service keeps count."""
SHADOW: Final = "shadow"
TELEMETRY: Final = "telemetry"


@dataclass(frozen=True, slots=True)
class Branch:
    """Records that go their own way from a sequence on; `at_s` is what their clock shows then (seconds)."""

    name: str
    sequence: int
    at_s: float
    records: Records

    def fork(self, name: str) -> Branch:
        """Another branch from the same moment."""
        return Branch(name, self.sequence, self.at_s, self.records.fork())


def branch_at(
    history: History, kinds: Mapping[str, type[Record]], at: str = NOW, name: str = "branch"
) -> Branch:
    """A branch from "now", a sequence or a time, as `moment` reads it.

    Its clock shows the time that was asked for, or that of the sequence. Raises InputError for a moment that
    lies before what is kept, or that has not been reached.
    """
    sequence = moment(history, at)
    bounds = history.bounds()
    if sequence == bounds.last:
        return Branch(name, sequence, bounds.last_s, load(history, kinds))
    at_s = _time_of(history, sequence) if at.isdigit() else seconds_of(at)
    return Branch(name, sequence, at_s, state_at(history, kinds, sequence))


def live_branch(records: Records, sequence: int, at_s: float, name: str = "branch") -> Branch:
    """A branch of twins that are in memory; whoever changes them makes it."""
    return Branch(name, sequence, at_s, records.fork())


def moment(history: History, at: str) -> int:
    """The sequence of "now", of a sequence such as 1200, or of a time.

    A time is written in seconds with its unit (12.5s), or as 2026-03-01T12:00:00Z. Raises InputError.
    """
    if at == NOW:
        return history.bounds().last
    if at.isascii() and at.isdigit():
        last = history.bounds().last
        if len(at) > LONGEST_SEQUENCE or int(at) > last:
            raise InputError(f"the journal has not reached sequence {at}; its last is {last}")
        return int(at)
    return sequence_at(history, seconds_of(at))


def seconds_of(text: str) -> float:
    """Seconds of a time such as 12.5s or 2026-03-01T12:00:00Z; raises InputError for anything else."""
    if text.endswith("s"):
        with contextlib.suppress(ValueError):
            if math.isfinite(seconds := float(text[:-1])):
                return seconds
    with contextlib.suppress(ValueError):
        said = dt.datetime.fromisoformat(text)
        if said.tzinfo is not None:
            return said.timestamp()
    raise InputError(
        f"{text!r} is no moment; write now, a sequence (1200), seconds (12.5s)"
        " or a time with its zone (2026-03-01T12:00:00Z)"
    )


def _time_of(history: History, sequence: int) -> float:
    found = history.entries(Wanted(until=sequence, is_newest_first=True, limit=1))
    if found:
        return found[0].at_s
    return next((mark.at_s for mark in history.snapshots() if mark.sequence == sequence), 0.0)


# what differs --------------------------------------------------------------------------------------------


class Difference(msgspec.Struct, frozen=True):
    """One value of a record that is not the same in the branch and live; `path` names it with dots.

    With `what` "only_branch" or "only_live" the record as a whole is in one of the two.
    """

    thing: str
    kind: str
    key: str
    what: Literal["differs", "only_branch", "only_live"]
    path: str = ""
    branch: Any = ABSENT
    live: Any = ABSENT


class Differences(NamedTuple):
    """What differs, in the order of things, kinds, keys and paths; `is_cut` if there is more."""

    found: list[Difference]
    is_cut: bool


def diff(branch: Records, live: Records, limit: int = MOST_DIFFERENCES) -> Differences:
    """What differs between a branch and live, value by value; times and versions are left out.

    Of a shadow the values that are reported and desired are compared, of telemetry the latest values.
    """
    keys = sorted(
        (thing_of(key, one or other), kind, key)
        for kind in COMPARED
        for key in branch.of(kind).keys() | live.of(kind).keys()
        if (one := branch.get(kind, key)) is not (other := live.get(kind, key))
    )
    found: list[Difference] = []
    for thing, kind, key in keys:
        for each in _differences(thing, kind, key, branch.get(kind, key), live.get(kind, key)):
            if len(found) == limit:
                return Differences(found, is_cut=True)
            found.append(each)
    return Differences(found, is_cut=False)


def _differences(thing: str, kind: str, key: str, one: Any, other: Any) -> Iterator[Difference]:
    if one is None or other is None:
        what: Literal["only_branch", "only_live"] = "only_live" if one is None else "only_branch"
        shown = (_content(kind, one), None) if other is None else (None, _content(kind, other))
        yield Difference(thing, kind, key, what, "", *shown)
        return
    for path, before, after in _leaves(_content(kind, one), _content(kind, other), ()):
        yield Difference(thing, kind, key, "differs", ".".join(path), before, after)


def _content(kind: str, record: Any) -> Tree:
    """What of a record is compared."""
    if kind == SHADOW:
        state: Tree = record.state.tree()
        return state
    if kind == TELEMETRY:
        return {name: value[0] for name, value in record.values.items()}
    tree: Tree = msgspec.to_builtins(record)
    return {name: value for name, value in tree.items() if not name.endswith("_s") and name != "version"}


def _leaves(one: Any, other: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """The leaves that differ; what is missing on one side is None there."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            yield from _leaves(one.get(name), other.get(name), (*path, name))
    elif not _is_same(one, other):
        yield path, one, other


def _is_same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is no number."""
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)
