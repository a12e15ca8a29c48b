"""Where a curve begins to bend, and where a requirement stops holding.

The knee follows V. Satopää, J. Albrecht, D. Irwin and B. Raghavan, "Finding a 'Kneedle' in a Haystack:
Detecting Knee Points in System Behavior" (ICDCS Workshops 2011, 166): with both axes scaled to 0..1 it is the
point that is farthest from the straight line between the curve's ends. It depends on the range that was
swept. The input is taken as it is, however the values were spaced: what grows in proportion has no knee on
a logarithmic scale either. Two things are asked before a point is called a knee: that the bend is at least
a tenth of the curve's height, and that over the replications its mean is not zero (t-test at 5 %, divided by
the number of points it was chosen from, after Bonferroni).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from scenarios.judging.statistics import ROUNDING, student_quantile
from scenarios.sweeping.results import Bend, Boundary, PointVerdict, SweptRequirement
from twin.kernel.randomness import Stream

LEAST_POINTS: Final = 4
LEAST_DEPTH: Final = 0.1
ERROR_RATE: Final = 0.05
RESAMPLES: Final = 400
Array = npt.NDArray[np.float64]


class KneeFound(NamedTuple):
    """Where the knee is, between which values it lies, how deep it is, and what the curve does there."""

    at: float
    low: float
    high: float
    depth: float
    bend: Bend


def knee(xs: Sequence[float], values: Sequence[Sequence[float]]) -> KneeFound | None:
    """The knee of a curve with the values of every replication at every x, in the order of the seeds.

    The interval holds 95 % of the knees of 400 curves made of resampled replications, and reaches at least
    to the neighbouring points: between points nothing was measured. None where no bend stands out from the
    noise. Points from the first that is not finite in some replication on are left out.
    """
    known = _known(values)
    if known < LEAST_POINTS:
        return None
    y: Array = np.array([list(each) for each in values[:known]], dtype=float).T
    x: Array = np.array(xs[:known], dtype=float)
    mean = y.mean(axis=0)
    height = float(mean.max() - mean.min())
    if height <= ROUNDING * float(np.abs(mean).max()):
        return None
    away = _away(x, mean)
    place = 1 + int(np.argmax(np.abs(away[1:-1])))
    depth = abs(float(away[place])) / height
    if depth < LEAST_DEPTH or not _stands_out(_away(x, y)[:, place], known - 2):
        return None
    first, last = _span(x, y)
    low, high = min(first, place) - 1, max(last, place) + 1
    return KneeFound(_vertex(x, away, place), xs[low], xs[high], depth, _bend(x, mean, place))


def _known(values: Sequence[Sequence[float]]) -> int:
    """How many points from the first on have finite values of every replication."""
    count = 0
    for each in values:
        if len(each) != len(values[0]) or not each or not all(map(math.isfinite, each)):
            break
        count += 1
    return count


def _away(x: Array, y: Array) -> Array:
    """How far a curve, or each of several, is above the straight line between its ends."""
    first, last = y[..., :1], y[..., -1:]
    found: Array = y - (first + (last - first) * (x - x[0]) / (x[-1] - x[0]))
    return found


def _stands_out(bends: Array, choices: int) -> bool:
    """Whether the mean of the replications' bends is not zero, at a point chosen from so many."""
    count = len(bends)
    if count < 2:
        return False
    half = student_quantile(1 - ERROR_RATE / 2 / choices, count - 1)
    noise = half * statistics.stdev(bends.tolist()) / math.sqrt(count)
    return bool(abs(bends.mean()) > noise)


def _span(x: Array, y: Array) -> tuple[int, int]:
    """The first and the last point that are the knee in 95 % of resampled curves."""
    stream = Stream(len(x), "knee", "resampling")
    count = len(y)
    drawn = np.array([[stream.index(count) for _ in range(count)] for _ in range(RESAMPLES)])
    away = np.abs(_away(x, y[drawn].mean(axis=1)))[:, 1:-1]
    places = np.sort(1 + np.argmax(away, axis=1))
    return int(places[int(0.025 * RESAMPLES)]), int(places[math.ceil(0.975 * RESAMPLES) - 1])


def _vertex(x: Array, away: Array, place: int) -> float:
    """Where the parabola through the knee and its neighbours turns: the knee between the points."""
    (x0, x1, x2), (y0, y1, y2) = x[place - 1 : place + 2], away[place - 1 : place + 2]
    left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    if left == right or left * right > 0:
        return float(x1)
    curvature = (right - left) / (x2 - x0)
    turn = (x0 + x1) / 2 - left / (2 * curvature)
    return float(min(max(turn, x0), x2))


def _bend(x: Array, y: Array, place: int) -> Bend:
    before = (y[place] - y[0]) / (x[place] - x[0])
    after = (y[-1] - y[place]) / (x[-1] - x[place])
    if abs(after) < abs(before):
        return "levels off"
    return "rises" if after > 0 else "falls"


def holds(requirement: SweptRequirement, verdict: PointVerdict) -> bool:
    """Whether it is met in at least the share of the runs that it asks for."""
    return verdict.met >= requirement.probability * verdict.runs - ROUNDING


def boundaries(
    requirement: SweptRequirement,
    line: Sequence[tuple[float, Mapping[str, PointVerdict]]],
    at_other: str = "",
) -> Iterator[Boundary]:
    """Every pair of neighbouring values between which the requirement turns, along one line of points."""
    known = [(x, verdicts[requirement.name]) for x, verdicts in line if requirement.name in verdicts]
    for place, (left, right) in enumerate(pairwise(known)):
        is_left, is_right = holds(requirement, left[1]), holds(requirement, right[1])
        if is_left == is_right:
            continue
        before, after = known[place::-1], known[place + 1 :]
        good, bad = (before, after) if is_left else (after, before)
        yield Boundary(
            requirement.name,
            at_other,
            holds=good[0][0],
            fails=bad[0][0],
            surely_holds=_nearest(good, "PASS", "FAIL"),
            surely_fails=_nearest(bad, "FAIL", "PASS"),
        )


def _nearest(line: Sequence[tuple[float, PointVerdict]], wanted: str, opposite: str) -> float | None:
    """The nearest value with the verdict wanted, before any with the opposite one."""
    for x, verdict in line:
        if verdict.verdict == wanted:
            return x
        if verdict.verdict == opposite:
            return None
    return None
