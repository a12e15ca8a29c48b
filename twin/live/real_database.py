"""The node of a database that is real: it keeps what is published to it, and answers what is asked.

The kernel does not wait for it: records and questions go to the worker's queue, answers come back through
the run's inbox.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Final

import msgspec

from twin.cloud.database import ANSWER_TOPIC, QUERY_TOPIC, Query, QueryAnswer
from twin.kernel.behaviour import Context, Drop, Effect, Event, LinkChanged, NodeId, Received, Send, Started
from twin.live.real_broker import OUTSIDE
from twin.live.sinks.port import Record, thing_of
from twin.live.sinks.worker import SinkWorker
from twin.message import Message

MOST_ASKED: Final = 10_000

Answered = Callable[[NodeId, Message], None]
"""Called on the worker's thread with an answer, and the name under which it shall come in."""


@dataclass(slots=True)
class RealDatabase:
    """Speaks as the simulated database does; `run` and a number make the key of a record.

    Records have the time of the wall: `began_s` (seconds since 1970) and the time of the run.
    """

    measures: ClassVar[tuple[str, ...]] = ()

    worker: SinkWorker
    answered: Answered
    run: str
    began_s: float
    host: NodeId = ""
    store: list[str] = field(default_factory=lambda: ["site/#"])

    numbered: int = field(init=False, default=0)
    asked: OrderedDict[str, tuple[NodeId, int]] = field(init=False, default_factory=OrderedDict)

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Subscribe at the start, then keep and ask."""
        match event:
            case Received(message, source, _) if source.startswith(OUTSIDE):
                return self._pass_on(source, message)
            case Received(message, source, _) if message.topic == QUERY_TOPIC:
                return self._ask(message, source, context)
            case Received(message, _, _) if message.kind == "publish":
                return self._keep(message, context)
            case Started():
                return self._subscribe()
            case LinkChanged(peer, is_up) if is_up and peer == self.host:
                return self._subscribe()
        return ()

    def _subscribe(self) -> list[Effect]:
        if not self.host:
            return []
        return [Send(self.host, Message(each, kind="subscribe", qos=1)) for each in self.store]

    def _keep(self, message: Message, context: Context) -> list[Effect]:
        self.numbered += 1
        key = f"{self.run}/{self.numbered}"
        thing = thing_of(message.topic)
        record = Record(key, message.topic, thing, self.began_s + context.now, message.payload)
        return [] if self.worker.offer(record) else [Drop(message, "database full")]

    def _ask(self, message: Message, source: NodeId, context: Context) -> list[Effect]:
        try:
            query = msgspec.json.decode(message.payload, type=Query)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [Drop(message, "not understood")]
        self.numbered += 1
        name = f"{OUTSIDE}{self.numbered}"

        def answered(value: bytes | None, kept_count: int) -> None:
            answer = QueryAnswer(query.topic, query.reference, value or b"", kept_count)
            self.answered(name, Message(ANSWER_TOPIC, msgspec.json.encode(answer)))

        if not self.worker.ask(query.topic, answered):
            return [Drop(message, "database full")]
        self.asked[name] = source, context.trace
        if len(self.asked) > MOST_ASKED:  # the backend was away for them
            self.asked.popitem(last=False)
        return []

    def _pass_on(self, name: NodeId, message: Message) -> list[Effect]:
        if name not in self.asked:
            return [Drop(message, "answer too late")]
        asker, trace = self.asked.pop(name)
        return [Send(asker, message, trace)]
