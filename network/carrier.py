"""The network as the kernel sees it: carries a message from node to node, hop by hop."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from network.coap import Coap
from network.connection import COPIED, Connections
from network.exchange import Exchanges
from network.link import Link, Transport
from network.media.ride import IN_MEDIUM, Ride
from network.mqtt_sn import MqttSn
from network.quic import Quic
from network.topology import Path, Topology, node_of
from network.transport import Tcp
from twin.kernel.flight import Flight
from twin.kernel.ports import Timeline

HOLD_LIMIT = 10_000
DATAGRAM_HEADER_BYTES = 28  # IPv4 20, UDP 8
CONFIRMED = (Coap, MqttSn)

Carried: TypeAlias = Any  # a Flight, whose `path`, `hop` and `size_bytes` belong to the carrier


class Network:
    """Carries flights over a topology: as datagrams, or over TCP where a link of the path asks for it."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._timeline: Timeline
        self._version = -1
        self._paths: dict[str, dict[str, Path]] = {}
        self._transports: dict[tuple[str, str], Transport | None] = {}
        self._connected: dict[tuple[str, str], Tcp | Quic] = {}
        self._held: dict[Link, deque[tuple[Flight, Then]]] = {}
        self._next: Then = (self._advance,)
        self._arrive: Then = ()
        self._refusals: list[Refusal] = []
        self._connects: Counter[frozenset[str]] = Counter()
        self.copied_count = 0
        self._connections = Connections(topology, self._hold)
        self._exchanges = Exchanges(topology)

    def carry(self, flight: Carried, timeline: Timeline) -> None:
        """Move the flight to its node: `timeline.arrive` or `timeline.lose` is called exactly once."""
        if self._version != self.topology.version:
            self._renew(timeline)
        to_paths = self._paths.get(flight.source)
        path = to_paths.get(flight.to) if to_paths is not None else None
        if path is None:
            self._find(flight)
            return
        flight.path = path
        flight.hop = -1
        flight.size_bytes = len(flight.message.payload)
        self._advance(flight)

    def carry_datagram(
        self, flight: Carried, timeline: Timeline, header_bytes: int = DATAGRAM_HEADER_BYTES
    ) -> None:
        """Move the flight as a datagram, whatever transport the path's links have for others."""
        if self._version != self.topology.version:
            self._renew(timeline)
        path = self.topology.path(flight.source, flight.to)
        if path is None:
            timeline.lose(flight, flight.source, "no route")
            return
        flight.path = path
        flight.hop = -1
        flight.size_bytes = len(flight.message.payload) + header_bytes
        self._advance(flight)

    def forget(self, source: str, to: str) -> None:
        """The connection of two ends is over on both sides: keep nothing of it."""
        self._connections.forget(source, to)
        self._connects.pop(frozenset((source, to)), None)
        for pair in ((source, to), (to, source)):
            self._transports.pop(pair, None)
            self._connected.pop(pair, None)

    def border_bytes(self) -> dict[tuple[str, str], int]:
        """Personal bytes carried over each border, by (country left, country entered)."""
        crossed: dict[tuple[str, str], int] = {}
        for link in self.topology.links.values():
            border = (self.topology.country(link.source), self.topology.country(link.to))
            if link.personal_byte_count and all(border) and border[0] != border[1]:
                crossed[border] = crossed.get(border, 0) + link.personal_byte_count
        return crossed

    def on_link_changed(self, listener: Callable[[str, str, bool], None]) -> None:
        """Call `listener(node, peer, is_up)` when a node's own interface goes down or comes back."""
        self.topology.on_link_changed(listener)

    @property
    def held_count(self) -> int:
        """Messages kept by links on hold, or waiting at their node for an earlier one of the connection, or
        for their turn in a shared medium.
        """
        media = (link.medium for link in self.topology.links.values() if link.medium is not None)
        in_media = sum(medium.waiting_count for medium in media)
        return (
            sum(map(len, self._held.values()))
            + self._connections.waiting_count
            + self._exchanges.waiting_count
            + in_media
        )

    def release_held(self, link: Link) -> None:
        """Let what the link kept go on, in order, unless another hold is in force."""
        if link.hold_count:
            return
        for flight, again in self._held.pop(link, ()):
            self._timeline.schedule(self._timeline.now, flight, again)

    def refuse(self, refusal: Refusal) -> None:
        """Let the connections that `refusal` gives a cause for fail, until `accept`."""
        self._refusals.append(refusal)

    def accept(self, refusal: Refusal) -> None:
        """End a refusal."""
        self._refusals.remove(refusal)

    def refused(self, source: str, to: str, rules: Transport | None = None) -> str | None:
        """Why a connection from a node to another would fail now, or None; `rules` instead of its links'."""
        if not self._refusals:
            return None
        pair = (node_of(source), node_of(to), rules or self._transport(source, to))
        return next(filter(None, (refusal(*pair) for refusal in self._refusals)), None)

    def reset(self, links: Iterable[Link], cause: str) -> list[tuple[str, str]]:
        """End the TCP connections that cross the links; return the pairs of nodes, which know nothing yet."""
        return self._connections.reset(frozenset(links), cause)

    def connect_count(self, a: str, b: str) -> int:
        """How many connections two nodes have tried to open."""
        return self._connects[frozenset((a, b))]

    def later(self, after_s: float, action: Callable[[], None]) -> None:
        """Call `action` in so many seconds; only once a message was carried."""
        appointment: Any = Appointment()
        then: Any = (lambda _: action(),)
        self._timeline.schedule(self._timeline.now + after_s, appointment, then)

    def _renew(self, timeline: Timeline) -> None:
        """The topology changed, or this is the first message: forget the paths."""
        self._timeline = timeline
        self._arrive = (timeline.arrive,)
        self._version = self.topology.version
        self._paths.clear()
        self._transports.clear()
        self._connected.clear()

    def _find(self, flight: Carried) -> None:
        """Choose transport and path of a pair that has no datagram path in store."""
        rules = self._connected.get((flight.source, flight.to))
        if rules is not None and flight.message.kind != "connect":
            self._connections.send(flight, rules, self._timeline)
            return
        tcp = self._transport(flight.source, flight.to)
        if tcp is not None:
            if flight.message.kind == "connect" and not self._may_connect(flight, tcp):
                return
            self._send(flight, tcp)
            return
        path = self.topology.path(flight.source, flight.to)
        if path is None:
            self._timeline.lose(flight, flight.source, "no route")
        elif not path:
            self._timeline.schedule(self._timeline.now, flight, self._arrive)
        else:
            self._paths.setdefault(flight.source, {})[flight.to] = path
            self.carry(flight, self._timeline)

    def _send(self, flight: Carried, rules: Transport) -> None:
        """Send by the rules of a transport; what it does not confirm goes as a datagram of its length."""
        if not isinstance(rules, CONFIRMED):
            self._connected[flight.source, flight.to] = rules
            self._connections.send(flight, rules, self._timeline)
            return
        if rules.is_confirmed(flight.message):
            self._exchanges.send(flight, rules, self._timeline)
            return
        flight.path = self.topology.path(flight.source, flight.to)
        if flight.path is None:
            self._timeline.lose(flight, flight.source, "no route")
            return
        flight.hop = -1
        flight.size_bytes = rules.framing(flight.message)
        self._advance(flight)

    def _transport(self, source: str, to: str) -> Transport | None:
        """TCP or another if any link of the path asks for it, up or down."""
        pair = (source, to)
        if pair not in self._transports:
            path = self.topology.path(source, to) or self.topology.nominal_path(source, to) or ()
            self._transports[pair] = next((link.tcp for link in path if link.tcp is not None), None)
        return self._transports[pair]

    def _may_connect(self, flight: Carried, tcp: Transport) -> bool:
        self._connects[frozenset((flight.source, flight.to))] += 1
        cause = self.refused(flight.source, flight.to, tcp)
        if cause is not None:
            self._timeline.lose(flight, flight.source, cause)
        return cause is None

    def _advance(self, flight: Carried) -> None:
        """Enter the next link."""
        hop = flight.hop + 1
        flight.hop = hop
        path = flight.path
        link = path[hop]
        at_s = link.release(self._timeline.now, flight.size_bytes)
        if at_s is None:
            self._stop(flight, link)
            return
        if flight.message.personal_bytes:
            link.personal_byte_count += flight.message.personal_bytes
        self._timeline.schedule(at_s, flight, self._next if hop + 1 < len(path) else self._arrive)

    def _stop(self, flight: Carried, link: Link) -> None:
        if link.cause == "held":
            flight.hop -= 1
            self._hold(flight, link, self._next)
        elif link.cause == COPIED:
            self._copy(flight, link)
        elif link.cause == IN_MEDIUM:
            timeline = self._timeline
            link.enter_medium(Ride(flight, flight.size_bytes, link, timeline, self._resume, timeline.lose))
        else:
            self._timeline.lose(flight, link.name, link.cause)

    def _copy(self, flight: Carried, link: Link) -> None:
        """Let the message and a copy of it go on from the stage that made it."""
        self.copied_count += 1
        copy: Carried = Flight(
            flight.source, flight.to, flight.message, flight.sent_s, flight.trace, -self.copied_count
        )
        copy.parent, copy.path, copy.hop = flight.parent, flight.path, flight.hop
        copy.size_bytes = flight.size_bytes
        stage = link.stopped_at
        now = getattr(link.stages[stage], "at_s", self._timeline.now)
        for each in (flight, copy):
            self._leave(each, link, link.release_after(stage, now, each.size_bytes))

    def _resume(self, flight: Carried, link: Link) -> None:
        """A shared medium lets the message out: it runs through the stages behind."""
        self._leave(flight, link, link.release_after(-1, self._timeline.now, flight.size_bytes))

    def _leave(self, flight: Carried, link: Link, at_s: float | None) -> None:
        """The link lets the flight out at this time, or stopped it."""
        if at_s is None:
            self._stop(flight, link)
            return
        link.personal_byte_count += flight.message.personal_bytes
        self._timeline.schedule(
            at_s, flight, self._next if flight.hop + 1 < len(flight.path) else self._arrive
        )

    def _hold(self, flight: Flight, link: Link, again: Then) -> None:
        held = self._held.setdefault(link, deque())
        if len(held) >= HOLD_LIMIT:
            self._timeline.lose(flight, link.name, "hold queue full")
        else:
            held.append((flight, again))


class Appointment:
    """Something that is due: stands in the event queue like a flight, and is none."""

    __slots__ = ("callbacks",)
    _ok = True


Then = tuple[Callable[[Flight], None], ...]
Refusal: TypeAlias = Callable[[str, str, Transport | None], str | None]
"""Why a connection from a node to another fails, or None."""
