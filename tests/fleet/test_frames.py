"""The fast packets of a fleet are those of the codec, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import InputError
from twin.message import Message, Properties
from twin.mqtt.codec import CodecError, Decoder, encode
from twin.mqtt.fleet import frames

TOPICS = st.text(st.characters(exclude_characters="+#\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
PACKETS = st.builds(
    Message,
    TOPICS,
    st.binary(max_size=300),
    st.integers(0, 2),
    st.booleans(),
    dup=st.booleans(),
    properties=st.sampled_from([None, Properties()]),
)


def with_id(message, packet_id):
    return Message(
        message.topic,
        message.payload,
        message.qos,
        message.retain,
        "publish",
        packet_id if message.qos else 0,
        message.dup and message.qos > 0,
        0,
        message.properties,
    )


@given(PACKETS, st.integers(1, 65_535))
def test_a_publication_is_written_as_the_codec_writes_it(message, packet_id):
    """Whatever it says, in both versions."""
    message = with_id(message, packet_id)
    first = frames.PUBLISH | message.dup << 3 | message.qos << 1 | message.retain
    properties = b"" if message.properties is None else b"\0"

    written = frames.publish(
        first, frames.topic_field(message.topic), message.packet_id, properties, message.payload
    )

    assert written == encode(message)


@given(PACKETS, st.integers(1, 65_535))
def test_a_publication_is_read_as_the_codec_reads_it(message, packet_id):
    """Topic, payload and flags come back."""
    data = encode(with_id(message, packet_id))
    body, stop = frames.cut(data, 0)

    read = frames.delivery(data, 0, body, stop, is_v5=message.properties is not None)

    (expected,) = Decoder("3.1.1" if message.properties is None else "5").feed(data)
    assert stop == len(data)
    assert read == (
        expected.topic, expected.payload, expected.qos, expected.retain, expected.dup,
        expected.packet_id, b"",
    )  # fmt: skip


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_a_delivery_or_a_codec_error(body, is_v5):
    """Nothing else comes out of what a broker might send."""
    for first in (0x30, 0x32, 0x34, 0x36):
        data = bytes([first, len(body)]) + body
        try:
            found = frames.delivery(data, 0, 2, len(data), is_v5=is_v5)
        except CodecError:
            continue
        assert len(found.payload) <= len(body)


@pytest.mark.parametrize("kind", ["puback", "pubrec", "pubrel", "pubcomp"])
def test_answers_are_those_of_the_codec(kind):
    """In both versions an answer without reason is the same four bytes."""
    first = {"puback": 0x40, "pubrec": 0x50, "pubrel": 0x62, "pubcomp": 0x70}[kind]

    for properties in (None, Properties()):
        expected = encode(Message("", kind=kind, packet_id=513, properties=properties))
        assert frames.answer(first, 513) == expected


@pytest.mark.parametrize("topic", ["", "a/+", "#", "x\0y", "x" * 65_536])
def test_what_is_no_topic_name_is_refused(topic):
    """Wildcards, nothing, U+0000, and what is too long."""
    with pytest.raises(InputError):
        frames.topic_field(topic)
