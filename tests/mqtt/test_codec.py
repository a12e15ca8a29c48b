import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.message import Message, Properties
from twin.mqtt.codec import CodecError, Credentials, Decoder, encode
from twin.mqtt.packets import (
    Connack,
    Connect,
    Will,
    connack_message,
    connect_message,
    packet_bytes,
    spoken,
)

VERSIONS = st.sampled_from(["3.1.1", "5"])
IDS = st.integers(1, 65_535)
QOS = st.integers(0, 2)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0+#"), min_size=1, max_size=40)
EXPIRY = st.none() | st.integers(0, 2**32 - 1)


@st.composite
def publications(draw, version):
    qos = draw(QOS)
    properties = None
    if version == "5":
        properties = Properties(message_expiry_s=draw(EXPIRY), topic_alias=draw(st.integers(0, 65_535)))
    payload = draw(st.binary(max_size=300))
    packet_id = draw(IDS) if qos else 0
    is_dup = draw(st.booleans()) if qos else False
    return Message(
        draw(TEXT), payload, qos, draw(st.booleans()), packet_id=packet_id, dup=is_dup, properties=properties
    )


@st.composite
def connects(draw, version):
    wills = st.builds(Will, TEXT, st.binary(max_size=40), QOS, st.booleans())
    limits = {}
    if version == "5":
        wills = st.builds(
            Will, TEXT, st.binary(max_size=40), QOS, st.booleans(), st.integers(0, 2**32 - 1), EXPIRY
        )
        limits = {
            "session_expiry_s": draw(st.integers(0, 2**32 - 1)),
            "receive_maximum": draw(IDS),
            "maximum_packet_bytes": draw(st.integers(1, 2**28)),
        }
    return connect_message(
        Connect(
            draw(TEXT),
            float(draw(st.integers(0, 65_535))),
            draw(st.booleans()),
            draw(st.none() | wills),
            version=version,
            **limits,
        )
    )


@st.composite
def connacks(draw, version):
    limits = {}
    if version == "5":
        limits = {
            "session_expiry_s": draw(EXPIRY),
            "receive_maximum": draw(IDS),
            "topic_alias_maximum": draw(st.integers(0, 65_535)),
            "maximum_packet_bytes": draw(st.integers(1, 2**28)),
            "keep_alive_s": draw(st.none() | st.integers(0, 65_535)),
        }
    code = draw(st.integers(0, 255))
    return connack_message(Connack(code, draw(st.booleans()), version, **limits))


@st.composite
def subscriptions(draw, version):
    options = None
    if version == "5":
        is_no_local, is_retain_as_published = draw(st.booleans()), draw(st.booleans())
        handling = draw(st.integers(0, 2))
        options = Properties(
            is_no_local=is_no_local,
            is_retain_as_published=is_retain_as_published,
            retain_handling=handling,
        )
    return Message(draw(TEXT), qos=draw(QOS), kind="subscribe", packet_id=draw(IDS), properties=options)


@st.composite
def answers(draw, version):
    kind = draw(st.sampled_from(["puback", "pubrec", "pubrel", "pubcomp", "unsuback"]))
    properties = Properties(draw(st.integers(0, 255))) if version == "5" else None
    return Message("", kind=kind, packet_id=draw(IDS), properties=properties)


@st.composite
def farewells(draw, version):
    properties = None
    if version == "5":
        properties = Properties(draw(st.integers(0, 255)), session_expiry_s=draw(EXPIRY))
    return Message("", kind="disconnect", properties=properties)


@st.composite
def others(draw, version):
    properties = spoken(version)
    return draw(
        st.one_of(
            st.builds(
                lambda kind: Message("", kind=kind, properties=properties),
                st.sampled_from(["pingreq", "pingresp"]),
            ),
            st.builds(
                lambda topic, number: Message(
                    topic, kind="unsubscribe", packet_id=number, properties=properties
                ),
                TEXT,
                IDS,
            ),
            st.builds(
                lambda code, number: Message(
                    "", qos=code, kind="suback", packet_id=number, properties=properties
                ),
                st.integers(0, 255),
                IDS,
            ),
        )
    )


FORMS = (publications, connects, connacks, subscriptions, answers, farewells, others)
PACKETS = VERSIONS.flatmap(
    lambda version: st.tuples(st.just(version), st.one_of(form(version) for form in FORMS))
)


@given(PACKETS)
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_back(packet):
    """decode(encode(m)) = m for every kind of packet of both versions."""
    version, message = packet
    assert Decoder(version).feed(encode(message)) == [message]


@given(PACKETS)
@settings(max_examples=100, deadline=None)
def test_a_packet_is_as_long_as_it_is_counted(packet):
    """The bytes written are as many as `packet_bytes` says without writing them."""
    _, message = packet
    assert len(encode(message)) == packet_bytes(message)


