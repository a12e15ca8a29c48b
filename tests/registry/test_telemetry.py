"""What devices say, checked and kept; what cannot be used, counted and set aside."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.message import Message
from twin.state.records import Records
from twin.state.registry.things import Thing
from twin.state.telemetry import SetAside, Telemetry, TelemetryKeeper, is_stale
from twin.state.twins import Twins
from twin.state.types import shipped_types

KEEPER = TelemetryKeeper(shipped_types())
GAS = "site/car_park/gas_sensor/gas-1/telemetry"


@pytest.fixture
def records():
    records = Records()
    for name, kind in (("gas-1", "gas_sensor"), ("gate-1-camera", "plate_camera"), ("gateway", "gateway")):
        records.put("thing", name, Thing(name=name, type=kind, site="car_park"))
    return records


def _tell(records, topic, payload, now_s=100.0, keeper=KEEPER):
    encoded = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return Twins([keeper], records).handle(Message(topic, encoded), now_s)


def _notes(transaction):
    return [change.entry for change in transaction.changes if change.what == "note"]


def test_the_latest_value_is_kept_with_both_of_its_times(records):
    """When the device says it was measured, and when it arrived."""
    _tell(records, GAS, {"ts": 90_000, "carbon_monoxide_ppm": 7.5})
    assert records.get("telemetry", "gas-1").values == {"carbon_monoxide_ppm": (7.5, 90.0, 100.0)}
    _tell(records, GAS, {"carbon_monoxide_ppm": 8}, now_s=101.0)
    assert records.get("telemetry", "gas-1").values == {"carbon_monoxide_ppm": (8, 101.0, 101.0)}


def test_an_older_reading_does_not_replace_a_newer_one(records):
    """Whatever order they come in."""
    _tell(records, GAS, [{"ts": 90_000, "carbon_monoxide_ppm": 7}, {"ts": 80_000, "carbon_monoxide_ppm": 1}])
    assert records.get("telemetry", "gas-1").values["carbon_monoxide_ppm"].value == 7


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff\xfe", "not JSON"),
        (b"", "not JSON"),
        (b"5", "neither a JSON object"),
        (b"[]", "neither a JSON object"),
        (b"[1]", "neither a JSON object"),
        (b"[" * 100_000, "not JSON: RecursionError"),
        (b'{"a":' * 50 + b"1" + b"}" * 50, "nested deeper than 32"),
        (b'{"carbon_monoxide_ppm":"geheim"}', 'carbon_monoxide_ppm: (value) is not of type "number"'),
        (b'{"carbon_monoxide_ppm":-1}', "less than the minimum of 0"),
        (b'{"ts":"now","carbon_monoxide_ppm":1}', "ts is no number"),
        (b'{"ts":1' + b"0" * 400 + b"}", "ts lies outside"),
        (b'{"ts":-1}', "ts lies outside"),
        (b'{"seq":1.5}', "seq is no whole number"),
        (b'{"seq":true}', "seq is no whole number"),
        (b" " * 200_000, "at most 131072"),
        (b"[" + b",".join([b"{}"] * 1001) + b"]", "at most 1000 come at once"),
        (msgspec.json.encode({f"f{n}": n for n in range(201)}), "at most 200 values"),
    ],
)
def test_a_payload_that_cannot_be_used_is_set_aside_with_its_reason(records, payload, reason):
    """It is counted, noted and observed, and nothing of it is kept."""
    transaction = _tell(records, GAS, payload)
    (note,) = _notes(transaction)
    assert reason in note["reason"]
    assert "geheim" not in note["reason"]
    assert note["topic"] == GAS
    assert len(note["payload"]) <= 400
    assert records.get("telemetry", "gas-1") is None
    assert records.get("set_aside", "gas-1").count == 1
    assert transaction.observations == [("set_aside", 1.0)]


def test_of_a_batch_with_one_bad_reading_nothing_is_kept(records):
    """All or none, so that a device can send it again."""
    _tell(records, GAS, [{"carbon_monoxide_ppm": 1}, {"carbon_monoxide_ppm": "x"}])
    assert records.get("telemetry", "gas-1") is None


def test_a_flood_of_bad_payloads_does_not_fill_the_journal(records):
    """Ten are noted a minute, all are counted."""
    noted = sum(len(_notes(_tell(records, GAS, b"x", now_s=100.0 + number / 10))) for number in range(1000))
    assert records.get("set_aside", "gas-1").count == 1000
    assert noted == 20


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("site/car_park/boom_gate/gas-1/telemetry", "registered with the type 'gas_sensor'"),
        ("site/depot/gas_sensor/gas-1/telemetry", "registered at the site 'car_park'"),
    ],
)
def test_a_thing_that_speaks_as_another_is_not_believed(records, topic, reason):
    """The topic must say the type and site of the registry."""
    assert reason in _notes(_tell(records, topic, {}))[0]["reason"]


def test_things_that_nobody_registered_are_accepted_or_not(records):
    """As the setting says; those set aside are counted together."""
    topic = "site/car_park/gas_sensor/new/telemetry"
    _tell(records, topic, {"carbon_monoxide_ppm": 1})
    assert "new" in records.of("telemetry")
    strict = TelemetryKeeper(shipped_types(), unknown="set_aside")
    for name in ("a", "b"):
        _tell(records, topic.replace("new", name), {"carbon_monoxide_ppm": 1}, keeper=strict)
    assert list(records.of("telemetry")) == ["new"]
    assert records.get("set_aside", "(unregistered)").count == 2


def test_personal_values_are_neither_kept_nor_noted(records):
    """The plate is masked; a payload that may hold one is noted by its length only."""
    topic = "site/car_park/plate_camera/gate-1-camera/event/plate"
    _tell(records, topic, {"ts": 1000, "plate": "SAA0001B", "gate": "gate-1"})
    kept = records.get("telemetry", "gate-1-camera")
    assert kept.values["event/plate"].value == {"plate": "***", "gate": "gate-1"}
    transaction = _tell(records, topic, b'{"plate": "SAA0001B", "gate": 5}')
    assert _notes(transaction)[0]["payload"] == "(32 bytes, which may hold personal data)"
    assert "SAA0001B" not in repr([*records]) + repr(transaction.changes)


def test_a_gateways_summary_is_kept_as_such(records):
    """It is no reading of a device, and is not held against the type's schema."""
    _tell(
        records,
        "site/car_park/gas_sensor/gateway/telemetry",
        {"window_s": 60, "carbon_monoxide_ppm": {"mean": 1}},
    )
    assert records.get("telemetry", "gateway").values["summary/gas_sensor"].value["window_s"] == 60


