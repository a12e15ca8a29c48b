"""The jitter stage: order, and correlation that keeps the law."""

import math
from itertools import pairwise

import pytest

from network.laws import ShiftedLognormal, Uniform
from network.stages.jitter import Jitter
from twin.kernel.randomness import Stream

LAW = ShiftedLognormal(0.01, 0.02, 0.08)


def test_messages_keep_their_order():
    """Jitter is far larger than the gap between messages, yet none overtakes."""
    jitter = Jitter(Uniform(0.0, 1.0), Stream(1, "l", "j"), correlation_s=0.0)
    releases = [jitter.release(i * 0.001, 100) for i in range(1_000)]
    assert releases == sorted(releases)


def test_messages_overtake_each_other_if_asked():
    """Reordering is opt-in."""
    jitter = Jitter(Uniform(0.0, 1.0), Stream(1, "l", "j"), correlation_s=0.0, is_reordering=True)
    releases = [jitter.release(i * 0.001, 100) for i in range(1_000)]
    assert releases != sorted(releases)


def test_draws_correlate_over_time_as_asked():
    """Lag correlation of the underlying normal numbers is exp(-dt / tau), within 3 standard errors."""
    tau_s, step_s, count = 1.0, 0.5, 20_000
    jitter = Jitter(LAW, Stream(3, "l", "j"), correlation_s=tau_s, is_reordering=True)
    delays_s = [jitter.release(i * step_s, 1) - i * step_s for i in range(count)]
    z = [(math.log(delay_s - LAW.floor_s) - LAW.mu) / LAW.sigma for delay_s in delays_s]
    rho = math.exp(-step_s / tau_s)
    measured = sum(a * b for a, b in pairwise(z)) / (count - 1)
    # variance of the product mean of an AR(1) (Bartlett): about (1 + rho^2 (1 + 2/(1 - rho^2)) + ...) / n
    error = math.sqrt((1 + 4 * rho**2 / (1 - rho**2) + rho**2) / count)
    assert measured == pytest.approx(rho, abs=3 * error)


def test_correlation_keeps_the_law():
    """Share below the median and the 90th percentile, with a correlation of 0.9 between neighbours."""
    count, rho = 20_000, 0.9
    jitter = Jitter(LAW, Stream(4, "l", "j"), correlation_s=-1 / math.log(rho), is_reordering=True)
    delays_s = [jitter.release(float(i), 1) - i for i in range(count)]
    effective = count * (1 - rho) / (1 + rho)
    for u in (0.5, 0.9):
        share = sum(delay_s <= LAW.quantile(u) for delay_s in delays_s) / count
        assert share == pytest.approx(u, abs=3 * math.sqrt(u * (1 - u) / effective))


def test_draws_at_one_instant_are_equal():
    """No time has passed, so nothing has changed on the path."""
    jitter = Jitter(LAW, Stream(5, "l", "j"))
    assert jitter.release(7.0, 1) == jitter.release(7.0, 1)


def test_draws_long_after_are_independent():
    """After 40 correlation times the past is forgotten to the bit."""
    correlated, independent = (Jitter(LAW, Stream(6, "l", "j"), correlation_s=tau_s) for tau_s in (1.0, 0.0))
    times_s = [100.0 * i for i in range(50)]
    assert [correlated.release(t, 1) for t in times_s] == [independent.release(t, 1) for t in times_s]


def test_the_same_seed_gives_the_same_delays():
    """To the bit."""
    first, second = (Jitter(LAW, Stream(7, "l", "j")) for _ in range(2))
    times_s = [0.1 * i for i in range(100)]
    assert [first.release(t, 1) for t in times_s] == [second.release(t, 1) for t in times_s]
