"""The client's side of an MQTT 3.1.1 or 5 connection, sans-IO.

The owner is a behaviour: it hands in what happened and performs the effects that come back.

    closed --publish/start--> connecting --CONNACK--> connected --lost--> waiting --back-off--> connecting
                                  `--timeout, refused--> waiting          `--idle (cold)--> closed

One timer serves all states, because each state waits for one thing only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from msgspec.structs import replace

from twin.errors import InputError
from twin.kernel.behaviour import Context, Drop, Effect, NodeId, Received, Send, Wake
from twin.message import Message, Properties
from twin.mqtt.journal import Journal
from twin.mqtt.outbox import INFLIGHT_LIMIT, QUEUE_LIMIT, DropPolicy, Outbox
from twin.mqtt.packets import (
    ACCEPTED,
    PACKET_ID_NOT_FOUND,
    PACKET_LIMIT_BYTES,
    PLAIN,
    Connack,
    Connect,
    Version,
    Will,
    connect_message,
    packet_bytes,
    read_connack,
    spoken,
)
from twin.mqtt.topics import check_filter
from twin.units import Seconds

TIMER: Final = "mqtt/connection"
IDLE_TIMER: Final = "mqtt/idle"
CLOCK_GRAIN_S: Final = 1e-6

State: TypeAlias = Literal["closed", "connecting", "connected", "waiting"]


@dataclass(slots=True)
class ClientSession:
    """A client of one broker with QoS 0, 1 and 2, an offline queue and automatic reconnection.

    A `warm` session connects at the start and stays; a `cold` one connects for the next publication and
    disconnects after `idle_close_s` without one. With `starts_connected` the handshake happened before
    the run; else a warm session connects at a random moment of the first `start_within_s`. `drop` says
    which message goes when the offline queue is full. `keep_alive_s` 0 means off.

    With `version` "5" the broker keeps a session that is not clean for `session_expiry_s` after the
    connection, the first `topic_alias_count` topics of a connection (as far as the broker allows) are sent
    by their alias, and what is longer than the broker takes is given up.
    """

    broker: NodeId
    client_id: str
    keep_alive_s: Seconds = 60.0
    clean_session: bool = False
    session: Literal["warm", "cold"] = "warm"
    starts_connected: bool = False
    start_within_s: Seconds = 0.0
    idle_close_s: Seconds = 30.0
    connect_timeout_s: Seconds = 10.0
    reconnect_min_s: Seconds = 1.0
    reconnect_max_s: Seconds = 30.0
    queue_limit: int = QUEUE_LIMIT
    drop: DropPolicy = "newest"
    will: Will | None = None
    version: Version = "3.1.1"
    session_expiry_s: Seconds = 3600.0
    topic_alias_count: int = 0

    state: State = field(init=False, default="closed")
    filters: dict[str, tuple[int, Properties]] = field(init=False, default_factory=dict)
    outbox: Outbox = field(init=False)
    received_ids: set[int] = field(init=False, default_factory=set)
    aliases: dict[str, int] = field(init=False, default_factory=dict)
    alias_limit: int = field(init=False, default=0)
    packet_limit_bytes: int = field(init=False, default=PACKET_LIMIT_BYTES)
    agreed_keep_alive_s: Seconds = field(init=False)
    failures: int = field(init=False, default=0)
    last_sent_s: float = field(init=False, default=0.0)
    last_received_s: float = field(init=False, default=0.0)
    last_publication_s: float = field(init=False, default=0.0)
    is_ping_outstanding: bool = field(init=False, default=False)
    unanswered_count: int = field(init=False, default=0)
    journal: Journal | None = field(init=False, default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.queue_limit, self.drop, self.version)
        self.alias_limit = self.topic_alias_count if self.version == "5" else 0
        self.agreed_keep_alive_s = self.keep_alive_s

    @property
    def is_connected(self) -> bool:
        """Whether the broker has accepted the connection, as far as the client knows."""
        return self.state == "connected"

    @property
    def waiting_count(self) -> int:
        """Publications queued or sent without acknowledgement."""
        return self.outbox.waiting_count

    # what the owner asks for -------------------------------------------------------------------------

    def start(self, context: Context) -> list[Effect]:
        """Begin at the start of the run, or after a restart (a later time: the old connection is gone)."""
        if self.journal is not None:
            self.journal.note(self.client_id, "started")
        if self.starts_connected and context.now <= 0.0:
            return [*self._subscribe_all(), *self._connected(context)]
        if self.session == "cold":
            return []
        if self.start_within_s:
            self.state = "waiting"
            return [Wake(context.random.uniform(0.0, self.start_within_s), TIMER)]
        return self._connect(context)

    def publish(self, message: Message, context: Context) -> list[Effect]:
        """Send the message, or hold it until the broker can be reached (QoS 0 as well)."""
        if not 0 <= message.qos <= 2:
            raise InputError(f"topic {message.topic!r}: QoS is 0, 1 or 2, not {message.qos}")
        if self.journal is not None:
            message = self.journal.published(self.client_id, message)
        if self.packet_limit_bytes < PACKET_LIMIT_BYTES and packet_bytes(message) > self.packet_limit_bytes:
            return self._given_up([Drop(message, "packet too large")])
        self.last_publication_s = context.now
        effects = self._sent(self.outbox.offer(message, context.trace, self._peer, context.now), context)
        if self.state == "closed":
            effects += self._connect(context)
        return effects

    def subscribe(self, topic_filter: str, qos: int = 1, options: Properties = PLAIN) -> list[Effect]:
        """Subscribe now or as soon as connected, in MQTT 5 with options; raise InputError for an invalid
        filter.
        """
        check_filter(topic_filter)
        self.filters[topic_filter] = (qos, options)
        return [self._subscription(topic_filter)] if self.is_connected else []

    def unsubscribe(self, topic_filter: str) -> list[Effect]:
        """End a subscription, now if connected."""
        self.filters.pop(topic_filter, None)
        if self.journal is not None:
            self.journal.note(self.client_id, "unsubscribe", Message(topic_filter, kind="unsubscribe"))
        if not self.is_connected:
            return []
        packet_id = self.outbox.next_packet_id()
        return [Send(self.broker, self._packet("unsubscribe", packet_id, topic=topic_filter))]

    def close(self) -> list[Effect]:
        """Disconnect in good order; the broker discards the will."""
        farewell = [Send(self.broker, self._packet("disconnect"))] if self.is_connected else []
        return [*farewell, *self._closed()]

    # what happens to it ------------------------------------------------------------------------------

    def received(self, event: Received, context: Context) -> tuple[list[Effect], list[Message]]:
        """Take a packet of the broker; return effects and the application messages for the owner."""
        if event.source != self.broker:
            return [], []
        self.last_received_s = context.now
        self.is_ping_outstanding = False
        message = event.message
        match message.kind:
            case "publish":
                effects, messages = self._accept(message, context)
                if self.journal is not None:
                    messages = [self.journal.received(self.client_id, each) for each in messages]
                return effects, messages
            case "puback" | "pubcomp":
                self._told(message)
                self.outbox.acknowledge(message.packet_id)
                return self._drain(context), []
            case "pubrec":
                self._told(message)
                return self._pubrec(message, context), []
            case "suback" if self.journal is not None:
                self.journal.note(self.client_id, "subscribed", message)
            case "pubrel":
                return self._pubrel(message, context), []
            case "connack" if self.state == "connecting":
                return self._answered(message, context), []
            case "disconnect" if self.state == "connected":
                return self._lost(context), []
        return [], []

    def woken(self, tag: str, context: Context) -> list[Effect]:
        """A wake with a tag beginning "mqtt/" has come."""
        if tag == IDLE_TIMER:
            return self._close_when_idle(context)
        match self.state:
            case "connecting":
                return self._lost(context)
            case "waiting":
                return self._connect(context)
            case "connected":
                return self._keep_alive(context)
        return []

    def link_changed(self, is_up: bool, context: Context) -> list[Effect]:
        """The owner's own interface went down (the connection is gone) or came back (connect at once)."""
        if not is_up and self.state in ("connecting", "connected"):
            return self._lost(context)
        if is_up and self.state == "waiting":
            return self._connect(context)
        return []

    # connection --------------------------------------------------------------------------------------

    def _connect(self, context: Context) -> list[Effect]:
        self.state = "connecting"
        self.unanswered_count += 1
        self.last_sent_s = context.now
        self.aliases.clear()
        expiry_s = 0 if self.clean_session or self.version == "3.1.1" else math.ceil(self.session_expiry_s)
        connect = Connect(
            self.client_id,
            self.keep_alive_s,
            self.clean_session,
            self.will,
            version=self.version,
            session_expiry_s=expiry_s,
        )
        return [Send(self.broker, connect_message(connect)), Wake(self.connect_timeout_s, TIMER)]

    def _answered(self, message: Message, context: Context) -> list[Effect]:
        connack = read_connack(message)
        if connack.return_code != ACCEPTED:
            return self._lost(context)
        effects: list[Effect] = []
        self.failures = 0
        self._heed(connack)
        is_sure = (
            self.unanswered_count <= 1
        )  # else the session may be that of a CONNECT whose answer was lost
        if self.journal is not None:
            is_kept = connack.is_session_present and is_sure
            self.journal.note(self.client_id, "connected" if is_kept else "connected anew")
        if connack.is_session_present:
            effects += self._dressed(self.outbox.redeliver(self.broker))
            effects += [] if is_sure else self._subscribe_all()
        else:
            self.received_ids.clear()
            effects += self._subscribe_all()
            self.outbox.renew()
        self.unanswered_count = 0
        return effects + self._connected(context)

    def _heed(self, connack: Connack) -> None:
        """Keep to what the broker can take (MQTT 5), and to its keep-alive [MQTT-3.2.2-21]."""
        dictated_s = connack.keep_alive_s
        self.agreed_keep_alive_s = self.keep_alive_s if dictated_s is None else float(dictated_s)
        self.outbox.window = min(INFLIGHT_LIMIT, connack.receive_maximum)
        self.alias_limit = min(self.topic_alias_count, connack.topic_alias_maximum)
        self.packet_limit_bytes = connack.maximum_packet_bytes

    def _connected(self, context: Context) -> list[Effect]:
        self.state = "connected"
        self.is_ping_outstanding = False
        self.last_sent_s = self.last_received_s = self.last_publication_s = context.now
        effects = self._drain(context)
        effects.append(Wake(self.agreed_keep_alive_s or math.inf, TIMER))
        if self.session == "cold":
            effects.append(Wake(self.idle_close_s, IDLE_TIMER))
        return effects

    def _lost(self, context: Context) -> list[Effect]:
        """Wait with full jitter below a limit that doubles with each failure."""
        self.is_ping_outstanding = False
        if self.journal is not None:
            self.journal.note(self.client_id, "disconnected")
        if self.session == "cold" and not self.waiting_count:
            return self._closed()
        self.state = "waiting"
        longest_s = min(self.reconnect_max_s, self.reconnect_min_s * 2.0**self.failures)
        self.failures = min(self.failures + 1, 60)
        return [Wake(context.random.uniform(0.0, longest_s), TIMER)]

    def _closed(self) -> list[Effect]:
        self.state = "closed"
        return [Wake(math.inf, TIMER), Wake(math.inf, IDLE_TIMER)]

    def _keep_alive(self, context: Context) -> list[Effect]:
        """Ping when either direction was silent too long; unanswered for as long again: dead."""
        keep_alive_s = self.agreed_keep_alive_s
        if self.is_ping_outstanding:
            return self._lost(context)
        quiet_s = context.now - min(self.last_sent_s, self.last_received_s)
        if quiet_s < keep_alive_s - CLOCK_GRAIN_S:
            return [Wake(keep_alive_s - quiet_s, TIMER)]
        self.is_ping_outstanding = True
        self.last_sent_s = context.now
        return [Send(self.broker, self._packet("pingreq")), Wake(keep_alive_s, TIMER)]

    def _close_when_idle(self, context: Context) -> list[Effect]:
        if not self.is_connected:
            return []
        idle_s = context.now - self.last_publication_s
        if self.waiting_count or idle_s < self.idle_close_s - CLOCK_GRAIN_S:
            rest_s = self.idle_close_s - idle_s
            return [Wake(rest_s if rest_s > CLOCK_GRAIN_S else self.idle_close_s, IDLE_TIMER)]
        return self.close()

    # publications ------------------------------------------------------------------------------------

    @property
    def _peer(self) -> NodeId | None:
        return self.broker if self.state == "connected" else None

    def _drain(self, context: Context) -> list[Effect]:
        return self._sent(self.outbox.drain(self.broker, context.now), context) if self.is_connected else []

    def _sent(self, effects: list[Effect], context: Context) -> list[Effect]:
        if self._peer is not None and effects:
            self.last_sent_s = context.now
        return self._dressed(self._given_up(effects))

    def _given_up(self, effects: list[Effect]) -> list[Effect]:
        """The effects, with what they drop noted."""
        if self.journal is not None:
            for effect in effects:
                if isinstance(effect, Drop):
                    self.journal.note(self.client_id, "given up", effect.message, effect.cause)
        return effects

    def _told(self, answer: Message) -> None:
        """Note what the broker's first answer says of a publication."""
        held = self.outbox.inflight.get(answer.packet_id) if self.journal is not None else None
        if self.journal is None or held is None or held.message.kind != "publish":
            return
        if answer.properties is not None and answer.properties.reason_code >= 0x80:
            self.journal.note(self.client_id, "given up", held.message, "refused by the broker")
        else:
            self.journal.note(self.client_id, "acknowledged", held.message)

    def _dressed(self, effects: list[Effect]) -> list[Effect]:
        """Publications by the aliases of their topics."""
        return [self._aliased(effect) for effect in effects] if self.alias_limit else effects

    def _aliased(self, effect: Effect) -> Effect:
        if not isinstance(effect, Send) or effect.message.kind != "publish":
            return effect
        message = effect.message
        is_known = message.topic in self.aliases
        if not is_known and len(self.aliases) >= self.alias_limit:
            return effect
        alias = self.aliases.setdefault(message.topic, len(self.aliases) + 1)
        said = replace(message.properties or PLAIN, topic_alias=alias, is_topic_omitted=is_known)
        return replace(effect, message=replace(message, properties=said))

    def _accept(self, message: Message, context: Context) -> tuple[list[Effect], list[Message]]:
        """Acknowledge, and hand on; at QoS 2 only what is not there already [MQTT-4.3.3-2].

        What MQTT 5 said of this hop stays here.
        """
        if message.properties is not None:
            message = replace(message, properties=None)
        if message.qos == 0:
            return [], [message]
        self.last_sent_s = context.now
        packet_id = message.packet_id
        if message.qos == 1:
            return [Send(self.broker, self._packet("puback", packet_id))], [message]
        is_new = packet_id not in self.received_ids
        self.received_ids.add(packet_id)
        return [Send(self.broker, self._packet("pubrec", packet_id))], [message] if is_new else []

    def _pubrec(self, message: Message, context: Context) -> list[Effect]:
        """The broker has it, or (MQTT 5, reason 0x80 and above) refuses it."""
        if message.properties is not None and message.properties.reason_code >= 0x80:
            self.outbox.acknowledge(message.packet_id)
            return self._drain(context)
        self.last_sent_s = context.now
        return self.outbox.release(message.packet_id, self.broker)

    def _pubrel(self, message: Message, context: Context) -> list[Effect]:
        self.last_sent_s = context.now
        is_known = message.packet_id in self.received_ids
        self.received_ids.discard(message.packet_id)
        pubcomp = self._packet("pubcomp", message.packet_id, 0 if is_known else PACKET_ID_NOT_FOUND)
        return [Send(self.broker, pubcomp)]

    def _packet(self, kind: str, packet_id: int = 0, reason_code: int = 0, topic: str = "") -> Message:
        """A control packet in the session's version."""
        said = spoken(self.version)
        if reason_code and said is not None:
            said = Properties(reason_code)
        return Message(topic, kind=kind, packet_id=packet_id, properties=said)

    def _subscribe_all(self) -> list[Effect]:
        return [self._subscription(topic_filter) for topic_filter in self.filters]

    def _subscription(self, topic_filter: str) -> Send:
        qos, options = self.filters[topic_filter]
        said = options if self.version == "5" else None
        packet_id = self.outbox.next_packet_id()
        subscribe = Message(topic_filter, qos=qos, kind="subscribe", packet_id=packet_id, properties=said)
        if self.journal is not None:
            self.journal.note(self.client_id, "subscribe", subscribe)
        return Send(self.broker, subscribe)