def _sequence(records, *numbers, stamps=None):
    for place, number in enumerate(numbers):
        stamp = {} if stamps is None else {"ts": stamps[place] * 1000}
        _tell(records, GAS, {"seq": number, **stamp})
    kept = records.get("telemetry", "gas-1")
    return kept.missing_count, kept.duplicate_count


@pytest.mark.parametrize(
    ("numbers", "missing", "duplicates"),
    [
        ((0, 1, 2), 0, 0),
        ((5, 6), 0, 0),
        ((0, 1, 4), 2, 0),
        ((0, 1, 1, 2), 0, 1),
        ((0, 3, 1, 2), 0, 0),
        ((0, 3, 1, 1), 1, 1),
        ((0, 100, 5), 99, 1),
        ((5000, 0, 1), 0, 0),
    ],
)
def test_gaps_and_duplicates_are_counted_exactly(records, numbers, missing, duplicates):
    """A late message fills its gap; far behind it counts as a duplicate, further as a new start."""
    assert _sequence(records, *numbers) == (missing, duplicates)


def test_a_device_that_starts_anew_is_told_from_one_that_repeats_itself(records):
    """By its clock: a later reading with an earlier number is a new start."""
    assert _sequence(records, 0, 1, 2, 0, 1, stamps=[1, 2, 3, 4, 5]) == (0, 0)
    assert _sequence(records, 1, stamps=[5]) == (0, 1)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_the_account_of_numbers_is_that_of_a_set(numbers):
    """Within the window: what is missing lies between the first and the greatest and never came."""
    records = Records()
    first, seen, duplicates = numbers[0], set(), 0
    for number in numbers:
        _tell(records, GAS, {"seq": number})
        duplicates += number in seen
        seen.add(number)
    kept = records.get("telemetry", "gas-1")
    assert kept.duplicate_count == duplicates
    if min(numbers) == first:
        assert kept.missing_count == max(numbers) - first + 1 - len(seen)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.sampled_from(["ts", "seq", "gate", "x"])
JSON = st.recursive(
    SCALARS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner),
    max_leaves=12,
)


@given(
    st.binary(max_size=60) | JSON.map(msgspec.json.encode), st.sampled_from(["boom_gate", "gas_sensor", "x"])
)
def test_no_payload_breaks_the_twin(payload, kind):
    """It is kept or set aside, and whatever is kept can be written into a journal."""
    records = Records()
    transaction = _tell(records, f"site/s/{kind}/t/telemetry", payload)
    _tell(records, f"site/s/{kind}/t/event/alarm", payload)
    for _, _, record in records:
        assert isinstance(record, Telemetry | SetAside)
        assert msgspec.json.decode(msgspec.json.encode(record), type=type(record)) == record
    assert bool(_notes(transaction)) == (("set_aside", 1.0) in transaction.observations)


def test_a_value_is_stale_when_it_is_older_than_its_type_allows(records):
    """The carbon monoxide of half a minute ago."""
    _tell(records, GAS, {"ts": 100_000, "carbon_monoxide_ppm": 1})
    value = records.get("telemetry", "gas-1").values["carbon_monoxide_ppm"]
    model = shipped_types()["gas_sensor"]
    assert not is_stale(model, "carbon_monoxide_ppm", value, 130.0)
    assert is_stale(model, "carbon_monoxide_ppm", value, 130.1)
    assert not is_stale(None, "carbon_monoxide_ppm", value, 1e9)


def test_a_transaction_on_telemetry_can_be_undone(records):
    """As everything else that could not be kept."""
    before = list(records)
    _tell(records, GAS, {"carbon_monoxide_ppm": 1}).undo()
    assert list(records) == before
