"""The MQTT broker of the simulation: routes publications to sessions, held equal to the standard.

    publisher --> retained store
        `-------> filter tree --> session of each subscriber --> outbox (queue, window) --> subscriber

A node reaches it in one of two ways. An MQTT client opens a session with CONNECT. A node that never
connected is local: it shares the host, or its session is not part of the model; its publications are
taken as they come, and a "subscribe" without a packet id gives it a session that never expires.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from msgspec.structs import replace

from twin.errors import InputError
from twin.kernel.behaviour import (
    Context,
    Drop,
    Effect,
    Event,
    LinkChanged,
    NodeId,
    Received,
    Send,
    Wake,
    Woken,
)
from twin.message import Message
from twin.mqtt.outbox import QUEUE_LIMIT, Outbox
from twin.mqtt.packets import (
    SERVER_UNAVAILABLE,
    SUBSCRIPTION_REFUSED,
    Connack,
    Connect,
    Will,
    connack_message,
    read_connect,
)
from twin.mqtt.topics import FilterTree, check_name, matches
from twin.units import Seconds

SESSION_LIMIT: Final = 1_000_000
RETAINED_LIMIT: Final = 100_000
FILTER_LIMIT: Final = 10_000
KEEP_ALIVE_FACTOR: Final = 1.5  # MQTT 3.1.1, section 3.1.2.10
CLOCK_GRAIN_S: Final = 1e-6


@dataclass(slots=True)
class Session:
    """What the broker keeps for one client; `node` is None while it is offline."""

    client_id: str
    node: NodeId | None
    outbox: Outbox
    is_local: bool = False
    is_clean: bool = False
    keep_alive_s: float = 0.0
    will: Will | None = None
    last_heard_s: float = 0.0
    filters: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Broker:
    """An MQTT 3.1.1 broker with QoS 0 and 1, retained messages, wills and persistent sessions.

    `queue_limit` bounds each session's offline queue; the newest message goes when it is full, as with
    mosquitto, and QoS 0 is not queued for a client that is away. A session whose client stays away for
    `session_expiry_s` ends (AWS IoT Core: one hour).
    """

    measures: ClassVar[tuple[str, ...]] = ()

    queue_limit: int = QUEUE_LIMIT
    session_expiry_s: Seconds = 3600.0

    sessions: dict[str, Session] = field(init=False, default_factory=dict)
    clients: dict[NodeId, str] = field(init=False, default_factory=dict)
    mqtt_nodes: set[NodeId] = field(init=False, default_factory=set)
    subscriptions: FilterTree[str] = field(init=False, default_factory=FilterTree)
    retained: dict[str, Message] = field(init=False, default_factory=dict)
    began_s: float | None = field(init=False, default=None)

    @property
    def waiting_count(self) -> int:
        """Publications that sessions hold, queued or not acknowledged."""
        return sum(session.outbox.waiting_count for session in self.sessions.values())

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Serve one packet, watch over one client, or notice a broken link."""
        if self.began_s is None:
            self.began_s = context.now
        match event:
            case Received(message, source, _):
                return self._received(message, source, context)
            case Woken(tag):
                return self._woken(tag, context)
            case LinkChanged(peer, is_up):
                return [] if is_up or peer not in self.clients else self._broken(self.clients[peer], context)
        return []

    def _received(self, message: Message, source: NodeId, context: Context) -> list[Effect]:
        kind = message.kind
        if kind == "connect":
            return self._connect(read_connect(message), source, context)
        session = self._session_of(message, source)
        if session is None:
            if self._is_unknown(message, source):
                return [Drop(message, "not connected"), Send(source, Message("", kind="disconnect"))]
            if kind == "publish":
                return self._publish(message, context)
            session = self._open_local(source)
        session.last_heard_s = context.now
        return self._serve(session, message, source, context)

    def _serve(self, session: Session, message: Message, node: NodeId, context: Context) -> list[Effect]:
        match message.kind:
            case "publish" if message.qos and message.packet_id:
                puback = Send(node, Message("", kind="puback", packet_id=message.packet_id))
                return [puback, *self._publish(message, context)]
            case "publish":
                return self._publish(message, context)
            case "puback":
                session.outbox.acknowledge(message.packet_id)
                return session.outbox.drain(node)
            case "subscribe":
                return self._subscribe(session, message, node, context)
            case "unsubscribe":
                self._unsubscribe(session, message.topic)
                return [Send(node, Message("", kind="unsuback", packet_id=message.packet_id))]
            case "pingreq":
                return [Send(node, Message("", kind="pingresp"))]
            case "disconnect":
                session.will = None
                return self._away(session)
        return [Drop(message, "not understood")]

    # who speaks --------------------------------------------------------------------------------------

    def _session_of(self, message: Message, source: NodeId) -> Session | None:
        """The sender's session; a client that uses packet ids without CONNECT connected before the run,
        unless the broker itself came up later.
        """
        client_id = self.clients.get(source)
        if client_id is not None:
            return self.sessions[client_id]
        if message.packet_id and self.began_s == 0.0 and source not in self.mqtt_nodes:
            return self._open(Connect(source, 0.0, clean_session=False), source)
        return None

    def _is_unknown(self, message: Message, source: NodeId) -> bool:
        """Whether an MQTT client speaks whose connection the broker does not have."""
        return (
            source in self.mqtt_nodes
            or message.packet_id != 0
            or message.kind not in ("publish", "subscribe")
        )

    def _open_local(self, node: NodeId) -> Session:
        session = self._open(Connect(node, 0.0, clean_session=False), node)
        session.is_local = True
        return session

    def _open(self, connect: Connect, node: NodeId) -> Session:
        session = self.sessions.get(connect.client_id)
        if session is None:
            session = Session(connect.client_id, node, Outbox(self.queue_limit))
            self.sessions[connect.client_id] = session
        session.node, session.is_local = node, False
        session.is_clean, session.keep_alive_s = connect.clean_session, connect.keep_alive_s
        session.will = connect.will
        self.clients[node] = connect.client_id
        return session

    # connections -------------------------------------------------------------------------------------

    def _connect(self, connect: Connect, node: NodeId, context: Context) -> list[Effect]:
        """Accept a client: a live connection of the same client id or node gives way to it."""
        self.mqtt_nodes.add(node)
        effects = self._take_over(connect.client_id, node, context)
        known = self.sessions.get(connect.client_id)
        if known is not None and connect.clean_session:
            effects += self._end(known, "session ended")
            known = None
        if known is None and len(self.sessions) >= SESSION_LIMIT:
            return [*effects, Send(node, connack_message(Connack(SERVER_UNAVAILABLE)))]
        session = self._open(connect, node)
        session.last_heard_s = context.now
        effects.append(Send(node, connack_message(Connack(is_session_present=known is not None))))
        effects += session.outbox.redeliver(node)
        effects += session.outbox.drain(node)
        patience_s = KEEP_ALIVE_FACTOR * connect.keep_alive_s or math.inf
        return [*effects, Wake(patience_s, connect.client_id)]

    def _take_over(self, client_id: str, node: NodeId, context: Context) -> list[Effect]:
        effects: list[Effect] = []
        if self.clients.get(node, client_id) != client_id:
            effects += self._broken(self.clients[node], context)
        known = self.sessions.get(client_id)
        if known is not None and known.node is not None:
            if known.node != node:
                effects.append(Send(known.node, Message("", kind="disconnect")))
            effects += self._broken(client_id, context)
        return effects

    def _broken(self, client_id: str, context: Context) -> list[Effect]:
        """The connection ended without DISCONNECT: the will speaks."""
        session = self.sessions[client_id]
        if session.is_local:
            return []
        will, session.will = session.will, None
        effects = self._away(session)
        if will is not None:
            testament = Message(will.topic, will.payload, qos=will.qos, retain=will.retain)
            effects += self._publish(testament, context)
        return effects

    def _away(self, session: Session) -> list[Effect]:
        """The client is offline from now on; its session stays unless it is clean."""
        if session.node is not None:
            del self.clients[session.node]
            session.node = None
        if session.is_clean:
            return [*self._end(session, "session ended"), Wake(math.inf, session.client_id)]
        return [Wake(self.session_expiry_s, session.client_id)]

    def _end(self, session: Session, cause: str) -> list[Effect]:
        if session.node is not None:
            del self.clients[session.node]
        del self.sessions[session.client_id]
        for topic_filter in session.filters:
            self.subscriptions.remove(topic_filter, session.client_id)
        return session.outbox.empty(cause)

    def _woken(self, client_id: str, context: Context) -> list[Effect]:
        """One wake a client: it watches the keep-alive while connected, and the expiry while away."""
        session = self.sessions.get(client_id)
        if session is None:
            return []
        if session.node is None:
            return self._end(session, "expired")
        rest_s = session.last_heard_s + KEEP_ALIVE_FACTOR * session.keep_alive_s - context.now
        if rest_s > CLOCK_GRAIN_S:
            return [Wake(rest_s, client_id)]
        return self._broken(client_id, context)

    # subscriptions -----------------------------------------------------------------------------------

    def _subscribe(self, session: Session, message: Message, node: NodeId, context: Context) -> list[Effect]:
        """Subscribe, answer with the granted QoS, and deliver what is retained under the filter."""
        granted = min(message.qos, 1)
        topic_filter = message.topic
        try:
            self._add_filter(session, topic_filter, granted)
        except InputError:
            granted = SUBSCRIPTION_REFUSED
        effects: list[Effect] = []
        if message.packet_id:
            effects.append(Send(node, Message("", qos=granted, kind="suback", packet_id=message.packet_id)))
        if granted == SUBSCRIPTION_REFUSED:
            return [*effects, Drop(message, "subscription refused")]
        for topic, kept in self.retained.items():
            if matches(topic_filter, topic):
                effects += self._deliver(session, kept, granted, context)
        return effects

    def _add_filter(self, session: Session, topic_filter: str, qos: int) -> None:
        if len(session.filters) >= FILTER_LIMIT and topic_filter not in session.filters:
            raise InputError(f"client {session.client_id!r} has {FILTER_LIMIT} subscriptions already")
        self.subscriptions.add(topic_filter, session.client_id, qos)
        session.filters.add(topic_filter)

    def _unsubscribe(self, session: Session, topic_filter: str) -> None:
        if topic_filter in session.filters:
            session.filters.remove(topic_filter)
            self.subscriptions.remove(topic_filter, session.client_id)

    # publications ------------------------------------------------------------------------------------

    def _publish(self, message: Message, context: Context) -> list[Effect]:
        """Deliver to each matching session once, at the lower of the published and the granted QoS."""
        topic = message.topic
        try:
            check_name(topic)
        except InputError:
            return [Drop(message, "invalid topic")]
        effects: list[Effect] = []
        if message.retain:
            effects += self._retain(message)
        if message.retain or message.dup or message.packet_id:
            message = replace(message, retain=False, dup=False, packet_id=0)
        for client_id, granted in self.subscriptions.match(topic).items():
            effects += self._deliver(self.sessions[client_id], message, granted, context)
        return effects

    def _deliver(self, session: Session, message: Message, granted: int, context: Context) -> list[Effect]:
        qos = min(message.qos, granted)
        if session.is_local:
            qos = 0
        if session.node is None and qos == 0:
            return [Drop(message, "subscriber offline")]
        if message.qos != qos:
            message = replace(message, qos=qos)
        return session.outbox.offer(message, context.trace, session.node)

    def _retain(self, message: Message) -> list[Effect]:
        """Keep the last message of the topic; an empty payload clears it."""
        if not message.payload:
            self.retained.pop(message.topic, None)
        elif message.topic in self.retained or len(self.retained) < RETAINED_LIMIT:
            self.retained[message.topic] = replace(message, packet_id=0, dup=False)
        else:
            return [Drop(message, "retained full")]
        return []
