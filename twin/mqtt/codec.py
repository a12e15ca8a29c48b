"""MQTT 3.1.1 and 5 on the wire: packets to bytes and back, sans-IO.

    Message --encode--> bytes ~~~> Decoder.feed --> Messages

What the sessions of this package act on is kept; other MQTT 5 properties are checked, and skipped. A
SUBSCRIBE or UNSUBSCRIBE carries one filter. AUTH is not spoken.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from twin.errors import InputError
from twin.message import Message, Properties
from twin.mqtt.packets import (
    ACKNOWLEDGEMENTS,
    PACKET_LIMIT_BYTES,
    RECEIVE_MAXIMUM,
    Connack,
    Connect,
    Version,
    Will,
    connack_message,
    connect_message,
    read_connack,
    read_connect,
    spoken,
)

KINDS: Final = {
    1: "connect", 2: "connack", 3: "publish", 4: "puback", 5: "pubrec", 6: "pubrel", 7: "pubcomp",
    8: "subscribe", 9: "suback", 10: "unsubscribe", 11: "unsuback", 12: "pingreq", 13: "pingresp",
    14: "disconnect",
}  # fmt: skip
TYPES: Final = {kind: number for number, kind in KINDS.items()}
FLAGS: Final = {"pubrel": 2, "subscribe": 2, "unsubscribe": 2}
IDENTIFIED: Final = frozenset({*ACKNOWLEDGEMENTS, "subscribe", "suback", "unsubscribe", "unsuback"})
LEVELS: Final[dict[Version, int]] = {"3.1.1": 4, "5": 5}

MESSAGE_EXPIRY: Final = 0x02
SESSION_EXPIRY: Final = 0x11
SERVER_KEEP_ALIVE: Final = 0x13
WILL_DELAY: Final = 0x18
RECEIVE_LIMIT: Final = 0x21
ALIAS_LIMIT: Final = 0x22
TOPIC_ALIAS: Final = 0x23
PACKET_LIMIT: Final = 0x27
NUMBERS: Final = {
    0x01: 1, 0x02: 4, 0x11: 4, 0x13: 2, 0x17: 1, 0x18: 4, 0x19: 1, 0x21: 2, 0x22: 2, 0x23: 2, 0x24: 1,
    0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip
"""Width in bytes of each property that is a number (MQTT 5, table 2-4)."""
TEXTS: Final = frozenset({0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F})
BINARIES: Final = frozenset({0x09, 0x16})
SUBSCRIPTION_ID: Final = 0x0B
USER_PROPERTY: Final = 0x26


class CodecError(InputError):
    """Bytes that are no packet of this version, or a message that no packet can carry."""


class Credentials(NamedTuple):
    """User name and password: given when a CONNECT is written, and never kept in a message."""

    user: str
    password: bytes


# writing ---------------------------------------------------------------------------------------------


def encode(message: Message, credentials: Credentials | None = None) -> bytes:
    """The bytes of the packet; raise CodecError where the standard has no place for what it says."""
    kind = message.kind
    if kind not in TYPES:
        raise CodecError(f"no MQTT control packet is called {kind!r}")
    _check(message)
    flags = FLAGS.get(kind, 0)
    if kind == "publish":
        flags = message.dup << 3 | message.qos << 1 | message.retain
    try:
        body = _body(message, credentials)
    except (struct.error, ValueError, OverflowError) as error:
        raise CodecError(f"{kind}: {error}") from error
    return bytes([TYPES[kind] << 4 | flags]) + _varint(len(body)) + body


def _check(message: Message) -> None:
    kind, qos = message.kind, message.qos
    if kind in ("publish", "subscribe") and not 0 <= qos <= 2:
        raise CodecError(f"{kind} with QoS {qos}")
    if not message.packet_id and (kind in IDENTIFIED or (kind == "publish" and qos)):
        raise CodecError(f"{kind} without a packet id")


def _body(message: Message, credentials: Credentials | None) -> bytes:
    kind, properties = message.kind, message.properties
    match kind:
        case "publish":
            return _publish_body(message)
        case "connect":
            return _connect_body(read_connect(message), credentials)
        case "connack":
            plain = Connack(version="3.1.1" if properties is None else "5")
            return _connack_body(read_connack(message) if message.payload else plain)
        case "subscribe":
            options = message.qos | (_subscription_options(properties) if properties else 0)
            return _identified(message) + _text(message.topic) + bytes([options])
        case "unsubscribe":
            return _identified(message) + _text(message.topic)
        case "suback":
            return _identified(message) + bytes([message.qos])
        case "unsuback":
            return _identified(message) + (bytes([properties.reason_code]) if properties else b"")
        case "disconnect":
            return _disconnect_body(properties)
        case "pingreq" | "pingresp":
            return b""
    reason = bytes([properties.reason_code]) if properties and properties.reason_code else b""
    return struct.pack(">H", message.packet_id) + reason


def _publish_body(message: Message) -> bytes:
    properties = message.properties
    topic = "" if properties is not None and properties.is_topic_omitted else message.topic
    head = _text(topic) + (struct.pack(">H", message.packet_id) if message.qos else b"")
    if properties is not None:
        alias = (TOPIC_ALIAS, properties.topic_alias or None)
        head += _properties((MESSAGE_EXPIRY, properties.message_expiry_s), alias)
    return head + message.payload


def _subscription_options(properties: Properties) -> int:
    return (
        properties.is_no_local << 2 | properties.is_retain_as_published << 3 | properties.retain_handling << 4
    )


def _identified(message: Message) -> bytes:
    """The packet id, and in MQTT 5 the length of no properties."""
    return struct.pack(">H", message.packet_id) + (b"" if message.properties is None else b"\0")


def _disconnect_body(properties: Properties | None) -> bytes:
    if properties is None or (properties.reason_code == 0 and properties.session_expiry_s is None):
        return b""
    reason = bytes([properties.reason_code])
    if properties.session_expiry_s is None:
        return reason
    return reason + _properties((SESSION_EXPIRY, properties.session_expiry_s))


def _connect_body(connect: Connect, credentials: Credentials | None) -> bytes:
    will = connect.will
    flags = connect.clean_session << 1
    if will is not None:
        flags |= 4 | will.qos << 3 | will.retain << 5
    flags |= (connect.password_bytes > 0) << 6 | (connect.user_bytes > 0) << 7
    keep_alive_s = math.ceil(connect.keep_alive_s)
    body = _text("MQTT") + bytes([LEVELS[connect.version], flags]) + struct.pack(">H", keep_alive_s)
    if connect.version == "5":
        body += _properties((SESSION_EXPIRY, connect.session_expiry_s or None), *_limits(connect))
    body += _text(connect.client_id)
    if will is not None:
        if connect.version == "5":
            body += _properties((WILL_DELAY, will.delay_s or None), (MESSAGE_EXPIRY, will.message_expiry_s))
        body += _text(will.topic) + _binary(will.payload)
    return body + _credentials(connect, credentials)


def _credentials(connect: Connect, credentials: Credentials | None) -> bytes:
    user, password = credentials or Credentials("", b"")
    if (len(user.encode()), len(password)) != (connect.user_bytes, connect.password_bytes):
        raise CodecError(
            f"CONNECT of {connect.client_id!r} speaks of credentials with {connect.user_bytes} and"
            f" {connect.password_bytes} bytes; those given have {len(user.encode())} and {len(password)}"
        )
    return (_text(user) if user else b"") + (_binary(password) if password else b"")


def _connack_body(connack: Connack) -> bytes:
    body = bytes([connack.is_session_present, connack.return_code])
    if connack.version == "3.1.1":
        return body
    times = (SESSION_EXPIRY, connack.session_expiry_s), (SERVER_KEEP_ALIVE, connack.keep_alive_s)
    return body + _properties(*times, (ALIAS_LIMIT, connack.topic_alias_maximum or None), *_limits(connack))


def _limits(limits: Connect | Connack) -> list[tuple[int, int | None]]:
    window, size_bytes = limits.receive_maximum, limits.maximum_packet_bytes
    return [
        (RECEIVE_LIMIT, None if window == RECEIVE_MAXIMUM else window),
        (PACKET_LIMIT, None if size_bytes == PACKET_LIMIT_BYTES else size_bytes),
    ]


def _properties(*pairs: tuple[int, int | None]) -> bytes:
    """The property length and the properties that have a value."""
    body = b"".join(
        bytes([name]) + value.to_bytes(NUMBERS[name], "big") for name, value in pairs if value is not None
    )
    return _varint(len(body)) + body


def _text(text: str) -> bytes:
    return _binary(text.encode())


def _binary(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _varint(number: int) -> bytes:
    if number > 268_435_455:
        raise CodecError(f"{number} bytes are more than a packet can hold")
    digits = bytearray()
    while True:
        number, digit = divmod(number, 128)
        digits.append(digit | 128 if number else digit)
        if not number:
            return bytes(digits)


# reading ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Decoder:
    """One direction of one connection: bytes in, packets out; a CONNECT tells its version.

    Topic aliases are resolved, so every PUBLISH names its topic. A packet longer than
    `maximum_packet_bytes` is refused before it is read.
    """

    version: Version = "3.1.1"
    maximum_packet_bytes: int = PACKET_LIMIT_BYTES
    aliases: dict[int, str] = field(init=False, default_factory=dict)
    rest: bytearray = field(init=False, default_factory=bytearray)

    def feed(self, data: bytes) -> list[Message]:
        """The packets that are complete now; raise CodecError for what is none: close the connection."""
        self.rest += data
        found: list[Message] = []
        start = 0
        while (body := _frame(self.rest, start, self.maximum_packet_bytes)) is not None:
            first = self.rest[start]
            found.append(self._packet(first >> 4, first & 15, bytes(self.rest[body.start : body.stop])))
            start = body.stop
        del self.rest[:start]
        return found

    def _packet(self, number: int, flags: int, body: bytes) -> Message:
        kind = KINDS.get(number)
        if kind is None or (kind != "publish" and flags != FLAGS.get(kind, 0)):
            raise CodecError(f"packet type {number} with flags {flags} is not understood")
        reader = _Reader(body)
        if kind == "publish":
            return self._publish(flags, reader)
        if kind == "connect":
            connect = _connect(reader)
            self.version = connect.version
            return connect_message(connect)
        message = _control(kind, reader, self.version)
        reader.end()
        return message

    def _publish(self, flags: int, reader: _Reader) -> Message:
        qos = flags >> 1 & 3
        if qos == 3:
            raise CodecError("PUBLISH with QoS 3")
        topic = reader.text()
        packet_id = reader.packet_id() if qos else 0
        properties = spoken(self.version)
        if self.version == "5":
            given = reader.properties()
            topic, properties = self._resolved(topic, given)
        if not topic or "+" in topic or "#" in topic:
            raise CodecError(f"PUBLISH to the topic name {topic!r}")
        is_retained, is_dup = bool(flags & 1), bool(flags & 8)
        rest = reader.rest()
        return Message(topic, rest, qos, is_retained, "publish", packet_id, is_dup, 0, properties)

    def _resolved(self, topic: str, given: dict[int, Any]) -> tuple[str, Properties]:
        """The topic that is meant, after its alias was learned or looked up."""
        alias, is_omitted = given.get(TOPIC_ALIAS), not topic
        if alias == 0 or (alias is None and is_omitted) or (is_omitted and alias not in self.aliases):
            raise CodecError(f"PUBLISH with topic alias {alias} that stands for nothing")
        if alias is not None:
            topic = self.aliases[alias] if is_omitted else topic
            self.aliases[alias] = topic
        return topic, Properties(0, given.get(MESSAGE_EXPIRY), alias or 0, is_omitted)


def _frame(data: bytearray, start: int, limit_bytes: int) -> range | None:
    """Where the body of the packet that begins at `start` lies; None while it is incomplete."""
    length = 0
    for place in range(4):
        at = start + 1 + place
        if at >= len(data):
            return None
        length |= (data[at] & 127) << 7 * place
        if data[at] < 128:
            if at + 1 - start + length > limit_bytes:
                raise CodecError(f"a packet of {at + 1 - start + length} bytes; the limit is {limit_bytes}")
            return range(at + 1, at + 1 + length) if at + 1 + length <= len(data) else None
    raise CodecError("the remaining length has more than four bytes")


class _Reader:
    """Takes a packet's body apart; raises CodecError where it ends too early or too late."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    @property
    def is_at_end(self) -> bool:
        return self.at == len(self.data)

    def take(self, count: int) -> bytes:
        found = self.data[self.at : self.at + count]
        if len(found) < count:
            raise CodecError("the packet ends too early")
        self.at += count
        return found

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)

    def end(self) -> None:
        if not self.is_at_end:
            raise CodecError(f"{len(self.data) - self.at} bytes follow the end of the packet")

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def packet_id(self) -> int:
        number = self.number(2)
        if not number:
            raise CodecError("packet id 0")
        return number

    def varint(self) -> int:
        value = 0
        for place in range(4):
            digit = self.number(1)
            value |= (digit & 127) << 7 * place
            if digit < 128:
                return value
        raise CodecError("a variable byte integer has more than four bytes")

    def binary(self) -> bytes:
        return self.take(self.number(2))

    def text(self) -> str:
        try:
            text = self.binary().decode()
        except UnicodeDecodeError as error:
            raise CodecError(f"a text is not UTF-8: {error}") from error
        if "\0" in text:
            raise CodecError("a text holds the character U+0000")
        return text

    def properties(self) -> dict[int, Any]:
        """The numbers by property; what else there is has been checked."""
        inside = _Reader(self.take(self.varint()))
        found: dict[int, Any] = {}
        while not inside.is_at_end:
            name = inside.varint()
            value = inside.property(name)
            if name in found and name not in (USER_PROPERTY, SUBSCRIPTION_ID):
                raise CodecError(f"property {name:#04x} is there twice")
            found[name] = value
        return found

    def property(self, name: int) -> Any:
        if name in NUMBERS:
            return self.number(NUMBERS[name])
        if name in TEXTS:
            return self.text()
        if name in BINARIES:
            return self.binary()
        if name == USER_PROPERTY:
            return (self.text(), self.text())
        if name == SUBSCRIPTION_ID:
            return self.varint()
        raise CodecError(f"property {name:#04x} is not known")


