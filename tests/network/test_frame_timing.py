"""Every row of the table of frame times, transactions and rotations."""

import csv
import re
from pathlib import Path

import pytest

from network.media import ble, can, ethernet, ieee802154, modbus, mstp, satellite, sigfox
from network.wan import FIBRE_S_PER_KM

TABLE = Path(__file__).parents[1] / "data" / "frame_timing_reference.csv"
ROWS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))


def numbers(text):
    return [float(each) for each in re.findall(r"\d+(?:\.\d+)?", text.replace(",", " "))]


def modbus_value(case):
    baud = numbers(case)[0]
    registers = int(re.search(r"(\d+) registers", case)[1])
    turnaround_s = float(re.search(r"turnaround (\d+)", case)[1]) / 1e3
    slaves = int(found[1]) if (found := re.search(r"(\d+) slaves", case)) else 1
    seconds = slaves * modbus.transaction_s(baud, registers, turnaround_s)
    return seconds if slaves > 1 else seconds * 1e3


def can_value(case):
    data_bytes, identifier, *rate = numbers(case)
    bits = can.frame_bits(int(data_bytes), is_extended=identifier == 29)
    return bits / rate[0] * 1e3 if rate else bits


def mstp_value(case):
    baud, masters, *_ = numbers(case)
    each_s = mstp.token_s(baud) + (0 if "idle" in case else mstp.frame_s(baud, 50))
    return masters * each_s * 1e3


def ble_value(case):
    if "payload" in case:
        return ble.packet_s(int(re.search(r"(\d+) B", case)[1])) * 1e6
    interval = numbers(case)[0]
    return f"{interval / 2:g} / {interval:g}"


def ethernet_value(case):
    frame_bytes, mbps = numbers(case)
    return ethernet.frame_s(frame_bytes, mbps * 1e6) * 1e6


def satellite_value(case):
    distances_m = {"GEO zenith": 35_786e3, "Iridium 780 km zenith": 780e3}
    return satellite.bent_pipe_round_trip_s(distances_m.get(case, 38_600e3)) * 1e3


def sigfox_value(case):
    return (
        float(sigfox.AIR_BYTES_AN_HOUR // (sigfox.FRAME_BYTES + 12))
        if "duty" in case
        else sigfox.repetition_s(12)
    )


MODELS = {
    "modbus_rtu": modbus_value,
    "can_2.0": can_value,
    "bacnet_mstp": mstp_value,
    "ieee802154_2g4": lambda _case: ieee802154.exchange_s(127) * 1e3,
    "ble_1m": ble_value,
    "ethernet": ethernet_value,
    "satellite": satellite_value,
    "fibre": lambda case: 2 * float(re.search(r"(\d+) km", case)[1]) * FIBRE_S_PER_KM * 1e3,
    "sigfox_rc1": sigfox_value,
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['technology']}-{row['case']}")
def test_the_product_gives_the_reference_value(row):
    """To the digits of the table."""
    value = MODELS[row["technology"]](row["case"])
    if isinstance(value, str):
        assert value == row["value"]
    else:
        assert value == pytest.approx(float(row["value"]), rel=2e-5, abs=6e-5)
