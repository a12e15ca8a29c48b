"""Where curves bend: against formulas."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.sweeping.knees import boundaries, knee
from scenarios.sweeping.results import PointVerdict, SweptRequirement
from twin.kernel.randomness import Stream


def curve(function, xs, noise=0.0, runs=8):
    streams = [Stream(run, "test", "noise") for run in range(runs)]
    return [[function(x) + stream.normal(0.0, noise) for stream in streams] for x in xs]


def spaced(low, high, count):
    return [low + (high - low) * index / (count - 1) for index in range(count)]


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.9), (0.0, 0.75), (0.3, 0.95)])
def test_the_knee_of_a_queue_is_where_its_slope_is_that_between_its_ends(low, high):
    """Of rho / (1 - rho) it is 1 - sqrt((1 - low)(1 - high)): where the derivative is the mean slope."""
    xs = spaced(low, high, 41)
    found = knee(xs, curve(lambda rho: rho / (1 - rho), xs))

    assert found.at == pytest.approx(1 - math.sqrt((1 - low) * (1 - high)), abs=0.005)
    assert found.bend == "rises"
    assert found.low < found.at < found.high


def test_the_corner_of_two_straight_lines_is_found_through_noise():
    """Flat up to 4, then steep: the interval holds the corner and is a few steps wide."""
    xs = spaced(0, 10, 21)
    found = knee(xs, curve(lambda x: max(0.0, x - 4), xs, noise=0.2))

    assert found.low <= 4 <= found.high
    assert found.high - found.low < 3


@pytest.mark.parametrize(
    ("function", "bend"),
    [
        (lambda x: x * x, "rises"),
        (math.sqrt, "levels off"),
        (lambda x: -x * x, "falls"),
        (lambda x: math.exp(-x), "levels off"),
    ],
)
def test_what_the_curve_does_at_its_knee_is_said(function, bend):
    """Up, down, or neither any more."""
    xs = spaced(0, 10, 21)

    assert knee(xs, curve(function, xs)).bend == bend


@settings(deadline=None)
@given(st.floats(-100, 100), st.floats(-50, 50), st.integers(4, 20), st.booleans())
def test_a_straight_line_has_no_knee(start, slope, count, is_log):
    """However its points are spaced."""
    xs = [2.0**index for index in range(count)] if is_log else spaced(1, 9, count)

    assert knee(xs, curve(lambda x: start + slope * x, xs)) is None


def test_noise_alone_is_no_knee_in_nineteen_of_twenty_curves():
    """The level of the test, with three standard errors of 400 curves."""
    xs = spaced(0, 1, 8)
    found = 0
    for number in range(400):
        stream = Stream(number, "test", "knee")
        found += knee(xs, [[stream.normal(x, 2.0) for _ in range(8)] for x in xs]) is not None

    assert found / 400 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_a_line_that_ends_in_never_is_judged_up_to_there():
    """An infinite value is no number to fit, and what comes after it neither."""
    xs = spaced(0, 10, 11)
    values = curve(lambda x: x * x if x < 8 else math.inf, xs)

    assert knee(xs, values) == knee(xs[:8], values[:8])


def test_three_points_or_one_replication_have_no_knee():
    """There is no telling a bend from noise."""
    xs = spaced(0, 10, 11)

    assert knee(xs[:3], curve(lambda x: x * x, xs[:3])) is None
    assert knee(xs, curve(lambda x: x * x, xs, runs=1)) is None


REQUIREMENT = SweptRequirement("quick", "p50(a -> b) < 1 s", 0.95, 1.0, "1 s", "s")


def judged(*met, runs=20):
    verdicts = {20: "PASS", 0: "FAIL"}
    return [
        (float(x), {"quick": PointVerdict(verdicts.get(each, "INCONCLUSIVE"), each, runs, each / runs, 0, 1)})
        for x, each in enumerate(met)
    ]


def test_a_boundary_lies_between_the_last_that_holds_and_the_first_that_fails():
    """With the nearest verdicts on both sides."""
    (found,) = boundaries(REQUIREMENT, judged(20, 20, 19, 18, 5, 0, 0))

    assert (found.holds, found.fails, found.surely_holds, found.surely_fails) == (2.0, 3.0, 1.0, 5.0)
    assert found.is_upper


def test_a_requirement_that_holds_from_a_value_on_has_a_lower_boundary():
    """More is better for some inputs."""
    (found,) = boundaries(REQUIREMENT, judged(0, 3, 20, 20))

    assert (found.holds, found.fails, found.surely_fails) == (2.0, 1.0, 0.0)
    assert not found.is_upper


def test_every_turn_is_told():
    """A requirement that holds in the middle only has two boundaries."""
    assert [each.is_upper for each in boundaries(REQUIREMENT, judged(0, 20, 20, 0))] == [False, True]
