"""How foreign systems speak over MQTT: topics and payloads of their own, AWS shadows, Sparkplug B.

    node --our packets--> session of a convention --its packets--> broker
         <-our packets--                          <-its packets--

A session belongs to one connection. It has no sockets and no clock: it is handed a packet and says which go
to the broker and which to the node. Nodes, rules and the ledger of the run know field topics only,
`site/{site}/{kind}/{thing}/{what}`, and shadows. To others the reported state of a thing is one more of
the things it says, `state`, and the order `set` is a wish for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import msgspec
from msgspec.structs import replace

from twin.kernel.behaviour import NodeId
from twin.live.history import unmarked
from twin.message import Message

FIELD_LEVELS: Final = 5
SITE: Final = "site"
ORDER: Final = "cmd"
ACKNOWLEDGED: Final = "/ack"
STATE, SET = "state", "cmd/set"
THINGS: Final = "$aws/things/"
UPDATE: Final = "/shadow/update"
DELTA: Final = "/shadow/update/delta"


class Field(NamedTuple):
    """A field topic taken apart."""

    site: str
    kind: str
    thing: str
    what: str

    @property
    def topic(self) -> str:
        """The topic itself."""
        return f"{SITE}/{self.site}/{self.kind}/{self.thing}/{self.what}"

    @property
    def is_order(self) -> bool:
        """Whether it goes to the thing; everything else comes from it."""
        return self.what.partition("/")[0] == ORDER and not self.what.endswith(ACKNOWLEDGED)


class Spoken(NamedTuple):
    """What comes of a packet."""

    to_broker: Iterable[Message] = ()
    to_node: Iterable[Message] = ()


class Session(Protocol):
    """One connection, as the foreign system wants it. `now_ms` is the time since 1970."""

    def outward(self, packet: Message, now_ms: int) -> Spoken:
        """The node says this."""
        ...

    def inward(self, packet: Message, now_ms: int) -> Spoken:
        """The broker says this."""
        ...


Places: TypeAlias = Mapping[str, Field]
"""The things of the run, each as a field topic with nothing said."""

Convention: TypeAlias = Callable[[NodeId, Places], Session]
"""Makes the session of a node."""


def field_of(topic: str) -> Field | None:
    """The parts of a field topic, None for another."""
    levels = topic.split("/", FIELD_LEVELS - 1)
    return Field(*levels[1:]) if len(levels) == FIELD_LEVELS and levels[0] == SITE else None


def said(message: Message, places: Places) -> tuple[Field, bytes] | None:
    """What a thing says, and the payload of it; None for a topic of another form."""
    found = field_of(message.topic)
    if found is not None:
        return found, message.payload
    thing = message.topic.removeprefix(THINGS).removesuffix(UPDATE)
    if message.topic != f"{THINGS}{thing}{UPDATE}" or thing not in places:
        return None
    try:
        document = msgspec.json.decode(message.payload, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return places[thing]._replace(what=STATE), bytes(document.state.reported or b"{}")


class _State(msgspec.Struct):
    reported: msgspec.Raw = msgspec.Raw()


class _Document(msgspec.Struct):
    state: _State


def heard(found: Field, payload: bytes, now_ms: int) -> tuple[str, bytes]:
    """Topic and payload of what a thing is told."""
    if found.what != SET:
        return found.topic, payload
    wish = msgspec.Raw(payload if members_of(payload) is not None else b"{}")
    delta = {"version": now_ms, "timestamp": now_ms // 1000, "state": wish}
    return f"{THINGS}{found.thing}{DELTA}", msgspec.json.encode(delta)


def filter_of(topic_filter: str) -> Field | None:
    """The same for a filter, also of deltas; a `#` before the last part stands for all that follow."""
    thing = topic_filter.removeprefix(THINGS).removesuffix(DELTA)
    if topic_filter == f"{THINGS}{thing}{DELTA}":
        return Field("+", "+", thing, SET)
    levels = topic_filter.split("/", FIELD_LEVELS - 1)
    if levels[-1] == "#" and len(levels) < FIELD_LEVELS:
        levels = [*levels[:-1], *["+"] * (FIELD_LEVELS - len(levels)), "#"]
    return field_of("/".join(levels))


def members_of(payload: bytes) -> dict[str, Any] | None:
    """The members of a JSON object, without the ledger's mark; None for any other payload."""
    try:
        return msgspec.json.decode(unmarked(payload)[0], type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def renamed(message: Message, topic: str, payload: bytes | None = None) -> Message:
    """Under another topic, which no alias stands for yet."""
    properties = message.properties
    if properties is not None and properties.topic_alias:
        properties = replace(properties, topic_alias=0, is_topic_omitted=False)
    return replace(
        message,
        topic=topic,
        payload=message.payload if payload is None else payload,
        properties=properties,
    )


class AwsShadow:
    """Telemetry as the reported state of the classic shadow; every other packet as it is."""

    def outward(self, packet: Message, now_ms: int) -> Spoken:  # noqa: ARG002 (port)
        """Telemetry that is a JSON object updates the shadow."""
        found = field_of(packet.topic) if packet.kind == "publish" else None
        if found is None or found.what != "telemetry":
            return Spoken([packet])
        members = members_of(packet.payload)
        if members is None:
            return Spoken([packet])
        document = msgspec.json.encode({"state": {"reported": members}})
        return Spoken([renamed(packet, f"$aws/things/{found.thing}/shadow/update", document)])

    def inward(self, packet: Message, now_ms: int) -> Spoken:  # noqa: ARG002 (port)
        """Shadow documents are ours already."""
        return Spoken(to_node=[packet])


def acknowledgement(packet: Message) -> list[Message]:
    """The receiver's answer to a publication."""
    kind = {1: "puback", 2: "pubrec"}.get(packet.qos)
    if kind is None:
        return []
    return [Message("", kind=kind, packet_id=packet.packet_id, properties=plain(packet))]


def plain(packet: Message) -> Any:
    """Properties that say nothing, for an answer in the version of the packet."""
    return None if packet.properties is None else type(packet.properties)()


def aws_shadow() -> Convention:
    """The convention of AWS shadows."""
    session = AwsShadow()
    return lambda _node, _places: session


def values_of(field: Field, now_ms: int) -> Mapping[str, Any]:
    """What templates may name."""
    return {**field._asdict(), "ms": now_ms}
