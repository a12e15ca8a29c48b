"""The database: keeps the latest value of each topic and answers queries."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Final

import msgspec

from twin.kernel.behaviour import Context, Drop, Effect, Event, LinkChanged, NodeId, Received, Send, Started
from twin.message import Message

TOPIC_LIMIT: Final = 1_000_000
QUERY_TOPIC: Final = "database/query"
ANSWER_TOPIC: Final = "database/answer"


class Query(msgspec.Struct, frozen=True):
    """Asks for the latest value of a topic; `reference` comes back with the answer."""

    topic: str
    reference: str = ""


class QueryAnswer(msgspec.Struct, frozen=True):
    """The value stored under the topic (empty if there is none) and how many were stored so far."""

    topic: str
    reference: str
    value: bytes
    stored_count: int


@dataclass(slots=True)
class Database:
    """Stores publications by topic and answers queries; its station gives the service time.

    With a host (a broker) it subscribes there to the filters in `store`; anything else that is published
    to it directly is stored as well. The topic written least recently goes when a million are held.
    """

    measures: ClassVar[tuple[str, ...]] = ()

    host: NodeId = field(default="", metadata={"wired": True})
    store: list[str] = field(default_factory=lambda: ["site/#"])

    latest: OrderedDict[str, bytes] = field(init=False, default_factory=OrderedDict)
    stored_count: int = field(init=False, default=0)

    def react(self, event: Event, context: Context) -> Iterable[Effect]:  # noqa: ARG002 (port)
        """Subscribe at the start, then store and answer."""
        match event:
            case Received(message, source, _) if message.topic == QUERY_TOPIC:
                return self._answer(message, source)
            case Received(message, _, _) if message.kind == "publish":
                return self._store(message)
            case Started():
                return self._subscribe()
            case LinkChanged(peer, is_up) if is_up and peer == self.host:
                return self._subscribe()
        return ()

    def _subscribe(self) -> list[Effect]:
        if not self.host:
            return []
        return [Send(self.host, Message(each, kind="subscribe", qos=1)) for each in self.store]

    def _store(self, message: Message) -> list[Effect]:
        self.stored_count += 1
        self.latest[message.topic] = message.payload
        self.latest.move_to_end(message.topic)
        if len(self.latest) <= TOPIC_LIMIT:
            return []
        topic, payload = self.latest.popitem(last=False)
        return [Drop(Message(topic, payload), "database full")]

    def _answer(self, message: Message, source: NodeId) -> list[Effect]:
        try:
            query = msgspec.json.decode(message.payload, type=Query)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [Drop(message, "not understood")]
        value = self.latest.get(query.topic, b"")
        answer = QueryAnswer(query.topic, query.reference, value, self.stored_count)
        return [Send(source, Message(ANSWER_TOPIC, msgspec.json.encode(answer)))]
