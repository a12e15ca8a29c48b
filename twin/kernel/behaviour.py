"""Behaviours: sans-IO decision logic, and the events and effects it speaks.

A behaviour knows no clock, no socket and no global randomness: `react(event, context)` returns effects,
and the kernel performs them. The same class runs in virtual time, in wall time and in a load worker.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeAlias

import msgspec

from twin.kernel.randomness import Stream
from twin.message import Message

NodeId: TypeAlias = str


class Value(msgspec.Struct, frozen=True, gc=False):
    """An immutable value, equal by content."""


# what can happen to a node ---------------------------------------------------------------------------


class Started(Value, frozen=True):
    """The node came up: at the start of the run and after each restart."""


class Woken(Value, frozen=True):
    """A wake or a watch asked for under this tag has come."""

    tag: str


class Received(Value, frozen=True):
    """A message arrived; `sent_s` is when its sender handed it to the network (seconds)."""

    message: Message
    source: NodeId
    sent_s: float


class LinkChanged(Value, frozen=True):
    """The direct link to a peer went down or came back, as the node's own interface sees it."""

    peer: NodeId
    is_up: bool


Event: TypeAlias = Started | Woken | Received | LinkChanged


# what a node may ask for -----------------------------------------------------------------------------


class Send(Value, frozen=True):
    """Hand a message to the network, for the node named `to`.

    It belongs to the causal chain of the reaction, or to `trace` when the node held it for a while.
    """

    to: NodeId
    message: Message
    trace: int = 0


class Wake(Value, frozen=True):
    """Wake me after so many seconds. A node has one pending wake a tag: a newer one replaces it, and
    an infinite `after_s` cancels it.
    """

    after_s: float
    tag: str


class Watch(Value, frozen=True):
    """Wake me once when the sensed quantity reaches the threshold (a comparator's interrupt)."""

    quantity: str
    threshold: float
    tag: str


class Observe(Value, frozen=True):
    """Record a measured value under a measure's name."""

    measure: str
    value: float = 1.0


class Actuate(Value, frozen=True):
    """Act on the physical world around the node."""

    name: str
    value: float


class Drop(Value, frozen=True):
    """Give up a message the node was holding: `cause` is 'expired' or the name of a loss."""

    message: Message
    cause: str


Effect: TypeAlias = Send | Wake | Watch | Observe | Actuate | Drop


class Context(Protocol):
    """What a behaviour may ask while it reacts."""

    @property
    def node(self) -> NodeId:
        """The node's own name."""
        ...

    @property
    def now(self) -> float:
        """Seconds on the node's own clock, skew applied."""
        ...

    @property
    def random(self) -> Stream:
        """The node's own random stream."""
        ...

    @property
    def trace(self) -> int:
        """The causal chain of this reaction (0: it starts one); keep it with a message that is held."""
        ...

    def sense(self, quantity: str) -> float:
        """The quantity at the node's place, in SI units."""
        ...


class Behaviour(Protocol):
    """Decision logic of a node. Its attributes are its whole state, so it can be copied at an instant."""

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Return what the node does about the event."""
        ...
