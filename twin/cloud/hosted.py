"""What runs on a broker's machine, as an MQTT client of that broker.

In the simulation such a node shares its host, and hands publications over without a session. Where the
broker is a real one it needs a session like anybody else; this puts one between the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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
from twin.mqtt.client import ClientSession


@dataclass(slots=True)
class HostedClient:
    """A hosted behaviour with a session of its own."""

    inner: Behaviour
    session: ClientSession

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Packets are the session's, everything else the behaviour's."""
        session = self.session
        match event:
            case Received(_, source, sent_s) if source == session.broker:
                effects, messages = session.received(event, context)
                for message in messages:
                    effects += self._inner(Received(message, source, sent_s), context)
                return effects
            case Woken(tag) if tag.startswith("mqtt/"):
                return session.woken(tag, context)
            case LinkChanged(peer, is_up) if peer == session.broker:
                return session.link_changed(is_up, context)
            case Started():
                return [*session.start(context), *self._inner(event, context)]
        return list(self._inner(event, context))

    def _inner(self, event: Event, context: Context) -> Iterator[Effect]:
        """What the behaviour asks for, with its messages to the host in the session's hands."""
        for effect in self.inner.react(event, context):
            if not isinstance(effect, Send) or effect.to != self.session.broker:
                yield effect
            elif effect.message.kind == "subscribe":
                yield from self.session.subscribe(effect.message.topic, effect.message.qos)
            elif effect.message.kind == "publish":
                yield from self.session.publish(effect.message, context)
