"""LoRa air times and duty cycle."""

import csv
from pathlib import Path

import pytest

from network.stages.air_time import AirTime, air_time_s
from twin.errors import InputError

TABLE = Path(__file__).parents[1] / "data" / "lora_airtime.csv"
ROWS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"sf{row['sf']}-{row['app_payload_bytes']}B")
def test_the_air_time_is_that_of_the_data_sheet_formula(row):
    """All spreading factors and payloads of the reference table, to the microsecond."""
    assert air_time_s(int(row["sf"]), int(row["app_payload_bytes"])) * 1e3 == pytest.approx(
        float(row["airtime_ms"]), abs=1e-6
    )


def test_the_duty_cycle_silences_the_transmitter():
    """SF12 with 51 bytes: 2.793472 s on the air, the next one 279.3472 s after the start."""
    stage = AirTime(12)
    assert stage.release(0.0, 51) == pytest.approx(2.793472)
    assert stage.release(10.0, 51) == pytest.approx(279.3472 + 2.793472)


def test_too_many_waiting_messages_are_dropped():
    """The first is sent, sixteen wait, the eighteenth is lost."""
    stage = AirTime(7)
    releases = [stage.release(0.0, 10) for _ in range(18)]
    assert [release_s is None for release_s in releases] == [False] * 17 + [True]


def test_there_is_no_spreading_factor_13():
    """7 to 12."""
    with pytest.raises(InputError, match="7 to 12"):
        AirTime(13)
