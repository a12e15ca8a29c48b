"""The gateway: hub between the devices of a site and the broker.

    device --> convert --> cleanse --> local bus --> aggregate --> mask --> buffer --> MQTT session --> broker
    device <-- route commands, deltas, heartbeats <---------------------------------- MQTT session <--'

Every publication is kept account of: accepted + summaries = forwarded + merged + dropped + buffered.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec
from msgspec.structs import replace

from devices_models.gateway.aggregation import Window
from devices_models.gateway.buffer import BUFFER_FULL, BUFFER_LIMIT, Buffer, BufferDrop
from devices_models.gateway.cleansing import Cleanser
from devices_models.gateway.conversion import to_json
from devices_models.gateway.masking import UNMASKABLE, MaskBy, masked
from devices_models.publications import Address, address, command, fields_of
from twin.kernel.behaviour import (
    Context,
    Drop,
    Effect,
    Event,
    LinkChanged,
    NodeId,
    Received,
    Send,
    Started,
    Wake,
    Woken,
)
from twin.kernel.randomness import Stream
from twin.message import Message
from twin.mqtt.client import ClientSession
from twin.mqtt.outbox import INFLIGHT_LIMIT
from twin.mqtt.topics import FilterTree
from twin.units import MessageCount, Seconds

CACHE_LIMIT: Final = 10_000
SUBSCRIPTION_LIMIT: Final = 1_000
GATEWAY_HEARTBEAT: Final = "gateway/heartbeat"
RULE_HEARTBEAT: Final = "rule/heartbeat"
UPLINK: Final = "gateway/uplink"  # told on the local bus when the broker is there again
THINGS: Final = "$aws/things/"
DELTAS: Final = f"{THINGS}+/shadow/update/delta"
DELTA: Final = "/update/delta"
ANSWERS: Final = ("/accepted", "/rejected", DELTA, "/update/documents")
GATE: Final = "boom_gate"
SOUNDER: Final = "sounder"
WINDOW: Final = "window"
HEARTBEAT: Final = "heartbeat"
TOO_MANY_SUBSCRIPTIONS: Final = "too many subscriptions"
KEY_WORDS: Final = 4


@dataclass(slots=True)
class Account:
    """Where the publications are that the gateway accepted for the way up, besides those it still holds."""

    accepted_count: int = 0
    summary_count: int = 0
    merged_count: int = 0
    forwarded_count: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Resumed:
    """The context of now, for a message that was held since another causal chain."""

    node: NodeId
    now: float
    random: Stream
    trace: int
    context: Context

    def sense(self, quantity: str) -> float:
        """The quantity at the node's place now."""
        return self.context.sense(quantity)


