"""MQTT 3.1.1 control packets: what they carry and how many bytes they are on the wire.

A control packet travels as a `Message` whose `kind` names it. What has no place in a message (the
details of CONNECT and CONNACK) is JSON in its payload; the sizes follow the standard, not the JSON.
"""

from __future__ import annotations

from typing import Final

import msgspec

from twin.errors import InputError
from twin.message import Message

FIXED_SIZE_BYTES: Final = {
    "connack": 4,
    "puback": 4,
    "pubrec": 4,
    "pubrel": 4,
    "pubcomp": 4,
    "suback": 5,
    "unsuback": 4,
    "pingreq": 2,
    "pingresp": 2,
    "disconnect": 2,
}

ACCEPTED: Final = 0
SERVER_UNAVAILABLE: Final = 3
SUBSCRIPTION_REFUSED: Final = 128


class Will(msgspec.Struct, frozen=True):
    """What the broker publishes for a client whose connection ends without DISCONNECT."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False


class Connect(msgspec.Struct, frozen=True):
    """What a CONNECT says; `keep_alive_s` 0 means off, credentials count by their length only."""

    client_id: str
    keep_alive_s: float = 60.0
    clean_session: bool = True
    will: Will | None = None
    user_bytes: int = 0
    password_bytes: int = 0


class Connack(msgspec.Struct, frozen=True):
    """What a CONNACK says: the return code, and whether the broker still holds the session."""

    return_code: int = ACCEPTED
    is_session_present: bool = False


def connect_message(connect: Connect) -> Message:
    """The CONNECT packet as a message."""
    return Message(topic="", payload=msgspec.json.encode(connect), kind="connect")


def connack_message(connack: Connack) -> Message:
    """The CONNACK packet as a message."""
    return Message(topic="", payload=msgspec.json.encode(connack), kind="connack")


def read_connect(message: Message) -> Connect:
    """What the CONNECT says; raise msgspec.DecodeError for a payload that is none."""
    return msgspec.json.decode(message.payload, type=Connect)


def read_connack(message: Message) -> Connack:
    """What the CONNACK says; raise msgspec.DecodeError for a payload that is none."""
    return msgspec.json.decode(message.payload, type=Connack)


def packet_bytes(message: Message) -> int:
    """Bytes of the packet (fixed header, variable header, payload); raise InputError for an unknown kind."""
    kind = message.kind
    if kind == "publish":
        identifier_bytes = 2 if message.qos else 0
        return _with_header(2 + _text_bytes(message.topic) + identifier_bytes + len(message.payload))
    if kind in FIXED_SIZE_BYTES:
        return FIXED_SIZE_BYTES[kind]
    if kind == "subscribe":
        return _with_header(2 + 2 + _text_bytes(message.topic) + 1)
    if kind == "unsubscribe":
        return _with_header(2 + 2 + _text_bytes(message.topic))
    if kind == "connect":
        return _with_header(_connect_bytes(read_connect(message)))
    raise InputError(f"no MQTT control packet is called {kind!r}")


def _connect_bytes(connect: Connect) -> int:
    size_bytes = 10 + 2 + _text_bytes(connect.client_id)
    if connect.will is not None:
        size_bytes += 2 + _text_bytes(connect.will.topic) + 2 + len(connect.will.payload)
    if connect.user_bytes:
        size_bytes += 2 + connect.user_bytes
    if connect.password_bytes:
        size_bytes += 2 + connect.password_bytes
    return size_bytes


def _text_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _with_header(remaining_bytes: int) -> int:
    """Add the packet type byte and the remaining length field of one to four bytes."""
    if remaining_bytes < 128:
        return remaining_bytes + 2
    if remaining_bytes < 16_384:
        return remaining_bytes + 3
    return remaining_bytes + (4 if remaining_bytes < 2_097_152 else 5)
