"""A thing with properties that change by themselves, by hand or on a shadow's wish, and its shadow's client.

    connected --> subscribe --> get --> follow what is desired and not so --> report
                      `-- the order, and what is left out, is the strategy `reconnect`

What goes wrong in real shadow clients can be switched on: a get before the subscription, deltas dropped
because their version is not higher, wishes followed though they are older than what a hand has done since.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, TypeAlias

import msgspec

from devices_models.publications import fields_of, part_of, version_of
from devices_models.world.feature import nearest
from devices_models.world.settings import Actuation
from twin.errors import InputError
from twin.kernel.behaviour import (
    Actuate,
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
from twin.units import Seconds

Strategy: TypeAlias = Literal[
    "get_then_delta", "persistent_session", "rebirth", "azure", "ditto", "get_before_subscribe", "none"
]
ACCEPTED: Final = "update/accepted"
DOCUMENTS: Final = "update/documents"
DELTA: Final = "update/delta"
GET_ACCEPTED: Final = "get/accepted"
GET_REJECTED: Final = "get/rejected"
HEARTBEAT: Final = "heartbeat"
CHANGE: Final = "change/"
HAND: Final = "hand/"
ACT: Final = "act"

SUBSCRIPTIONS: Final[dict[Strategy, tuple[str, ...]]] = {
    "get_then_delta": (GET_ACCEPTED, GET_REJECTED, ACCEPTED, DELTA),
    "persistent_session": (GET_ACCEPTED, GET_REJECTED, ACCEPTED, DELTA),
    "rebirth": (ACCEPTED, DELTA),
    "azure": (GET_ACCEPTED, GET_REJECTED, DOCUMENTS),
    "ditto": (GET_ACCEPTED, GET_REJECTED, DOCUMENTS),
    "get_before_subscribe": (GET_ACCEPTED, GET_REJECTED),
    "none": (ACCEPTED, DELTA),
}
"""What each strategy subscribes to when the connection is there."""
GETTING: Final = frozenset({"get_then_delta", "azure", "ditto", "get_before_subscribe"})


@dataclass(frozen=True, slots=True)
class Property:
    """One property and the law by which it changes by itself; without a law it stays as it is.

    `toggles_every_s` is the mean of exponential gaps between changes to the next of `values`; `every_s` is
    a fixed gap, from a random phase on, after which it takes the next of `values` or `walks` up or down by
    that. `start` is its first value: without it the first of `values`, or 0. `moves` names what it moves in
    the world, to 1 while it has the value `moved_by` and else to 0, such as the boom of a gate.
    """

    start: Any = None
    values: tuple[Any, ...] = ()
    toggles_every_s: Seconds = 0.0
    every_s: Seconds = 0.0
    walks: float = 0.0
    moves: Actuation | None = None
    moved_by: Any = True

    def moved(self, value: Any) -> Iterator[Effect]:
        """What the value does to the world."""
        if self.moves is not None:
            yield Actuate(self.moves, 1.0 if value == self.moved_by else 0.0)

    @property
    def first(self) -> Any:
        """The value at the start."""
        if self.start is not None:
            return self.start
        return self.values[0] if self.values else 0

    def next_after(self, value: Any, context: Context) -> Any:
        """The value after this one."""
        if self.walks:
            return value + (self.walks if context.random.uniform() < 0.5 else -self.walks)
        place = self.values.index(value) + 1 if value in self.values else 0
        return self.values[place % len(self.values)] if self.values else value

    def gap_s(self, context: Context) -> float:
        """Seconds until it changes by itself, infinite if it does not."""
        if self.toggles_every_s:
            return context.random.exponential(self.toggles_every_s)
        return self.every_s or math.inf


@dataclass(frozen=True, slots=True)
class ByHand:
    """At `at_s` somebody sets properties at the device itself."""

    at_s: Seconds
    set: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class ShadowDevice:
    """Keeps a shadow of its properties: reports changes, follows deltas, and knows how to reconnect.

    A wish takes `act_time_s` to be followed. `heartbeat_s` is the period of a report of everything (0: none).
    `ignores` says which deltas it takes for old: those of a `lower` version than the last it saw, which is
    right, or `lower_or_equal`, which loses deltas. With `clear_desired` a wish that is fulfilled is taken
    back. `by_hand_wins` defends a change by hand: `older` wishes, made before it, are dropped; `always`
    refuses every wish for that property from then on (a fail-safe in the device).

    Observes `changed` when a property changed by itself or by hand, `wish_followed`, `wish_refused`, and
    `hand_undone` when a wish that was older undid a change by hand.
    """

    gateway: NodeId = field(metadata={"wired": True})
    is_direct: bool = field(default=False, metadata={"wired": True})
    properties: dict[str, Property] = field(default_factory=dict)
    by_hand: list[ByHand] = field(default_factory=list)
    reconnect: Strategy = "get_then_delta"
    ignores: Literal["lower", "lower_or_equal"] = "lower"
    by_hand_wins: Literal["never", "older", "always"] = "never"
    clear_desired: bool = False
    act_time_s: Seconds = 0.0
    heartbeat_s: Seconds = 0.0
    qos: int = 1

    begins: Mapping[str, Any] = field(init=False, default_factory=dict)
    state: dict[str, Any] = field(init=False, default_factory=dict)
    hands_s: dict[str, float] = field(init=False, default_factory=dict)
    wishes: dict[str, tuple[Any, float]] = field(init=False, default_factory=dict)
    refused: dict[str, tuple[Any, float]] = field(init=False, default_factory=dict)
    version: int = field(init=False, default=0)
    is_new: bool = field(init=False, default=True)

    measures: ClassVar[tuple[str, ...]] = ("changed", "hand_undone", "wish_followed", "wish_refused")
    KIND: ClassVar[str] = "shadow_device"
    subscribes_itself: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raise InputError for a change by hand of what the device has not."""
        for name in (name for hand in self.by_hand for name in hand.set):
            if name not in self.properties:
                raise InputError(
                    f"'by_hand' sets '{name}', which is no property{nearest(name, self.properties)}"
                )

    @property
    def is_session_clean(self) -> bool:
        """Whether the broker is to forget the session with the connection."""
        return self.reconnect != "persistent_session"

    def mirrored(self) -> Mapping[str, Any]:
        """Its true state, as its shadow names it."""
        return self.state

    def adopt(self, reported: Mapping[str, Any]) -> None:
        """Begin with the values that its shadow has of it."""
        self.begins = {name: value for name, value in reported.items() if name in self.properties}

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Change, report, follow."""
        match event:
            case Received(message, _, _):
                return self._received(message, context)
            case Woken(tag) if tag.startswith(CHANGE):
                return self._change(tag.removeprefix(CHANGE), context)
            case Woken(tag) if tag.startswith(HAND):
                return self._take_hand(self.by_hand[int(tag.removeprefix(HAND))], context)
            case Woken("act"):
                return self._act(context)
            case Woken("heartbeat"):
                return (self._report(self.state, context), Wake(self.heartbeat_s, HEARTBEAT))
            case LinkChanged(peer, is_up) if peer == self.gateway:
                return self._connected(context) if is_up else self._disconnected(context)
            case Started():
                return self._start(context)
        return ()

    # by itself and by hand ---------------------------------------------------------------------------------

    def _start(self, context: Context) -> Iterator[Effect]:
        self.state = {name: each.first for name, each in self.properties.items()} | dict(self.begins)
        for name, each in self.properties.items():
            yield from each.moved(self.state[name])
            gap_s = each.gap_s(context)
            if each.every_s and not each.toggles_every_s:
                gap_s = context.random.uniform(0.0, gap_s)
            yield Wake(gap_s, CHANGE + name)
        for number, hand in enumerate(self.by_hand):
            if hand.at_s >= context.now:
                yield Wake(hand.at_s - context.now, f"{HAND}{number}")
        if self.heartbeat_s:
            yield Wake(context.random.uniform(0.0, self.heartbeat_s), HEARTBEAT)
        yield from self._subscribe(context)
        yield self._report(self.state, context)
        if not self.is_direct:
            yield from self._connected(context)

    def _change(self, name: str, context: Context) -> Iterator[Effect]:
        law = self.properties[name]
        yield Wake(law.gap_s(context), CHANGE + name)
        yield from self._set({name: law.next_after(self.state[name], context)}, context)

    def _take_hand(self, hand: ByHand, context: Context) -> Iterator[Effect]:
        self.hands_s |= dict.fromkeys(hand.set, context.now)
        yield from self._set(hand.set, context)

    def _set(self, values: Mapping[str, Any], context: Context) -> Iterator[Effect]:
        yield Observe("changed")
        yield from self._become(values)
        yield self._report(values, context)

    def _become(self, values: Mapping[str, Any]) -> Iterator[Effect]:
        self.state = {**self.state, **values}
        for name, value in values.items():
            if name in self.properties:
                yield from self.properties[name].moved(value)

    # what is wished ----------------------------------------------------------------------------------------

    def _follow(
        self, wished: Mapping[str, Any], stamps: Mapping[str, Any], context: Context
    ) -> Iterator[Effect]:
        """Do what is wished, after `act_time_s`; `stamps` are the metadata of the wishes."""
        was_acting = bool(self.wishes)
        for name, value in wished.items():
            wish = (value, _made_s(stamps.get(name)))
            if name not in self.state or (self.state[name] == value and name not in self.wishes):
                continue
            if not self._is_refused(name, wish[1]):
                self.wishes[name] = wish
            elif self.refused.get(name) != wish:  # said once: each report brings the delta again
                self.refused[name] = wish
                yield Observe("wish_refused")
                yield self._report({name: self.state[name]}, context)
        if self.wishes and not self.act_time_s:
            yield from self._act(context)
        elif self.wishes and not was_acting:
            yield Wake(self.act_time_s, ACT)

    def _is_refused(self, name: str, made_s: float) -> bool:
        hand_s = self.hands_s.get(name)
        if hand_s is None or self.by_hand_wins == "never":
            return False
        return self.by_hand_wins == "always" or made_s < hand_s

    def _act(self, context: Context) -> Iterator[Effect]:
        wishes, self.wishes = self.wishes, {}
        values = {name: value for name, (value, _) in wishes.items()}
        for name, (value, made_s) in wishes.items():
            if made_s < self.hands_s.get(name, -math.inf) and value != self.state[name]:
                yield Observe("hand_undone")
        yield Observe("wish_followed")
        yield from self._become(values)
        yield self._report(values, context, is_fulfilled=True)

    # its shadow --------------------------------------------------------------------------------------------

    def _report(self, values: Mapping[str, Any], context: Context, *, is_fulfilled: bool = False) -> Send:
        state: dict[str, Any] = {"reported": dict(values)}
        if is_fulfilled and self.clear_desired:
            state["desired"] = dict.fromkeys(values)
        return self._to_shadow("update", {"state": state, "eventTime": context.now}, context)

    def _to_shadow(self, verb: str, document: Mapping[str, Any], context: Context) -> Send:
        topic = f"$aws/things/{context.node}/shadow/{verb}"
        return Send(self.gateway, Message(topic, msgspec.json.encode(document), qos=self.qos))

    def _subscription(self, suffix: str, context: Context, kind: str = "subscribe") -> Send:
        return Send(self.gateway, Message(f"$aws/things/{context.node}/shadow/{suffix}", kind=kind, qos=1))

    def _subscribe(self, context: Context) -> Iterator[Effect]:
        for suffix in SUBSCRIPTIONS[self.reconnect]:
            yield self._subscription(suffix, context)

    def _connected(self, context: Context) -> Iterator[Effect]:
        """The connection is there: bring shadow and device together by the strategy."""
        if self.reconnect in GETTING or (self.is_new and self.reconnect == "persistent_session"):
            yield self._to_shadow("get", {}, context)
        if self.reconnect == "rebirth":
            yield self._report(self.state, context)
        self.is_new = False

    def _disconnected(self, context: Context) -> Iterator[Effect]:
        if self.reconnect == "get_before_subscribe":
            yield self._subscription(DELTA, context, "unsubscribe")

    def _received(self, message: Message, context: Context) -> Iterator[Effect]:
        document = fields_of(message.payload) or {}
        topic = message.topic
        if topic.endswith((f"{context.node}/delta", DELTA)):
            yield from self._delta(document, context)
        elif topic.endswith(DOCUMENTS):
            yield from self._compare(part_of(document, "current"), context, is_whole=False)
        elif topic.endswith(GET_ACCEPTED):
            yield from self._got(document, context)
        elif topic.endswith(GET_REJECTED):
            if self.reconnect == "get_before_subscribe":
                yield self._subscription(DELTA, context)
            yield self._report(self.state, context)
        elif topic.endswith(ACCEPTED):
            self.version = max(self.version, version_of(document, 0))

    def _delta(self, delta: Mapping[str, Any], context: Context) -> Iterator[Effect]:
        version = version_of(delta, self.version)
        if version < self.version or (version == self.version and self.ignores == "lower_or_equal"):
            return
        self.version = version
        yield from self._follow(part_of(delta, "state"), part_of(delta, "metadata"), context)

    def _got(self, document: Mapping[str, Any], context: Context) -> Iterator[Effect]:
        """The whole shadow: follow what is desired and not so, report what is so and not known."""
        if self.reconnect == "get_before_subscribe":
            yield self._subscription(DELTA, context)
        yield from self._compare(document, context, is_whole=True)
        reported = part_of(document, "state", "reported")
        missing = {name: value for name, value in self.state.items() if reported.get(name) != value}
        if missing:
            yield self._report(missing, context)

    def _compare(self, document: Mapping[str, Any], context: Context, *, is_whole: bool) -> Iterator[Effect]:
        """Compare what is desired with what is so; a notification must be newer than the document (azure)."""
        version = version_of(document, self.version)
        if version < self.version or (not is_whole and self.reconnect == "azure" and version <= self.version):
            return
        self.version = version
        wished = part_of(document, "state", "desired")
        stamps = part_of(document, "metadata", "desired")
        yield from self._follow(wished, stamps, context)


def _made_s(stamp: Any) -> float:
    """When a wish was made, by its metadata; a wish that does not say is new."""
    if isinstance(stamp, Mapping) and isinstance(made_s := stamp.get("timestamp"), int | float):
        return float(made_s)
    return math.inf
