"""The packets a fleet sends and receives by the thousand, written and cut without detours.

What is rare goes through `twin.mqtt.codec`; tests hold both equal.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from twin.errors import InputError
from twin.mqtt.codec import CodecError
from twin.mqtt.packets import LONGEST_TEXT_BYTES

PUBLISH: Final = 0x30
PUBACK: Final = 0x40
PUBREC: Final = 0x50
PUBREL: Final = 0x62
PUBCOMP: Final = 0x70
PINGREQ: Final = b"\xc0\0"
DUP: Final = 0x08
QOS: Final = 0x06

pack_number = struct.Struct(">H").pack


def text_field(text: str) -> bytes:
    """A text as MQTT writes it; raise InputError if it is too long or holds U+0000."""
    data = text.encode()
    if len(data) > LONGEST_TEXT_BYTES or "\0" in text:
        raise InputError(f"a text in MQTT has at most {LONGEST_TEXT_BYTES:,} bytes and no U+0000")
    return pack_number(len(data)) + data


def topic_field(topic: str) -> bytes:
    """The name of a topic to publish to; raise InputError for one with wildcards, or none."""
    if not topic or "+" in topic or "#" in topic:
        raise InputError(f"a message cannot be published to {topic!r}: a topic name has no + and no #")
    return text_field(topic)


def publish(first: int, topic: bytes, packet_id: int, properties: bytes, payload: bytes) -> bytes:
    """A PUBLISH; `first` is its first byte, `topic` from `topic_field`, properties with their length."""
    remaining = len(topic) + len(properties) + len(payload)
    if first & QOS:
        remaining += 2
        number = pack_number(packet_id)
    else:
        number = b""
    if remaining < 128:
        return b"".join((bytes((first, remaining)), topic, number, properties, payload))
    return b"".join((bytes((first,)), varint(remaining), topic, number, properties, payload))


def answer(first: int, packet_id: int) -> bytes:
    """A PUBACK, PUBREC, PUBREL or PUBCOMP without anything to add."""
    return bytes((first, 2, packet_id >> 8, packet_id & 255))


def varint(number: int) -> bytes:
    """A variable byte integer; raise InputError for what no packet can hold."""
    if number > 268_435_455:
        raise InputError(f"an MQTT packet has at most 268,435,455 bytes behind its header, not {number:,}")
    digits = bytearray()
    while True:
        number, digit = number >> 7, number & 127
        digits.append(digit | 128 if number else digit)
        if not number:
            return bytes(digits)


class Cut(NamedTuple):
    """Where a packet's body begins and ends; with `stop` beyond the data the packet is incomplete."""

    body: int
    stop: int


def cut(data: bytes, start: int) -> Cut | None:
    """The packet that begins at `start`; None if not even its length is there. Raise CodecError."""
    length, size = 0, len(data)
    for place in range(4):
        at = start + 1 + place
        if at >= size:
            return None
        digit = data[at]
        length |= (digit & 127) << 7 * place
        if digit < 128:
            return Cut(at + 1, at + 1 + length)
    raise CodecError("the remaining length has more than four bytes")


def number_at(data: bytes, at: int, stop: int) -> int:
    """The packet id at this place; raise CodecError if there is none."""
    if at + 2 > stop:
        raise CodecError("the packet ends too early")
    number = data[at] << 8 | data[at + 1]
    if not number:
        raise CodecError("packet id 0")
    return number


class Delivery(NamedTuple):
    """An application message that the broker delivered; `properties` are MQTT 5's, without their length."""

    topic: str
    payload: bytes
    qos: int
    is_retained: bool
    is_dup: bool
    packet_id: int
    properties: bytes = b""


def delivery(data: bytes, start: int, body: int, stop: int, *, is_v5: bool) -> Delivery:
    """What a PUBLISH says; raise CodecError for what is none."""
    first = data[start]
    qos = first >> 1 & 3
    at = body + 2
    if qos == 3 or at > stop:
        raise CodecError("PUBLISH with QoS 3" if qos == 3 else "the packet ends too early")
    at += data[body] << 8 | data[body + 1]
    if at > stop:
        raise CodecError("the packet ends too early")
    try:
        topic = data[body + 2 : at].decode()
    except UnicodeDecodeError as error:
        raise CodecError(f"a text is not UTF-8: {error}") from error
    packet_id = 0
    if qos:
        packet_id = number_at(data, at, stop)
        at += 2
    properties = b""
    if is_v5:
        size, at = varint_at(data, at, stop)
        properties = data[at : at + size]
        at += size
        if at > stop:
            raise CodecError("the packet ends too early")
    if not topic or "+" in topic or "#" in topic:
        raise CodecError(f"PUBLISH to the topic name {topic!r}")
    return Delivery(topic, data[at:stop], qos, bool(first & 1), bool(first & 8), packet_id, properties)


def varint_at(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """The variable byte integer at this place, and the place behind it; raise CodecError if there is none."""
    value = 0
    for place in range(4):
        if at + place >= stop:
            raise CodecError("the packet ends too early")
        digit = data[at + place]
        value |= (digit & 127) << 7 * place
        if digit < 128:
            return value, at + place + 1
    raise CodecError("a variable byte integer has more than four bytes")
