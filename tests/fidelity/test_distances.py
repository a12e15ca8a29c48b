"""Distances of samples against values that are known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.fidelity.distances import (
    kolmogorov_smirnov,
    kolmogorov_smirnov_chance,
    minus,
    quantile,
    quantile_differences,
    wasserstein,
)
from scenarios.judging import statistics

numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60).map(np.array)


def normal(count, mean=0.0, key=1):
    return np.random.Generator(np.random.Philox(key=key)).normal(mean, 1.0, count)


def test_known_distances():
    """By hand: half of the mass is elsewhere; everything moves by five."""
    assert kolmogorov_smirnov(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == 0.5
    assert wasserstein(np.array([0.0, 1.0, 3.0]), np.array([5.0, 6.0, 8.0])) == pytest.approx(5.0)
    assert wasserstein(np.array([0.0, 1.0]), np.array([0.5])) == pytest.approx(0.5)
    assert kolmogorov_smirnov(np.array([1.0]), np.array([2.0])) == 1.0


@pytest.mark.parametrize(
    ("x", "chance"), [(0.5, 0.963945), (1.0, 0.269999), (1.358099, 0.05), (1.6276, 0.01)]
)
def test_the_law_of_the_largest_distance(x, chance):
    """Values of Kolmogorov's distribution as tables have them (N. Smirnov 1948)."""
    count = 20_000
    distance = x / math.sqrt(count / 2)

    assert kolmogorov_smirnov_chance(distance, count, count) == pytest.approx(chance, abs=2e-5)


@given(numbers, numbers)
def test_both_are_distances(a, b):
    """Zero to itself, symmetric; a shift moves everything by itself."""
    assert kolmogorov_smirnov(a, a) == 0.0
    assert wasserstein(a, a) == 0.0
    assert kolmogorov_smirnov(a, b) == kolmogorov_smirnov(b, a) <= 1.0
    assert wasserstein(a, b) == pytest.approx(wasserstein(b, a))
    assert wasserstein(a, a + 3.0) == pytest.approx(3.0, rel=1e-6)


@given(numbers, st.floats(0.01, 1.0))
def test_the_quantile_is_that_of_requirements(sample, level):
    """One definition everywhere."""
    assert quantile(sample, level) == statistics.quantile(list(sample), level)


@settings(max_examples=25)
@given(st.integers(1, 10_000), st.floats(-1.0, 1.0))
def test_pairs_that_differ_by_a_constant_have_an_interval_without_width(key, shift):
    """Drawn pair by pair, every resample has the same difference."""
    sample = normal(200, key=key)
    for estimate in quantile_differences(sample, sample + shift, (0.5, 0.99), is_paired=True, resamples=50):
        assert estimate == pytest.approx((shift, shift, shift))


def test_the_interval_holds_the_true_difference_as_often_as_it_says():
    """Of 200 pairs of independent samples about 95 % of the intervals hold the difference of the medians."""
    hits = 0
    for key in range(200):
        a, b = normal(300, key=2 * key + 1), normal(300, 0.5, key=2 * key + 2)
        (estimate,) = quantile_differences(a, b, (0.5,), is_paired=False, resamples=300)
        hits += estimate.low <= 0.5 <= estimate.high

    assert 180 <= hits <= 199


def test_what_never_came_is_larger_than_everything():
    """Quantiles in the never are alike; areas are of what came."""
    a, b = np.array([1.0, math.inf, math.inf]), np.array([1.0, 2.0, math.inf])

    assert minus(quantile(a, 0.99), quantile(b, 0.99)) == 0.0
    assert minus(quantile(a, 0.5), quantile(b, 0.5)) == math.inf
    assert wasserstein(a, b) == pytest.approx(0.5)
    assert math.isnan(wasserstein(np.array([math.inf]), b))
    with pytest.raises(ValueError, match="no values"):
        quantile(np.array([]), 0.5)
