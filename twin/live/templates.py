"""Topics and payloads after templates: `plant/{site}/{thing}/{what}` and `{"data": "{payload}"}`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from twin.errors import InputError
from twin.kernel.behaviour import NodeId
from twin.live.conventions import (
    Convention,
    Field,
    Places,
    Spoken,
    acknowledgement,
    field_of,
    filter_of,
    heard,
    renamed,
    said,
    values_of,
)
from twin.message import Message
from twin.mqtt.packets import connect_message, read_connect
from twin.mqtt.topics import matches

PARTS: Final = ("site", "kind", "thing", "what")
NEEDED: Final = ("thing", "what")
PAYLOAD: Final = "{payload}"
PLACE: Final = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, slots=True)
class TopicTemplate:
    """A topic with places for the parts of a field topic; {thing} and {what} must be among them."""

    text: str
    _pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Raises InputError for a template that is none."""
        names = PLACE.findall(self.text)
        if set(names) - set(PARTS) or len(names) != len(set(names)) or set(NEEDED) - set(names):
            raise InputError(
                f"a topic template has {{thing}} and {{what}}, and may have {{site}} and {{kind}}, each once;"
                f" not {self.text!r}"
            )
        if set(self.text) & set("+#"):
            raise InputError(f"a topic template has no wildcards; not {self.text!r}")
        pieces = PLACE.split(self.text)
        places = [f"(?P<{name}>{'.+' if name == 'what' else '[^/]+'})" for name in pieces[1::2]]
        pattern = "".join(
            re.escape(piece) if index % 2 == 0 else places[index // 2] for index, piece in enumerate(pieces)
        )
        object.__setattr__(self, "_pattern", re.compile(pattern, re.DOTALL))

    def topic(self, found: Field) -> str:
        """The topic of a field topic."""
        return self.text.format(**found._asdict())

    def topic_filter(self, wanted: Field) -> str:
        """A filter that covers all topics of a filter of field topics."""
        levels = self.text.format(**wanted._asdict()).split("/")
        last = len(levels) - 1
        for index, level in enumerate(levels):
            if "#" in level:
                levels[index] = "#" if index == last else "+"
            elif "+" in level:
                levels[index] = "+"
        return "/".join(levels)

    def match(self, topic: str) -> dict[str, str] | None:
        """The parts that a topic has, None if it is another's."""
        found = self._pattern.fullmatch(topic)
        return found.groupdict() if found else None


@dataclass(frozen=True, slots=True)
class PayloadTemplate:
    """A JSON document with places for the parts, for {ms} since 1970 and, as a whole value, for {payload}."""

    document: Any = PAYLOAD
    _path: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Raises InputError without a place for the payload, or with a place for nothing known."""
        path = _path_to(self.document)
        if path is None:
            raise InputError(f'a payload template is a JSON document with "{PAYLOAD}" as one of its values')
        unknown = set(PLACE.findall(msgspec.json.encode(self.document).decode())) - {*PARTS, "ms", "payload"}
        if unknown:
            raise InputError(
                f"a payload template has {{{'}, {'.join(PARTS)}}}, {{ms}} and {PAYLOAD}; not"
                f" {{{min(unknown)}}}"
            )
        object.__setattr__(self, "_path", path)

    def wrapped(self, payload: bytes, values: Mapping[str, Any]) -> bytes:
        """The document around a payload, whose bytes stay as they are; what is no JSON goes as it is."""
        if not self._path:
            return payload
        try:
            msgspec.json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return payload
        return msgspec.json.encode(_filled(self.document, {**values, "payload": msgspec.Raw(payload)}))

    def unwrapped(self, data: bytes) -> bytes:
        """The payload in a document of this form; any other comes back as it is."""
        inner = data
        for name in self._path:
            try:
                inner = bytes(msgspec.json.decode(inner, type=dict[str, msgspec.Raw])[name])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
                return data
        return inner


def _path_to(document: Any) -> tuple[str, ...] | None:
    if document == PAYLOAD:
        return ()
    if isinstance(document, Mapping):
        for name, inner in document.items():
            path = _path_to(inner)
            if path is not None:
                return (name, *path)
    return None


def _filled(document: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(document, Mapping):
        return {name: _filled(inner, values) for name, inner in document.items()}
    if isinstance(document, list):
        return [_filled(inner, values) for inner in document]
    if not isinstance(document, str):
        return document
    whole = PLACE.fullmatch(document)
    if whole:
        return values[whole[1]]
    return PLACE.sub(lambda found: str(values[found[1]]), document)


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates of a system: `orders` for what goes to a thing, `topics` for what comes from it."""

    topics: TopicTemplate
    orders: TopicTemplate
    payload: PayloadTemplate = field(default_factory=PayloadTemplate)

    def foreign(self, found: Field, payload: bytes, now_ms: int) -> tuple[str, bytes]:
        """Topic and payload as the system has them."""
        template = self.orders if found.is_order else self.topics
        return template.topic(found), self.payload.wrapped(payload, values_of(found, now_ms))

    def topic_filter(self, wanted: Field) -> str:
        """A filter as the system has it: of orders if it names them, else of what things say."""
        return (self.orders if wanted.is_order else self.topics).topic_filter(wanted)

    def ours(self, topic: str, places: Places) -> Iterator[Field]:
        """What a topic may mean; site and kind, if not told, are those of the thing in the run."""
        for template in dict.fromkeys((self.orders, self.topics)):
            parts = template.match(topic)
            if parts is None:
                continue
            place = places.get(parts["thing"])
            whole = parts if place is None else {**place._asdict(), **parts}
            if len(whole) == len(PARTS):
                yield Field(**whole)

    def __call__(self, _node: NodeId, places: Places) -> TemplateSession:
        """The session of a node."""
        return TemplateSession(self, places)


@dataclass(slots=True)
class TemplateSession:
    """Renames publications, filters and the will; what comes under a topic of nobody's filter is let go."""

    templates: Templates
    places: Places
    _filters: set[str] = field(init=False, default_factory=set)

    def outward(self, packet: Message, now_ms: int) -> Spoken:
        """Under the system's topics."""
        match packet.kind:
            case "publish":
                found = said(packet, self.places)
                if found is not None:
                    packet = renamed(packet, *self.templates.foreign(*found, now_ms))
            case "connect":
                packet = self._connect(packet, now_ms)
            case "subscribe" | "unsubscribe":
                self._filters.add(packet.topic)
                wanted = filter_of(packet.topic)
                if wanted is not None:
                    packet = renamed(packet, self.templates.topic_filter(wanted))
        return Spoken([packet])

    def inward(self, packet: Message, now_ms: int) -> Spoken:
        """Under the topics of ours that the node subscribed to."""
        if packet.kind != "publish":
            return Spoken(to_node=[packet])
        inner = self.templates.payload.unwrapped(packet.payload)
        for found in self.templates.ours(packet.topic, self.places):
            topic, payload = heard(found, inner, now_ms)
            if any(matches(each, topic) for each in self._filters):
                return Spoken(to_node=[renamed(packet, topic, payload)])
        if any(matches(each, packet.topic) for each in self._filters if filter_of(each) is None):
            return Spoken(to_node=[packet])
        return Spoken(acknowledgement(packet))

    def _connect(self, packet: Message, now_ms: int) -> Message:
        connect = read_connect(packet)
        found = field_of(connect.will.topic) if connect.will is not None else None
        if connect.will is None or found is None:
            return packet
        topic, payload = self.templates.foreign(found, connect.will.payload, now_ms)
        will = msgspec.structs.replace(connect.will, topic=topic, payload=payload)
        return connect_message(msgspec.structs.replace(connect, will=will))


def templates(topics: str, orders: str = "", payload: Any = PAYLOAD) -> Convention:
    """The convention of these templates; orders have the same topics by default. Raises InputError."""
    return Templates(TopicTemplate(topics), TopicTemplate(orders or topics), PayloadTemplate(payload))
