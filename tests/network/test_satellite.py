"""Geometry of a bent pipe, and the reallocation of a low orbit."""

import pytest

from network.catalogue import link_figures
from network.media.satellite import GEO_ALTITUDE_M, Reallocation, bent_pipe_round_trip_s
from twin.kernel.randomness import Stream


def test_the_catalogue_is_not_faster_than_light():
    """GEO: half of 477.5 ms one way at least."""
    assert bent_pipe_round_trip_s(GEO_ALTITUDE_M) * 1e3 == pytest.approx(477.5, abs=0.05)
    assert link_figures("sat-geo").floor_s >= bent_pipe_round_trip_s(GEO_ALTITUDE_M) / 2


def test_every_fifteen_seconds_there_is_a_disturbance_of_215_ms():
    """75 ms before and 140 ms after each change, ten changes in 150 s; what is sent waits for its end."""
    stage = Reallocation(Stream(1, "g", "reallocation"))
    times = [i * 1e-3 for i in range(150_000)]
    waits = [stage.release(at_s, 100) - at_s for at_s in times]
    disturbed = [wait for wait in waits if wait > 1e-9]
    assert len(disturbed) == pytest.approx(10 * 215, abs=12)
    assert max(disturbed) == pytest.approx(0.215, abs=1e-3)
    assert sum(waits) / len(waits) == pytest.approx(stage.mean_s, rel=0.02)


def test_the_devices_of_a_terminal_are_disturbed_together(cell):
    """One phase for all of them."""
    sky = cell("starlink", 2)
    assert sky.links["d1", "g"].stages[0] is sky.links["d2", "g"].stages[0]
