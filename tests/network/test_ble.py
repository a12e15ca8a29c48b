"""Bluetooth LE: connection events, retransmission, supervision."""

import itertools
import math

import pytest

from network.media.ble import ConnectionEvents, exchange_s, packet_s, packets_of
from network.stages.gilbert_elliott import GilbertElliott
from twin.errors import InputError
from twin.kernel.randomness import Stream


def events(**options):
    return ConnectionEvents(Stream(1, "d1>g", "connection"), **options)


@pytest.mark.parametrize("interval_s", [0.0075, 0.03, 0.1, 1.0])
def test_the_wait_is_even_from_nothing_to_the_interval(interval_s):
    """Mean CI/2 and worst CI, as the reference table says."""
    stage = events(interval_s=interval_s)
    through_s = packet_s(27)
    waits_s = [stage.release(at_s, 20) - at_s - through_s for at_s in (i * 10.00037 for i in range(2_000))]
    assert min(waits_s) >= -1e-9
    assert max(waits_s) <= interval_s + 1e-9
    assert sum(waits_s) / len(waits_s) == pytest.approx(interval_s / 2, rel=0.08)


def test_a_central_that_spares_its_peripheral_waits_longer():
    """Latency 4: worst case five intervals."""
    stage = events(peripheral_latency=4)
    waits_s = [stage.release(i * 10.00037, 20) - i * 10.00037 for i in range(500)]
    assert 0.12 < max(waits_s) <= 5 * 0.03 + packet_s(27)


def test_a_lost_packet_is_sent_again_at_the_next_event():
    """Half of the events are lost, and after a lost one 61 % (bursts): 1.29 intervals more on average."""
    lossy = events(loss=GilbertElliott(0.5, 0.5, Stream(1, "d1", "burst")))
    count = 3_000
    waits_s = [lossy.release(i * 10.00037, 20) - i * 10.00037 for i in range(count)]
    lost_again = 0.5 + 0.5 * math.exp(-50 * 0.03)
    expected_s = 0.03 * (0.5 + 0.5 / (1 - lost_again)) + packet_s(27)
    error_s = math.sqrt(sum((wait - expected_s) ** 2 for wait in waits_s)) / count
    assert sum(waits_s) / count == pytest.approx(expected_s, abs=3 * error_s)


def test_a_dead_radio_loses_the_connection():
    """Nothing gets through: lost after the supervision timeout, under its own cause."""
    dead = events(loss=GilbertElliott(1.0, 0.0, Stream(1, "d1", "burst")), supervision_timeout_s=0.1)
    assert dead.release(1.0, 20) is None
    assert dead.cause == "supervision timeout"


@pytest.mark.parametrize(
    ("payload", "packets"), [(0, [7]), (20, [27]), (244, [251]), (245, [251, 8]), (488, [251, 251])]
)
def test_a_long_payload_takes_several_packets(payload, packets):
    """244 bytes of payload and 7 of headers each."""
    assert packets_of(payload) == packets


def test_packets_of_one_message_share_an_event_until_it_is_full():
    """11 full exchanges fit into 30 ms; the twelfth packet waits for the next event."""
    stage = events()
    fitting = int(0.03 / exchange_s(244))
    start_s = stage.release(0.0, 1)
    begin_s = start_s - packet_s(8)
    at_s = stage.release(start_s, 244 * (fitting + 1))
    assert fitting == 12
    assert at_s == pytest.approx(begin_s + 2 * 0.03 + packet_s(251))


def test_one_message_an_event():
    """Messages of one connection keep their order, one event apart."""
    stage = events()
    times = [stage.release(0.0, 20) for _ in range(4)]
    assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([0.03] * 3)


def test_a_long_queue_is_bounded():
    """A thousand events wait, and no more."""
    stage = events()
    results = [stage.release(0.0, 20) for _ in range(1_010)]
    assert results[1_009] is None
    assert stage.cause == "queue full"


def test_an_interval_outside_the_standard_is_refused():
    """7.5 ms to 4 s."""
    with pytest.raises(InputError, match=r"7\.5 ms"):
        events(interval_s=0.005)


def test_a_link_of_the_catalogue_has_connection_events(cell):
    """One stage in place of rate, loss and delay; a message arrives within an interval."""
    radio = cell("bluetooth")
    radio.send(0.0, "d1", "g", 20)
    assert [type(stage).__name__ for stage in radio.links["d1", "g"].stages] == ["ConnectionEvents"]
    assert 0 < radio.run().times[0] <= 0.03 + packet_s(27)
