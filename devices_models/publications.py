"""What devices in the field say, and on which topics.

    {kind}/{node}/telemetry          readings, every so often
    {kind}/{node}/event/{name}       something happened
    {kind}/{node}/report             what an actuator did
    {kind}/{node}/cmd/{name}         an order to an actuator
    {kind}/{node}/delta              what the shadow wants otherwise
    $aws/things/{node}/shadow/update what an actuator reports to its shadow

A payload is a JSON object whose `ts` is the device's own clock in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from twin.kernel.behaviour import Context
from twin.message import Message


class Address(NamedTuple):
    """A field topic taken apart: `rest` is what follows the node, such as `cmd/open`."""

    kind: str
    node: str
    rest: str

    @property
    def command(self) -> str:
        """The name of the command, or nothing if the topic carries none."""
        return self.rest.removeprefix("cmd/") if self.rest.startswith("cmd/") else ""

    @property
    def event(self) -> str:
        """The name of the event, or nothing if the topic carries none."""
        return self.rest.removeprefix("event/") if self.rest.startswith("event/") else ""


def address(topic: str) -> Address | None:
    """The parts of a field topic; None for a topic of another form."""
    parts = topic.split("/", 2)
    if len(parts) < 3 or not all(parts) or topic.startswith("$"):
        return None
    return Address(*parts)


def fields_of(payload: bytes) -> dict[str, Any] | None:
    """The fields of a JSON object; None for any other payload."""
    try:
        decoded = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return decoded if isinstance(decoded, dict) else None


def part_of(document: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The object in an object that somebody else has written; an empty one where something else stands."""
    for name in path:
        part = document.get(name)
        document = part if isinstance(part, dict) else {}
    return document


def version_of(document: Mapping[str, Any], otherwise: int, name: str = "version") -> int:
    """The whole number of this name in a document that somebody else has written."""
    version = document.get(name)
    return version if type(version) is int else otherwise


def personal_size(fields: Mapping[str, Any], personal: Iterable[str]) -> int:
    """Bytes that the values of the personal fields take in the payload."""
    return sum(len(msgspec.json.encode(fields[name])) for name in personal if name in fields)


def _stamped(fields: Mapping[str, Any], context: Context) -> bytes:
    return msgspec.json.encode({"ts": round(context.now * 1000.0), **fields})


def telemetry(kind: str, fields: Mapping[str, Any], context: Context) -> Message:
    """A reading of the node."""
    return Message(f"{kind}/{context.node}/telemetry", _stamped(fields, context))


def happened(
    kind: str, name: str, fields: Mapping[str, Any], context: Context, personal: tuple[str, ...] = ()
) -> Message:
    """An event at the node, QoS 1; the bytes of its personal fields are counted."""
    topic = f"{kind}/{context.node}/event/{name}"
    return Message(topic, _stamped(fields, context), qos=1, personal_bytes=personal_size(fields, personal))


def report(kind: str, fields: Mapping[str, Any], context: Context) -> Message:
    """What the actuator did, QoS 1."""
    return Message(f"{kind}/{context.node}/report", _stamped(fields, context), qos=1)


def shadow_report(reported: Mapping[str, Any], context: Context) -> Message:
    """The reported state for the node's shadow, QoS 1."""
    payload = msgspec.json.encode({"state": {"reported": reported}})
    return Message(f"$aws/things/{context.node}/shadow/update", payload, qos=1)


def command(kind: str, node: str, name: str) -> Message:
    """An order without arguments, QoS 1."""
    return Message(f"{kind}/{node}/cmd/{name}", b"{}", qos=1)
