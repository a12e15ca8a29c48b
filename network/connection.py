"""TCP at the level of messages: handshakes, retransmission, order.

Each attempt is a real traversal of the path; a black hole is an attempt that is lost, so a healed partition
shows TCP's lag. What is lost, or finds the window full, waits in its flow (network.flow), or, with a fixed
time-out, until its own ends. It arrives after the attempt that gets through, and not before the earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, TypeAlias

from network import segments
from network.dns import RETRY_S
from network.flow import Alarm, Flow
from network.link import Link
from network.media.ride import IN_MEDIUM, Ride
from network.segments import FULL_SEGMENT_BYTES, Carried, Segment
from network.tcp import transfer_s
from network.topology import Path, Topology
from network.transport import (
    GIVE_UP_S,
    MAXIMUM_SEGMENT_BYTES,
    MOST_RTO_S,
    SYN_RTO_S,
    Connected,
)
from twin.kernel.flight import Flight
from twin.kernel.ports import Timeline

SEND_BUFFER_BYTES = 4_194_304  # Linux tcp_wmem, the largest
COPIED = "duplicate"
"""Cause of a stage that stops a message only to let it go on twice; the receiver drops the second."""

Then: TypeAlias = tuple[Callable[[Flight], None], ...]


class Connections:
    """All connections of a network that keep order: one per pair of nodes."""

    def __init__(self, topology: Topology, hold: Callable[[Flight, Link, Then], None]) -> None:
        self._topology = topology
        self._hold = hold
        self._timeline: Timeline
        self._flows: dict[tuple[str, str], Flow] = {}
        self._paths: dict[tuple[str, str], Path | None] = {}
        self._version = -1
        self._orphan_count = 0
        self._again: Then = (self._transmit,)
        self._next: Then = (self._advance,)
        self._hop: Then = (self._cross,)
        self._end: Then = (self._reach,)
        self._alarm: Any = (self._repair,)

    @property
    def waiting_count(self) -> int:
        """Messages that wait at their node for an earlier one, or at their sender to be sent again."""
        return self._orphan_count + sum(flow.waiting_count for flow in self._flows.values())

    def send(self, flight: Carried, tcp: Connected, timeline: Timeline) -> None:
        """Send over the connection of the flight's two nodes, which a "connect" opens afresh."""
        self._timeline = timeline
        if self._version != self._topology.version:
            self._forget()
        message = flight.message
        kind = message.kind
        if kind == "connect" or kind == "disconnect":  # noqa: PLR1714  (twice as fast as a set)
            self._close(flight.source, flight.to, "connection closed")
        flow = self._flows.get((flight.source, flight.to)) or self._flow(flight.source, flight.to, tcp)
        flight.size_bytes = size_bytes = tcp.framing(message) + flow.owed_bytes
        flow.owed_bytes = 0
        if flow.byte_count + size_bytes > SEND_BUFFER_BYTES:
            timeline.lose(flight, flight.source, "send buffer full")
            return
        now = timeline.now
        flight.path = segment = Segment(flow, now)
        flow.flights.append(flight)
        flow.entered_count += 1
        flow.byte_count += size_bytes
        if kind == "connect":
            self._begin(flight, segment, tcp)
        elif not (flow.is_fixed or flow.may_send(now)):
            flow.waiting.append(flight)
            self._set_alarm(flow)
        elif size_bytes > FULL_SEGMENT_BYTES:
            self._begin_long(flight, segment)
        else:
            self._transmit(flight)

    def reset(self, links: frozenset[Link], cause: str) -> list[tuple[str, str]]:
        """End the connections whose path crosses one of the links; return their pairs of nodes."""
        crossing = [pair for pair in self._flows if not links.isdisjoint(self._path(*pair) or ())]
        pairs = [pair for pair in crossing if pair[::-1] not in crossing or pair < pair[::-1]]
        for source, to in pairs:
            self._close(source, to, cause)
        return pairs

    def forget(self, source: str, to: str) -> None:
        """Keep nothing of a connection that is over."""
        self._close(source, to, "connection closed")
        self._paths.pop((source, to), None)
        self._paths.pop((to, source), None)

    def _begin(self, flight: Carried, segment: Segment, tcp: Connected) -> None:
        """Start the handshake that goes before a "connect"."""
        segment.last_leg = len(tcp.handshake_bytes)
        segment.deadline_s = segment.first_s + tcp.connect_timeout_s
        segment.rto_s = RETRY_S if tcp.name_trips else SYN_RTO_S
        own_bytes, peer_bytes = tcp.rest_bytes
        flight.size_bytes += own_bytes
        segment.flow.byte_count += own_bytes
        if peer_bytes:
            self._flow(flight.to, flight.source, tcp).owed_bytes = peer_bytes
        self._transmit(flight)

    def _begin_long(self, flight: Carried, segment: Segment) -> None:
        """Send more than a segment: the last of them waits for the window to open (slow start)."""
        flow = segment.flow
        segment.segment_count = count = -(-flight.size_bytes // FULL_SEGMENT_BYTES)
        if flow.is_fixed:
            self._transmit(flight)
            return
        window = flow.window
        wait_s = 0.0
        if count > window.count:
            lost = segments.loss_ratio(self._path(flow.source, flow.to) or ())
            wait_s = transfer_s(count, window.count, flow.clock.srtt_s, lost, MAXIMUM_SEGMENT_BYTES)
        window.count += count
        if 0 < wait_s < inf:
            self._timeline.schedule(self._timeline.now + wait_s, flight, self._again)
        else:
            self._transmit(flight)

    def _flow(self, source: str, to: str, tcp: Connected) -> Flow:
        flow = self._flows.get((source, to))
        if flow is None:
            flow = self._flows[source, to] = Flow(source, to, tcp)
            flow.peer = peer = self._flows.get((to, source))
            if peer is not None:
                peer.peer = flow
            self._settle(flow)
        return flow

    def _settle(self, flow: Flow) -> None:
        """Expect the delays of the paths there and back."""
        there = self._path(flow.source, flow.to) or self._topology.nominal_path(flow.source, flow.to)
        back = self._path(flow.to, flow.source) or self._topology.nominal_path(flow.to, flow.source) or there
        delay_s = self._topology.expected_delay_s
        flow.settle(delay_s(there), delay_s(back), back or ())

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
            self._settle(flow)

    # one attempt ---------------------------------------------------------------------------------------

    def _transmit(self, flight: Carried) -> None:
        """Start a traversal of the path."""
        segment: Segment = flight.path
        now = self._timeline.now
        if (segment.last_leg or segment.has_been_lost or segment.cause) and not self._may_transmit(
            flight, segment
        ):
            return
        flow = segment.flow
        if self._version != self._topology.version:
            self._forget()
        if segment.leg < segment.last_leg:
            self._transmit_leg(flight, segment, flow)
            return
        segment.sent_s = now
        flow.sent_count = segment.number = flow.sent_count + 1
        if not flow.is_fixed:
            if not segment.has_been_lost:
                flow.last_sent_s = now
            flow.window.send(segment.segment_count, flow.entered_count)
            peer = flow.peer
            if peer is not None:
                if peer.unanswered or not peer.is_answered:
                    peer.answer(now)
                segment.ack_count = peer.acks.count
        links = flow.links
        if links is None:
            links = flow.links = self._path(flow.source, flow.to)
        if links is None:
            self._retry(flight)
            return
        segment.links = links
        flight.hop = -1
        if segment.segment_count > 1 or segment.riders:
            self._advance(flight)
        else:
            self._cross(flight)

    def _transmit_leg(self, flight: Carried, segment: Segment, flow: Flow) -> None:
        """Start a trip of the handshake, forth or back."""
        is_back = segment.leg % 2
        links = self._path(flow.to, flow.source) if is_back else self._path(flow.source, flow.to)
        if not self._is_answer(segment):
            segment.sent_s = self._timeline.now
        if links is None:
            self._retry(flight)
            return
        segment.links = links
        flight.hop = -1
        self._advance(flight)

    def _is_answer(self, segment: Segment) -> bool:
        """Whether the leg is an answer that the asker's timer covers: of the name server, or to the SYN."""
        return segment.leg % 2 == 1 and segment.leg < segment.flow.tcp.name_trips + 2

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

    def _cross(self, flight: Carried) -> None:
        """Enter the next link with a message of one segment, as nearly all are."""
        flight.hop = hop = flight.hop + 1
        links = flight.path.links
        link = links[hop]
        timeline = self._timeline
        at_s = link.release(timeline.now, flight.size_bytes)
        if at_s is None:
            self._stop(flight, link)
            return
        if flight.message.personal_bytes:
            link.personal_byte_count += flight.message.personal_bytes
        timeline.schedule(at_s, flight, self._hop if hop + 1 < len(links) else self._end)

    def _advance(self, flight: Carried) -> None:
        """Enter the next link, with a trip of the handshake or a message of any length."""
        segment: Segment = flight.path
        flight.hop = hop = flight.hop + 1
        links = segment.links
        link = links[hop]
        timeline = self._timeline
        at_s = link.release(timeline.now, segments.wire_bytes(flight))
        if segment.segment_count > 1 and at_s is not None:
            at_s = segments.release_more(link, timeline.now, segment.segment_count, at_s)
        if at_s is None:
            self._stop(flight, link)
            return
        if segment.leg >= segment.last_leg:
            link.personal_byte_count += segments.personal_bytes((flight, *segment.riders))
        timeline.schedule(at_s, flight, self._next if hop + 1 < len(links) else self._end)

    def _leave(self, flight: Carried, link: Link, at_s: float | None) -> None:
        """The link lets the flight out at this time, or stopped it."""
        segment: Segment = flight.path
        if at_s is None:
            self._stop(flight, link)
            return
        if not segment.is_shaking_hands:
            link.personal_byte_count += segments.personal_bytes((flight, *segment.riders))
        is_last = flight.hop + 1 == len(segment.links)
        self._timeline.schedule(at_s, flight, self._end if is_last else self._next)

    def _stop(self, flight: Carried, link: Link) -> None:
        size_bytes = segments.wire_bytes(flight)
        if link.cause == "held":
            flight.hop -= 1
            self._hold(flight, link, self._next)
        elif link.cause == COPIED:
            link.byte_count += size_bytes
            at_s = getattr(link.stages[link.stopped_at], "at_s", self._timeline.now)
            self._leave(flight, link, link.release_after(link.stopped_at, at_s, size_bytes))
        elif link.cause == IN_MEDIUM:
            link.enter_medium(
                Ride(flight, size_bytes, link, self._timeline, self._resume, self._miss_in_medium)
            )
        else:
            self._retry(flight)

    def _resume(self, flight: Carried, link: Link) -> None:
        """A shared medium lets the message out: it runs through the stages behind."""
        size_bytes = segments.wire_bytes(flight)
        self._leave(flight, link, link.release_after(-1, self._timeline.now, size_bytes))

    def _miss_in_medium(self, flight: Carried, where: str, cause: str) -> None:
        del where, cause
        self._retry(flight)

    def _retry(self, flight: Carried) -> None:
        """Lost on the way: send again later."""
        segment: Segment = flight.path
        flow = segment.flow
        if segment.is_free or segment.cause:
            self._lose(flight, segment.cause or "connection closed")
        elif segment.leg < segment.last_leg:
            self._retry_leg(flight, segment)
        elif flow.is_fixed:
            self._retry_at(flight, segment, segment.sent_s + segment.rto_s)
        else:
            self._miss(flight, segment, flow)

    def _lose(self, flight: Carried, cause: str) -> None:
        """A message of a connection that is no more, with those in its segment."""
        riders = flight.path.riders
        self._orphan_count -= len(riders)
        for each in (flight, *riders):
            self._timeline.lose(each, flight.source, cause)

    def _miss(self, flight: Carried, segment: Segment, flow: Flow) -> None:
        """Let a lost message wait for its flow's repair; of several segments only one is lost at a time."""
        segment.has_been_lost = True
        for rider in segment.riders:
            rider.path.has_been_lost = True
        link = segment.links[flight.hop] if segment.links else None
        if link is None or link.cause not in segments.RANDOM_CAUSES:
            flow.window.lose(segment.segment_count - 1)
            segment.segment_count = 1
        flow.miss(flight, self._timeline.now)
        self._set_alarm(flow)
        if segment.segment_count > 1:
            segment.segment_count = 1
            flow.byte_count -= flight.size_bytes - FULL_SEGMENT_BYTES
            flight.size_bytes = FULL_SEGMENT_BYTES

    def _retry_leg(self, flight: Carried, segment: Segment) -> None:
        """Send a trip of the handshake again; a lookup or the SYN begins anew."""
        tcp = segment.flow.tcp
        due_s = segment.sent_s + segment.rto_s
        if segment.leg < tcp.name_trips:
            segment.leg = 0
            self._retry_at(flight, segment, due_s, factor=1)
            return
        is_first = segment.leg < tcp.name_trips + 2
        if is_first:
            segment.leg = tcp.name_trips
            segment.number += 1
        is_linear = is_first and segment.number <= tcp.syn_linear_count
        self._retry_at(flight, segment, due_s, factor=1 if is_linear else 2)

    def _retry_at(self, flight: Carried, segment: Segment, due_s: float, factor: int = 2) -> None:
        """Send again at this time; the next time-out is longer by the factor, up to 120 s."""
        segment.rto_s = min(factor * segment.rto_s, MOST_RTO_S)
        segment.has_been_lost = True
        if segment.is_shaking_hands:
            due_s = min(due_s, segment.deadline_s)
        due_s = min(due_s, segment.first_s + GIVE_UP_S)
        self._timeline.schedule(max(due_s, self._timeline.now), flight, self._again)

    # repair --------------------------------------------------------------------------------------------

    def _set_alarm(self, flow: Flow) -> None:
        """Wake the flow when something may be sent next, unless that is so already."""
        due_s = max(flow.wake_s(), self._timeline.now)
        if due_s < inf and (flow.alarm is None or flow.alarm.due_s != due_s):
            flow.alarm = alarm = Alarm(flow, due_s)
            self._timeline.schedule(due_s, alarm, self._alarm)  # type: ignore[arg-type]

    def _repair(self, alarm: Any) -> None:
        """Send again what acknowledgements tell to be lost, or probe; then what the window has room for."""
        flow: Flow = alarm.flow
        if flow.alarm is not alarm:
            return
        flow.alarm = None
        self._go_on(flow)

    def _go_on(self, flow: Flow) -> None:
        """Do what acknowledgements and timers ask for by now."""
        now = self._timeline.now
        flow.take_acks(now)
        is_forced = flow.note_losses(now)
        while is_forced or not flow.window.is_full:
            is_forced = False
            if flow.marked:
                self._transmit(segments.next_repair(flow, now))
            elif flow.waiting:
                self._send_waiting(flow)
            else:
                break
        if flow.is_disturbed:
            self._set_alarm(flow)

    def _send_waiting(self, flow: Flow) -> None:
        """Send the first that waits, with what fits into its segment."""
        flight = segments.next_waiting(flow.waiting)
        if flight.size_bytes > FULL_SEGMENT_BYTES:
            self._begin_long(flight, flight.path)
        else:
            self._transmit(flight)

    # the end of an attempt -----------------------------------------------------------------------------

    def _reach(self, flight: Carried) -> None:
        """The last link let it out: a leg of the handshake is done, or the message is there."""
        segment: Segment = flight.path
        flow, peer = segment.flow, segment.flow.peer
        if segment.ack_count and peer is not None and peer.acks.pending:
            self._hear(peer, segment.ack_count)
        if segment.leg < segment.last_leg:
            self._end_leg(flight, segment)
        elif segment.cause:
            self._lose(flight, segment.cause)
        elif segment.is_free:
            self._orphan_count -= len(segment.riders)
            for each in (flight, *segment.riders):
                self._timeline.arrive(each)
        else:
            self._hand_over_or_keep(flight, segment, flow)

    def _hand_over_or_keep(self, flight: Carried, segment: Segment, flow: Flow) -> None:
        """Hand over what misses nothing before it, and those that waited for it; keep what does."""
        timeline = self._timeline
        flights = flow.flights
        segment.is_arrived = True
        if flow.reordering.copies:
            flow.reordering.note_copies(flight, timeline.now + flow.back_s)
        if segment.riders:
            segments.part(segment, timeline.now + flow.back_s)
        if flights[0] is not flight:
            if not flow.is_fixed:
                flow.acknowledge_later(segment, timeline.now)
        else:
            flights.popleft()
            flow.byte_count -= flight.size_bytes
            if not flow.is_fixed:
                if segment.has_been_lost:
                    self._acknowledge_late(segment, flow)
                flow.advance(segment, timeline.now)
            timeline.arrive(flight)
            if flights and flights[0].path.is_arrived:
                self._hand_over(flow)
        if flow.lost or flow.waiting or flow.marked:
            self._set_alarm(flow)

    def _hear(self, flow: Flow, ack_count: int) -> None:
        """Data of the other direction is here; before it is handed over, its acknowledgement counts."""
        flow.hear(ack_count, self._timeline.now)
        if flow.is_disturbed:
            self._go_on(flow)

    def _acknowledge_late(self, segment: Segment, flow: Flow) -> None:
        """An answer that was lost carried the acknowledgement of what it answers: measured late as well,
        unless the asker's own probe was faster. The two timers are equal, so it is every second time.
        """
        asked = self._flows.get((flow.to, flow.source))
        if segment.number % 2 and asked is not None and asked.arrived_s == segment.first_s:
            asked.clock.sample(self._timeline.now - asked.arrived_sent_s)

    def _end_leg(self, flight: Carried, segment: Segment) -> None:
        flow = segment.flow
        segment.leg += 1
        if segment.leg == flow.tcp.name_trips:
            segment.rto_s = SYN_RTO_S
        elif segment.leg == flow.tcp.name_trips + 2:
            round_trip_s = self._timeline.now - segment.sent_s  # of SYN and answer: the first that both know
            flow.clock.begin(round_trip_s)
            self._flow(flow.to, flow.source, flow.tcp).clock.begin(round_trip_s)
        if segment.leg > flow.tcp.name_trips + 1:
            segment.rto_s = flow.rto_s if flow.is_fixed else flow.first_wait_s
        if not segment.is_shaking_hands:
            segment.first_s = self._timeline.now
            segment.has_been_lost = False
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
                self._orphan_count += flow.abandon(cause, self._timeline)
