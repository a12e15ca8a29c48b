"""Sigfox: sizes, allowances, and a device that seldom listens."""

import pytest

from network.catalogue import link_figures
from network.media.sigfox import Allowance, air_s, behind_the_air


def silent(radio):
    for link in radio.links.values():
        link.stages = ()
    return radio


def test_twelve_bytes_are_on_the_air_for_6_24_s(cell):
    """Three times 26 bytes at 100 bit/s."""
    radio = silent(cell("sigfox"))
    radio.send(0.0, "d1", "g", 12)
    assert radio.run().times == [pytest.approx(6.24)]
    assert radio.links["d1", "g"].air_s == pytest.approx(6.24)


def test_twelve_bytes_up_and_eight_down_and_no_more(cell):
    """Larger payloads are refused, not cut."""
    radio = silent(cell("sigfox"))
    radio.send(0.0, "d1", "g", 13)
    radio.send(0.0, "g", "d1", 9)
    assert [cause for _, _, cause in radio.run().lost] == ["payload too large"] * 2


def test_five_messages_in_an_hour(cell):
    """36 s of air time: the sixth waits for the hour to pass."""
    radio = silent(cell("sigfox"))
    for _ in range(6):
        radio.send(0.0, "d1", "g", 12)
    assert radio.run().times == pytest.approx([6.24 * number for number in range(1, 6)] + [3606.24])


def test_the_contract_ends_after_140_messages():
    """The 141st within a day is not allowed before the first is a day old."""
    allowance = Allowance(140, 86_400.0)
    for number in range(140):
        assert allowance.free_s() == 0.0
        allowance.use(600.0 * number)
    assert allowance.free_s() == 86_400.0


@pytest.mark.parametrize(("payload_bytes", "count"), [(12, 5), (8, 6), (4, 8), (1, 10)])
def test_an_hour_has_36_s_of_air_time_whatever_the_messages(cell, payload_bytes, count):
    """Ten of one byte fill it to the second; the next waits for the first to be an hour old."""
    radio = silent(cell("sigfox"))
    for _ in range(count + 1):
        radio.send(0.0, "d1", "g", payload_bytes)
    seconds = air_s(payload_bytes)
    times = [seconds * number for number in range(1, count + 1)]
    assert count == int(36 / seconds + 1e-9)
    assert radio.run().times == pytest.approx([*times, 3600 + seconds])


def test_a_long_message_waits_for_as_much_air_time_as_it_needs(cell):
    """After ten of one byte (3.6 s each), twelve bytes (6.24 s) wait for the second to be an hour old."""
    radio = silent(cell("sigfox"))
    for _ in range(10):
        radio.send(0.0, "d1", "g", 1)
    radio.send(0.0, "d1", "g", 12)
    assert radio.run().times[-1] == pytest.approx(3.6 + 3600 + 6.24)


def test_a_downlink_waits_for_the_window_after_an_uplink(cell):
    """It lands 20 s after the end of the next uplink."""
    radio = silent(cell("sigfox"))
    radio.send(0.0, "g", "d1", 8, topic="down")
    radio.send(100.0, "d1", "g", 12, topic="up")
    radio.timeline.run(50.0)
    assert radio.network.held_count == 1
    assert radio.run().arrived == [(pytest.approx(106.24), "g", "up"), (pytest.approx(126.24), "d1", "down")]


def test_four_answers_a_day(cell):
    """The fifth is refused while four wait; after four, the next waits for the day to pass."""
    radio = silent(cell("sigfox"))
    for number in range(5):
        radio.send(0.0, "g", "d1", 8, topic=f"{number}")
    for number in range(6):
        radio.send(3600.0 * (number + 1), "d1", "g", 12, topic="up")
    radio.send(20_000.0, "g", "d1", 8, topic="late")
    timeline = radio.run()
    assert [topic for _, _, topic in timeline.arrived if topic != "up"] == ["0", "1", "2", "3"]
    assert timeline.lost == [(0.0, "g>d1", "daily limit")]
    assert radio.network.held_count == 1


def test_the_law_of_the_catalogue_includes_the_air_time():
    """7 s at the median and 12 s at p99, 6.24 s of them on the air."""
    whole = link_figures("sigfox").law
    rest = behind_the_air(whole)
    for q in (0.5, 0.99):
        assert rest.quantile(q) + air_s(12) == pytest.approx(whole.quantile(q))
