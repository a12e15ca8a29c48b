"""How far apart two samples are: quantile differences with intervals, Kolmogorov-Smirnov, Wasserstein.

Samples may hold infinity for what never came. Plain numpy; the formulas stand here with their sources.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Sample: TypeAlias = NDArray[np.float64]

RESAMPLES: Final = 1_000
CONFIDENCE: Final = 0.95
ROUNDING: Final = 1e-9
RESAMPLED_AT_ONCE: Final = 2_000_000
"""How many numbers are drawn at once, so that large samples do not fill the memory."""
KEY: Final = 20_240_501


class Estimate(NamedTuple):
    """A value with its confidence interval."""

    value: float
    low: float
    high: float


def quantile(sample: Sample, level: float) -> float:
    """The smallest value that at least this share of all values does not exceed ("inverted_cdf").

    Raises ValueError for no values.
    """
    if not len(sample):
        raise ValueError("no values, no quantile")
    return float(np.partition(sample, _rank(len(sample), level))[_rank(len(sample), level)])


def _rank(count: int, level: float) -> int:
    return max(math.ceil(level * count - ROUNDING), 1) - 1


def quantile_differences(
    first: Sample, second: Sample, levels: Sequence[float], *, is_paired: bool, resamples: int = RESAMPLES
) -> list[Estimate]:
    """Quantile of `second` less that of `first` for each level, with bootstrap intervals (percentiles).

    Paired samples (same length, value by value) are drawn pair by pair, as common random numbers ask for;
    others each by itself. B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), section 13.
    """
    draws = np.random.Generator(np.random.Philox(key=KEY))
    drawn = np.concatenate(
        [
            _resampled(first, second, levels, count, draws, is_paired=is_paired)
            for count in _batches(max(len(first), len(second)), resamples)
        ],
        axis=1,
    )
    tail = (1 - CONFIDENCE) / 2
    found = []
    for level, differences in zip(levels, drawn):
        value = minus(quantile(second, level), quantile(first, level))
        found.append(Estimate(value, quantile(differences, tail), quantile(differences, 1 - tail)))
    return found


def _batches(length: int, resamples: int) -> list[int]:
    size = max(1, min(resamples, RESAMPLED_AT_ONCE // max(1, length)))
    return [min(size, resamples - done) for done in range(0, resamples, size)]


def _resampled(
    first: Sample,
    second: Sample,
    levels: Sequence[float],
    count: int,
    draws: np.random.Generator,
    *,
    is_paired: bool,
) -> Sample:
    """Differences of quantiles, a row a level, in so many resamples."""
    picks = draws.integers(0, len(first), (count, len(first)))
    others = picks if is_paired else draws.integers(0, len(second), (count, len(second)))
    a, b = np.sort(first[picks], axis=1), np.sort(second[others], axis=1)
    rows = [
        [minus(y, x) for x, y in zip(a[:, _rank(len(first), level)], b[:, _rank(len(second), level)])]
        for level in levels
    ]
    return np.array(rows)


def minus(a: float, b: float) -> float:
    """The difference; two infinities are alike."""
    return 0.0 if a == b else float(a - b)


def kolmogorov_smirnov(first: Sample, second: Sample) -> float:
    """The largest vertical distance of the two empirical distribution functions."""
    a, b = np.sort(first), np.sort(second)
    everything = np.concatenate([a, b])
    below_a = np.searchsorted(a, everything, side="right") / len(a)
    below_b = np.searchsorted(b, everything, side="right") / len(b)
    return float(np.max(np.abs(below_a - below_b)))


def kolmogorov_smirnov_chance(distance: float, first_count: int, second_count: int) -> float:
    """How likely so large a distance is between samples of one law, for large samples.

    Kolmogorov's series Q(x) = 2 sum (-1)^(k-1) exp(-2 k^2 x^2) at x = D sqrt(n m / (n + m)).
    """
    x = distance * math.sqrt(first_count * second_count / (first_count + second_count))
    if x < 0.2:
        return 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2.0 * k * k * x * x) for k in range(1, 101))
    return min(1.0, max(0.0, 2.0 * math.fsum(terms)))


def wasserstein(first: Sample, second: Sample) -> float:
    """The area between the two distribution functions, over finite values only: how far on average what is
    in one would have to move to make the other. NaN if either has none.
    """
    a, b = np.sort(first[np.isfinite(first)]), np.sort(second[np.isfinite(second)])
    if not len(a) or not len(b):
        return math.nan
    everything = np.sort(np.concatenate([a, b]))
    widths = np.diff(everything)
    below_a = np.searchsorted(a, everything[:-1], side="right") / len(a)
    below_b = np.searchsorted(b, everything[:-1], side="right") / len(b)
    return float(np.sum(np.abs(below_a - below_b) * widths))
