"""Publications on their way to one peer, as both ends of an MQTT session keep them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from msgspec.structs import replace

from twin.kernel.behaviour import Drop, Effect, NodeId, Send
from twin.message import Message

QUEUE_LIMIT: Final = 1_000
INFLIGHT_LIMIT: Final = 20
PACKET_ID_LIMIT: Final = 65_535
QUEUE_FULL: Final = "queue full"

DropPolicy: TypeAlias = Literal["newest", "oldest"]


class Held(NamedTuple):
    """A publication that waits, with the causal chain it belongs to."""

    message: Message
    trace: int


@dataclass(slots=True)
class Outbox:
    """A bounded queue, and a window of at most 20 QoS 1 publications that await their acknowledgement.

    The queue keeps the order; `drop` says which message goes when it is full. QoS 0 overtakes the queue
    on a live connection, as it needs no place in the window.
    """

    queue_limit: int = QUEUE_LIMIT
    drop: DropPolicy = "newest"
    queue: deque[Held] = field(init=False, default_factory=deque)
    inflight: dict[int, Held] = field(init=False, default_factory=dict)
    last_packet_id: int = field(init=False, default=0)

    @property
    def waiting_count(self) -> int:
        """Publications queued or sent without acknowledgement."""
        return len(self.queue) + len(self.inflight)

    def offer(self, message: Message, trace: int, peer: NodeId | None) -> list[Effect]:
        """Send to the peer if there is one (None: no connection) and the window has room, else hold."""
        has_room = message.qos == 0 or (not self.queue and len(self.inflight) < INFLIGHT_LIMIT)
        if peer is not None and has_room:
            return [self._transmit(Held(message, trace), peer)]
        return self._hold(Held(message, trace))

    def drain(self, peer: NodeId) -> list[Effect]:
        """Send what the window has room for, oldest first."""
        effects: list[Effect] = []
        while self.queue and (self.queue[0].message.qos == 0 or len(self.inflight) < INFLIGHT_LIMIT):
            effects.append(self._transmit(self.queue.popleft(), peer))
        return effects

    def acknowledge(self, packet_id: int) -> None:
        """The peer has the publication; an unknown id is ignored."""
        self.inflight.pop(packet_id, None)

    def redeliver(self, peer: NodeId) -> list[Effect]:
        """Repeat the unacknowledged with DUP, on a new connection of the same session [MQTT-4.4.0-1]."""
        return [Send(peer, replace(held.message, dup=True), held.trace) for held in self.inflight.values()]

    def renew(self) -> None:
        """The peer lost the session: what it did not acknowledge is to be published anew, in order."""
        self.queue.extendleft(Held(replace(message, packet_id=0), trace) for message, trace in self._latest())
        self.inflight.clear()

    def empty(self, cause: str) -> list[Effect]:
        """Give up everything that waits."""
        held = [*self.inflight.values(), *self.queue]
        self.inflight.clear()
        self.queue.clear()
        return [Drop(message, cause) for message, _ in held]

    def next_packet_id(self) -> int:
        """A packet id that is not in use, from 1 to 65,535."""
        while True:
            self.last_packet_id = self.last_packet_id % PACKET_ID_LIMIT + 1
            if self.last_packet_id not in self.inflight:
                return self.last_packet_id

    def _latest(self) -> list[Held]:
        return list(reversed(self.inflight.values()))

    def _transmit(self, held: Held, peer: NodeId) -> Send:
        message, trace = held
        if message.qos:
            message = replace(message, packet_id=self.next_packet_id())
            self.inflight[message.packet_id] = Held(message, trace)
        return Send(peer, message, trace)

    def _hold(self, held: Held) -> list[Effect]:
        if len(self.queue) < self.queue_limit:
            self.queue.append(held)
            return []
        if self.drop == "newest" or not self.queue:
            return [Drop(held.message, QUEUE_FULL)]
        self.queue.append(held)
        return [Drop(self.queue.popleft().message, QUEUE_FULL)]
