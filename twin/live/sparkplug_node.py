"""A connection as an edge node of Sparkplug B (Eclipse Sparkplug 3.0), its things as devices below it.

A device is born with its first message, and again when it has a metric that its birth did not name. Births,
data and deaths have QoS 0, whatever the node asked for: its acknowledgement comes from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from twin.errors import InputError
from twin.kernel.behaviour import NodeId
from twin.live.conventions import (
    SET,
    STATE,
    Convention,
    Field,
    Places,
    Spoken,
    acknowledgement,
    filter_of,
    heard,
    members_of,
    plain,
    said,
)
from twin.message import Message
from twin.mqtt.packets import ACCEPTED, Will, connect_message, read_connack, read_connect
from twin.mqtt.sparkplug import Datatype, Metric, Payload, SparkplugError, datatype_of, decode, encode

NAMESPACE: Final = "spBv1.0"
REBIRTH: Final = "Node Control/Rebirth"
BIRTH_DEATH: Final = "bdSeq"
SEQ_LIMIT: Final = 256
MOST_DEVICES: Final = 10_000
MOST_METRICS: Final = 10_000
SUBSCRIPTION_IDS: Final = {"NCMD": 65_534, "DCMD": 65_535}
"""Packet identifiers from the far end of the node's own, which begin with 1."""
PRESENCE: Final = "session"  # of a thing with its own connection; births and deaths say it here


@dataclass(slots=True)
class Device:
    """A thing that has spoken: its metrics as last said, their types, and their aliases."""

    place: Field
    values: dict[str, Any] = field(default_factory=dict)
    types: dict[str, Datatype] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    is_born: bool = False


