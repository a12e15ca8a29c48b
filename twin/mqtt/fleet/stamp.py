"""Who sent a message, and when it was due: written into the head of its payload, or into a user property.

The time is that of the machine's monotonic clock: receivers on the same machine can tell the latency.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from twin.errors import InputError
from twin.mqtt.codec import USER_PROPERTY
from twin.mqtt.fleet import frames
from twin.mqtt.fleet.device import Device

MAGIC: Final = b"WTd1"
HEAD: Final = struct.Struct("<4sIIQq")
PROPERTY: Final = "windtunnel"

Encoder: TypeAlias = Callable[[Device, int, float], bytes]
"""What to send: called when it is due, with the device, the sequence number and the due time (s)."""


class Stamp(NamedTuple):
    """The identity of a message; `due_s` is of the sender's clock."""

    device: int
    session: int
    sequence: int
    due_s: float


def stamped(size_bytes: int = HEAD.size) -> Encoder:
    """An encoder of payloads of this size that begin with their stamp; raise InputError for too small."""
    if size_bytes < HEAD.size:
        raise InputError(f"a stamped payload has at least {HEAD.size} bytes, not {size_bytes}")
    filler = bytes(size_bytes - HEAD.size)
    pack = HEAD.pack

    def encoded(device: Device, sequence: int, due_s: float) -> bytes:
        return pack(MAGIC, device.number, device.session, sequence, int(due_s * 1e9)) + filler

    return encoded


def read_stamp(payload: bytes) -> Stamp | None:
    """The stamp at the head of a payload, None if there is none."""
    if payload[:4] != MAGIC or len(payload) < HEAD.size:
        return None
    _, device, session, sequence, due_ns = HEAD.unpack_from(payload)
    return Stamp(device, session, sequence, due_ns * 1e-9)


def stamp_property(device: Device, sequence: int, due_s: float) -> bytes:
    """The stamp as an MQTT 5 user property, for payloads whose form is given."""
    value = f"{device.number}.{device.session}.{sequence}.{int(due_s * 1e9)}"
    return bytes((USER_PROPERTY,)) + frames.text_field(PROPERTY) + frames.text_field(value)


def read_stamp_property(properties: bytes) -> Stamp | None:
    """The stamp among the properties of a delivery, None if there is none."""
    head = bytes((USER_PROPERTY,)) + frames.text_field(PROPERTY)
    at = properties.find(head)
    if at < 0 or at + len(head) + 2 > len(properties):
        return None
    at += len(head)
    value = properties[at + 2 : at + 2 + (properties[at] << 8 | properties[at + 1])]
    parts = value.split(b".")
    if len(parts) != 4 or not all(part.isdigit() for part in parts):
        return None
    device, session, sequence, due_ns = map(int, parts)
    return Stamp(device, session, sequence, due_ns * 1e-9)


def due_of(delivery: frames.Delivery) -> float | None:
    """When a stamped delivery was due (s), None if it bears no stamp."""
    stamp = read_stamp(delivery.payload)
    if stamp is None and delivery.properties:
        stamp = read_stamp_property(delivery.properties)
    return None if stamp is None else stamp.due_s
