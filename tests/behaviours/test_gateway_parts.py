"""The pure parts of the gateway, one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices_models.gateway.aggregation import Window
from devices_models.gateway.buffer import Buffer
from devices_models.gateway.cleansing import Cleanser
from devices_models.gateway.conversion import decode, encode, to_json
from devices_models.gateway.masking import masked
from devices_models.publications import address
from twin.errors import InputError
from twin.message import Message

READING = Message("gas_sensor/g1/telemetry", b"0")
REPORT = Message("boom_gate/GA/report", b"1")
EVENT = Message("smoke_detector/s1/event/alarm", b"2")


def taken(buffer):
    return [held.message for held in iter(buffer.take, None)]


@pytest.mark.parametrize(
    ("drop", "kept", "gone"),
    [
        ("oldest", [EVENT, REPORT], READING),
        ("newest", [READING, EVENT], REPORT),
        ("priority", [EVENT, REPORT], READING),
    ],
)
def test_a_full_buffer_gives_up_what_the_policy_says(drop, kept, gone):
    """Reading, event, report arrive at a buffer for two."""
    buffer = Buffer(2, drop)
    assert buffer.put(READING, 0) is None
    assert buffer.put(EVENT, 0) is None

    assert buffer.put(REPORT, 0) == gone
    assert taken(buffer) == kept


def test_by_priority_an_unimportant_newcomer_goes_itself():
    """Events are not given up for a reading."""
    buffer = Buffer(1, "priority")
    buffer.put(EVENT, 0)

    assert buffer.put(READING, 0) == READING


@given(st.lists(st.sampled_from([READING, REPORT, EVENT]), max_size=30))
def test_a_buffer_keeps_the_order_of_arrival(messages):
    """First in, first out, whatever the importance."""
    buffer = Buffer(30, "priority")
    for message in messages:
        buffer.put(message, 0)

    assert taken(buffer) == messages


def cause(cleanser, ppm, ts):
    payload = b'{"ts":%d,"carbon_monoxide_ppm":%d}' % (ts, ppm)
    return cleanser.cause("gas_sensor", "g1", payload, {"ts": ts, "carbon_monoxide_ppm": ppm})


def test_a_spike_is_dropped_and_a_step_is_confirmed_by_the_next_reading():
    """From 10 to 900 ppm: dropped once; a second reading near 900 is believed."""
    cleanser = Cleanser()

    causes = [cause(cleanser, ppm, ts) for ts, ppm in enumerate([10, 900, 12, 900, 910, 905])]

    assert causes == [None, "spike", None, "spike", None, None]


def test_a_repeated_frame_is_a_duplicate():
    """The same time stamp and values again; the same values later are a new reading."""
    cleanser = Cleanser()

    assert [cause(cleanser, 10, ts) for ts in (1, 1, 2)] == [None, "duplicate", None]


@pytest.mark.parametrize(
    ("ppm", "verdict"), [(0, None), (1000, None), (-1, "out of range"), (1001, "out of range")]
)
def test_the_limits_belong_to_the_range(ppm, verdict):
    """0 and 1,000 ppm are possible."""
    assert cause(Cleanser(), ppm, 1) == verdict


def test_payloads_without_a_time_stamp_are_no_duplicates():
    """Open-loop workloads send the same filler on purpose."""
    cleanser = Cleanser()

    assert [cleanser.cause("replay", "r1", b"{}", {}) for _ in range(2)] == [None, None]


@given(st.floats(0.0, 6553.4))
def test_a_frame_keeps_a_reading_to_half_a_step(ppm):
    """Encoding and decoding lose no more than rounding to 0.1 ppm does."""
    sent = Message("gas_sensor/g1/telemetry", b'{"carbon_monoxide_ppm":%f}' % ppm)

    fields = decode("gas_sensor", encode("gas_sensor", sent).payload, 1.5)

    assert fields["ts"] == 1500
    assert fields["carbon_monoxide_ppm"] == pytest.approx(ppm, abs=0.0501)


@pytest.mark.parametrize(("text", "byte"), [("true", 1), ("false", 0), ("null", 255)])
def test_a_bay_is_one_byte(text, byte):
    """All bits set means unknown."""
    reading = Message("parking_bay_sensor/b1/telemetry", f'{{"occupied":{text}}}'.encode())
    frame = encode("parking_bay_sensor", reading)

    assert frame.payload == bytes([byte])
    assert to_json("parking_bay_sensor", frame, 0.0).payload == f'{{"ts":0,"occupied":{text}}}'.encode()


def test_values_beyond_the_frame_are_kept_at_its_end():
    """70,000 ppm do not wrap round to a harmless number."""
    frame = encode("gas_sensor", Message("t", b'{"carbon_monoxide_ppm":70000}'))

    assert frame.payload == (65_534).to_bytes(2, "big")


@pytest.mark.parametrize("payload", [b"", b"\x01\x02\x03", b'{"a":1}', b"hello"])
def test_what_is_no_frame_passes_unconverted(payload):
    """Only the exact length of the layout is a frame."""
    message = Message("gas_sensor/g1/telemetry", payload)

    assert to_json("gas_sensor", message, 0.0) is message


def test_a_kind_without_a_layout_cannot_be_encoded():
    """The error names those that can."""
    with pytest.raises(InputError, match="there is one for gas_sensor, parking_bay_sensor"):
        encode("lift", READING)


def test_a_window_counts_text_but_does_not_keep_it():
    """Aggregation cannot leak a personal field."""
    window = Window()
    window.add({"ts": 1, "plate": "SAA0007H", "occupied": True})

    assert window.summary() == {
        "count": 1,
        "fields": {"occupied": {"count": 1, "mean": 1.0, "min": 1.0, "max": 1.0, "last": 1.0}},
    }


def test_masking_one_of_two_personal_fields_leaves_the_other_counted():
    """`"Ann"` takes five bytes, `"X1"` four."""
    message = Message("t", b'{"name":"Ann","plate":"X1"}', personal_bytes=9)

    assert masked(message, ["plate"], "remove", b"key").personal_bytes == 5


@pytest.mark.parametrize(
    ("topic", "parts"),
    [
        ("fan/f1/cmd/on", ("fan", "f1", "cmd/on")),
        ("fan/f1/telemetry", ("fan", "f1", "telemetry")),
        ("fan/f1", None),
        ("gateway/heartbeat", None),
        ("$aws/things/GA/shadow/update", None),
        ("fan//telemetry", None),
    ],
)
def test_only_field_topics_have_an_address(topic, parts):
    """Kind, node, and the rest."""
    assert address(topic) == parts
