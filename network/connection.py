"""TCP at the level of messages: handshakes, retransmission, order.

A lost segment is sent again when its time-out ends, each attempt a real traversal of the path; a black hole
is an attempt that is lost, so a healed partition shows TCP's lag. The message arrives after the attempt that
gets through, and not before the earlier messages of its connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from network.link import Link
from network.topology import Path, Topology
from network.transport import GIVE_UP_S, MOST_RTO_S, SYN_RTO_S, Tcp
from twin.kernel.flight import Flight
from twin.kernel.ports import Timeline

SEND_BUFFER_BYTES = 4_194_304  # Linux tcp_wmem, the largest
SYN_LEGS = 2
COPIED = "duplicate"
"""Cause of a stage that stops a message only to let it go on twice; the receiver drops the second."""

Carried: TypeAlias = Any  # a Flight, whose `path` is its Segment here
Then: TypeAlias = tuple[Callable[[Flight], None], ...]


class Segment:
    """The transport's notes on one message: stands in the flight's `path`.

    `leg` counts the one-way trips of the handshake that are done, `last_leg` those it needs.
    """

    __slots__ = (
        "cause",
        "deadline_s",
        "first_s",
        "flow",
        "has_been_lost",
        "is_arrived",
        "is_free",
        "last_leg",
        "leg",
        "links",
        "rto_s",
        "sent_s",
    )

    def __init__(self, flow: Flow, now: float) -> None:
        self.flow = flow
        self.links: Path = ()
        self.first_s = self.sent_s = now
        self.rto_s = flow.rto_s
        self.leg = self.last_leg = 0
        self.deadline_s = now
        self.cause = ""
        self.has_been_lost = self.is_arrived = self.is_free = False

    @property
    def is_shaking_hands(self) -> bool:
        """Whether the handshake before the message is still going on."""
        return self.leg < self.last_leg


class Flow:
    """One direction of a connection: what was sent and has not been handed over, in order."""

    __slots__ = ("byte_count", "flights", "rto_s", "source", "tcp", "to")

    def __init__(self, source: str, to: str, tcp: Tcp) -> None:
        self.source = source
        self.to = to
        self.tcp = tcp
        self.rto_s = tcp.least_rto_s
        self.flights: deque[Carried] = deque()
        self.byte_count = 0


class Connections:
    """All TCP connections of a network: one per pair of nodes."""

    def __init__(self, topology: Topology, hold: Callable[[Flight, Link, Then], None]) -> None:
        self._topology = topology
        self._hold = hold
        self._timeline: Timeline
        self._flows: dict[tuple[str, str], Flow] = {}
        self._paths: dict[tuple[str, str], Path | None] = {}
        self._version = -1
        self._again: Then = (self._transmit,)
        self._next: Then = (self._advance,)
        self._end: Then = (self._reach,)

    @property
    def waiting_count(self) -> int:
        """Messages that reached their node and wait there for an earlier one."""
        return sum(flight.path.is_arrived for flow in self._flows.values() for flight in flow.flights)

    def send(self, flight: Carried, tcp: Tcp, timeline: Timeline) -> None:
        """Send over the connection of the flight's two nodes, which a "connect" opens afresh."""
        self._timeline = timeline
        if self._version != self._topology.version:
            self._forget()
        if flight.message.kind in {"connect", "disconnect"}:
            self._close(flight.source, flight.to, "connection closed")
        flow = self._flow(flight.source, flight.to, tcp)
        flight.size_bytes = tcp.framing(flight.message)
        if flow.byte_count + flight.size_bytes > SEND_BUFFER_BYTES:
            self._timeline.lose(flight, flight.source, "send buffer full")
            return
        flight.path = segment = Segment(flow, self._timeline.now)
        flow.flights.append(flight)
        flow.byte_count += flight.size_bytes
        if flight.message.kind == "connect":
            segment.last_leg = 2 * tcp.handshake_round_trips
            segment.deadline_s = segment.first_s + tcp.connect_timeout_s
            segment.rto_s = SYN_RTO_S
        self._transmit(flight)

    def reset(self, links: frozenset[Link], cause: str) -> list[tuple[str, str]]:
        """End the connections whose path crosses one of the links; return their pairs of nodes."""
        crossing = [pair for pair in self._flows if not links.isdisjoint(self._path(*pair) or ())]
        pairs = [pair for pair in crossing if pair[::-1] not in crossing or pair < pair[::-1]]
        for source, to in pairs:
            self._close(source, to, cause)
        return pairs

    def _flow(self, source: str, to: str, tcp: Tcp) -> Flow:
        flow = self._flows.get((source, to))
        if flow is None:
            flow = self._flows[source, to] = Flow(source, to, tcp)
            flow.rto_s = self._rto_s(flow)
        return flow

    def _rto_s(self, flow: Flow) -> float:
        """First time-out from the expected round trip, there and back."""
        there = self._path(flow.source, flow.to) or self._topology.nominal_path(flow.source, flow.to)
        back = self._path(flow.to, flow.source) or self._topology.nominal_path(flow.to, flow.source) or there
        delay_s = self._topology.expected_delay_s
        return flow.tcp.rto_s(delay_s(there) + delay_s(back))

    def _path(self, source: str, to: str) -> Path | None:
        if self._version != self._topology.version:
            self._forget()
        pair = (source, to)
        if pair not in self._paths:
            self._paths[pair] = self._topology.path(source, to)
        return self._paths[pair]

    def _forget(self) -> None:
        """The topology changed: paths and round trips are found anew."""
        self._version = self._topology.version
        self._paths.clear()
        for flow in self._flows.values():
            flow.rto_s = self._rto_s(flow)

    # one attempt ---------------------------------------------------------------------------------------

    def _transmit(self, flight: Carried) -> None:
        """Start a traversal of the path, forth or, for every second leg of a handshake, back."""
        segment: Segment = flight.path
        if not self._may_transmit(flight, segment):
            return
        flow = segment.flow
        is_back = segment.is_shaking_hands and segment.leg % 2
        links = self._path(flow.to, flow.source) if is_back else self._path(flow.source, flow.to)
        if segment.leg != 1 or not segment.is_shaking_hands:
            segment.sent_s = self._timeline.now
        if links is None:
            self._retry(flight)
        else:
            segment.links = links
            flight.hop = -1
            self._advance(flight)

    def _may_transmit(self, flight: Carried, segment: Segment) -> bool:
        """End the flight, and say no, if its connection was closed or its time is over."""
        now = self._timeline.now
        if segment.cause:
            self._timeline.lose(flight, flight.source, segment.cause)
        elif segment.is_shaking_hands and now >= segment.deadline_s:
            self._drop(flight, "connect timeout")
        elif now >= segment.first_s + GIVE_UP_S:
            self._close(flight.source, flight.to, "connection timed out")
            self._timeline.lose(flight, flight.source, "connection timed out")
        else:
            return True
        return False

    def _advance(self, flight: Carried) -> None:
        """Enter the next link."""
        segment: Segment = flight.path
        hop = flight.hop + 1
        flight.hop = hop
        link = segment.links[hop]
        self._leave(flight, link, link.release(self._timeline.now, self._leg_bytes(flight, segment)))

    def _leave(self, flight: Carried, link: Link, at_s: float | None) -> None:
        """The link lets the flight out at this time, or stopped it."""
        segment: Segment = flight.path
        if at_s is None:
            self._stop(flight, link)
            return
        if flight.message.personal_bytes and not segment.is_shaking_hands:
            link.personal_byte_count += flight.message.personal_bytes
        is_last = flight.hop + 1 == len(segment.links)
        self._timeline.schedule(at_s, flight, self._end if is_last else self._next)

    def _leg_bytes(self, flight: Carried, segment: Segment) -> int:
        if segment.is_shaking_hands:
            return segment.flow.tcp.handshake_bytes[segment.leg]
        size_bytes: int = flight.size_bytes
        return size_bytes

    def _stop(self, flight: Carried, link: Link) -> None:
        if link.cause == "held":
            flight.hop -= 1
            self._hold(flight, link, self._next)
        elif link.cause == COPIED:
            size_bytes = self._leg_bytes(flight, flight.path)
            link.byte_count += size_bytes
            at_s = getattr(link.stages[link.stopped_at], "at_s", self._timeline.now)
            self._leave(flight, link, link.release_after(link.stopped_at, at_s, size_bytes))
        else:
            self._retry(flight)

    def _retry(self, flight: Carried) -> None:
        """Send again when the time-out ends; each one is twice as long, up to 120 s."""
        segment: Segment = flight.path
        if segment.is_free or segment.cause:
            self._timeline.lose(flight, flight.source, segment.cause or "connection closed")
            return
        due_s = segment.sent_s + segment.rto_s
        segment.rto_s = min(2 * segment.rto_s, MOST_RTO_S)
        segment.has_been_lost = True
        if segment.is_shaking_hands:
            due_s = min(due_s, segment.deadline_s)
            if segment.leg < SYN_LEGS:
                segment.leg = 0
        due_s = min(due_s, segment.first_s + GIVE_UP_S)
        self._timeline.schedule(max(due_s, self._timeline.now), flight, self._again)

    # the end of an attempt -----------------------------------------------------------------------------

    def _reach(self, flight: Carried) -> None:
        """The last link let it out: a leg of the handshake is done, or the message is there."""
        segment: Segment = flight.path
        if segment.is_shaking_hands:
            self._end_leg(flight, segment)
        elif segment.cause:
            self._timeline.lose(flight, flight.source, segment.cause)
        elif segment.is_free:
            self._timeline.arrive(flight)
        else:
            segment.is_arrived = True
            self._hand_over(segment.flow)

    def _end_leg(self, flight: Carried, segment: Segment) -> None:
        segment.leg += 1
        if segment.leg >= SYN_LEGS:
            segment.rto_s = segment.flow.rto_s
        if not segment.is_shaking_hands:
            segment.first_s = self._timeline.now
        self._transmit(flight)

    def _hand_over(self, flow: Flow) -> None:
        """Hand over what is there and misses nothing before it."""
        while flow.flights and flow.flights[0].path.is_arrived:
            flight = flow.flights.popleft()
            flow.byte_count -= flight.size_bytes
            self._timeline.arrive(flight)

    def _drop(self, flight: Carried, cause: str) -> None:
        """Give one message up; those behind it no longer wait for it."""
        flow: Flow = flight.path.flow
        flow.flights.remove(flight)
        flow.byte_count -= flight.size_bytes
        self._timeline.lose(flight, flight.source, cause)
        self._hand_over(flow)

    def _close(self, source: str, to: str, cause: str) -> None:
        """End the connection: what is lost on the way, and what comes after it, is given up."""
        for pair in ((source, to), (to, source)):
            flow = self._flows.pop(pair, None)
            if flow is not None:
                self._abandon(flow, cause)

    def _abandon(self, flow: Flow, cause: str) -> None:
        """Doom all from the first message in retransmission on, and what waits for an earlier one. Each
        flight still ends where it stands: those in the event queue at their next event.
        """
        is_doomed = False
        for flight in flow.flights:
            segment: Segment = flight.path
            is_doomed = is_doomed or segment.has_been_lost or segment.is_shaking_hands
            if segment.is_arrived:
                self._timeline.lose(flight, flight.to, cause)
            elif is_doomed:
                segment.cause = cause
            else:
                segment.is_free = True
