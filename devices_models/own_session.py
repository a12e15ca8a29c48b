"""A device that holds an MQTT session of its own with a broker, instead of speaking through a gateway.

    device --> site/{site}/ before its topics --> MQTT session --> broker
    device <-- its orders, its deltas, what it subscribed to <---- MQTT session

The device need not know: it sends to its `via` node and receives from it as if that were a gateway. It is
told `LinkChanged` when the session is there and when it is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from devices_models.publications import address
from twin.kernel.behaviour import (
    Behaviour,
    Context,
    Effect,
    Event,
    LinkChanged,
    Received,
    Send,
    Started,
    Woken,
)
from twin.message import Message
from twin.mqtt.client import ClientSession
from twin.mqtt.packets import Will

RULE_HEARTBEAT: Final = "rule/heartbeat"


@dataclass(slots=True)
class OwnSession:
    """Puts a device's messages into its `session`, and what the broker sends into the device's hands.

    At each connection a retained birth is published on `site/{site}/{kind}/{node}/session`, and a will is
    left that says the same session is over; a will of an older number than the last birth is to be ignored.
    """

    device: Any
    session: ClientSession
    kind: str
    site: str

    number: int = field(init=False, default=0)

    @property
    def prefix(self) -> str:
        """What stands before a field topic at the broker."""
        return f"site/{self.site}/"

    @property
    def inner(self) -> Behaviour:
        """The device itself."""
        behaviour: Behaviour = self.device
        return behaviour

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Serve the session; everything else is the device's."""
        was_connected = self.session.is_connected
        match event:
            case Received(_, source, _) if source == self.session.broker:
                yield from self._received(event, context, was_connected)
            case Woken(tag) if tag.startswith("mqtt/"):
                yield from self.session.woken(tag, context)
                yield from self._after(context, was_connected)
            case LinkChanged(peer, is_up) if peer == self.session.broker:
                yield from self.session.link_changed(is_up, context)
                yield from self._after(context, was_connected)
            case Started():
                yield from self._begin(context)
            case _:
                yield from self._device(event, context)

    def _begin(self, context: Context) -> Iterator[Effect]:
        own = f"{self.kind}/{context.node}"
        self.session.subscribe(f"{self.prefix}{own}/cmd/#")
        if not getattr(self.device, "subscribes_itself", False):
            self.session.subscribe(f"$aws/things/{context.node}/shadow/update/delta")
        if getattr(self.device, "heartbeat_from", "") == "rule":
            self.session.subscribe(RULE_HEARTBEAT, 0)
        self._leave_will(context)
        yield from self.session.start(context)
        yield from self._device(Started(), context)

    def _received(self, event: Received, context: Context, was_connected: bool) -> Iterator[Effect]:
        effects, messages = self.session.received(event, context)
        yield from effects
        yield from self._after(context, was_connected)
        for message in messages:
            local = self._local(message, context.node)
            yield from self._device(Received(local, event.source, event.sent_s), context)

    def _after(self, context: Context, was_connected: bool) -> Iterator[Effect]:
        """Tell the device, and the broker, when the connection has come or gone."""
        is_connected = self.session.is_connected
        if is_connected == was_connected:
            return
        if is_connected:
            yield from self.session.publish(self._presence(context, is_online=True), context)
        else:
            self._leave_will(context)
        yield from self._device(LinkChanged(self.session.broker, is_connected), context)

    def _leave_will(self, context: Context) -> None:
        """The will of the next connection, whose number is higher than any before, also after a restart."""
        self.number = max(self.number + 1, int(context.now))
        last = self._presence(context, is_online=False)
        self.session.will = Will(last.topic, last.payload, qos=1, retain=True)

    def _presence(self, context: Context, *, is_online: bool) -> Message:
        said = {"online": is_online, "session": self.number, "ts": round(context.now * 1000.0)}
        topic = f"{self.prefix}{self.kind}/{context.node}/session"
        return Message(topic, msgspec.json.encode(said), qos=1, retain=True)

    def _device(self, event: Event, context: Context) -> Iterator[Effect]:
        for effect in self.inner.react(event, context):
            if isinstance(effect, Send) and effect.to == self.session.broker:
                yield from self._send(effect.message, context)
            else:
                yield effect

    def _send(self, message: Message, context: Context) -> list[Effect]:
        """Publish, subscribe or unsubscribe, as the kind of the message says."""
        if message.kind == "subscribe":
            return self.session.subscribe(message.topic, message.qos)
        if message.kind == "unsubscribe":
            return self.session.unsubscribe(message.topic)
        at = address(message.topic)
        if at is not None and at.node == context.node:
            message = replace(message, topic=self.prefix + message.topic)
        return self.session.publish(message, context)

    def _local(self, message: Message, node: str) -> Message:
        """As a gateway would hand it over: field topics without prefix, and a delta as a field topic."""
        topic = message.topic.removeprefix(self.prefix)
        if topic == f"$aws/things/{node}/shadow/update/delta":
            topic = f"{self.kind}/{node}/delta"
        return replace(message, topic=topic, packet_id=0, dup=False, retain=False)
