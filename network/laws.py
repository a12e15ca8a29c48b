"""Laws of a delay, by name.

A law is given by its quantile function, so that correlated draws keep it: delay = quantile(Phi(z)) with z
from a Gaussian AR(1) (a Gaussian copula). All parameters are seconds unless the name says otherwise.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

from network.naming import unknown
from twin.errors import InputError

Z99 = NormalDist().inv_cdf(0.99)
LEAST_U = 2.0**-53
SQRT2 = math.sqrt(2)


class Law(Protocol):
    """A law of a delay."""

    def quantile(self, u: float) -> float:
        """Return the delay not exceeded with probability u (0 < u < 1), in seconds."""
        ...

    def mean(self) -> float:
        """Mean delay in seconds."""
        ...


def phi(z: float) -> float:
    """The standard normal distribution function, kept inside (0, 1)."""
    return min(max(0.5 * math.erfc(-z / SQRT2), LEAST_U), 1.0 - LEAST_U)


def sampler(law: Law) -> Callable[[float], float]:
    """Map a standard normal number to a delay of this law; the lognormal needs no quantile for it."""
    if isinstance(law, ShiftedLognormal):
        floor_s, mu, sigma, exp = law.floor_s, law.mu, law.sigma, math.exp
        return lambda z: floor_s + exp(mu + sigma * z)
    return lambda z: law.quantile(phi(z))


def law(name: str, **parameters: float | list[tuple[float, float]]) -> Law:
    """The law of this name; raise InputError for an unknown name or wrong parameters."""
    if name not in LAWS:
        raise unknown("delay law", name, LAWS)
    try:
        return LAWS[name](**parameters)
    except TypeError as error:
        raise InputError(f"delay law {name}: {error}") from None


@dataclass(frozen=True, slots=True)
class ShiftedLognormal:
    """A floor plus a lognormal excess, fitted exactly through median and 99th percentile.

    sigma = ln((p99 - floor) / (p50 - floor)) / 2.3263, mu = ln(p50 - floor).
    """

    floor_s: float
    p50_s: float
    p99_s: float

    def __post_init__(self) -> None:
        _check(0 <= self.floor_s < self.p50_s <= self.p99_s, f"0 <= floor < p50 <= p99 does not hold: {self}")

    @property
    def mu(self) -> float:
        """Mean of the logarithm of the excess."""
        return math.log(self.p50_s - self.floor_s)

    @property
    def sigma(self) -> float:
        """Deviation of the logarithm of the excess."""
        return math.log((self.p99_s - self.floor_s) / (self.p50_s - self.floor_s)) / Z99

    def quantile(self, u: float) -> float:
        """Delay not exceeded with probability u."""
        return self.floor_s + math.exp(self.mu + self.sigma * NormalDist().inv_cdf(u))

    def mean(self) -> float:
        """Mean delay."""
        return self.floor_s + math.exp(self.mu + self.sigma**2 / 2)


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same delay."""

    delay_s: float

    def __post_init__(self) -> None:
        _check(self.delay_s >= 0, f"a delay cannot be negative: {self}")

    def quantile(self, u: float) -> float:
        """Delay not exceeded with probability u."""
        del u
        return self.delay_s

    def mean(self) -> float:
        """Mean delay."""
        return self.delay_s


@dataclass(frozen=True, slots=True)
class Exponential:
    """A floor plus an exponential excess."""

    excess_s: float
    floor_s: float = 0.0

    def __post_init__(self) -> None:
        _check(
            self.excess_s > 0 <= self.floor_s, f"the excess must be above zero, the floor not below: {self}"
        )

    def quantile(self, u: float) -> float:
        """Delay not exceeded with probability u."""
        return self.floor_s - self.excess_s * math.log1p(-u)

    def mean(self) -> float:
        """Mean delay."""
        return self.floor_s + self.excess_s


@dataclass(frozen=True, slots=True)
class Uniform:
    """Any delay between two bounds."""

    low_s: float
    high_s: float

    def __post_init__(self) -> None:
        _check(0 <= self.low_s <= self.high_s, f"0 <= low <= high does not hold: {self}")

    def quantile(self, u: float) -> float:
        """Delay not exceeded with probability u."""
        return self.low_s + u * (self.high_s - self.low_s)

    def mean(self) -> float:
        """Mean delay."""
        return (self.low_s + self.high_s) / 2


@dataclass(frozen=True, slots=True)
class Normal:
    """The normal law cut off at zero: no negative delays."""

    centre_s: float
    deviation_s: float

    def __post_init__(self) -> None:
        _check(self.centre_s >= 0 < self.deviation_s, f"centre >= 0 and deviation > 0 do not hold: {self}")

    @property
    def _below_zero_ratio(self) -> float:
        return NormalDist().cdf(-self.centre_s / self.deviation_s)

    def quantile(self, u: float) -> float:
        """Delay not exceeded with probability u."""
        below = self._below_zero_ratio
        inside = min(below + u * (1 - below), 1 - LEAST_U)
        return max(0.0, self.centre_s + self.deviation_s * NormalDist().inv_cdf(inside))

    def mean(self) -> float:
        """Mean delay: centre + deviation * pdf(a) / (1 - cdf(a)) with a = -centre / deviation."""
        density = NormalDist().pdf(self.centre_s / self.deviation_s)
        return self.centre_s + self.deviation_s * density / (1 - self._below_zero_ratio)


