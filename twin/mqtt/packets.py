"""MQTT 3.1.1 and 5 control packets: what they carry and how many bytes they are on the wire.

A control packet travels as a `Message` whose `kind` names it; one with `properties` speaks MQTT 5. What
has no place in a message (the details of CONNECT and CONNACK) is JSON in its payload; the sizes follow
the standard, not the JSON. `twin.mqtt.codec` writes and reads the very bytes.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from twin.errors import InputError
from twin.message import Message, Properties

Version: TypeAlias = Literal["3.1.1", "5"]

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
ACKNOWLEDGEMENTS: Final = ("puback", "pubrec", "pubrel", "pubcomp")

ACCEPTED: Final = 0
SERVER_UNAVAILABLE: Final = 3
NOT_AUTHORIZED_V3: Final = 5
SUBSCRIPTION_REFUSED: Final = 128

# reason codes of MQTT 5, table 2-6
DISCONNECT_WITH_WILL: Final = 0x04
NO_SUBSCRIPTION_EXISTED: Final = 0x11
NOT_AUTHORIZED: Final = 0x87
SERVER_UNAVAILABLE_V5: Final = 0x88
KEEP_ALIVE_TIMEOUT: Final = 0x8D
SESSION_TAKEN_OVER: Final = 0x8E
TOPIC_FILTER_INVALID: Final = 0x8F
PACKET_ID_NOT_FOUND: Final = 0x92
RECEIVE_MAXIMUM_EXCEEDED: Final = 0x93
PACKET_TOO_LARGE: Final = 0x95
QUOTA_EXCEEDED: Final = 0x97

RECEIVE_MAXIMUM: Final = 65_535
PACKET_LIMIT_BYTES: Final = 268_435_460
LONGEST_TEXT_BYTES: Final = 65_535
MOST_REMAINING_BYTES: Final = 268_435_455
NEVER_S: Final = 0xFFFF_FFFF

PLAIN: Final = Properties()
"""MQTT 5 without anything to say."""


class Will(msgspec.Struct, frozen=True):
    """What the broker publishes for a client whose connection ends without DISCONNECT.

    MQTT 5 lets it wait for `delay_s`, and expire after `message_expiry_s`; whole seconds.
    """

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    delay_s: int = 0
    message_expiry_s: int | None = None


class Connect(msgspec.Struct, frozen=True):
    """What a CONNECT says; `keep_alive_s` 0 means off, credentials count by their length only.

    The rest is MQTT 5, where `clean_session` is Clean Start and the session lives for `session_expiry_s`
    (whole seconds, 0xFFFFFFFF for ever) after its connection.
    """

    client_id: str
    keep_alive_s: float = 60.0
    clean_session: bool = True
    will: Will | None = None
    user_bytes: int = 0
    password_bytes: int = 0
    version: Version = "3.1.1"
    session_expiry_s: int = 0
    receive_maximum: int = RECEIVE_MAXIMUM
    maximum_packet_bytes: int = PACKET_LIMIT_BYTES


class Connack(msgspec.Struct, frozen=True):
    """What a CONNACK says: the return code, and whether the broker still holds the session.

    With `version` "5" also the broker's limits; None means that session expiry and keep-alive (whole
    seconds) are as asked for.
    """

    return_code: int = ACCEPTED
    is_session_present: bool = False
    version: Version = "3.1.1"
    session_expiry_s: int | None = None
    receive_maximum: int = RECEIVE_MAXIMUM
    topic_alias_maximum: int = 0
    maximum_packet_bytes: int = PACKET_LIMIT_BYTES
    keep_alive_s: int | None = None


def connect_message(connect: Connect) -> Message:
    """The CONNECT packet as a message."""
    return Message("", msgspec.json.encode(connect), kind="connect", properties=spoken(connect.version))


def connack_message(connack: Connack) -> Message:
    """The CONNACK packet as a message."""
    return Message("", msgspec.json.encode(connack), kind="connack", properties=spoken(connack.version))


def spoken(version: Version) -> Properties | None:
    """The properties of a packet of this version that has nothing to add."""
    return PLAIN if version == "5" else None


def read_connect(message: Message) -> Connect:
    """What the CONNECT says; raise msgspec.DecodeError for a payload that is none."""
    return msgspec.json.decode(message.payload, type=Connect)


def read_connack(message: Message) -> Connack:
    """What the CONNACK says; raise msgspec.DecodeError for a payload that is none."""
    return msgspec.json.decode(message.payload, type=Connack)


def packet_bytes(message: Message) -> int:
    """Bytes of the packet (fixed header, variable header, payload).

    Raise InputError for an unknown kind, a topic of more than 65,535 bytes, and a remaining length of more
    than 268,435,455.
    """
    kind, properties = message.kind, message.properties
    if kind == "publish":
        size_bytes = 2 + _text_bytes(message.topic) + (2 if message.qos else 0) + len(message.payload)
        if properties is not None:
            size_bytes += _publish_extra_bytes(message.topic, properties)
        return _with_header(size_bytes, message.topic)
    if kind == "connect":
        connect = read_connect(message)
        return _with_header(_connect_bytes(connect), "" if connect.will is None else connect.will.topic)
    if kind in FIXED_SIZE_BYTES:
        return FIXED_SIZE_BYTES[kind] + (0 if properties is None else _extra_bytes(message, properties))
    extra_bytes = 0 if properties is None else 1
    if kind == "subscribe":
        return _with_header(2 + 2 + _text_bytes(message.topic) + 1 + extra_bytes, message.topic)
    if kind == "unsubscribe":
        return _with_header(2 + 2 + _text_bytes(message.topic) + extra_bytes, message.topic)
    raise InputError(f"no MQTT control packet is called {kind!r}")


def idle_bytes_per_day(keep_alive_s: float, record_bytes: int = 22, header_bytes: int = 52) -> float:
    """Bytes a day, both ways, of a connection that only keeps alive; 0 for keep-alive 0.

    Each interval carries PINGREQ, PINGRESP and the TCP acknowledgement of the latter (the former's rides on
    PINGRESP). A packet lies in a TLS record (`record_bytes` more: TLS 1.3 22, TLS 1.2 29, none 0), and each
    segment has `header_bytes` of TCP/IP (IPv4 with timestamps: 52).
    """
    if not keep_alive_s:
        return 0.0
    ping_bytes = FIXED_SIZE_BYTES["pingreq"] + FIXED_SIZE_BYTES["pingresp"]
    return 86_400.0 / keep_alive_s * (ping_bytes + 2 * record_bytes + 3 * header_bytes)


def _publish_extra_bytes(topic: str, properties: Properties) -> int:
    size_bytes = 1
    if properties.topic_alias:
        size_bytes += 3
    if properties.is_topic_omitted:
        size_bytes -= _text_bytes(topic)
    if properties.message_expiry_s is not None:
        size_bytes += 5
    return size_bytes


def _extra_bytes(message: Message, properties: Properties) -> int:
    """What MQTT 5 adds to a packet that has one size in MQTT 3.1.1.

    An acknowledgement or DISCONNECT without reason and properties is as short as before.
    """
    match message.kind:
        case "connack":
            return 1 + (_limits_bytes(read_connack(message)) if message.payload else 0)
        case "suback":
            return 1
        case "unsuback":
            return 2
        case "disconnect" if properties.session_expiry_s is not None:
            return 1 + 1 + 5
        case "pingreq" | "pingresp":
            return 0
    return 1 if properties.reason_code else 0


def _limits_bytes(limits: Connect | Connack) -> int:
    """The properties that say what an end of the connection can take."""
    size_bytes = 3 if limits.receive_maximum != RECEIVE_MAXIMUM else 0
    size_bytes += 5 if limits.maximum_packet_bytes != PACKET_LIMIT_BYTES else 0
    size_bytes += 5 if limits.session_expiry_s else 0
    if isinstance(limits, Connack):
        size_bytes += 3 if limits.topic_alias_maximum else 0
        size_bytes += 5 if limits.session_expiry_s == 0 else 0
        size_bytes += 3 if limits.keep_alive_s is not None else 0
    return size_bytes


def _connect_bytes(connect: Connect) -> int:
    size_bytes = 10 + 2 + _text_bytes(connect.client_id)
    if connect.version == "5":
        size_bytes += 1 + _limits_bytes(connect)
    if connect.will is not None:
        size_bytes += _will_bytes(connect.will, connect.version)
    if connect.user_bytes:
        size_bytes += 2 + connect.user_bytes
    if connect.password_bytes:
        size_bytes += 2 + connect.password_bytes
    return size_bytes


def _will_bytes(will: Will, version: Version) -> int:
    size_bytes = 2 + _text_bytes(will.topic) + 2 + len(will.payload)
    if version == "3.1.1":
        return size_bytes
    return size_bytes + 1 + (5 if will.delay_s else 0) + (5 if will.message_expiry_s is not None else 0)


def _text_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _with_header(remaining_bytes: int, topic: str) -> int:
    """Add the packet type byte and the remaining length field of one to four bytes."""
    if remaining_bytes < 128:
        return remaining_bytes + 2
    if remaining_bytes < 16_384:
        return remaining_bytes + 3
    _check_large(remaining_bytes, topic)
    return remaining_bytes + (4 if remaining_bytes < 2_097_152 else 5)


def _check_large(remaining_bytes: int, topic: str) -> None:
    """Raise InputError for what the length fields of two and of four bytes cannot say."""
    if _text_bytes(topic) > LONGEST_TEXT_BYTES:
        raise InputError(
            f"an MQTT topic has at most {LONGEST_TEXT_BYTES:,} bytes, not {_text_bytes(topic):,}"
        )
    if remaining_bytes > MOST_REMAINING_BYTES:
        raise InputError(
            f"an MQTT packet has at most {MOST_REMAINING_BYTES:,} bytes behind its fixed header,"
            f" not {remaining_bytes:,}"
        )
