"""What a radio did, and the current it takes."""

import pytest

from network.media import ble
from network.media.lorawan import windows_s
from network.media.radio import activity, has_battery_figures, message_cost, radio
from network.stages.air_time import air_time_s
from network.tables import table
from twin.errors import InputError


def test_every_current_says_what_it_rests_on():
    """Kind and source."""
    rows = table("radio_currents")
    assert {row["kind"] for row in rows} == {"published", "derived", "default"}
    assert all(row["source"] for row in rows)


def test_currents_are_those_of_the_facts():
    """LoRa 28 / 11.2 mA, nRF52832 5.3 / 5.4 mA, ESP32 240 mA, Sigfox 40 mA."""
    known = {name: radio(name) for name in ("lorawan-sf9", "ble", "wifi", "sigfox")}
    assert (known["lorawan-sf9"].tx_a, known["lorawan-sf9"].rx_a) == (0.028, pytest.approx(0.0112))
    assert (known["ble"].tx_a, known["ble"].rx_a) == (pytest.approx(0.0053), pytest.approx(0.0054))
    assert known["wifi"].tx_a == 0.24
    assert known["sigfox"].tx_a == 0.04


def test_a_connection_costs_current_without_messages():
    """Two empty packets of 80 us every 30 ms at 5.35 mA: 28.5 uA above the sleep current."""
    assert (radio("ble").sleep_a - 1.9e-6) * 1e6 == pytest.approx(10.7e3 * ble.packet_s(0) / 0.03)
    assert ble.packet_s(0) == pytest.approx(80e-6)


def test_nothing_is_known_of_what_has_a_plug():
    """Ethernet and GPON feed on mains."""
    assert not has_battery_figures("ethernet")
    with pytest.raises(InputError, match="battery"):
        radio("gpon")


def test_an_uplink_is_its_air_time_and_two_windows(cell):
    """Ten messages of 20 bytes at SF9."""
    air = cell("lorawan-sf9")
    for number in range(10):
        air.send(number * 600.0, "d1", "g", 20)
    air.run()
    did = activity("lorawan-sf9", air.links["d1", "g"], air.links["g", "d1"])
    assert did.tx_s == pytest.approx(10 * air_time_s(9, 20))
    assert did.rx_s == pytest.approx(10 * windows_s(9))


def test_the_first_hop_is_the_devices_own(cell):
    """Three hops are on the air three times, the battery pays for one."""
    air = cell("thread", hops=3)
    air.send(0.0, "d1", "g", 80)
    air.run()
    did = activity("thread", air.links["d1", "g"], air.links["g", "d1"], hops=3)
    assert did.tx_s == pytest.approx((6 + 127) * 32e-6)


def test_a_narrowband_radio_listens_on_after_each_message(cell):
    """Ten seconds each, and a block of air time."""
    air = cell("nb-iot")
    for number in range(3):
        air.send(number * 600.0, "d1", "g", 50)
    air.run()
    did = activity("nb-iot", air.links["d1", "g"], air.links["g", "d1"])
    assert did.tx_s == pytest.approx(3 * 125 * 8 / 62_000)
    assert did.rx_s == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("technology", "payload", "air_s"),
    [
        ("lorawan-sf12", 51, 2.793472),
        ("sigfox", 12, 6.24),
        ("thread", 80, 133 * 32e-6),
        ("thread", 81, (133 + 54) * 32e-6),
        ("ble", 20, 296e-6),
        ("nb-iot", 126, 2 * 125 * 8 / 62_000),
        ("wifi", 1000, 80e-6),
    ],
)
def test_a_message_takes_its_air_time(technology, payload, air_s):
    """Of the medium's formula, on an idle medium."""
    assert message_cost(technology, payload).air_s == pytest.approx(air_s)


def test_energy_is_voltage_times_current_times_time():
    """SF12, 51 bytes at 3 V: 28 mA for 2.793 s and 11.2 mA for both windows: 235 + 18 mJ."""
    spent = message_cost("lorawan-sf12", 51)
    assert spent.energy_j == pytest.approx(3 * (0.028 * 2.793472 + 0.0112 * windows_s(12)))
    assert spent.energy_j == pytest.approx(0.2523, abs=1e-4)


def test_what_a_radio_refuses_costs_nothing():
    """It is an error instead."""
    with pytest.raises(InputError, match="at most 12 bytes"):
        message_cost("sigfox", 13)
