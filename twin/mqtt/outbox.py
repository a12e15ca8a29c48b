"""Publications on their way to one peer, as both ends of an MQTT session keep them."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from msgspec.structs import replace

from twin.kernel.behaviour import Drop, Effect, NodeId, Send
from twin.message import Message, Properties
from twin.mqtt.packets import PLAIN, Version

QUEUE_LIMIT: Final = 1_000
INFLIGHT_LIMIT: Final = 20
PACKET_ID_LIMIT: Final = 65_535
QUEUE_FULL: Final = "queue full"
EXPIRED: Final = "expired"

DropPolicy: TypeAlias = Literal["newest", "oldest"]


class Held(NamedTuple):
    """A publication that waits, with the causal chain it belongs to, and when it expires."""

    message: Message
    trace: int
    expires_s: float = math.inf


@dataclass(slots=True)
class Outbox:
    """A bounded queue, and a window of publications at QoS 1 and 2 that await their acknowledgement.

    The queue keeps the order; `drop` says which message goes when it is full. QoS 0 overtakes the queue
    on a live connection, as it needs no place in the window. A publication at QoS 2 that the peer has
    becomes a PUBREL, and keeps its place until PUBCOMP. What expires while it waits is not sent.

        queue --window--> PUBLISH --PUBACK--> done
                             `--PUBREC--> PUBREL --PUBCOMP--> done
    """

    queue_limit: int = QUEUE_LIMIT
    drop: DropPolicy = "newest"
    version: Version = "3.1.1"
    window: int = INFLIGHT_LIMIT
    queue: deque[Held] = field(init=False, default_factory=deque)
    inflight: dict[int, Held] = field(init=False, default_factory=dict)
    last_packet_id: int = field(init=False, default=0)

    @property
    def waiting_count(self) -> int:
        """Publications queued, or sent and not known to have arrived."""
        return len(self.queue) + len(self._unreceived())

    def offer(self, message: Message, trace: int, peer: NodeId | None, now: float = 0.0) -> list[Effect]:
        """Send to the peer if there is one (None: no connection) and the window has room, else hold."""
        properties = message.properties
        if properties is None or properties.message_expiry_s is None:
            held = Held(message, trace)
        else:
            held = Held(message, trace, now + properties.message_expiry_s)
        if peer is not None and (message.qos == 0 or (not self.queue and len(self.inflight) < self.window)):
            return [self._transmit(held, peer, now)]
        return self._hold(held)

    def drain(self, peer: NodeId, now: float = 0.0) -> list[Effect]:
        """Send what the window has room for, oldest first, and give up what has expired."""
        effects: list[Effect] = []
        while self.queue and (self.queue[0].message.qos == 0 or len(self.inflight) < self.window):
            held = self.queue.popleft()
            if held.expires_s <= now:
                effects.append(Drop(held.message, EXPIRED))
            else:
                effects.append(self._transmit(held, peer, now))
        return effects

    def acknowledge(self, packet_id: int) -> None:
        """The peer is done with the publication; an unknown id is ignored."""
        self.inflight.pop(packet_id, None)

    def release(self, packet_id: int, peer: NodeId) -> list[Effect]:
        """The peer has the publication (PUBREC): answer PUBREL, which alone may be repeated from now on."""
        held = self.inflight.get(packet_id)
        pubrel = Message("", kind="pubrel", packet_id=packet_id, properties=self._plain)
        if held is not None:
            self.inflight[packet_id] = Held(pubrel, held.trace)
        return [Send(peer, pubrel, held.trace if held else 0)]

    def redeliver(self, peer: NodeId) -> list[Effect]:
        """Repeat the unacknowledged with DUP, on a new connection of the same session [MQTT-4.4.0-1]."""
        return [
            Send(peer, message if message.kind == "pubrel" else replace(message, dup=True), trace)
            for message, trace, _ in self.inflight.values()
        ]

    def renew(self) -> None:
        """The peer lost the session: what it did not acknowledge is to be published anew, in order.

        A publication that was released has arrived already; once more would break exactly once.
        """
        self.queue.extendleft(
            held._replace(message=replace(held.message, packet_id=0)) for held in reversed(self._unreceived())
        )
        self.inflight.clear()

    def empty(self, cause: str) -> list[Effect]:
        """Give up everything that waits."""
        held = [*self._unreceived(), *self.queue]
        self.inflight.clear()
        self.queue.clear()
        return [Drop(each.message, cause) for each in held]

    def next_packet_id(self) -> int:
        """A packet id that is not in use, from 1 to 65,535."""
        while True:
            self.last_packet_id = self.last_packet_id % PACKET_ID_LIMIT + 1
            if self.last_packet_id not in self.inflight:
                return self.last_packet_id

    @property
    def _plain(self) -> Properties | None:
        return PLAIN if self.version == "5" else None

    def _unreceived(self) -> list[Held]:
        return [held for held in self.inflight.values() if held.message.kind != "pubrel"]

    def _transmit(self, held: Held, peer: NodeId, now: float) -> Send:
        message, trace, expires_s = held
        if message.properties is not None or self.version == "5":
            message = replace(message, properties=self._properties(expires_s, now))
        if message.qos:
            message = replace(message, packet_id=self.next_packet_id())
            self.inflight[message.packet_id] = Held(message, trace, expires_s)
        return Send(peer, message, trace)

    def _properties(self, expires_s: float, now: float) -> Properties | None:
        """What MQTT 5 says of the time that is left [MQTT-3.3.2-6]; MQTT 3.1.1 has no place for it."""
        if self.version == "3.1.1" or math.isinf(expires_s):
            return self._plain
        return Properties(message_expiry_s=max(1, math.ceil(expires_s - now)))

    def _hold(self, held: Held) -> list[Effect]:
        if len(self.queue) < self.queue_limit:
            self.queue.append(held)
            return []
        if self.drop == "newest" or not self.queue:
            return [Drop(held.message, QUEUE_FULL)]
        self.queue.append(held)
        return [Drop(self.queue.popleft().message, QUEUE_FULL)]