def _control(kind: str, reader: _Reader, version: Version) -> Message:
    """A packet other than CONNECT and PUBLISH."""
    if kind == "connack":
        return connack_message(_connack(reader, version))
    if kind in ACKNOWLEDGEMENTS:
        packet_id = reader.packet_id()
        reason_code = 0 if version == "3.1.1" or reader.is_at_end else reader.number(1)
        return Message("", kind=kind, packet_id=packet_id, properties=_said(reader, version, reason_code))
    if kind == "disconnect":
        reason_code = 0 if version == "3.1.1" or reader.is_at_end else reader.number(1)
        return Message("", kind=kind, properties=_said(reader, version, reason_code))
    if kind in ("pingreq", "pingresp"):
        return Message("", kind=kind, properties=spoken(version))
    packet_id = reader.packet_id()
    if version == "5":
        reader.properties()
    if kind == "unsuback":
        reason = Properties(reader.number(1)) if version == "5" else None
        return Message("", kind=kind, packet_id=packet_id, properties=reason)
    if kind == "suback":
        return Message("", qos=reader.number(1), kind=kind, packet_id=packet_id, properties=spoken(version))
    topic_filter = reader.text()
    if kind == "unsubscribe":
        return Message(topic_filter, kind=kind, packet_id=packet_id, properties=spoken(version))
    return _subscribe(topic_filter, packet_id, reader.number(1), version)