@dataclass(frozen=True, slots=True)
class Gamma:
    """A floor plus a gamma excess: the best fit to round trips of 550 M samples (arXiv 1202.2153)."""

    shape: float
    scale_s: float
    floor_s: float = 0.0

    def __post_init__(self) -> None:
        is_valid = self.shape > 0 < self.scale_s and self.floor_s >= 0
        _check(is_valid, f"shape and scale must be above zero, the floor not below: {self}")

    def quantile(self, u: float) -> float:
        """Delay not exceeded with probability u."""
        return self.floor_s + self.scale_s * gamma_quantile(self.shape, u)

    def mean(self) -> float:
        """Mean delay."""
        return self.floor_s + self.shape * self.scale_s


@dataclass(frozen=True, slots=True)
class Pareto:
    """A heavy tail above a least delay; the shape must exceed 1 for the mean to exist."""

    least_s: float
    shape: float

    def __post_init__(self) -> None:
        _check(self.least_s > 0 and self.shape > 1, f"least > 0 and shape > 1 do not hold: {self}")

    def quantile(self, u: float) -> float:
        """Delay not exceeded with probability u."""
        return float(self.least_s * (1 - u) ** (-1 / self.shape))

    def mean(self) -> float:
        """Mean delay."""
        return self.least_s * self.shape / (self.shape - 1)


@dataclass(frozen=True, slots=True)
class Weibull:
    """The Weibull law."""

    scale_s: float
    shape: float

    def __post_init__(self) -> None:
        _check(self.scale_s > 0 < self.shape, f"scale and shape must be above zero: {self}")

    def quantile(self, u: float) -> float:
        """Delay not exceeded with probability u."""
        return float(self.scale_s * (-math.log1p(-u)) ** (1 / self.shape))

    def mean(self) -> float:
        """Mean delay."""
        return self.scale_s * math.gamma(1 + 1 / self.shape)


@dataclass(frozen=True, slots=True)
class Table:
    """Points (probability, delay) of a distribution function, straight lines between them."""

    points: list[tuple[float, float]]

    def __post_init__(self) -> None:
        is_rising = all(a[0] < b[0] and a[1] <= b[1] for a, b in zip(self.points, self.points[1:]))
        _check(len(self.points) > 1 and is_rising, "a table needs two points or more, rising in both columns")
        is_whole = self.points[0][0] == 0 and self.points[-1][0] == 1 and self.points[0][1] >= 0
        _check(is_whole, "a table runs from probability 0 to 1, and its delays are not negative")

    def quantile(self, u: float) -> float:
        """Delay not exceeded with probability u."""
        after = min(bisect_right(self.points, u, key=lambda point: point[0]), len(self.points) - 1)
        (u0, d0), (u1, d1) = self.points[after - 1], self.points[after]
        return d0 + (d1 - d0) * (u - u0) / (u1 - u0)

    def mean(self) -> float:
        """Mean delay: the area under the quantile function."""
        return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in zip(self.points, self.points[1:]))


LAWS: dict[str, Callable[..., Law]] = {
    "shifted_lognormal": ShiftedLognormal,
    "constant": Constant,
    "exponential": Exponential,
    "uniform": Uniform,
    "normal": Normal,
    "gamma": Gamma,
    "pareto": Pareto,
    "weibull": Weibull,
    "table": Table,
}


def gamma_quantile(shape: float, u: float) -> float:
    """The x with P(shape, x) = u: bisection of the regularised incomplete gamma function."""
    low, high = 0.0, shape + 1.0
    while incomplete_gamma(shape, high) < u:
        low, high = high, 2 * high
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        if incomplete_gamma(shape, middle) < u:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def incomplete_gamma(a: float, x: float) -> float:
    """P(a, x), regularised lower: series below a + 1, continued fraction above (Numerical Recipes 6.2)."""
    if x <= 0:
        return 0.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        return front * _gamma_series(a, x)
    return 1.0 - front * _gamma_fraction(a, x)


def _gamma_series(a: float, x: float) -> float:
    term = total = 1.0 / a
    while abs(term) > abs(total) * 1e-16:
        a += 1
        term *= x / a
        total += term
    return total


def _gamma_fraction(a: float, x: float) -> float:
    b = x + 1 - a
    c, d = 1e300, 1 / b
    fraction = d
    for i in range(1, 10_000):
        an = -i * (i - a)
        b += 2
        d = 1 / (an * d + b)
        c = b + an / c
        fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return fraction


def _check(is_valid: bool, text: str) -> None:
    if not is_valid:
        raise InputError(text)
