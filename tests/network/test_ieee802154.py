"""IEEE 802.15.4: back-off, retries, fragments and hops on one shared channel."""

import math

import pytest

from network.media.ieee802154 import ACKNOWLEDGEMENT_S, TURNAROUND_S, exchange_s, frame_s, frames_of


def test_an_exchange_takes_three_to_six_milliseconds():
    """30 bytes 3.14 ms, a full PSDU of 127 bytes 6.24 ms, on an idle channel."""
    assert exchange_s(30) * 1e3 == pytest.approx(3.136)
    assert exchange_s(127) * 1e3 == pytest.approx(6.24)


@pytest.mark.parametrize(
    ("payload", "frames"), [(0, [47]), (1, [48]), (80, [127]), (81, [127, 48]), (200, [127, 127, 87])]
)
def test_a_payload_is_cut_into_frames(payload, frames):
    """80 bytes of payload beside 47 bytes of headers a frame."""
    assert frames_of(payload) == frames


def test_the_delay_of_a_lone_device_is_the_mean_exchange(cell):
    """2,000 messages a second apart: the mean within three standard errors, the extremes exactly."""
    cell = cell("thread")
    for second in range(2_000):
        cell.send(float(second), "d1", "g", 80)
    delays_s = [at_s - second for second, at_s in enumerate(cell.run().times)]
    mean_s = sum(delays_s) / len(delays_s)
    least_s = exchange_s(127) - 3.5 * 320e-6
    error_s = 320e-6 * math.sqrt(63 / 12) / math.sqrt(2_000)
    assert mean_s == pytest.approx(exchange_s(127), abs=3 * error_s)
    assert min(delays_s) == pytest.approx(least_s)
    assert max(delays_s) == pytest.approx(least_s + 7 * 320e-6)


def test_every_hop_costs_an_exchange(cell):
    """Three hops: three times the mean, and three times the time on the air."""
    cell = cell("zigbee", hops=3)
    for second in range(500):
        cell.send(float(second), "d1", "g", 80)
    delays_s = [at_s - second for second, at_s in enumerate(cell.run().times)]
    assert sum(delays_s) / 500 == pytest.approx(3 * exchange_s(127), rel=0.02)
    assert cell.links["d1", "g"].air_s == pytest.approx(500 * 3 * frame_s(127))


def test_six_hops_there_and_back_stay_below_200_ms(cell):
    """What Silicon Labs measured for small payloads."""
    cell = cell("thread", hops=6)
    for second in range(200):
        cell.send(float(second), "d1", "g", 20)
    assert 2 * max(at_s - second for second, at_s in enumerate(cell.run().times)) < 0.2


def test_two_at_the_same_instant_are_both_delivered(cell):
    """Equal back-offs collide and are sent again, others wait: nothing is lost, nothing overlaps."""
    for seed in range(1, 60):
        cells = cell("thread", 2, seed=seed)
        cells.send(0.0, "d1", "g", 80)
        cells.send(0.0, "d2", "g", 80)
        times = sorted(cells.run().times)
        assert len(times) == 2
        assert times[1] - times[0] >= frame_s(127) + ACKNOWLEDGEMENT_S - TURNAROUND_S


def test_a_crowded_channel_gives_up(cell):
    """A hundred at once: five back-offs or four collisions, and the message is lost under its cause."""
    crowd = cell("thread", 100)
    for number in range(1, 101):
        crowd.send(0.0, f"d{number}", "g", 80)
    timeline = crowd.run()
    assert len(timeline.arrived) + len(timeline.lost) == 100
    assert {cause for _, _, cause in timeline.lost} <= {"channel access failure", "no acknowledgement"}
    assert len(timeline.lost) > 50


def test_the_channel_carries_no_more_than_it_can(cell):
    """Ten devices that always send: the exchanges of 200 messages follow each other."""
    crowd = cell("thread", 10)
    for number in range(200):
        crowd.send(number * 0.006, f"d{number % 10 + 1}", "g", 80)
    timeline = crowd.run()
    busy_s = len(timeline.arrived) * (frame_s(127) + ACKNOWLEDGEMENT_S)
    assert busy_s <= max(timeline.times)


def test_more_than_an_ipv6_packet_is_refused(cell):
    """1,232 bytes pass in 16 fragments, 1,233 do not."""
    lone = cell("thread")
    lone.send(0.0, "d1", "g", 1232)
    lone.send(1.0, "d1", "g", 1233)
    timeline = lone.run()
    assert timeline.lost == [(1.0, "d1>g", "payload too large")]
    assert timeline.times[0] > 15 * (frame_s(127) + ACKNOWLEDGEMENT_S)
