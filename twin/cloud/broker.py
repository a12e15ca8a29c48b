"""The MQTT broker of the simulation: routes publications to sessions, held equal to a real broker.

    publisher --> retained store
        `-------> subscriptions --> session of each subscriber --> outbox (queue, window) --> subscriber

A node reaches it in one of two ways. An MQTT client opens a session with CONNECT. A node that never
connected is local: it shares the host, or its session is not part of the model; its publications are
taken as they come, and a "subscribe" without a packet id gives it a session that never expires.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeAlias

from msgspec.structs import replace

from twin.cloud.broker_session import Session, asked_s, stripped
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
from twin.message import Message, Properties
from twin.mqtt.outbox import EXPIRED, INFLIGHT_LIMIT, QUEUE_LIMIT, Outbox
from twin.mqtt.packets import (
    DISCONNECT_WITH_WILL,
    KEEP_ALIVE_TIMEOUT,
    NEVER_S,
    NO_SUBSCRIPTION_EXISTED,
    NOT_AUTHORIZED,
    NOT_AUTHORIZED_V3,
    PACKET_LIMIT_BYTES,
    PACKET_TOO_LARGE,
    QUOTA_EXCEEDED,
    RECEIVE_MAXIMUM_EXCEEDED,
    SERVER_UNAVAILABLE,
    SERVER_UNAVAILABLE_V5,
    SESSION_TAKEN_OVER,
    SUBSCRIPTION_REFUSED,
    TOPIC_FILTER_INVALID,
    Connack,
    Connect,
    Version,
    Will,
    connack_message,
    packet_bytes,
    read_connect,
)
from twin.mqtt.subscriptions import QOS_MASK, SHARED, Subscriptions, shared_filter
from twin.mqtt.topics import check_filter, check_name, matches
from twin.state.registry.policies import Verb
from twin.units import Bytes, Seconds

SESSION_LIMIT: Final = 1_000_000
RETAINED_LIMIT: Final = 100_000
FILTER_LIMIT: Final = 10_000
TOPIC_ALIAS_LIMIT: Final = 10  # mosquitto's max_topic_alias
KEEP_ALIVE_FACTOR: Final = 1.5  # MQTT 3.1.1, section 3.1.2.10
CLOCK_GRAIN_S: Final = 1e-6
RESERVED: Final = "$aws/"
SESSION_ENDED: Final = "session ended"
NOT_ALLOWED: Final = "not authorised"

Authorise: TypeAlias = Callable[[str, Verb, str], bool]


@dataclass(slots=True)
class Broker:
    """An MQTT 3.1.1 and 5 broker: QoS 0 to 2, retained messages, wills, sessions, shared subscriptions.

    `queue_limit` bounds each session's offline queue; the newest message goes when it is full, as with
    mosquitto, and QoS 0 is not queued for a client that is away. A session whose client stays away for
    `session_expiry_s` ends (AWS IoT Core: one hour), or earlier if the client said so (MQTT 5). A client
    that sends more than `maximum_packet_bytes` in one packet is cut off. `authorise` is asked with the client
    id, the verb (connect, publish, subscribe, receive) and the topic; without it everybody may do everything.
    """

    measures: ClassVar[tuple[str, ...]] = ("access_refused",)

    queue_limit: int = QUEUE_LIMIT
    session_expiry_s: Seconds = 3600.0
    maximum_packet_bytes: Bytes = PACKET_LIMIT_BYTES
    authorise: Authorise | None = field(default=None, metadata={"wired": True})

    sessions: dict[str, Session] = field(init=False, default_factory=dict)
    clients: dict[NodeId, str] = field(init=False, default_factory=dict)
    mqtt_nodes: set[NodeId] = field(init=False, default_factory=set)
    subscriptions: Subscriptions = field(init=False, default_factory=Subscriptions)
    retained: dict[str, Message] = field(init=False, default_factory=dict)
    retained_until_s: dict[str, float] = field(init=False, default_factory=dict)
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
                return self._publish(message, source, context)
            session = self._open_local(source)
        session.last_heard_s = context.now
        limit_bytes = self.maximum_packet_bytes
        if limit_bytes < PACKET_LIMIT_BYTES and packet_bytes(message) > limit_bytes:
            return [Drop(message, "packet too large"), *self._cut(session, PACKET_TOO_LARGE, context)]
        return self._serve(session, message, source, context)

    def _serve(self, session: Session, message: Message, node: NodeId, context: Context) -> list[Effect]:
        packet_id = message.packet_id
        match message.kind:
            case "publish" if message.qos == 2 and packet_id:
                return self._take_over_publication(session, message, node, context)
            case "publish" if message.qos and packet_id:
                if not self._may(session.client_id, "publish", message.topic):
                    puback = Send(node, session.packet("puback", packet_id, NOT_AUTHORIZED))
                    return [puback, Drop(message, NOT_ALLOWED)]
                puback = Send(node, session.packet("puback", packet_id))
                return [puback, *self._route(message, session.client_id, context)]
            case "publish":
                return self._publish(message, session.client_id, context)
            case "puback" | "pubcomp":
                session.outbox.acknowledge(packet_id)
                return session.outbox.drain(node, context.now)
            case "pubrec":
                return session.outbox.release(packet_id, node)
            case "pubrel":
                return self._release(session, packet_id, node, context)
            case "subscribe":
                return self._subscribe(session, message, node, context)
            case "unsubscribe":
                was_there = self._unsubscribe(session, message.topic)
                reason_code = 0 if was_there else NO_SUBSCRIPTION_EXISTED
                return [Send(node, session.packet("unsuback", packet_id, reason_code))]
            case "pingreq":
                return [Send(node, session.packet("pingresp"))]
            case "disconnect":
                return self._farewell(session, message.properties, context)
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
            version: Version = "3.1.1" if message.properties is None else "5"
            return self._open(Connect(source, 0.0, False, version=version, session_expiry_s=NEVER_S), source)
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
            session = Session(connect.client_id, Outbox(self.queue_limit))
            self.sessions[connect.client_id] = session
        session.begin(connect, node, self._expiry_s(connect))
        self.clients[node] = connect.client_id
        return session

    def _expiry_s(self, connect: Connect) -> float:
        """How long the session outlives its connection."""
        if connect.version == "5":
            return min(self.session_expiry_s, asked_s(connect.session_expiry_s))
        return 0.0 if connect.clean_session else self.session_expiry_s

    # connections -------------------------------------------------------------------------------------

    def _connect(self, connect: Connect, node: NodeId, context: Context) -> list[Effect]:
        """Accept a client: a live connection of the same client id or node gives way to it."""
        self.mqtt_nodes.add(node)
        if self.authorise is not None and not self.authorise(connect.client_id, "connect", ""):
            code = NOT_AUTHORIZED if connect.version == "5" else NOT_AUTHORIZED_V3
            return [Send(node, connack_message(Connack(code, version=connect.version)))]
        effects = self._take_over(connect.client_id, node, context)
        known = self.sessions.get(connect.client_id)
        if known is not None and connect.clean_session:
            effects += self._end(known, SESSION_ENDED, context)
            known = None
        if known is None and len(self.sessions) >= SESSION_LIMIT:
            code = SERVER_UNAVAILABLE_V5 if connect.version == "5" else SERVER_UNAVAILABLE
            return [*effects, Send(node, connack_message(Connack(code, version=connect.version)))]
        session = self._open(connect, node)
        session.last_heard_s = context.now
        effects.append(Send(node, connack_message(self._connack(connect, session, known is not None))))
        effects += session.outbox.redeliver(node)
        effects += session.outbox.drain(node, context.now)
        patience_s = KEEP_ALIVE_FACTOR * connect.keep_alive_s or math.inf
        return [*effects, Wake(patience_s, connect.client_id)]

    def _connack(self, connect: Connect, session: Session, is_present: bool) -> Connack:
        if connect.version == "3.1.1":
            return Connack(is_session_present=is_present)
        granted_s = None if session.expiry_s >= asked_s(connect.session_expiry_s) else session.expiry_s
        return Connack(
            is_session_present=is_present,
            version="5",
            session_expiry_s=None if granted_s is None else math.ceil(granted_s),
            receive_maximum=INFLIGHT_LIMIT,
            topic_alias_maximum=TOPIC_ALIAS_LIMIT,
            maximum_packet_bytes=self.maximum_packet_bytes,
        )

    def _take_over(self, client_id: str, node: NodeId, context: Context) -> list[Effect]:
        effects: list[Effect] = []
        if self.clients.get(node, client_id) != client_id:
            effects += self._broken(self.clients[node], context)
        known = self.sessions.get(client_id)
        if known is not None and known.node is not None:
            if known.node != node:
                effects.append(Send(known.node, known.packet("disconnect", 0, SESSION_TAKEN_OVER)))
            effects += self._broken(client_id, context)
        return effects

    def _cut(self, session: Session, reason_code: int, context: Context) -> list[Effect]:
        """Close a connection for what its client did."""
        if session.node is None or session.is_local:
            return []
        farewell = Send(session.node, session.packet("disconnect", 0, reason_code))
        return [farewell, *self._broken(session.client_id, context)]

    def _broken(self, client_id: str, context: Context) -> list[Effect]:
        """The connection ended without DISCONNECT: the will speaks, at once or after its delay."""
        session = self.sessions[client_id]
        if session.is_local:
            return []
        will, session.will = session.will, None
        if will is None:
            return self._away(session, context)
        delay_s = min(float(will.delay_s), session.expiry_s)
        if delay_s > 0.0:
            session.will, session.is_will_pending = will, True
            return [*self._away(session, context)[:-1], Wake(delay_s, client_id)]
        return [*self._away(session, context), *self._testament(session, will, context)]

    def _testament(self, session: Session, will: Will, context: Context) -> list[Effect]:
        """Publish a will; to the shadow's own topics it is none, as at AWS: a death is no report."""
        if will.topic.startswith(RESERVED):
            return []
        said = None if will.message_expiry_s is None else Properties(message_expiry_s=will.message_expiry_s)
        testament = Message(will.topic, will.payload, qos=will.qos, retain=will.retain, properties=said)
        return self._publish(testament, session.client_id, context)

    def _farewell(self, session: Session, said: Properties | None, context: Context) -> list[Effect]:
        """DISCONNECT: the will is discarded, unless the client says otherwise (MQTT 5)."""
        if said is not None and said.session_expiry_s is not None and session.expiry_s > 0.0:
            session.expiry_s = min(self.session_expiry_s, asked_s(said.session_expiry_s))
        if said is not None and said.reason_code == DISCONNECT_WITH_WILL:
            return self._broken(session.client_id, context)
        session.will = None
        return self._away(session, context)

    def _away(self, session: Session, context: Context) -> list[Effect]:
        """The client is offline from now on; its session stays unless it ends with the connection."""
        if session.node is not None:
            del self.clients[session.node]
            session.node = None
        if session.expiry_s <= 0.0:
            return [*self._end(session, SESSION_ENDED, context), Wake(math.inf, session.client_id)]
        session.expires_s = context.now + session.expiry_s
        return [Wake(session.expiry_s, session.client_id)]

    def _end(self, session: Session, cause: str, context: Context) -> list[Effect]:
        """The session is no more; a will that still waited speaks now [MQTT-3.1.3-9]."""
        if session.node is not None:
            del self.clients[session.node]
        del self.sessions[session.client_id]
        for topic_filter, options in session.filters.items():
            self.subscriptions.remove(topic_filter, session.client_id, options)
        effects = session.empty(cause)
        if session.will is not None and session.is_will_pending:
            effects += self._testament(session, session.will, context)
        return effects

    def _woken(self, client_id: str, context: Context) -> list[Effect]:
        """One wake a client: while connected for its keep-alive, then for its will, then for its expiry."""
        session = self.sessions.get(client_id)
        if session is None:
            return []
        if session.node is None:
            return self._overdue(session, context)
        rest_s = session.last_heard_s + KEEP_ALIVE_FACTOR * session.keep_alive_s - context.now
        if rest_s > CLOCK_GRAIN_S:
            return [Wake(rest_s, client_id)]
        return self._silent(session, context)

    def _silent(self, session: Session, context: Context) -> list[Effect]:
        """Keep-alive is over: MQTT 5 says so before the connection is closed."""
        if session.version == "5":
            return self._cut(session, KEEP_ALIVE_TIMEOUT, context)
        return self._broken(session.client_id, context)

    def _overdue(self, session: Session, context: Context) -> list[Effect]:
        rest_s = session.expires_s - context.now
        if not session.is_will_pending or session.will is None or rest_s <= CLOCK_GRAIN_S:
            return self._end(session, EXPIRED, context)
        will, session.will, session.is_will_pending = session.will, None, False
        return [*self._testament(session, will, context), Wake(rest_s, session.client_id)]

    # subscriptions -----------------------------------------------------------------------------------

    def _subscribe(self, session: Session, message: Message, node: NodeId, context: Context) -> list[Effect]:
        """Subscribe, answer with the granted QoS, and deliver what is retained under the filter."""
        granted, topic_filter, said = min(message.qos, 2), message.topic, message.properties
        is_new = topic_filter not in session.filters
        refusal = self._refusal(session, topic_filter)
        answer = refusal or granted
        effects: list[Effect] = []
        if message.packet_id:
            effects.append(Send(node, replace(session.packet("suback", message.packet_id), qos=answer)))
        if refusal:
            return [*effects, Drop(message, "subscription refused")]
        self._unsubscribe(session, topic_filter)
        session.filters[topic_filter] = self.subscriptions.add(topic_filter, session.client_id, granted, said)
        handling = 0 if said is None else said.retain_handling
        if handling == 2 or (handling == 1 and not is_new) or topic_filter.startswith(SHARED):
            return effects
        return effects + self._greet(session, topic_filter, granted, context)

    def _refusal(self, session: Session, topic_filter: str) -> int:
        """Why the subscription is refused, as a return or reason code; 0: it is not."""
        reason_code = 0
        try:
            (shared_filter if topic_filter.startswith(SHARED) else check_filter)(topic_filter)
        except InputError:
            reason_code = TOPIC_FILTER_INVALID
        if len(session.filters) >= FILTER_LIMIT and topic_filter not in session.filters:
            reason_code = QUOTA_EXCEEDED
        if not reason_code and not self._may(session.client_id, "subscribe", topic_filter):
            reason_code = NOT_AUTHORIZED
        return SUBSCRIPTION_REFUSED if reason_code and session.version == "3.1.1" else reason_code

    def _greet(self, session: Session, topic_filter: str, granted: int, context: Context) -> list[Effect]:
        """Deliver what is retained under the filter and has not expired."""
        effects: list[Effect] = []
        for topic in [topic for topic in self.retained if matches(topic_filter, topic)]:
            kept, rest_s = self.retained[topic], self.retained_until_s.get(topic, math.inf) - context.now
            if rest_s <= 0.0:
                self._forget(topic)
                continue
            if kept.properties is not None:
                kept = replace(kept, properties=Properties(message_expiry_s=math.ceil(rest_s)))
            effects += self._deliver(session, kept, granted, context)
        return effects

    def _unsubscribe(self, session: Session, topic_filter: str) -> bool:
        options = session.filters.pop(topic_filter, None)
        if options is None:
            return False
        self.subscriptions.remove(topic_filter, session.client_id, options)
        return True

    # publications ------------------------------------------------------------------------------------

    def _take_over_publication(
        self, session: Session, message: Message, node: NodeId, context: Context
    ) -> list[Effect]:
        """QoS 2: hold the publication until its PUBREL, and only once."""
        if message.packet_id not in session.incoming:
            if session.version == "5" and not self._may(session.client_id, "publish", message.topic):
                pubrec = session.packet("pubrec", message.packet_id, NOT_AUTHORIZED)
                return [Drop(message, NOT_ALLOWED), Send(node, pubrec)]
            if session.version == "5" and len(session.incoming) >= INFLIGHT_LIMIT:
                return [Drop(message, "window"), *self._cut(session, RECEIVE_MAXIMUM_EXCEEDED, context)]
            session.incoming[message.packet_id] = message
        return [Send(node, session.packet("pubrec", message.packet_id))]

    def _release(self, session: Session, packet_id: int, node: NodeId, context: Context) -> list[Effect]:
        """PUBREL: the publication is the broker's now."""
        message = session.incoming.pop(packet_id, None)
        pubcomp = Send(node, session.packet("pubcomp", packet_id))
        if message is None:
            return [pubcomp]
        return [pubcomp, *self._publish(message, session.client_id, context)]

    def _may(self, client_id: str, verb: Verb, topic: str) -> bool:
        return self.authorise is None or self.authorise(client_id, verb, topic)

    def _publish(self, message: Message, publisher: str, context: Context) -> list[Effect]:
        """Deliver what its publisher may publish."""
        if self.authorise is not None and not self.authorise(publisher, "publish", message.topic):
            return [Drop(message, NOT_ALLOWED)]
        return self._route(message, publisher, context)

    def _route(self, message: Message, publisher: str, context: Context) -> list[Effect]:
        """Deliver to each matching session once, at the lower of the published and the granted QoS."""
        topic = message.topic
        try:
            check_name(topic)
        except InputError:
            return [Drop(message, "invalid topic")]
        effects: list[Effect] = []
        as_published = message
        if message.retain or message.dup or message.packet_id or message.properties is not None:
            as_published = stripped(message)
            message = replace(as_published, retain=False) if as_published.retain else as_published
        if as_published.retain:
            effects += self._retain(as_published, context)
        for client_id, granted in self.subscriptions.match(topic, publisher).items():
            copy = as_published if granted > QOS_MASK else message
            effects += self._deliver(self.sessions[client_id], copy, granted & QOS_MASK, context)
        if self.subscriptions.has_groups:
            effects += self._share(message, context)
        return effects

    def _share(self, message: Message, context: Context) -> list[Effect]:
        """One copy to each group of a matching shared subscription, for the member whose turn it is."""
        effects: list[Effect] = []
        for group in self.subscriptions.groups(message.topic):
            client_id, granted = group.take_turn(self._is_connected)
            effects += self._deliver(self.sessions[client_id], message, granted, context)
        return effects

    def _is_connected(self, client_id: str) -> bool:
        return self.sessions[client_id].node is not None

    def _deliver(self, session: Session, message: Message, granted: int, context: Context) -> list[Effect]:
        if self.authorise is not None and not self.authorise(session.client_id, "receive", message.topic):
            return [Drop(message, NOT_ALLOWED)]
        qos = min(message.qos, granted)
        if session.is_local:
            qos = 0
        if session.node is None and qos == 0:
            return [Drop(message, "subscriber offline")]
        if message.qos != qos:
            message = replace(message, qos=qos)
        if session.packet_limit_bytes < PACKET_LIMIT_BYTES and session.is_too_large(message):
            return [Drop(message, "packet too large")]
        return session.outbox.offer(message, context.trace, session.node, context.now)

    def _retain(self, message: Message, context: Context) -> list[Effect]:
        """Keep the last message of the topic; an empty payload clears it."""
        topic = message.topic
        if not message.payload:
            self._forget(topic)
            return []
        if topic not in self.retained and len(self.retained) >= RETAINED_LIMIT:
            return [Drop(message, "retained full")]
        self.retained[topic] = message
        self.retained_until_s.pop(topic, None)
        if message.properties is not None and message.properties.message_expiry_s is not None:
            self.retained_until_s[topic] = context.now + message.properties.message_expiry_s
        return []

    def _forget(self, topic: str) -> None:
        self.retained.pop(topic, None)
        self.retained_until_s.pop(topic, None)
