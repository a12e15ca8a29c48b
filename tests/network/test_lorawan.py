"""LoRaWAN: duty cycles, collisions, capture, and what waits for a receive window."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from network.media.lorawan import (
    EIGHT_CHANNELS,
    MOST_BYTES,
    Frame,
    LoraAir,
    LoraCell,
    LoraDevice,
    interference_matrix,
    windows_s,
)
from network.stages.air_time import air_time_s
from network.stages.jitter import Jitter
from twin.kernel.randomness import Stream

DATA = Path(__file__).parents[1] / "data"
ALOHA = [
    row
    for row in csv.DictReader((DATA / "queueing_reference.csv").read_text(encoding="utf-8").splitlines())
    if "LoRa" in str(row)
]
CLOSED_FORMS = [
    # devices, period (s), spreading factor, payload, channels, PDR of the reference table
    (100, 600, 7, 20, 3, 0.99204),
    (1000, 600, 7, 20, 3, 0.92318),
    (1000, 600, 7, 20, 8, 0.97047),
    (1000, 3600, 12, 20, 3, 0.71515),
    (1000, 600, 12, 20, 3, 0.13378),
    (1000, 600, 12, 51, 8, 0.31225),
]


def test_the_closed_forms_are_those_of_the_reference_table():
    """All six rows of the pure ALOHA table are held against the simulated air."""
    assert sorted(float(row["value"]) for row in ALOHA) == sorted(row[-1] for row in CLOSED_FORMS)


@pytest.mark.parametrize(("devices", "period_s", "sf", "payload", "channels", "pdr"), CLOSED_FORMS)
def test_without_capture_the_air_is_pure_aloha(devices, period_s, sf, payload, channels, pdr):
    """exp(-2 N T / (P channels)), and 20,000 frames within three standard errors, clustering allowed for."""
    on_air_s = air_time_s(sf, payload)
    load = devices * on_air_s / period_s / channels
    assert math.exp(-2 * load) == pytest.approx(pdr, abs=1e-5)
    random = np.random.Generator(np.random.Philox(key=7))
    count = 20_000
    starts = np.cumsum(random.exponential(period_s / devices, count))
    air = LoraAir(has_capture=False)
    frames = [
        Frame(start, start + on_air_s, ("g", int(random.integers(channels))), sf, 0.0) for start in starts
    ]
    for frame in frames:
        air.begin(frame)
    received = np.array([air.is_received(frame) for frame in frames], dtype=float)
    batches = received.reshape(50, -1).mean(axis=1)
    assert received.mean() == pytest.approx(pdr, abs=3 * batches.std(ddof=1) / math.sqrt(50))


MATRIX = list(
    csv.DictReader((DATA / "lora_interference_matrix.csv").read_text(encoding="utf-8").splitlines())
)


@pytest.mark.parametrize("interferer", range(7, 13))
@pytest.mark.parametrize("row", MATRIX, ids=lambda row: f"sf{row['wanted_sf']}")
def test_a_frame_survives_from_the_ratio_of_the_matrix_on(row, interferer):
    """All 36 thresholds: half a decibel above it is received, half a decibel below is lost."""
    wanted, threshold_db = int(row["wanted_sf"]), float(row[f"interferer_sf{interferer}"])
    assert interference_matrix()[wanted][interferer] == threshold_db
    for margin_db, is_received in ((0.5, True), (-0.5, False)):
        air = LoraAir()
        frame = Frame(0.0, 1.0, ("g", 0), wanted, threshold_db + margin_db)
        air.begin(frame)
        air.begin(Frame(0.0, 1.0, ("g", 0), interferer, 0.0))
        assert air.is_received(frame) is is_received


def test_two_channels_do_not_disturb_each_other():
    """Same time, same spreading factor, another channel."""
    air = LoraAir()
    frames = [Frame(0.0, 1.0, ("g", channel), 7, 0.0) for channel in (0, 1)]
    for frame in frames:
        air.begin(frame)
    assert all(air.is_received(frame) for frame in frames)


def test_devices_of_one_cell_collide(cell):
    """Forty at once: most are lost, and every one is accounted for."""
    cell = cell("lorawan-sf12", 40)
    for number in range(1, 41):
        cell.send(0.0, f"d{number}", "g")
    timeline = cell.run()
    causes = {cause for _, _, cause in timeline.lost}
    assert causes == {"collision"}
    assert len(timeline.arrived) + len(timeline.lost) == 40
    assert 0 < len(timeline.arrived) < 20


def test_a_lone_message_takes_its_air_time_and_the_backhaul(cell):
    """SF7, 51 bytes: 118.016 ms, and nothing else without the backhaul."""
    cell = cell("lorawan-sf7")
    link = cell.links["d1", "g"]
    link.stages = tuple(stage for stage in link.stages if not isinstance(stage, Jitter))
    cell.send(0.0, "d1", "g", 51)
    assert cell.run().times == [pytest.approx(0.118016)]
    assert link.air_s == pytest.approx(0.118016)
    assert (link.message_count, link.byte_count) == (1, 51)


def test_the_duty_cycle_lets_messages_wait(cell):
    """SF12, 51 bytes at 1 %: the second starts 279.3472 s after the first."""
    cell = cell("lorawan-sf12")
    cell.links["d1", "g"].stages = ()
    cell.send(0.0, "d1", "g", 51)
    cell.send(1.0, "d1", "g", 51)
    assert cell.run().times == [pytest.approx(2.793472), pytest.approx(279.3472 + 2.793472)]


def test_or_it_refuses_them(cell):
    """The second is lost at once where the device does not wait."""
    cell = cell("lorawan-sf12", on_duty_cycle="refuse")
    cell.send(0.0, "d1", "g", 51)
    cell.send(10.0, "d1", "g", 51)
    timeline = cell.run()
    assert timeline.lost == [(10.0, "d1>g", "duty cycle")]
    assert len(timeline.arrived) == 1


def test_eight_channels_have_a_second_sub_band(cell):
    """1 % in 868.0-868.6 and in 865-868 MHz: the second frame follows the first, the third waits."""
    cell = cell("lorawan-sf12", lora=LoraCell(plan=EIGHT_CHANNELS))
    cell.links["d1", "g"].stages = ()
    for _ in range(3):
        cell.send(0.0, "d1", "g", 51)
    on_air_s = 2.793472
    assert cell.run().times == pytest.approx([on_air_s, 2 * on_air_s, 101 * on_air_s])


def test_sixteen_messages_wait_and_no_more(cell):
    """Eighteen at once: one is sent, sixteen wait, one is lost."""
    cell = cell("lorawan-sf7")
    for _ in range(18):
        cell.send(0.0, "d1", "g", 10)
    timeline = cell.run()
    assert timeline.lost == [(0.0, "d1>g", "queue full")]
    assert len(timeline.arrived) == 17


@pytest.mark.parametrize(("spreading_factor", "most"), sorted(MOST_BYTES.items()))
def test_a_payload_over_the_limit_is_refused(cell, spreading_factor, most):
    """222, 222, 115, 51, 51, 51 bytes of application payload."""
    cell = cell(f"lorawan-sf{spreading_factor}")
    cell.send(0.0, "d1", "g", most)
    cell.send(0.0, "d1", "g", most + 1)
    cell.send(0.0, "g", "d1", most + 1)
    timeline = cell.run()
    assert [cause for _, _, cause in timeline.lost] == ["payload too large", "payload too large"]
    assert len(timeline.arrived) == 1


def test_a_downlink_waits_for_the_next_uplink(cell):
    """Sent at 5 s, the device speaks at 100 s: it hears 1 s after the end of its uplink."""
    cell = cell("lorawan-sf7")
    for link in cell.links.values():
        link.stages = ()
    cell.send(5.0, "g", "d1", 10, topic="open")
    cell.send(100.0, "d1", "g", 10, topic="reading")
    timeline = cell.timeline
    timeline.run(50.0)
    assert cell.network.held_count == 1
    timeline.run()
    on_air_s = air_time_s(7, 10)
    down_s = air_time_s(7, 10, has_checksum=False)
    assert timeline.arrived == [
        (pytest.approx(100.0 + on_air_s), "g", "reading"),
        (pytest.approx(100.0 + on_air_s + 1.0 + down_s), "d1", "open"),
    ]
    assert cell.network.held_count == 0


def test_one_downlink_an_uplink(cell):
    """The second waits for the second uplink; a device that never speaks hears nothing."""
    cell = cell("lorawan-sf7", 2)
    cell.send(0.0, "g", "d1", topic="first")
    cell.send(0.0, "g", "d1", topic="second")
    cell.send(0.0, "g", "d2", topic="never")
    cell.send(10.0, "d1", "g", topic="up")
    cell.run()
    assert [topic for _, _, topic in cell.timeline.arrived if topic != "up"] == ["first"]
    assert cell.network.held_count == 2


def test_the_gateway_falls_back_to_the_second_window(cell):
    """1 % keeps the first window's band silent after one answer: the next goes at SF12, 2 s after."""
    cell = cell("lorawan-sf7", 2)
    for link in cell.links.values():
        link.stages = ()
    for number, at_s in ((1, 10.0), (2, 12.0)):
        cell.send(0.0, "g", f"d{number}", 10, topic="down")
        cell.send(at_s, f"d{number}", "g", 10, topic="up")
    answers = [at_s for at_s, _, topic in cell.run().arrived if topic == "down"]
    up_s = air_time_s(7, 10)
    assert answers == pytest.approx(
        [
            10.0 + up_s + 1.0 + air_time_s(7, 10, has_checksum=False),
            12.0 + up_s + 2.0 + air_time_s(12, 10, has_checksum=False),
        ]
    )


def test_the_windows_take_the_battery_little_time():
    """Eight symbols at SF7 and eight at SF12: 270 ms."""
    assert windows_s(7) == pytest.approx(8 * (0.001024 + 0.032768))


def test_places_are_drawn_from_a_disc():
    """One of two exceeds the other by 6 dB with probability exp(-6 / 8.165) / 2 = 0.2398."""
    count = 4_000
    stations = LoraCell()
    powers = [LoraDevice(stations, 7, Stream(1, f"d{i}", "lorawan")).power_db for i in range(2 * count)]
    share = sum(a - b >= 6 for a, b in zip(powers[:count], powers[count:])) / count
    expected = math.exp(-6 * math.log(10) / (5 * 3.76)) / 2
    assert expected == pytest.approx(0.2398, abs=1e-4)
    assert share == pytest.approx(expected, abs=3 * math.sqrt(expected * (1 - expected) / count))
