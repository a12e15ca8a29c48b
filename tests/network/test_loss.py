"""Random loss: its mean is what was asked, with correlation too."""

import math
from itertools import pairwise
from statistics import NormalDist

import pytest

from network.stages.loss import Loss
from twin.errors import InputError
from twin.kernel.randomness import Stream

COUNT = 60_000


def both_below(threshold, rho):
    """P(X < t, Y < t) of two normal numbers with correlation rho: derivative in rho integrated (Plackett)."""
    steps = 2_000
    total = NormalDist().cdf(threshold) ** 2
    for i in range(steps):
        r = rho * (i + 0.5) / steps
        total += rho / steps * math.exp(-(threshold**2) / (1 + r)) / (2 * math.pi * math.sqrt(1 - r * r))
    return total


def losses(loss_ratio, correlation_ratio, seed=1):
    stage = Loss(loss_ratio, Stream(seed, "l", "loss"), correlation_ratio)
    return [stage.release(float(i), 100) is None for i in range(COUNT)]


@pytest.mark.parametrize(
    ("loss_ratio", "correlation_ratio"), [(0.01, 0.0), (0.05, 0.25), (0.2, 0.75), (0.1, 0.5)]
)
def test_the_mean_loss_is_what_was_asked(loss_ratio, correlation_ratio):
    """The recursion of netem would lose 0.002 % of the asked 5 %, 0.12 % of 20 %, 0.11 % of 10 %."""
    share = sum(losses(loss_ratio, correlation_ratio)) / COUNT
    effective = COUNT * (1 - correlation_ratio) / (1 + correlation_ratio)
    assert share == pytest.approx(loss_ratio, abs=3 * math.sqrt(loss_ratio * (1 - loss_ratio) / effective))


@pytest.mark.parametrize(("loss_ratio", "correlation_ratio"), [(0.05, 0.25), (0.2, 0.75)])
def test_two_losses_in_a_row_are_as_frequent_as_the_copula_says(loss_ratio, correlation_ratio):
    """P(lost, lost) from the bivariate normal law, within 3 standard errors."""
    lost = losses(loss_ratio, correlation_ratio, seed=2)
    share = sum(a and b for a, b in pairwise(lost)) / (COUNT - 1)
    expected = both_below(NormalDist().inv_cdf(loss_ratio), correlation_ratio)
    effective = COUNT * (1 - correlation_ratio) / (1 + correlation_ratio)
    assert share == pytest.approx(expected, abs=3 * math.sqrt(expected / effective))


def test_nothing_and_everything_can_be_lost():
    """The two ends of the scale."""
    assert not any(losses(0.0, 0.0)[:100])
    assert all(losses(1.0, 0.0)[:100])
    assert not any(losses(0.0, 0.5)[:100])
    assert all(losses(1.0, 0.5)[:100])


def test_what_is_no_share_is_refused():
    """A loss of 150 % is a slip of the pen."""
    with pytest.raises(InputError, match=r"1\.5"):
        Loss(1.5, Stream(1, "l", "loss"))
