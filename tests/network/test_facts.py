"""The published facts of the access technologies, row by row, against what the product uses."""

import csv
from pathlib import Path

import pytest

from network.catalogue import link_figures
from network.media import ble, can, cellular, ieee802154, lorawan, modbus, mstp, radio, satellite, sigfox
from network.media.ethernet import frame_s
from twin.errors import InputError
from twin.kernel.randomness import Stream

TABLE = Path(__file__).parents[1] / "data" / "access_technology_facts.csv"
ROWS = {
    (row["technology"], row["parameter"]): row["value"]
    for row in csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines())
}


def milliamperes(name, *states):
    """Currents of a radio, rounded as data sheets do."""
    known = radio.radio(name)
    return [round(getattr(known, f"{state}_a") * 1e3, 3) for state in states]


def ms(*seconds):
    return "-".join(f"{each * 1e3:g}" for each in seconds)


FACTS = {
    ("ethernet_1g", "rate"): lambda: f"{link_figures('ethernet').up_bps}",
    ("ethernet_1g", "serialisation of 1518 B frame"): lambda: f"{frame_s(1518, 1e9) * 1e6:.1f}",
    ("ble_1m", "ATT MTU default / max with DLE"): lambda: f"23 / {ble.PAYLOAD_BYTES + 3}",
    ("ble_1m", "tx / rx current (nRF52832, DC/DC 3 V, 0 dBm)"): lambda: "{} / {}".format(
        *milliamperes("ble", "tx", "rx")
    ),
    ("zigbee", "PHY rate"): lambda: f"{8 / ieee802154.BYTE_S}",
    ("zigbee", "max PSDU"): lambda: f"{ieee802154.FRAME_PAYLOAD_BYTES + ieee802154.OVERHEAD_BYTES}",
    ("zigbee", "unicast MAC exchange, 127 B, idle channel"): lambda: (
        f"{ieee802154.exchange_s(127) * 1e3:.2f}"
    ),
    ("lorawan_eu868", "sub-band duty cycles 868.0-868.6 / 868.7-869.2 / 869.4-869.65"): lambda: (
        f"{lorawan.LEAST_PLAN[0].duty_cycle_ratio:.0%} / 0.1% / {lorawan.RX2_BAND.duty_cycle_ratio:.0%}"
    ),
    ("lorawan_eu868", "co-SF capture threshold"): lambda: f"{lorawan.interference_matrix()[9][9]:g}",
    ("lorawan_eu868", "cross-SF rejection"): lambda: " ... ".join(
        f"{lorawan.interference_matrix()[wanted][other]:g}" for wanted, other in ((7, 8), (12, 11))
    ),
    ("lorawan_eu868", "MAC payload limit DR0..DR5"): lambda: ",".join(
        f"{lorawan.MOST_BYTES[sf] + 8}" for sf in range(12, 6, -1)
    ),
    ("lorawan_eu868", "RX1 / RX2 delay"): lambda: f"{lorawan.RX1_DELAY_S:g} / {lorawan.RX2_DELAY_S:g}",
    ("sigfox_rc1", "payload up / down"): lambda: f"{sigfox.UP_BYTES} / {sigfox.DOWN_BYTES}",
    ("sigfox_rc1", "messages per day up / down"): lambda: f"{sigfox.UP_A_DAY} / {sigfox.DOWN_A_DAY}",
    ("sigfox_rc1", "bit rate up"): lambda: f"{sigfox.RATE_BPS:g}",
    ("sigfox_rc1", "uplink duration"): lambda: f"{sigfox.air_s(12):g}",
    ("sigfox_rc1", "downlink window"): lambda: f"{sigfox.LISTEN_AFTER_S:g}-{radio.LISTEN_S:g}",
    ("nb_iot", "uplink transport block"): lambda: f"2-{cellular.TRANSPORT_BLOCK_BYTES}",
    ("lte", "handover interruption, intra-frequency"): lambda: ms(*cellular.HANDOVER_GAPS_S["lte"]),
    ("5g_nr", "handover interruption"): lambda: ms(*cellular.HANDOVER_GAPS_S["5g"]),
    ("sat_geo", "propagation RTT floor"): lambda: (
        f"{satellite.bent_pipe_round_trip_s(satellite.GEO_ALTITUDE_M) * 1e3:.1f}"
    ),
    ("sat_leo_starlink", "reallocation period"): lambda: f"{satellite.PERIOD_S:g}",
    ("sat_leo_starlink", "latency spike at period start / end"): lambda: (
        f"~{satellite.AFTER_S * 1e3:g} / ~{satellite.BEFORE_S * 1e3:g}"
    ),
    ("modbus_rtu", "transaction, 10 registers, 19200 8E1, 35 ms turnaround"): lambda: (
        f"{modbus.transaction_s(19_200, 10) * 1e3:.1f}"
    ),
    ("can_2.0", "8 B standard frame at 500 kbit/s, worst case"): lambda: f"{can.frame_bits(8) / 0.5:g}",
    ("bacnet_mstp", "token rotation, 30 masters, one 50 B frame each, 38400"): lambda: (
        f"{30 * (mstp.token_s(38_400) + mstp.frame_s(38_400, 50)) * 1e3:.0f}"
    ),
}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact[0]}-{fact[1]}")
def test_the_product_uses_the_published_figure(fact):
    """As it is written in the table."""
    assert FACTS[fact]() == ROWS[fact]


def test_the_currents_of_lora_are_published():
    """28 mA at 0 dBm, 11.2 mA receiving."""
    assert ROWS["lorawan_eu868", "tx(0 dBm)/rx/standby current"].startswith("28 / 11.2")
    assert milliamperes("lorawan-sf7", "tx", "rx") == [28.0, 11.2]


def test_bluetooth_keeps_within_its_published_ranges():
    """Interval 7.5 to 4000 ms, supervision timeout 0.1 to 32 s."""
    assert ROWS["ble_1m", "connection interval range"] == "7.5-4000"
    assert ROWS["ble_1m", "supervision timeout"] == "0.1-32"
    stream = Stream(1, "d", "connection")
    for interval_s, timeout_s in ((0.0075, 0.1), (4.0, 32.0)):
        ble.ConnectionEvents(stream, interval_s=interval_s, supervision_timeout_s=timeout_s)
    for interval_s, timeout_s in ((0.0074, 1.0), (4.1, 1.0), (1.0, 0.09), (1.0, 33.0)):
        with pytest.raises(InputError):
            ble.ConnectionEvents(stream, interval_s=interval_s, supervision_timeout_s=timeout_s)
