"""The twin service: keeps the shadows of all things and answers on their topics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Final

import msgspec

from twin.kernel.behaviour import (
    Context,
    Effect,
    Event,
    LinkChanged,
    NodeId,
    Observe,
    Received,
    Send,
    Started,
)
from twin.message import Message
from twin.state.shadow import Answer, ShadowStore

VERBS: Final = ("update", "get", "delete")
SUBSCRIPTIONS: Final = tuple(
    f"$aws/things/+/shadow/{name}{verb}" for name in ("", "name/+/") for verb in VERBS
)


@dataclass(slots=True)
class TwinService:
    """Answers shadow requests at its host with accepted, rejected, delta and documents.

    Observes `shadow_delta_open`, the seconds for which a delta stood when it empties, and
    `shadow_rejected` with the code of each refused request.
    """

    measures: ClassVar[tuple[str, ...]] = ("shadow_delta_open", "shadow_rejected")

    host: NodeId = field(metadata={"wired": True})

    store: ShadowStore = field(init=False, default_factory=ShadowStore)
    open_since_s: dict[str, float] = field(init=False, default_factory=dict)

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Subscribe at the start, then answer requests."""
        match event:
            case Received(message, source, _) if source == self.host and message.kind == "publish":
                return self._answer(message, context)
            case Started():
                return self._subscribe()
            case LinkChanged(peer, is_up) if is_up and peer == self.host:
                return self._subscribe()
        return ()

    def _subscribe(self) -> list[Effect]:
        return [Send(self.host, Message(each, kind="subscribe", qos=1)) for each in SUBSCRIPTIONS]

    def _answer(self, message: Message, context: Context) -> list[Effect]:
        shadow, verb = message.topic.rsplit("/", 1)
        levels = shadow.split("/")
        if verb not in VERBS or len(levels) not in (4, 6):
            return []
        name = levels[5] if len(levels) == 6 else ""
        ask = {"update": self.store.update, "get": self.store.get, "delete": self.store.delete}[verb]
        answers = ask(levels[2], message.payload, context.now, name)
        effects = self._measure(shadow, answers, context.now)
        return effects + [self._reply(shadow, answer) for answer in answers]

    def _reply(self, shadow: str, answer: Answer) -> Send:
        payload = msgspec.json.encode(answer.document)
        return Send(self.host, Message(f"{shadow}/{answer.suffix}", payload, qos=1))

    def _measure(self, shadow: str, answers: list[Answer], now_s: float) -> list[Effect]:
        """Watch when the delta of a shadow appears and when it goes."""
        first = answers[0]
        if first.suffix.endswith("rejected"):
            return [Observe("shadow_rejected", first.document["code"])]
        if any(answer.suffix == "update/delta" for answer in answers):
            self.open_since_s.setdefault(shadow, now_s)
        elif first.suffix == "delete/accepted":
            self.open_since_s.pop(shadow, None)
        elif first.suffix == "update/accepted" and shadow in self.open_since_s:
            return [Observe("shadow_delta_open", now_s - self.open_since_s.pop(shadow))]
        return []