@dataclass(slots=True)
class SparkplugSession:
    """One edge node: births, data with aliases, deaths, `seq` and `bdSeq`."""

    group: str
    node: str
    places: Places = field(default_factory=dict)

    birth_death: int = field(init=False, default=-1)
    seq: int = field(init=False, default=-1)
    is_up: bool = field(init=False, default=False)
    devices: dict[str, Device] = field(init=False, default_factory=dict)
    _aliases_given: int = field(init=False, default=0)
    _asked: set[int] = field(init=False, default_factory=set)
    _twice: set[int] = field(init=False, default_factory=set)

    # the node speaks -------------------------------------------------------------------------------------

    def outward(self, packet: Message, now_ms: int) -> Spoken:
        """Publications become births and data; subscriptions to field topics are not needed."""
        match packet.kind:
            case "connect":
                return Spoken([self._connect(packet, now_ms)])
            case "publish":
                return self._publish(packet, now_ms)
            case "pubrel" if packet.packet_id in self._twice:
                self._twice.discard(packet.packet_id)
                return Spoken(to_node=[_answer("pubcomp", packet)])
            case "subscribe" if filter_of(packet.topic) is not None:
                granted = msgspec.structs.replace(_answer("suback", packet), qos=packet.qos)
                return Spoken(to_node=[granted])
            case "unsubscribe" if filter_of(packet.topic) is not None:
                return Spoken(to_node=[_answer("unsuback", packet)])
            case "disconnect":
                return Spoken([self._publication("NDEATH", self._death(now_ms), like=packet), packet])
        return Spoken([packet])

    def _connect(self, packet: Message, now_ms: int) -> Message:
        """With the death as its will, and a clean session."""
        self.is_up = False
        self.birth_death = (self.birth_death + 1) % SEQ_LIMIT
        will = Will(self._topic("NDEATH"), encode(self._death(now_ms)), qos=1)
        connect = msgspec.structs.replace(
            read_connect(packet), will=will, clean_session=True, session_expiry_s=0
        )
        return connect_message(connect)

    def _death(self, now_ms: int) -> Payload:
        """It has no seq."""
        return Payload(now_ms, (Metric(BIRTH_DEATH, self.birth_death, Datatype.INT64),))

    def _publish(self, packet: Message, now_ms: int) -> Spoken:
        spoken = said(packet, self.places)
        if spoken is None:
            return Spoken([packet])
        found, payload = spoken
        back = acknowledgement(packet)
        if packet.qos > 1:
            self._twice.add(packet.packet_id)
        members = members_of(payload)
        if members is None or found.what == PRESENCE:
            return Spoken(to_node=back)
        device = self.devices.get(found.thing)
        if device is None:
            if len(self.devices) >= MOST_DEVICES:
                return Spoken(to_node=back)
            device = self.devices[found.thing] = Device(found)
        values = {f"{found.what}/{name}": value for name, value in _leaves(members, "").items()}
        return Spoken(self._data(device, values, packet, now_ms), back)

    def _data(self, device: Device, values: Mapping[str, Any], like: Message, now_ms: int) -> list[Message]:
        """Data with aliases, or a birth if something is new; nothing before the node itself is born."""
        is_new = not device.is_born
        for name, value in values.items():
            known = device.types.get(name)
            kind = (known or Datatype.STRING) if value is None else datatype_of(value)
            if known is not kind:
                if known is None and len(device.types) >= MOST_METRICS:
                    continue
                device.types[name], is_new = kind, True
            device.values[name] = value
        if not self.is_up:
            return []
        if is_new:
            return [self._birth(device, like, now_ms)]
        metrics = (
            Metric(value=value, datatype=device.types[name], alias=device.aliases[name], timestamp_ms=now_ms)
            for name, value in values.items()
            if name in device.aliases
        )
        payload = Payload(now_ms, tuple(metrics), self._following())
        return [self._publication("DDATA", payload, device.place.thing, like)]

    # the broker speaks -----------------------------------------------------------------------------------

    def inward(self, packet: Message, now_ms: int) -> Spoken:
        """Orders become ours; a host may ask for all births again."""
        if packet.kind == "connack" and read_connack(packet).return_code == ACCEPTED:
            return Spoken(self._connected(packet, now_ms), [packet])
        if packet.kind == "suback" and packet.packet_id in self._asked:
            self._asked.discard(packet.packet_id)
            return Spoken()
        if packet.kind != "publish" or not packet.topic.startswith(f"{NAMESPACE}/"):
            return Spoken(to_node=[packet])
        back = acknowledgement(packet)
        if packet.topic == self._topic("NCMD"):
            metrics = _decoded(packet.payload).metrics
            if any(each.name == REBIRTH and each.value is True for each in metrics):
                back += self._births(packet, now_ms)
            return Spoken(back)
        return Spoken(back, self._orders(packet, now_ms))

    def _connected(self, like: Message, now_ms: int) -> list[Message]:
        """Listen first, then the births."""
        asked = []
        self._asked = set(SUBSCRIPTION_IDS.values())
        for kind, packet_id in SUBSCRIPTION_IDS.items():
            topic = f"{NAMESPACE}/{self.group}/{kind}/{self.node}" + ("" if kind == "NCMD" else "/#")
            asked.append(Message(topic, qos=1, kind="subscribe", packet_id=packet_id, properties=plain(like)))
        return asked + self._births(like, now_ms)

    def _births(self, like: Message, now_ms: int) -> list[Message]:
        """Of the node, and of the devices known from before."""
        self.seq, self.is_up = 0, True
        metrics = (
            Metric(BIRTH_DEATH, self.birth_death, Datatype.INT64, timestamp_ms=now_ms),
            Metric(REBIRTH, value=False, datatype=Datatype.BOOLEAN, timestamp_ms=now_ms),
        )
        birth = self._publication("NBIRTH", Payload(now_ms, metrics, self.seq), like=like)
        return [birth, *(self._birth(each, like, now_ms) for each in self.devices.values())]

    def _birth(self, device: Device, like: Message, now_ms: int) -> Message:
        device.is_born = True
        metrics = []
        for name, value in device.values.items():
            if name not in device.aliases:
                self._aliases_given += 1
                device.aliases[name] = self._aliases_given
            metrics.append(Metric(name, value, device.types[name], device.aliases[name], now_ms))
        payload = Payload(now_ms, tuple(metrics), self._following())
        return self._publication("DBIRTH", payload, device.place.thing, like)

    def _orders(self, packet: Message, now_ms: int) -> list[Message]:
        """Of a DCMD: metrics of the state are a wish for it, each other one, `cmd/NAME`, is an order."""
        _, _, kind, _, *rest = [*packet.topic.split("/"), "", "", ""]
        device = self.devices.get(rest[0])
        if kind != "DCMD" or device is None:
            return []
        names = {alias: name for name, alias in device.aliases.items()}
        given = {
            metric.name or names.get(metric.alias or 0, ""): metric.value
            for metric in _decoded(packet.payload).metrics
        }
        wish = {name.removeprefix(f"{STATE}/"): value for name, value in given.items() if _is_state(name)}
        told = [(SET, wish)] if wish else []
        told += [
            (f"cmd/{name.removeprefix('cmd/')}", {"value": value})
            for name, value in given.items()
            if name and not _is_state(name)
        ]
        orders = []
        for what, members in told:
            payload = msgspec.json.encode(members)
            topic, data = heard(device.place._replace(what=what), payload, now_ms)
            orders.append(Message(topic, data, properties=plain(packet)))
        return orders

    # ------------------------------------------------------------------------------------------------------

    def _following(self) -> int:
        self.seq = (self.seq + 1) % SEQ_LIMIT
        return self.seq

    def _publication(
        self, kind: str, payload: Payload, device: str = "", like: Message | None = None
    ) -> Message:
        properties = plain(like) if like is not None else None
        return Message(self._topic(kind, device), encode(payload), properties=properties)

    def _topic(self, kind: str, device: str = "") -> str:
        topic = f"{NAMESPACE}/{self.group}/{kind}/{self.node}"
        return f"{topic}/{device}" if device else topic


def sparkplug(group: str) -> Convention:
    """Every connection is an edge node of this group, under its client's name. Raises InputError."""
    _check(group, "group")

    def session(node: NodeId, places: Places) -> SparkplugSession:
        _check(node, "edge node")
        return SparkplugSession(group, node, places)

    return session


def _check(name: str, what: str) -> None:
    if not name or set(name) & set("+#/"):
        raise InputError(f"the name of a Sparkplug {what} has no + # /, and is not empty; not {name!r}")


def _is_state(name: str) -> bool:
    return name.startswith(f"{STATE}/")


def _answer(kind: str, packet: Message) -> Message:
    return Message("", kind=kind, packet_id=packet.packet_id, properties=plain(packet))


def _leaves(members: Mapping[str, Any], path: str) -> dict[str, Any]:
    """What has a type of its own, by its path; arrays as JSON text, numbers as doubles.

    JSON does not tell 1 from 1.0, and a metric keeps the type of its birth.
    """
    found: dict[str, Any] = {}
    for name, value in members.items():
        whole = f"{path}/{name}" if path else name
        if isinstance(value, Mapping):
            found |= _leaves(value, whole)
        elif isinstance(value, list):
            found[whole] = msgspec.json.encode(value).decode()
        elif isinstance(value, int) and not isinstance(value, bool):
            found[whole] = float(value)
        else:
            found[whole] = value
    return found


def _decoded(payload: bytes) -> Payload:
    try:
        return decode(payload)
    except SparkplugError:
        return Payload()
