"""Confirmable messages over datagrams: CoAP and MQTT-SN, one exchange at a time.

A message is sent again until it is acknowledged or given up. It arrives when a transmission gets through;
the receiver drops the copies that come because an acknowledgement was lost.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol, TypeAlias

from network.connection import COPIED
from network.link import Link
from network.media.ride import IN_MEDIUM, Ride
from network.topology import Path, Topology
from twin.kernel.ports import Timeline
from twin.message import Message

QUEUE_MESSAGES = 1000
NO_ANSWER = "no acknowledgement"

Carried: TypeAlias = Any  # a Flight, whose `path` is its Exchange here


class Confirmed(Protocol):
    """The rules of a transport that acknowledges each message by itself."""

    @property
    def most_retransmissions(self) -> int:
        """How often a message is sent again."""
        ...

    def ack_bytes(self, message: Message) -> int:
        """Bytes on the wire of what acknowledges the message."""
        ...

    def is_confirmed(self, message: Message) -> bool:
        """Whether the message is acknowledged."""
        ...

    def first_timeout_s(self) -> float:
        """Seconds until a message is sent again for the first time."""
        ...

    def next_timeout_s(self, timeout_s: float) -> float:
        """The time-out after this one."""
        ...

    def framing(self, message: Message) -> int:
        """Bytes of a message on the wire."""
        ...


class Exchange:
    """One message and its acknowledgement, on their way; stands in the event queue beside the flight."""

    __slots__ = (
        "attempt",
        "callbacks",
        "flight",
        "hop",
        "is_acknowledged",
        "is_delivered",
        "pair",
        "timeout_s",
    )
    _ok = True

    def __init__(self, flight: Carried, pair: Pair) -> None:
        self.flight = flight
        self.pair = pair
        self.attempt = self.hop = 0
        self.timeout_s = 0.0
        self.is_delivered = self.is_acknowledged = False
        self.callbacks: Any = None


class Trip:
    """One transmission or acknowledgement on the links of a path."""

    __slots__ = ("callbacks", "exchange", "hop", "is_back", "links", "message", "size_bytes")
    _ok = True

    def __init__(self, exchange: Exchange, links: Path, size_bytes: int, *, is_back: bool) -> None:
        self.exchange = exchange
        self.links = links
        self.size_bytes = size_bytes
        self.is_back = is_back
        self.hop = 0
        self.message = exchange.flight.message
        self.callbacks: Any = None


class Pair:
    """What one node has to say to another: the exchange that is going on, and messages that wait."""

    __slots__ = ("active", "rules", "waiting")

    def __init__(self, rules: Confirmed) -> None:
        self.rules = rules
        self.waiting: deque[Carried] = deque()
        self.active: Exchange | None = None


class Exchanges:
    """All exchanges of a network: NSTART = 1 (RFC 7252, 4.7), so messages of a pair keep their order.

    A link on hold is a link that loses here: what it would keep has been sent again before it lets go.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._timeline: Any
        self._pairs: dict[tuple[str, str], Pair] = {}

    @property
    def waiting_count(self) -> int:
        """Messages that are not delivered yet."""
        return sum(
            len(pair.waiting) + (pair.active is not None and not pair.active.is_delivered)
            for pair in self._pairs.values()
        )

    def send(self, flight: Carried, rules: Confirmed, timeline: Timeline) -> None:
        """Send, or wait for the exchange that is going on."""
        self._timeline = timeline
        pair = self._pairs.get((flight.source, flight.to))
        if pair is None:
            pair = self._pairs[flight.source, flight.to] = Pair(rules)
        flight.size_bytes = rules.framing(flight.message)
        if len(pair.waiting) >= QUEUE_MESSAGES:
            timeline.lose(flight, flight.source, "send queue full")
            return
        pair.waiting.append(flight)
        if pair.active is None:
            self._begin(pair)

    def _begin(self, pair: Pair) -> None:
        """Start the exchange of the next message."""
        pair.active = None
        if pair.waiting:
            pair.active = exchange = Exchange(pair.waiting.popleft(), pair)
            exchange.timeout_s = pair.rules.first_timeout_s()
            self._transmit(exchange)

    def _transmit(self, exchange: Exchange) -> None:
        self._timeline.schedule(self._timeline.now + exchange.timeout_s, exchange, (self._time_out,))
        self._travel(exchange, exchange.flight.size_bytes, is_back=False)

    def _time_out(self, exchange: Exchange) -> None:
        """Send again, or give up."""
        if exchange.is_acknowledged:
            return
        rules = exchange.pair.rules
        if exchange.attempt >= rules.most_retransmissions:
            exchange.is_acknowledged = True
            if not exchange.is_delivered:
                exchange.is_delivered = True
                self._timeline.lose(exchange.flight, exchange.flight.source, NO_ANSWER)
            self._begin(exchange.pair)
            return
        exchange.attempt += 1
        exchange.timeout_s = rules.next_timeout_s(exchange.timeout_s)
        self._transmit(exchange)

    # one trip ------------------------------------------------------------------------------------------

    def _travel(self, exchange: Exchange, size_bytes: int, *, is_back: bool) -> None:
        flight = exchange.flight
        ends = (flight.to, flight.source) if is_back else (flight.source, flight.to)
        links = self._topology.path(*ends)
        if links is not None:
            self._advance(Trip(exchange, links, size_bytes, is_back=is_back))

    def _advance(self, trip: Trip) -> None:
        """Enter the next link."""
        if trip.hop == len(trip.links):
            self._reach(trip)
            return
        link: Link = trip.links[trip.hop]
        at_s = link.release(self._timeline.now, trip.size_bytes)
        if at_s is None and link.cause == IN_MEDIUM:
            carried: Carried = trip
            link.enter_medium(Ride(carried, trip.size_bytes, link, self._timeline, self._resume, _forget))
            return
        if at_s is None and link.cause == COPIED:
            copied_s = getattr(link.stages[link.stopped_at], "at_s", self._timeline.now)
            at_s = link.release_after(link.stopped_at, copied_s, trip.size_bytes)
        self._leave(trip, link, at_s)

    def _resume(self, trip: Carried, link: Link) -> None:
        """A shared medium lets it out: it runs through the stages behind."""
        self._leave(trip, link, link.release_after(-1, self._timeline.now, trip.size_bytes))

    def _leave(self, trip: Trip, link: Link, at_s: float | None) -> None:
        if at_s is None:
            return
        if not trip.is_back:
            link.personal_byte_count += trip.message.personal_bytes
        trip.hop += 1
        self._timeline.schedule(at_s, trip, (self._advance,))

    def _reach(self, trip: Trip) -> None:
        """The message is there, for the first time or again, or the acknowledgement is back."""
        exchange = trip.exchange
        if trip.is_back:
            if not exchange.is_acknowledged:
                exchange.is_acknowledged = True
                self._begin(exchange.pair)
            return
        is_new, exchange.is_delivered = not exchange.is_delivered, True
        self._travel(exchange, exchange.pair.rules.ack_bytes(exchange.flight.message), is_back=True)
        if is_new:
            self._timeline.arrive(exchange.flight)


def _forget(trip: Carried, where: str, cause: str) -> None:
    """Lost in a medium: the time-out sees to it."""
