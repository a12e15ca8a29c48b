"""What the broker keeps for one client."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from msgspec.structs import replace

from twin.kernel.behaviour import Drop, Effect, NodeId
from twin.message import Message, Properties
from twin.mqtt.outbox import INFLIGHT_LIMIT, Outbox
from twin.mqtt.packets import NEVER_S, PACKET_LIMIT_BYTES, PLAIN, Connect, Version, Will, packet_bytes, spoken


@dataclass(slots=True)
class Session:
    """A client's session; `node` is None while it is offline.

    `filters` holds the options of each subscription, and `incoming` the publications at QoS 2 whose PUBREL
    has not come (at most one for each packet id). A will is pending while it waits out its delay.
    """

    client_id: str
    outbox: Outbox
    node: NodeId | None = None
    is_local: bool = False
    version: Version = "3.1.1"
    said: Properties | None = None
    keep_alive_s: float = 0.0
    expiry_s: float = 0.0
    packet_limit_bytes: int = PACKET_LIMIT_BYTES
    will: Will | None = None
    is_will_pending: bool = False
    last_heard_s: float = 0.0
    expires_s: float = 0.0
    filters: dict[str, int] = field(default_factory=dict)
    incoming: dict[int, Message] = field(default_factory=dict)

    def begin(self, connect: Connect, node: NodeId, expiry_s: float) -> None:
        """A connection of this session begins; a will that waited is cancelled."""
        self.node, self.is_local = node, False
        self.version, self.keep_alive_s, self.expiry_s = connect.version, connect.keep_alive_s, expiry_s
        self.said = spoken(connect.version)
        self.will, self.is_will_pending = connect.will, False
        self.packet_limit_bytes = connect.maximum_packet_bytes
        self.outbox.version = connect.version
        self.outbox.window = min(INFLIGHT_LIMIT, connect.receive_maximum)

    def packet(self, kind: str, packet_id: int = 0, reason_code: int = 0) -> Message:
        """A control packet in the client's version; MQTT 3.1.1 has no reason codes here."""
        said = self.said
        if reason_code and said is not None:
            said = Properties(reason_code)
        return Message("", b"", 0, False, kind, packet_id, False, 0, said)

    def is_too_large(self, message: Message) -> bool:
        """Whether the client refuses a packet of this length [MQTT-3.1.2-24]."""
        said = (message.properties or PLAIN) if self.version == "5" else None
        return packet_bytes(replace(message, properties=said)) > self.packet_limit_bytes

    def empty(self, cause: str) -> list[Effect]:
        """Give up everything that waits, in both directions."""
        incoming = [Drop(message, cause) for message in self.incoming.values()]
        self.incoming.clear()
        return [*self.outbox.empty(cause), *incoming]


def asked_s(session_expiry_s: int) -> float:
    """The session expiry that a client asked for; 0xFFFFFFFF is never."""
    return math.inf if session_expiry_s == NEVER_S else float(session_expiry_s)


def stripped(message: Message) -> Message:
    """The publication as it goes on: of one hop's properties only the message expiry is kept."""
    said = message.properties
    if said is not None:
        said = (
            Properties(message_expiry_s=said.message_expiry_s) if said.message_expiry_s is not None else None
        )
    return replace(message, dup=False, packet_id=0, properties=said)
