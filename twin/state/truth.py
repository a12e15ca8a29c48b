"""How wrong twins are, measured against what is true: exact integrals over time, without sampling.

    age            now - time of the event that the twin's value comes from (age of information)
    staleness      now - time at which the twin was last right, 0 while it is right (age of staleness:
                   Cosandal & Ulukus, arXiv:2605.16176)
    wrong share    share of the time in which twin and truth differ
    unknown share  share of the time in which the twin, having known a value, knows none
    divergence     what differs now, and since when

A value counts from the twin's first report of it on. Between two changes age and staleness grow with slope
1, so their integrals are sums of (b^2 - a^2) / 2, and the quantile of the age follows from the slopes' ends.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

from twin.errors import LimitError
from twin.state.shadow.trees import MISSING, is_same

AGE_LIMIT: Final = 2_000_000
"""So many reports are kept for the quantiles of ages, in one run."""
QUANTILE: Final = 0.95


class Mirrored(NamedTuple):
    """What a twin says of one property: its value, and when that was so by the device's word (seconds)."""

    value: Any
    event_s: float


class Divergence(NamedTuple):
    """One property of which a twin says otherwise than what is true, since then (seconds)."""

    thing: str
    property: str
    said: Any
    true: Any
    since_s: float


class Figures(NamedTuple):
    """How wrong one twin was of one property over the time since it first knew it; times in seconds."""

    twin: str
    thing: str
    property: str
    age_s: float
    age_p95_s: float
    staleness_s: float
    wrong_share: float
    unknown_share: float


class _Phase:
    """Something that is so or not, by turns: how long it has been so, and the integral of that."""

    __slots__ = ("since_s", "square_s2", "total_s")

    def __init__(self) -> None:
        self.since_s: float | None = None
        self.total_s = self.square_s2 = 0.0

    def turn(self, now_s: float, *, is_so: bool) -> float | None:
        """Say how it is now; return how long it had been so if it ends."""
        since_s = self.since_s
        if is_so:
            self.since_s = now_s if since_s is None else since_s
            return None
        if since_s is None:
            return None
        self.since_s = None
        lasted_s = now_s - since_s
        self.total_s += lasted_s
        self.square_s2 += lasted_s * lasted_s / 2.0
        return lasted_s

    def until(self, now_s: float) -> tuple[float, float]:
        """Total and integral, with what goes on."""
        lasted_s = 0.0 if self.since_s is None else now_s - self.since_s
        return self.total_s + lasted_s, self.square_s2 + lasted_s * lasted_s / 2.0


@dataclass(slots=True)
class _Leaf:
    """One property as one twin has it."""

    began_s: float
    said: Any = MISSING
    desired: Any = MISSING
    event_s: float = 0.0
    told_s: float = 0.0
    youngest: array[float] = field(default_factory=lambda: array("d"))
    oldest: array[float] = field(default_factory=lambda: array("d"))
    wrong: _Phase = field(default_factory=_Phase)
    unknown: _Phase = field(default_factory=_Phase)
    unmet: _Phase = field(default_factory=_Phase)

    def tell(self, said: Any, event_s: float, now_s: float) -> bool:
        """The twin has another value, or the same of another event; return whether an age was kept."""
        has_ended = self.said is not MISSING and now_s > self.told_s
        if has_ended:
            self.youngest.append(max(0.0, self.told_s - self.event_s))
            self.oldest.append(max(0.0, now_s - self.event_s))
        self.said, self.event_s, self.told_s = said, event_s, now_s
        self.unknown.turn(now_s, is_so=said is MISSING)
        return has_ended

    def ages(self, now_s: float) -> tuple[array[float], array[float]]:
        """Youngest and oldest age between any two reports, up to now."""
        youngest, oldest = self.youngest[:], self.oldest[:]
        if self.said is not MISSING and now_s > self.told_s:
            youngest.append(max(0.0, self.told_s - self.event_s))
            oldest.append(max(0.0, now_s - self.event_s))
        return youngest, oldest


Ended: TypeAlias = Callable[[str, str, float], None]
"""Told (twin, "diverged" or "unmet", seconds) when a divergence, or a wish that was not so, is over."""


def _nobody(_twin: str, _what: str, _lasted_s: float) -> None:
    return