@dataclass(slots=True)
class Gateway:
    """Hub of a site's devices: local bus, last values, cleansing, aggregation, conversion, masking, buffer.

    Local subscribers (a rule engine that runs here) see every publication before masking. What goes up to
    the broker `upstream` is prefixed `site/{site}/`, has at least QoS `qos` (0 or 1), and lacks the values
    of the fields in `mask`. While the broker cannot be reached up to `buffer` messages wait; `drop` says
    which go then. Kinds in `aggregate` go up as one summary every `window_s`. With `local_panel` it is the
    listed fire panel too: it sounds its sounders itself on any alarm, whatever rules and WAN do.
    """

    upstream: NodeId = field(default="", metadata={"wired": True})
    site: str = field(default="", metadata={"wired": True})
    devices: dict[NodeId, str] = field(default_factory=dict, metadata={"wired": True})
    session: ClientSession | None = field(default=None, metadata={"wired": True})
    buffer: MessageCount = BUFFER_LIMIT
    drop: BufferDrop = "oldest"
    qos: int = 1
    cleanse: bool = True
    aggregate: list[str] = field(default_factory=list)
    window_s: Seconds = 60.0
    mask: list[str] = field(default_factory=list)
    mask_by: MaskBy = "hash"
    heartbeat_s: Seconds = 10.0
    local_panel: bool = True

    account: Account = field(init=False, default_factory=Account)
    waiting: Buffer = field(init=False)
    windows: dict[str, Window] = field(init=False, default_factory=dict)
    cleanser: Cleanser = field(init=False, default_factory=Cleanser)
    last_values: OrderedDict[str, bytes] = field(init=False, default_factory=OrderedDict)
    bus: FilterTree[NodeId] = field(init=False, default_factory=FilterTree)
    subscription_count: int = field(init=False, default=0)
    mask_key: bytes = field(init=False, default=b"")

    measures: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        self.waiting = Buffer(self.buffer, self.drop)

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Take what devices, local subscribers and the broker send."""
        match event:
            case Received(message, source) if source == self.upstream:
                return self._from_above(event, context)
            case Received(message, source) if message.kind == "subscribe":
                return self._subscribe(message, source)
            case Received(message, source) if message.kind == "publish":
                return self._publish(message, source, context)
            case Woken(tag) if tag.startswith("mqtt/") and self.session is not None:
                return [*self.session.woken(tag, context), *self._drain(context)]
            case Woken(tag) if tag == HEARTBEAT:
                return self._beat()
            case Woken(tag) if tag == WINDOW:
                return self._summarise(context)
            case LinkChanged(peer, is_up) if peer == self.upstream and self.session is not None:
                return [*self.session.link_changed(is_up, context), *self._drain(context)]
            case Started():
                return self._start(context)
        return ()

    @property
    def buffered_count(self) -> int:
        """Publications that wait for the broker."""
        return self.waiting.count

    @property
    def prefix(self) -> str:
        """What stands before a field topic at the broker."""
        return f"site/{self.site}/"

    def _start(self, context: Context) -> Iterator[Effect]:
        words = [int(context.random.uniform() * 2**32) for _ in range(KEY_WORDS)]
        self.mask_key = b"".join(word.to_bytes(4, "big") for word in words)
        if self.heartbeat_s:
            yield from self._beat()
        if not self.upstream:
            return
        if self.aggregate:
            yield Wake(self.window_s, WINDOW)
        if self.session is None:
            self.session = ClientSession(self.upstream, context.node)
        for topic_filter in (f"{self.prefix}+/+/cmd/#", DELTAS, RULE_HEARTBEAT):
            self.session.subscribe(topic_filter, 0 if topic_filter == RULE_HEARTBEAT else 1)
        yield from self.session.start(context)

    # from the field --------------------------------------------------------------------------------------

    def _subscribe(self, message: Message, source: NodeId) -> Iterable[Effect]:
        if self.subscription_count >= SUBSCRIPTION_LIMIT:
            return (Drop(message, TOO_MANY_SUBSCRIPTIONS),)
        self.subscription_count += 1
        self.bus.add(message.topic, source, message.qos)
        is_own = message.topic.startswith(f"{THINGS}{source}/")
        is_of_twins = message.topic.startswith(THINGS) and message.topic.endswith(ANSWERS)
        if self.session is not None and (is_own or is_of_twins):
            return self.session.subscribe(message.topic, message.qos)
        return ()

    def _publish(self, message: Message, source: NodeId, context: Context) -> Iterable[Effect]:
        if message.topic == RULE_HEARTBEAT:
            return self._to_gates(message)
        if message.topic.startswith(THINGS):
            return self._shadow_message(message, source, context)
        at = address(message.topic)
        if at is None or at.node not in self.devices:
            return [*self._on_bus(message, source), *self._upward(message, context)]
        if at.command or at.rest == "delta":
            return self._route(message, at, source)
        return self._from_device(message, at, source, context)

    def _shadow_message(self, message: Message, source: NodeId, context: Context) -> Iterable[Effect]:
        """A request goes to the twin that runs here, else up; the answers of that twin go to the devices."""
        taken = list(self._on_bus(message, source))
        if message.topic.endswith(ANSWERS):
            is_delta = message.topic.endswith(DELTA)
            return taken if taken or not is_delta else self._to_thing(message)
        return taken or self._upward(message, context)

    def _has_twin(self, message: Message) -> bool:
        """Whether a twin runs here that answers for the thing."""
        thing = message.topic.split("/")[2]
        return bool(self.bus.match(f"{THINGS}{thing}/shadow/update"))

    def _to_twin(self, message: Message) -> Iterable[Effect]:
        """What the twin of the cloud says goes to the one that runs here, which tells the devices."""
        thing = message.topic.split("/")[2]
        twins = self.bus.match(f"{THINGS}{thing}/shadow/update")
        local = replace(message, packet_id=0, dup=False, retain=False)
        return [Send(each, local) for each in self.bus.match(message.topic) if each in twins]

    def _to_thing(self, message: Message) -> Iterable[Effect]:
        """What concerns a shadow, to the device: a delta of its classic shadow as a field topic."""
        thing = message.topic.split("/")[2]
        if thing not in self.devices:
            return ()
        local = replace(message, packet_id=0, dup=False, retain=False)
        if message.topic == f"{THINGS}{thing}/shadow/update/delta":
            local = replace(local, topic=f"{self.devices[thing]}/{thing}/delta")
        return (Send(thing, local),)

    def _from_device(
        self, message: Message, at: Address, source: NodeId, context: Context
    ) -> Iterator[Effect]:
        message = to_json(at.kind, message, context.now)
        fields = fields_of(message.payload)
        if at.rest == "telemetry" and fields is not None:
            cause = self.cleanser.cause(at.kind, at.node, message.payload, fields) if self.cleanse else None
            if cause is not None:
                self.account.accepted_count += 1
                yield self._dropped(message, cause)
                return
            self._remember(at.node, message.payload)
        yield from self._on_bus(message, source)
        if at.event == "alarm":
            yield from self._alarmed(at)
        if self.upstream and at.rest == "telemetry" and at.kind in self.aggregate and fields is not None:
            self._merge(at.kind, fields)
        else:
            yield from self._upward(message, context)

    def _alarmed(self, at: Address) -> Iterator[Effect]:
        """Acknowledge, so that the detector need not repeat; sound, if this is the panel."""
        if self.local_panel:
            for node in self._nodes_of(SOUNDER):
                yield Send(node, command(SOUNDER, node, "sound"))
        yield Send(at.node, command(at.kind, at.node, "ack"))

    def _on_bus(self, message: Message, source: NodeId) -> Iterator[Effect]:
        for subscriber, qos in self.bus.match(message.topic).items():
            if subscriber != source:
                yield Send(subscriber, replace(message, qos=min(qos, message.qos)))

    def _remember(self, node: NodeId, payload: bytes) -> None:
        self.last_values[node] = payload
        self.last_values.move_to_end(node)
        if len(self.last_values) > CACHE_LIMIT:
            self.last_values.popitem(last=False)

    def _nodes_of(self, kind: str) -> list[NodeId]:
        return [node for node, its_kind in self.devices.items() if its_kind == kind]

    # to the field ----------------------------------------------------------------------------------------

    def _route(self, message: Message, at: Address, source: NodeId) -> Iterator[Effect]:
        """Hand an order to its device; `cmd/get` is answered here, with the last reading."""
        if at.command != "get":
            yield Send(at.node, message)
            return
        payload = self.last_values.get(at.node, b"null")
        yield Send(source, Message(f"{at.kind}/{at.node}/last", payload, qos=message.qos))

    def _beat(self) -> Iterator[Effect]:
        yield from self._to_gates(Message(GATEWAY_HEARTBEAT))
        yield Wake(self.heartbeat_s, HEARTBEAT)

    def _to_gates(self, message: Message) -> Iterator[Effect]:
        for node in self._nodes_of(GATE):
            yield Send(node, message)

    # the way up ------------------------------------------------------------------------------------------

    def _upward(self, message: Message, context: Context) -> Iterator[Effect]:
        if not self.upstream:
            return
        self.account.accepted_count += 1
        safe = masked(message, self.mask, self.mask_by, self.mask_key)
        if safe is None:
            yield self._dropped(message, UNMASKABLE)
            return
        yield from self._enqueue(safe, context)

    def _enqueue(self, message: Message, context: Context) -> Iterator[Effect]:
        """Prefix and send, or hold behind what already waits."""
        topic = message.topic if message.topic.startswith("$") else self.prefix + message.topic
        upward = replace(message, topic=topic, qos=min(max(message.qos, self.qos), 1))
        evicted = self.waiting.put(upward, context.trace)
        if evicted is not None:
            yield self._dropped(evicted, BUFFER_FULL)
        yield from self._drain(context)

    def _drain(self, context: Context) -> Iterator[Effect]:
        """Hand what waits to the session, as far as it has room."""
        session = self.session
        while session is not None and _has_room(session) and (held := self.waiting.take()) is not None:
            self.account.forwarded_count += 1
            resumed = Resumed(context.node, context.now, context.random, held.trace, context)
            yield from session.publish(held.message, resumed)

    def _dropped(self, message: Message, cause: str) -> Drop:
        self.account.dropped[cause] += 1
        return Drop(message, cause)

    def _merge(self, kind: str, fields: dict[str, Any]) -> None:
        self.account.accepted_count += 1
        self.account.merged_count += 1
        self.windows.setdefault(kind, Window()).add(fields)

    def _summarise(self, context: Context) -> Iterator[Effect]:
        """One message for each aggregated kind that said something."""
        windows, self.windows = self.windows, {}
        for kind, window in windows.items():
            fields = {"ts": round(context.now * 1000.0), "window_s": self.window_s, **window.summary()}
            summary = Message(f"{kind}/{context.node}/telemetry", msgspec.json.encode(fields))
            self.account.summary_count += 1
            yield from self._enqueue(summary, context)
        yield Wake(self.window_s, WINDOW)

    # from the broker -------------------------------------------------------------------------------------

    def _from_above(self, event: Received, context: Context) -> Iterable[Effect]:
        if self.session is None:
            return ()
        was_connected = self.session.is_connected
        effects, messages = self.session.received(event, context)
        if self.session.is_connected and not was_connected:
            effects += self._on_bus(Message(UPLINK), self.upstream)
        for message in messages:
            effects += self._down(message, context)
        effects += self._drain(context)
        return effects

    def _down(self, message: Message, context: Context) -> Iterable[Effect]:
        """Take an order, a wish of a shadow or the rules' heartbeat to the devices they are for."""
        if message.topic == RULE_HEARTBEAT:
            return self._to_gates(message)
        if message.topic.startswith(THINGS):
            return self._to_twin(message) if self._has_twin(message) else self._to_thing(message)
        local = replace(message, packet_id=0, dup=False, retain=False)
        at = address(message.topic.removeprefix(self.prefix))
        if at is None or at.node not in self.devices:
            return ()
        order = replace(local, topic="/".join(at))
        if at.command == "get":
            answer = Message(f"{at.kind}/{at.node}/last", self.last_values.get(at.node, b"null"))
            return self._upward(answer, context)
        return (Send(at.node, order),)


def _has_room(session: ClientSession) -> bool:
    """Whether the session would send now, or (cold) needs a publication to connect for."""
    if session.state == "closed":
        return session.waiting_count == 0
    return session.is_connected and len(session.outbox.inflight) < INFLIGHT_LIMIT
