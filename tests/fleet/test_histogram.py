"""Histograms of durations: bounded error, and exact addition."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.mqtt.fleet.histogram import RELATIVE_ERROR, Histogram

DURATIONS = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=200)


def filled(durations):
    histogram = Histogram()
    for duration in durations:
        histogram.add(duration)
    return histogram


@given(DURATIONS, st.floats(0.0, 1.0))
def test_a_quantile_is_off_by_a_bounded_share_of_itself(durations, share):
    """Against the exact one by rank."""
    exact = sorted(durations)[max(1, math.ceil(share * len(durations))) - 1]

    assert filled(durations).quantile(share) == pytest.approx(exact, rel=RELATIVE_ERROR * 1.001)


@given(DURATIONS, DURATIONS)
def test_histograms_add_up_exactly(left, right):
    """Merged is the same as counted together, also after a journey as JSON."""
    merged = Histogram.heard(filled(left).told())
    merged.merge(filled(right))
    together = filled(left + right)

    assert merged.counts == together.counts
    assert (merged.count, merged.smallest_s, merged.largest_s) == (
        together.count,
        together.smallest_s,
        together.largest_s,
    )
    assert merged.total_s == pytest.approx(together.total_s)


def test_nothing_has_no_quantile():
    """It is not zero."""
    empty = Histogram.heard(Histogram().told())

    assert math.isnan(empty.quantile(0.5))
    assert math.isnan(empty.mean_s)


def test_what_is_below_the_grain_counts_too():
    """A duration that a coarse clock makes zero or negative is small, not an error."""
    histogram = filled([-1.0, 0.0, 1e-9])

    assert histogram.count == 3
    assert histogram.smallest_s == 0.0
    assert histogram.quantile(0.5) <= 1e-6