def _said(reader: _Reader, version: Version, reason_code: int) -> Properties | None:
    """The reason code, and the properties if there is room for them."""
    if version == "3.1.1":
        return None
    given = {} if reader.is_at_end else reader.properties()
    return Properties(reason_code, session_expiry_s=given.get(SESSION_EXPIRY))


def _subscribe(topic_filter: str, packet_id: int, options: int, version: Version) -> Message:
    qos = options & 3
    if qos == 3 or options > (0x2E if version == "5" else 2):
        raise CodecError(f"SUBSCRIBE with options {options:#04x}")
    said = None
    if version == "5":
        said = Properties(
            is_no_local=bool(options & 4),
            is_retain_as_published=bool(options & 8),
            retain_handling=options >> 4,
        )
    return Message(topic_filter, qos=qos, kind="subscribe", packet_id=packet_id, properties=said)


def _connack(reader: _Reader, version: Version) -> Connack:
    present, return_code = reader.number(1), reader.number(1)
    if present > 1:
        raise CodecError("CONNACK with reserved flags")
    if version == "3.1.1":
        return Connack(return_code, bool(present))
    given = {} if reader.is_at_end else reader.properties()
    return Connack(
        return_code,
        bool(present),
        version,
        given.get(SESSION_EXPIRY),
        given.get(RECEIVE_LIMIT, RECEIVE_MAXIMUM),
        given.get(ALIAS_LIMIT, 0),
        given.get(PACKET_LIMIT, PACKET_LIMIT_BYTES),
        given.get(SERVER_KEEP_ALIVE),
    )


