"""Wi-Fi: devices of one access point share the air."""

import numpy as np
import pytest

from network.media.wifi import AccessPoint, occupancy_s
from network.stages.jitter import Jitter

frame_s = occupancy_s(1460, 50e6)


def test_a_frame_takes_its_fixed_times_and_its_bits():
    """34 + 67.5 + 20 + 16 + 44 us, and (1460 + 72) bytes at 50 Mbit/s: 426.6 us."""
    assert frame_s * 1e6 == pytest.approx(181.5 + 245.12)


def test_small_frames_cost_almost_as_much_as_large_ones():
    """At 50 Mbit/s ten messages of 100 bytes take longer than one of 1,000."""
    assert 10 * occupancy_s(100, 50e6) > 5 * occupancy_s(1000, 50e6)


def test_two_devices_wait_for_each_other(cell):
    """At the same instant the second gets the air when the first has left it."""
    radio = cell("wifi-busy", 2)
    for link in radio.links.values():
        link.stages = tuple(stage for stage in link.stages if not isinstance(stage, Jitter))
    radio.send(0.0, "d1", "g", 1460)
    radio.send(0.0, "d2", "g", 1460)
    assert radio.run().times == pytest.approx([0.0, frame_s])


def test_another_access_point_is_another_air(cell):
    """Cells do not disturb each other."""
    shared = [each("wifi-good") for each in (cell, cell)]
    assert shared[0].links["d1", "g"].stages[0] is not shared[1].links["d1", "g"].stages[0]
    first = shared[0].links
    assert first["d1", "g"].stages[0] is first["g", "d1"].stages[0]


def test_the_air_is_full_after_a_second_of_traffic():
    """What comes then is lost."""
    air = AccessPoint(50e6)
    times = [air.release(0.0, 1460) for _ in range(int(1 / frame_s) + 2)]
    assert times[-1] is None
    assert air.busy_s == pytest.approx(1.0, abs=2 * frame_s)


def test_many_devices_load_the_air_as_the_queue_formula_says():
    """Periodic arrivals at 50 % load wait for nobody; Poisson ones (M/D/1) rho / (2 (1 - rho)) frames."""
    random = np.random.Generator(np.random.Philox(key=5))
    starts = np.cumsum(random.exponential(2 * frame_s, 40_000))
    air = AccessPoint(50e6)
    waits = np.array([air.release(start, 1460) - start for start in starts.tolist()])
    batches = waits.reshape(40, -1).mean(axis=1)
    error = 3 * batches.std(ddof=1) / len(batches) ** 0.5
    assert waits.mean() == pytest.approx(0.5 * frame_s, abs=error)
