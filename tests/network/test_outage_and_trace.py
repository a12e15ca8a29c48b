"""Outages and recorded traces."""

import pytest

from network.stages.outage import Outage
from network.stages.trace import Trace
from twin.errors import InputError


def test_an_outage_loses_what_enters_in_its_windows():
    """From the begin on, and no longer at the end."""
    outage = Outage([(10.0, 20.0), (30.0, 31.0)])
    passes = [outage.release(t, 1) is not None for t in (9.9, 10.0, 19.9, 20.0, 30.5, 31.0)]
    assert passes == [True, False, False, True, False, True]


def test_an_outage_can_be_set():
    """By hand, during a run."""
    outage = Outage()
    assert outage.release(1.0, 1) == 1.0
    outage.is_down = True
    assert outage.release(2.0, 1) is None


def test_a_trace_delays_by_half_the_round_trip_measured_last():
    """No interpolation between the points."""
    trace = Trace([(0.0, 0.2), (10.0, 0.4)], is_looped=False)
    assert [trace.release(t, 1) for t in (0.0, 9.9, 10.0, 1000.0)] == [0.1, 9.9 + 0.1, 10.2, 1000.2]


def test_a_looped_trace_starts_again():
    """The last point stands as long as the one before it: a period of 20 s here."""
    trace = Trace([(5.0, 0.2), (15.0, 0.4)])
    assert [round(trace.release(t, 1) - t, 9) for t in (0.0, 10.0, 20.0, 30.0)] == [0.1, 0.2, 0.1, 0.2]


def test_a_gap_in_the_trace_loses():
    """The measurement got no answer then."""
    trace = Trace([(0.0, 0.2), (1.0, None), (2.0, 0.2)], is_looped=False)
    assert trace.release(1.5, 1) is None


def test_a_falling_round_trip_reorders_nothing():
    """What left later arrives later."""
    trace = Trace([(0.0, 2.0), (1.0, 0.2)], is_looped=False)
    assert [trace.release(0.9, 1), trace.release(1.0, 1)] == [1.9, 1.9]


@pytest.mark.parametrize("points", [[], [(1.0, 0.1), (1.0, 0.2)]])
def test_a_trace_needs_points_in_order(points):
    """Each later than the one before."""
    with pytest.raises(InputError, match="later than the one before"):
        Trace(points)
