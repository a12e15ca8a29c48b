"""When the members of a fleet publish: absolute times, in blocks.

A schedule yields blocks of ascending times (seconds from its start) and which member each belongs to. Times
never depend on when the last message was sent: who falls behind catches up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twin.errors import InputError
from twin.kernel.randomness import key_of

BLOCK: Final = 4_096
SPREADS: Final = ("even", "together", "random")


class Block(NamedTuple):
    """Some publications that follow each other: when (s), and the index of the member."""

    times_s: NDArray[np.float64]
    members: NDArray[np.int64]


Schedule: TypeAlias = Iterator[Block]


def periodic(count: int, period_s: float, spread: str = "even", *, seed: int = 1) -> Schedule:
    """Each of `count` members at `phase + k * period_s`; phases are spread evenly, together or at random."""
    _check(count, period_s, "period")
    members = np.arange(count)
    phases: NDArray[np.float64]
    if spread == "even":
        phases = np.asarray(members * (period_s / count), dtype=np.float64)
    elif spread == "together":
        phases = np.zeros(count)
    elif spread == "random":
        phases = _generator(seed, "phases").random(count) * period_s
        members = np.argsort(phases, kind="stable")
        phases = phases[members]
    else:
        raise InputError(f"phases are spread {', '.join(SPREADS)}; not {spread!r}")
    return _turns(phases, members, period_s)


def _turns(phases: NDArray[np.float64], members: NDArray[np.int64], period_s: float) -> Schedule:
    """Whole turns, several at once where a turn is short."""
    at_once = max(1, BLOCK // len(members))
    turn = 0
    while True:
        starts = np.arange(turn, turn + at_once) * period_s
        yield Block((starts[:, None] + phases).ravel(), np.tile(members, at_once))
        turn += at_once


def poisson(count: int, mean_period_s: float, *, seed: int = 1) -> Schedule:
    """Each of `count` members as a Poisson process: together one of `count` times the rate."""
    _check(count, mean_period_s, "mean period")
    return _poisson(count, mean_period_s / count, _generator(seed, "poisson"))


def _poisson(count: int, mean_gap_s: float, generator: np.random.Generator) -> Schedule:
    last_s = 0.0
    while True:
        times_s = last_s + np.cumsum(generator.standard_exponential(BLOCK)) * mean_gap_s
        last_s = float(times_s[-1])
        yield Block(times_s, generator.integers(0, count, BLOCK))


def replay(times_s: ArrayLike, members: ArrayLike) -> Schedule:
    """The given publications; equal times stay in the given order."""
    times = np.asarray(times_s, dtype=np.float64)
    who = np.asarray(members, dtype=np.int64)
    if times.shape != who.shape or times.ndim != 1:
        raise InputError(f"a replay has one member for each time; there are {who.size} and {times.size}")
    if times.size and (not np.isfinite(times).all() or times.min() < 0.0 or who.min() < 0):
        raise InputError("a replay has finite times from 0 on, and members from 0 on")
    order = np.argsort(times, kind="stable")
    times, who = times[order], who[order]
    return (Block(times[at : at + BLOCK], who[at : at + BLOCK]) for at in range(0, times.size, BLOCK))


def until(schedule: Schedule, end_s: float) -> Schedule:
    """What of the schedule lies before `end_s`."""
    for times_s, members in schedule:
        kept = int(np.searchsorted(times_s, end_s))
        yield Block(times_s[:kept], members[:kept])
        if kept < times_s.size:
            return


def _check(count: int, period_s: float, name: str) -> None:
    if count < 1 or not period_s > 0.0:
        raise InputError(f"a schedule needs a member and a {name} above 0 s, not {count} and {period_s:g} s")


def _generator(seed: int, purpose: str) -> Any:
    return np.random.Generator(np.random.Philox(key=key_of(seed, "fleet", purpose)))