def _connect(reader: _Reader) -> Connect:
    if reader.text() != "MQTT":
        raise CodecError("CONNECT of another protocol")
    level, flags, keep_alive_s = reader.number(1), reader.number(1), reader.number(2)
    version = next((version for version, number in LEVELS.items() if number == level), None)
    if version is None or flags & 1:
        raise CodecError(f"CONNECT with protocol level {level} and flags {flags:#04x}")
    given = reader.properties() if version == "5" else {}
    client_id = reader.text()
    will = _will(reader, flags, version)
    user_bytes = len(reader.text().encode()) if flags & 128 else 0
    password_bytes = len(reader.binary()) if flags & 64 else 0
    reader.end()
    return Connect(
        client_id,
        float(keep_alive_s),
        bool(flags & 2),
        will,
        user_bytes,
        password_bytes,
        version,
        given.get(SESSION_EXPIRY, 0),
        given.get(RECEIVE_LIMIT, RECEIVE_MAXIMUM),
        given.get(PACKET_LIMIT, PACKET_LIMIT_BYTES),
    )


def _will(reader: _Reader, flags: int, version: Version) -> Will | None:
    if not flags & 4:
        if flags & 0x38:
            raise CodecError("CONNECT with flags of a will that is not there")
        return None
    given = reader.properties() if version == "5" else {}
    topic, payload = reader.text(), reader.binary()
    qos, is_retained = flags >> 3 & 3, bool(flags & 32)
    if qos == 3:
        raise CodecError("a will with QoS 3")
    return Will(topic, payload, qos, is_retained, given.get(WILL_DELAY, 0), given.get(MESSAGE_EXPIRY))
