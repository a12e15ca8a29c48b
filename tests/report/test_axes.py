"""Scales, ticks and the room that text takes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.report.axes import Axis, fit, linear_axis, log_axis, log_ticks, nice_ticks, text_width

VALUES = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 600, [0, 100, 200, 300, 400, 500, 600]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-24, 276, [0, 50, 100, 150, 200, 250]),
        (5, 5, [5]),
    ],
)
def test_ticks_are_round(low, high, ticks):
    """Ticks are multiples of 1, 2 or 5 times a power of ten inside the range."""
    assert nice_ticks(low, high) == ticks


def test_log_ticks_are_powers_of_ten_with_steps_where_there_is_room():
    """A wide range shows decades, a narrow one 1, 2, 5."""
    assert log_ticks(0.01, 1000.0) == [0.01, 0.1, 1, 10, 100, 1000]
    assert log_ticks(1.0, 10.0) == [1, 2, 5, 10]


@settings(max_examples=100)
@given(low=VALUES, length=st.floats(1e-3, 1e6), most=st.integers(3, 8))
def test_ticks_stay_inside_and_are_few(low, length, most):
    """Whatever the range: at least one tick, no tick outside, at most one more than asked."""
    ticks = nice_ticks(low, low + length, most)
    assert 1 <= len(ticks) <= most + 1
    assert low - 1e-8 * length <= min(ticks)
    assert max(ticks) <= low + length * (1 + 1e-8)


@settings(max_examples=100)
@given(values=st.lists(VALUES, min_size=1, max_size=8))
def test_linear_axis_holds_all_values_in_order(values):
    """Every value lies on the axis and a greater value never left of a smaller one."""
    axis = linear_axis(values, 0, 100)
    places = [axis.at(value) for value in sorted(values)]
    assert places == sorted(places)
    assert places[0] >= 0
    assert places[-1] <= 100


def test_log_axis_puts_equal_ratios_at_equal_distances():
    """1, 10 and 100 stand at the same distance."""
    axis = log_axis([1.0, 100.0], 0, 200)
    assert [axis.at(value) for value in (1.0, 10.0, 100.0)] == pytest.approx([0, 100, 200])


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_values_that_are_no_numbers_stay_on_the_axis(value):
    """Infinite and unknown values are drawn at an edge."""
    assert Axis(0, 10, 0, 100).at(value) in {0, 100}


@settings(max_examples=100)
@given(text=st.text(max_size=60), room=st.floats(0, 300))
def test_fitted_text_never_exceeds_its_room(text, room):
    """Cut text with its ellipsis is not wider than the room; text that fits is left alone."""
    fitted = fit(text, room, 12)
    assert text_width(fitted, 12) <= room or fitted == ""
    assert fitted == text or text_width(text, 12) > room
