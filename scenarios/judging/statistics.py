"""Statistics of stochastic requirements, in closed form or by bisection; no statistics library.

A requirement's judgement per replication is a Bernoulli trial. Wald's sequential test decides whether its
probability is high enough; a Clopper-Pearson interval says what is known about it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

ERROR_RATE = 0.05
MOST_REPLICATIONS = 200
CONFIDENCE = 0.95
ROUNDING = 1e-9


class Verdict(Enum):
    """What is known about a requirement."""

    PASS = "PASS"  # noqa: S105  # no password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


class Interval(NamedTuple):
    """An estimate with its confidence interval."""

    estimate: float
    low: float
    high: float


@dataclass(slots=True)
class SequentialTest:
    """Wald's sequential probability ratio test of "P >= probability" against "P <= indifference".

    A. Wald, Ann. Math. Stat. 16 (1945) 117. `false_fail` and `false_pass` are the error rates at the two
    limits (alpha and beta). After `limit` replications without a decision it is INCONCLUSIVE.
    Raises ValueError unless 0 < indifference < probability < 1.
    """

    probability: float = 0.95
    indifference: float = 0.80
    false_fail: float = ERROR_RATE
    false_pass: float = ERROR_RATE
    limit: int = MOST_REPLICATIONS

    run_count: int = field(init=False, default=0)
    met_count: int = field(init=False, default=0)
    verdict: Verdict | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Refuse a test that can decide nothing."""
        if not 0 < self.indifference < self.probability < 1:
            raise ValueError(
                f"need 0 < indifference < probability < 1: {self.indifference}, {self.probability}"
            )

    @property
    def log_ratio(self) -> float:
        """Logarithm of the likelihood ratio of "too low" over "high enough"."""
        failed = self.run_count - self.met_count
        p, q = self.probability, self.indifference
        return self.met_count * math.log(q / p) + failed * math.log((1 - q) / (1 - p))

    def add(self, is_met: bool) -> Verdict | None:
        """Count one replication; the verdict once there is one. What comes after it changes nothing."""
        if self.verdict is None:
            self.run_count += 1
            self.met_count += is_met
            self.verdict = self._decide()
        return self.verdict

    def _decide(self) -> Verdict | None:
        ratio = self.log_ratio
        if ratio <= math.log(self.false_pass / (1 - self.false_fail)) + ROUNDING:
            return Verdict.PASS
        if ratio >= math.log((1 - self.false_pass) / self.false_fail) - ROUNDING:
            return Verdict.FAIL
        return Verdict.INCONCLUSIVE if self.run_count >= self.limit else None

    @property
    def interval(self) -> Interval:
        """What is known about the probability (Clopper-Pearson at 95 %)."""
        return clopper_pearson(self.met_count, self.run_count)


def clean_run_count(probability: float, confidence: float = CONFIDENCE) -> int:
    """How many runs, all met, show "P >= probability" at this confidence with a fixed number of runs."""
    return math.ceil(math.log(1 - confidence) / math.log(probability) - ROUNDING)


def clopper_pearson(met_count: int, run_count: int, confidence: float = CONFIDENCE) -> Interval:
    """The exact interval of a binomial share (Clopper and Pearson, Biometrika 26 (1934) 404)."""
    if run_count == 0:
        return Interval(math.nan, 0.0, 1.0)
    k, n, tail = met_count, run_count, (1 - confidence) / 2
    low = 0.0 if k == 0 else _root(lambda p: incomplete_beta(k, n - k + 1, p), tail)
    high = 1.0 if k == n else _root(lambda p: incomplete_beta(k + 1, n - k, p), 1 - tail)
    return Interval(k / n, low, high)


def paired_difference(
    first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE
) -> Interval:
    """Mean of `second - first` with a t interval, for runs paired by common random numbers.

    One pair gives an infinite interval. Raises ValueError if the lengths differ or are zero.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"pairs are needed: {len(first)} and {len(second)} values")
    differences = [b - a for a, b in zip(first, second)]
    n = len(differences)
    mean = math.fsum(differences) / n
    if n == 1:
        return Interval(mean, -math.inf, math.inf)
    variance = math.fsum((each - mean) ** 2 for each in differences) / (n - 1)
    half = student_quantile((1 + confidence) / 2, n - 1) * math.sqrt(variance / n)
    return Interval(mean, mean - half, mean + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for testing all of them (S. Holm, Scand. J. Stat. 6 (1979) 65), in order."""
    count = len(p_values)
    adjusted = [0.0] * count
    largest = 0.0
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def quantile(values: Sequence[float], level: float) -> float:
    """The smallest value that at least this share of all values does not exceed (type "inverted_cdf").

    Raises ValueError for no values.
    """
    if not values:
        raise ValueError("no values, no quantile")
    rank = math.ceil(level * len(values) - ROUNDING)
    return sorted(values)[max(rank, 1) - 1]


def student_quantile(level: float, freedom: float) -> float:
    """The quantile of Student's t with so many degrees of freedom, for 0 < level < 1."""
    if level == 0.5:
        return 0.0
    if level < 0.5:
        return -student_quantile(1 - level, freedom)
    x = _root(lambda each: incomplete_beta(freedom / 2, 0.5, each), 2 * (1 - level))
    return math.sqrt(freedom * (1 - x) / x)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), the distribution function of Beta(a, b).

    Continued fraction 8.17.22 of the NIST Digital Library of Mathematical Functions, by Lentz's method.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(scale) / (a * _beta_fraction(a, b, x))


def _beta_fraction(a: float, b: float, x: float) -> float:
    tiny = 1e-300
    value, c, d = 1.0, 1.0, 0.0
    for m in range(1, 10_000):
        half = m // 2
        term = (
            half * (b - half) * x / ((a + m - 1) * (a + m))
            if m % 2 == 0
            else -(a + half) * (a + b + half) * x / ((a + m - 1) * (a + m))
        )
        d = 1.0 / (1.0 + term * d or tiny)
        c = 1.0 + term / c or tiny
        value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return value


def _root(function: Callable[[float], float], level: float) -> float:
    """Where a rising function on 0..1 reaches the level, by bisection down to neighbouring floats."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if function(middle) < level:
            low = middle
        else:
            high = middle
    return high
