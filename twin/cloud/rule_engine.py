"""The rule engine: runs rules at a gateway or at a broker, whichever hosts it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

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
from twin.state.rules.port import Action, Alarm, Command, Desire, Forward, Publish, RuleSet
from twin.state.rules.program import ELSEWHERE
from twin.units import Seconds

HEARTBEAT_TOPIC: Final = "rule/heartbeat"
ALARM_TOPIC: Final = "rule/alarm"
FORWARD_TOPIC: Final = "rule/forward"


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
        return [
            self._to_host(self._at_host(each), kind="subscribe", qos=1) for each in self.rules.subscriptions()
        ]

    def _beat(self) -> list[Effect]:
        if self.heartbeat_s == 0:
            return []
        return [Send(self.host, Message(HEARTBEAT_TOPIC)), Wake(self.heartbeat_s, "heartbeat")]

    def _evaluate(self, message: Message, context: Context) -> list[Effect]:
        field_message = replace(message, topic=message.topic.removeprefix(self.prefix))
        return self._perform(self.rules.evaluate(field_message, context.now), context)

    def _perform(self, actions: list[Action], context: Context) -> list[Effect]:
        effects: list[Effect] = [Observe("rule_fired", len(actions))] if actions else []
        effects += (self._message(action, context) for action in actions)
        return [*effects, *self._next_wake(context)]

    def _next_wake(self, context: Context) -> Iterator[Effect]:
        due_s = self.rules.due()
        if due_s is not None and due_s != self.due_s:
            yield Wake(max(0.0, due_s - context.now), "due")
        self.due_s = due_s

    def _message(self, action: Action, context: Context) -> Send:
        match action:
            case Publish(topic, payload, qos):
                return self._to_host(self._at_host(topic), payload, qos=qos)
            case Desire(thing, values, expires_s):
                document: dict[str, Any] = {"state": {"desired": values}}
                if expires_s is not None:
                    document["expiresIn"] = expires_s
                return self._to_host(
                    f"$aws/things/{thing}/shadow/update", msgspec.json.encode(document), qos=1
                )
            case Command(kind, thing, name):
                topic = f"{self.prefix}{kind}/{thing}/cmd/{name}" if kind else f"things/{thing}/cmd/{name}"
                return self._to_host(topic, _order(action, context.now), qos=1)
            case Alarm():
                return self._to_host(self.prefix + ALARM_TOPIC, _announcement(action), qos=1)
            case Forward(sink, forwarded):
                topic = f"{FORWARD_TOPIC}/{forwarded.get('rule', '')}/{forwarded.get('thing', '')}"
                return Send(sink, Message(topic, msgspec.json.encode(forwarded), qos=1))

    def _at_host(self, topic: str) -> str:
        """A topic or filter of the field with the site that the host has before it; any other as it is."""
        return topic if topic.startswith(ELSEWHERE) else self.prefix + topic

    def _to_host(self, topic: str, payload: bytes = b"", *, kind: str = "publish", qos: int = 0) -> Send:
        return Send(self.host, Message(topic, payload, qos=qos, kind=kind))


def _order(command: Command, now_s: float) -> bytes:
    """The payload of a command; one with a key is to be acknowledged, and worth nothing after a while."""
    if not command.key:
        return msgspec.json.encode(command.arguments)
    order: dict[str, Any] = {"id": command.key, "args": command.arguments}
    if command.timeout_s is not None:
        order["expires"] = round((now_s + command.timeout_s) * 1000.0)
    return msgspec.json.encode(order)


def _announcement(alarm: Alarm) -> bytes:
    """The payload of an alarm, as the twin understands it."""
    return msgspec.json.encode(
        {
            "severity": alarm.severity,
            "type": alarm.type,
            "text": alarm.text,
            "thing": alarm.thing,
            "cleared": alarm.is_cleared,
        }
    )