@given(VERSIONS, st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_noise_is_refused_with_one_kind_of_error(version, noise):
    """Whatever bytes come, the decoder returns packets, waits for more or raises CodecError."""
    for first in range(16):
        try:
            Decoder(version).feed(
                bytes([first << 4 | (2 if first in (6, 8, 10) else 0), len(noise) % 128]) + noise
            )
        except CodecError:
            continue


@given(PACKETS, st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_packet_is_refused_with_one_kind_of_error(packet, data):
    """One byte of a right packet changed: packets, more to come, or CodecError."""
    version, message = packet
    wire = bytearray(encode(message))
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        Decoder(version).feed(bytes(wire))
    except CodecError:
        return


@given(st.lists(publications("5"), max_size=5), st.integers(1, 7))
@settings(max_examples=50, deadline=None)
def test_packets_are_found_however_the_stream_is_cut(messages, step):
    """The pieces in which bytes arrive do not matter."""
    wire = b"".join(encode(message) for message in messages)
    decoder = Decoder("5")
    found = [message for at in range(0, len(wire), step) for message in decoder.feed(wire[at : at + step])]
    assert found == messages


def test_an_alias_stands_for_its_topic():
    """The second publication with an alias names no topic on the wire, and is read with it."""
    decoder = Decoder("5")
    first = Message("t" * 35, b"x", properties=Properties(topic_alias=1))
    second = Message("t" * 35, b"x", properties=Properties(topic_alias=1, is_topic_omitted=True))
    assert decoder.feed(encode(first) + encode(second)) == [first, second]
    assert len(encode(first)) - len(encode(second)) == 35


def test_an_unknown_alias_is_refused():
    """An alias that was never given stands for nothing."""
    unknown = Message("t", properties=Properties(topic_alias=1, is_topic_omitted=True))
    with pytest.raises(CodecError, match="alias 1"):
        Decoder("5").feed(encode(unknown))


def test_the_bytes_of_a_connect_are_those_of_the_standard():
    """CONNECT with a will and credentials, byte by byte (MQTT 3.1.1, section 3.1)."""
    connect = connect_message(Connect("ab", 10.0, True, Will("w", b"x", 1, True), 1, 2))
    assert encode(connect, Credentials("u", b"pw")) == (
        b"\x10\x1b\0\x04MQTT\x04\xee\0\x0a\0\x02ab\0\x01w\0\x01x\0\x01u\0\x02pw"
    )


def test_credentials_are_counted_and_not_kept():
    """A decoded CONNECT knows how long the credentials were, and nothing else of them."""
    connect = connect_message(Connect("ab", 10.0, True, None, 6, 6))
    (found,) = Decoder().feed(encode(connect, Credentials("person", b"secret")))
    assert found == connect
    assert b"secret" not in found.payload
    with pytest.raises(CodecError, match="credentials"):
        encode(connect)


def test_properties_that_do_not_act_are_skipped():
    """Content type, user property and subscription id are read over."""
    extra = b"\x03\0\x01j" + b"\x26\0\x01a\0\x01b" * 2 + b"\x0b\x05"
    body = b"\0\x01t" + bytes([len(extra)]) + extra + b"payload"
    (found,) = Decoder("5").feed(bytes([0x30, len(body)]) + body)
    assert found == Message("t", b"payload", properties=Properties())


def test_a_packet_beyond_the_limit_is_refused_before_it_came():
    """Its length alone is enough."""
    with pytest.raises(CodecError, match="limit is 100"):
        Decoder(maximum_packet_bytes=100).feed(b"\x30\xff\x7f")


def test_what_has_no_place_on_the_wire_is_refused():
    """Too long, too large, without its packet id, or no packet at all."""
    for message in (
        Message("t" * 65_536),
        Message("t", qos=1, packet_id=65_536),
        Message("t", qos=1),
        Message("t", qos=3, packet_id=1),
        Message("", kind="puback"),
        Message("", kind="puback", packet_id=1, properties=Properties(256)),
        Message("t", properties=Properties(message_expiry_s=2**32)),
        Message("\ud800"),
        Message("", kind="telegram"),
        connect_message(Connect("a", keep_alive_s=65_536)),
    ):
        with pytest.raises(CodecError):
            encode(message)


def test_a_fraction_of_a_second_is_rounded_up():
    """Keep-alive is whole seconds on the wire; rounding up keeps the client's promise."""
    (found,) = Decoder().feed(encode(connect_message(Connect("a", keep_alive_s=1.2))))
    assert found == connect_message(Connect("a", keep_alive_s=2.0))