@dataclass(slots=True)
class Truth:
    """The true state of things beside what each twin says of them; times never go back."""

    ended: Ended = _nobody

    states: dict[str, dict[str, Any]] = field(init=False, default_factory=dict)
    leaves: dict[str, dict[tuple[str, str], _Leaf]] = field(init=False, default_factory=dict)
    age_count: int = field(init=False, default=0)

    def know(self, thing: str, state: Mapping[str, Any], now_s: float) -> None:
        """The true state of a thing, whole."""
        self.states[thing] = dict(state)
        for (twin, name), leaf in self.leaves.get(thing, {}).items():
            self._judge(thing, twin, name, leaf, now_s)

    def mirror(
        self,
        twin: str,
        thing: str,
        reported: Mapping[str, Mirrored],
        desired: Mapping[str, Any],
        now_s: float,
    ) -> None:
        """All that the twin says of a thing; raise LimitError past the bound."""
        leaves = self.leaves.setdefault(thing, {})
        for name in reported.keys() | desired.keys():
            if (twin, name) not in leaves:
                leaves[twin, name] = _Leaf(now_s)
        for (owner, name), leaf in leaves.items():
            if owner != twin:
                continue
            told = reported.get(name)
            if told is None:
                if leaf.said is not MISSING:
                    self._tell(leaf, MISSING, now_s, now_s)
            elif told.event_s != leaf.event_s or not is_same(told.value, leaf.said):
                if leaf.said is MISSING and not leaf.oldest:
                    leaf.began_s = now_s
                self._tell(leaf, told.value, told.event_s, now_s)
            leaf.desired = desired.get(name, MISSING)
            self._judge(thing, twin, name, leaf, now_s)

    def forget(self, twin: str, now_s: float) -> None:
        """The twin has lost all that it knew."""
        for thing in self.leaves:
            self.mirror(twin, thing, {}, {}, now_s)

    def divergences(self, twin: str) -> list[Divergence]:
        """What the twin is wrong of, longest first."""
        found = [
            Divergence(thing, name, leaf.said, self.states[thing].get(name), leaf.wrong.since_s)
            for thing, leaves in self.leaves.items()
            for (owner, name), leaf in leaves.items()
            if owner == twin and leaf.wrong.since_s is not None
        ]
        return sorted(found, key=lambda each: each.since_s)

    def figures(self, now_s: float) -> Iterator[Figures]:
        """How wrong each twin was of each property of which there is a truth."""
        for thing, leaves in self.leaves.items():
            for (twin, name), leaf in leaves.items():
                if leaf.oldest or leaf.said is not MISSING:
                    yield _figures(twin, thing, name, leaf, now_s)

    def finish(self, now_s: float) -> None:
        """Tell of what has not ended, too."""
        for leaves in self.leaves.values():
            for (twin, _), leaf in leaves.items():
                for what, phase in (("diverged", leaf.wrong), ("unmet", leaf.unmet)):
                    if phase.since_s is not None and now_s > phase.since_s:
                        self.ended(twin, what, now_s - phase.since_s)

    def _tell(self, leaf: _Leaf, said: Any, event_s: float, now_s: float) -> None:
        self.age_count += leaf.tell(said, event_s, now_s)
        if self.age_count > AGE_LIMIT:
            raise LimitError(f"more than {AGE_LIMIT:,} reports whose age is measured in one run")

    def _judge(self, thing: str, twin: str, name: str, leaf: _Leaf, now_s: float) -> None:
        """Compare what is said and desired with what is so."""
        true = self.states.get(thing, {}).get(name, MISSING)
        is_wrong = leaf.said is not MISSING and true is not MISSING and not is_same(leaf.said, true)
        is_unmet = (
            leaf.desired is not MISSING and true is not MISSING and not _is_fulfilled(leaf.desired, true)
        )
        for what, phase, is_so in (("diverged", leaf.wrong, is_wrong), ("unmet", leaf.unmet, is_unmet)):
            lasted_s = phase.turn(now_s, is_so=is_so)
            if lasted_s:
                self.ended(twin, what, lasted_s)


def _figures(twin: str, thing: str, name: str, leaf: _Leaf, now_s: float) -> Figures:
    youngest, oldest = leaf.ages(now_s)
    whole_s = now_s - leaf.began_s
    unknown_s, _ = leaf.unknown.until(now_s)
    known_s = whole_s - unknown_s
    wrong_s, staleness_s2 = leaf.wrong.until(now_s)
    area_s2 = sum((b * b - a * a) / 2.0 for a, b in zip(youngest, oldest))
    return Figures(
        twin,
        thing,
        name,
        area_s2 / known_s if known_s else 0.0,
        quantile(youngest, oldest, QUANTILE),
        staleness_s2 / known_s if known_s else 0.0,
        wrong_s / known_s if known_s else 0.0,
        unknown_s / whole_s if whole_s else 0.0,
    )


def _is_fulfilled(desired: Any, true: Any) -> bool:
    """Whether the desired value is so; of an object only the members that are desired matter."""
    if isinstance(desired, dict) and isinstance(true, dict):
        return all(key in true and _is_fulfilled(value, true[key]) for key, value in desired.items())
    return is_same(desired, true)


def quantile(lows: array[float], highs: array[float], share: float) -> float:
    """The value below which a quantity that rises from each low to its high with slope 1 is for this share
    of the time; 0 if there is no time.
    """
    wanted_s = share * (sum(highs) - sum(lows))
    ends = sorted(chain(((low, 1) for low in lows), ((high, -1) for high in highs)))
    below_s, count, value = 0.0, 0, 0.0
    for end, step in ends:
        gained_s = count * (end - value)
        if count and below_s + gained_s >= wanted_s:
            return value + (wanted_s - below_s) / count
        below_s, count, value = below_s + gained_s, count + step, end
    return value
