"""The lag of sensing elements, integrated in blocks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices_models.world.detection import HORIZON_S, LaggedSensors
from devices_models.world.fire import BurningCar, ceiling_jet

CAR = BurningCar(0.01172, 7_000.0, 8.7e6)


def sensors(distances_m, rti):
    return LaggedSensors(CAR.heat_series_kw, distances_m, 2.7, rti)


def by_steps(distance_m, rti, until_s):
    """The same equation, one step after the other."""
    rise_k = 0.0
    for step in range(int(until_s * 4)):
        heat_kw = CAR.heat_kw(step / 4)
        if heat_kw > 0:
            warm_k, speed = ceiling_jet(heat_kw, distance_m, 2.7)
            rise_k += (1 - math.exp(-math.sqrt(speed) / rti / 4)) * (warm_k - rise_k)
    return rise_k


@pytest.mark.parametrize(
    ("distance_m", "rti"), [(0.0, 5.0), (2.5, 5.0), (7.1, 50.0), (60.0, 100.0), (0.0, 0.1), (2.5, 0.5)]
)
@pytest.mark.parametrize("age_s", [0.0, 59.75, 60.0, 400.0, 2000.0])
def test_blocks_give_what_single_steps_give(distance_m, rti, age_s):
    """The closed form of a block is the recurrence, also over its seams and in the decay."""
    found = sensors([distance_m], [rti]).rise_k(0, age_s)
    assert found == pytest.approx(by_steps(distance_m, rti, age_s), rel=1e-9, abs=1e-12)


@given(st.floats(0.001, 500.0), st.floats(0.0, 60.0))
@settings(max_examples=50, deadline=None)
def test_no_element_is_ever_hotter_than_the_gas_has_been(rti, distance_m):
    """Neither by a tiny RTI nor at the seams of the blocks, in growth, plateau and decay."""
    made = sensors([distance_m], [rti])
    hottest_k = 0.0
    for step in range(3600 * 4):
        assert 0.0 <= made.rise_k(0, step / 4) <= hottest_k * (1 + 1e-9)
        hottest_k = max(hottest_k, ceiling_jet(CAR.heat_kw(step / 4), distance_m, 2.7)[0])


@pytest.mark.parametrize("age_s", [30.0, 59.75, 60.0, 60.25, 400.0, 1500.0, 3000.0])
@pytest.mark.parametrize("rti", [0.001, 0.01, 0.1])
def test_an_element_almost_without_lag_shows_the_gas(rti, age_s):
    """A step or two behind: within 5 % of the rise of the jet."""
    warm_k, _ = ceiling_jet(CAR.heat_kw(age_s), 2.5, 2.7)
    assert sensors([2.5], [rti]).rise_k(0, age_s) == pytest.approx(warm_k, rel=0.05)


def test_the_element_follows_a_hot_jet_more_slowly_the_greater_its_rti():
    """5 before 50 before 100 at the same place."""
    made = sensors([3.5, 3.5, 3.5], [5.0, 50.0, 100.0])
    reached_s = [made.reaches_s(sensor, 29.0, 0.0) for sensor in range(3)]
    assert reached_s == sorted(reached_s)
    assert reached_s[0] < reached_s[1] < reached_s[2]


def test_a_rise_that_never_comes_is_infinite():
    """The search ends at the horizon."""
    assert sensors([60.0], [50.0]).reaches_s(0, 10_000.0, 0.0) == math.inf


def test_a_search_may_begin_late():
    """What was reached before counts only if it still holds."""
    made = sensors([3.5], [5.0])
    assert made.reaches_s(0, 13.0, 500.0) == 500.0
    assert made.reaches_s(0, 13.0, HORIZON_S) == math.inf
