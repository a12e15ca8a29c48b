"""The rule engine: runs rules at a gateway or at a broker, whichever hosts it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final

import msgspec
from msgspec.structs import replace

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
    Wake,
    Woken,
)
from twin.message import Message
from twin.state.rules.port import Action, Alarm, Command, Desire, Publish, RuleSet
from twin.units import Seconds

HEARTBEAT_TOPIC: Final = "rule/heartbeat"
ALARM_TOPIC: Final = "rule/alarm"


@dataclass(slots=True)
class RuleEngine:
    """Evaluates the messages of its host and sends back what the rules ask for.

    At a broker it serves the devices of one `site`, whose topics there begin with `site/{site}/`; on a
    gateway's local bus `site` is empty. A heartbeat every `heartbeat_s` (0: none) tells the gates that the
    rules are alive. Observes `rule_fired` with the number of actions.
    """

    measures: ClassVar[tuple[str, ...]] = ("rule_fired",)

    host: NodeId = field(metadata={"wired": True})
    rules: RuleSet = field(metadata={"wired": True})
    site: str = field(default="", metadata={"wired": True})
    heartbeat_s: Seconds = 10.0

    due_s: float | None = field(init=False, default=None)

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Subscribe at the start, then evaluate messages and timers."""
        match event:
            case Received(message, source, _) if source == self.host and message.kind == "publish":
                return self._evaluate(message, context)
            case Woken("heartbeat"):
                return self._beat()
            case Woken("due"):
                self.due_s = None
                return self._perform(self.rules.elapse(context.now), context)
            case Started():
                return [*self._subscribe(), *self._beat()]
            case LinkChanged(peer, is_up) if is_up and peer == self.host:
                return self._subscribe()
        return ()

    @property
    def prefix(self) -> str:
        """What stands before a field topic where the engine runs."""
        return f"site/{self.site}/" if self.site else ""

    def _subscribe(self) -> list[Effect]:
        return [self._to_host(each, kind="subscribe", qos=1) for each in self.rules.subscriptions()]

    def _beat(self) -> list[Effect]:
        if self.heartbeat_s == 0:
            return []
        return [Send(self.host, Message(HEARTBEAT_TOPIC)), Wake(self.heartbeat_s, "heartbeat")]

    def _evaluate(self, message: Message, context: Context) -> list[Effect]:
        field_message = replace(message, topic=message.topic.removeprefix(self.prefix))
        return self._perform(self.rules.evaluate(field_message, context.now), context)

    def _perform(self, actions: list[Action], context: Context) -> list[Effect]:
        effects: list[Effect] = [Observe("rule_fired", len(actions))] if actions else []
        effects += map(self._message, actions)
        return [*effects, *self._next_wake(context)]

    def _next_wake(self, context: Context) -> Iterator[Effect]:
        due_s = self.rules.due()
        if due_s is not None and due_s != self.due_s:
            yield Wake(max(0.0, due_s - context.now), "due")
        self.due_s = due_s

    def _message(self, action: Action) -> Send:
        match action:
            case Publish(topic, payload, qos):
                return self._to_host(topic, payload, qos=qos)
            case Desire(thing, values):
                document = msgspec.json.encode({"state": {"desired": values}})
                return Send(self.host, Message(f"$aws/things/{thing}/shadow/update", document, qos=1))
            case Command(kind, thing, name, arguments):
                return self._to_host(f"{kind}/{thing}/cmd/{name}", msgspec.json.encode(arguments), qos=1)
            case Alarm(severity, text):
                return self._to_host(
                    ALARM_TOPIC, msgspec.json.encode({"severity": severity, "text": text}), qos=1
                )

    def _to_host(self, topic: str, payload: bytes = b"", *, kind: str = "publish", qos: int = 0) -> Send:
        return Send(self.host, Message(self.prefix + topic, payload, qos=qos, kind=kind))
