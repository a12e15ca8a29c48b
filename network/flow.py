"""One direction of a connection: what was sent, what is missing, and when the sender repairs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice, takewhile
from math import inf, isnan, nan
from typing import Any

from network import segments
from network.acknowledgements import Ack, Acknowledgements
from network.reordering import Reordering
from network.segments import Carried, Segment
from network.tcp import ACK_DELAY_S, DUPLICATES, INITIAL_WINDOW_COUNT, late_timer_s, probe_s
from network.topology import Path
from network.transport import GIVE_UP_S, MOST_RTO_S, Connected
from network.window import OPEN, Window
from twin.kernel.ports import Timeline

TIES_S = 1e-9
KNOWN_ACKS = 16  # acknowledgements of later data that a repair is decided by; three are needed


class Alarm:
    """A flow's next repair in the event queue; it counts only while it is the flow's own."""

    __slots__ = ("callbacks", "due_s", "flow")
    _ok = True

    def __init__(self, flow: Flow, due_s: float) -> None:
        self.flow = flow
        self.due_s = due_s
        self.callbacks: Any = None


class Flow:
    """What was sent and has not been handed over, in order.

    `rto_s` is the time-out of a steady round trip; `links` is the path, None where it must be found.

    waiting     messages that have not been sent, for want of room in the window
    lost        messages that are lost, which the sender does not know yet
    marked      messages that wait to be sent again
    unanswered  what has arrived and waits for something to be sent back, or for the delayed acknowledgement:
                when it came, when it was sent (NaN: more than once), and what its acknowledgement says
    acks        acknowledgements on their way to the sender

    `is_answered` says that the receiver is one that sends something back at once (Linux's pingpong mode).
    `_partial` is the latest acknowledgement of everything up to a transmission (its number, its time, its
    round trip); `_later` are the same of something after a gap.
    """

    __slots__ = (
        "_doubted",
        "_has_probe",
        "_is_tail_probe",
        "_later",
        "_least_s",
        "_losses",
        "_partial",
        "_probe_point",
        "acks",
        "alarm",
        "arrived_s",
        "arrived_sent_s",
        "back_s",
        "byte_count",
        "clock",
        "due_s",
        "entered_count",
        "flights",
        "is_answered",
        "is_fixed",
        "last_ack_s",
        "last_sent_s",
        "links",
        "lost",
        "marked",
        "owed_bytes",
        "peer",
        "reordering",
        "rto_s",
        "sent_count",
        "source",
        "tcp",
        "to",
        "unanswered",
        "waiting",
        "window",
    )

    def __init__(self, source: str, to: str, tcp: Connected) -> None:
        self.source = source
        self.to = to
        self.tcp = tcp
        self.clock = tcp.clock()
        self.window = Window()
        self.reordering = Reordering()
        self.rto_s = self.back_s = 0.0
        self.links: Path | None = None
        self.flights: deque[Carried] = deque()
        self.waiting: deque[Carried] = deque()
        self.lost: dict[Carried, None] = {}
        self.marked: dict[Carried, None] = {}
        self.acks = Acknowledgements()
        self.unanswered: deque[tuple[float, float, int, int, int]] = deque()
        self.peer: Flow | None = None
        self.byte_count = self.owed_bytes = self.sent_count = self.entered_count = 0
        self.last_sent_s = self.last_ack_s = self.arrived_s = self.arrived_sent_s = -inf
        self.alarm: Alarm | None = None
        self.is_fixed = tcp.is_fixed
        self.due_s: float | None = None
        self._has_probe = tcp.has_probe
        self._later: deque[tuple[int, float, float]] = deque(maxlen=KNOWN_ACKS)
        self._doubted = (0, inf)
        self._least_s = inf
        self._partial = (0, inf, 0.0)
        self._losses = self._probe_point = 0
        self._is_tail_probe = False
        self.is_answered = False

    def settle(self, there_s: float, back_s: float, back: Path) -> None:
        """Expect these delays (s), as a connection does that has known them for long, and this way back."""
        self.links = None
        self.acks.losing = segments.losing(back)
        self.back_s = back_s if back_s < inf else there_s
        self._least_s = there_s + back_s
        self.clock.settle(there_s + back_s)
        self.rto_s = self.tcp.rto_s(there_s + back_s)

    @property
    def is_disturbed(self) -> bool:
        """Whether an acknowledgement may let something be sent."""
        return bool(self.lost or self.waiting or self.marked)

    @property
    def waiting_count(self) -> int:
        """Messages that are here, or at the receiver, and in no link."""
        kept = sum(flight.path.is_arrived or flight.path.is_rider for flight in self.flights)
        return int(kept) + len(self.lost) + len(self.marked) + len(self.waiting)

    def abandon(self, cause: str, timeline: Timeline) -> int:
        """Doom all from the first message in retransmission on, and what waits for an earlier one. Those in
        the event queue end where they stand, at their next event; give how many others share their segments.
        """
        self.alarm = None
        is_doomed, orphan_count = False, 0
        kept = {*self.lost, *self.marked, *self.waiting}
        for flight in self.flights:
            segment: Segment = flight.path
            is_doomed = is_doomed or segment.has_been_lost or segment.is_shaking_hands
            if segment.is_arrived:
                timeline.lose(flight, flight.to, cause)
            elif flight in kept:
                for each in (flight, *segment.riders):
                    timeline.lose(each, flight.source, cause)
            elif not segment.is_rider:
                orphan_count += len(segment.riders)
                if is_doomed:
                    segment.cause = cause
                else:
                    segment.is_free = True
        for flights in (self.lost, self.marked, self.reordering.copies, self.waiting, self.flights):
            flights.clear()  # who is handing over, and was told to close by what it handed over, stops
        return orphan_count

    # what the receiver does ----------------------------------------------------------------------------

    def acknowledge_later(self, segment: Segment, now: float) -> None:
        """A message arrived while an earlier one is missing."""
        if self.unanswered:
            self._acknowledge_late(now)
        if self.unanswered:
            self._acknowledge_alone(now)
        at_s = segment.known_s = now + self.back_s
        later = segment.number, at_s, at_s - segment.sent_s
        if self._say((segment.segment_count, 0, self._edge), now):
            self._later.append(later)
        else:
            self.acks.keep(later)

    def advance(self, segment: Segment, now: float) -> None:
        """The first message missing arrived, and is no longer among the flights.

        The receiver acknowledges it at once, unless it is one that answers and this neither fills a gap nor
        is the second to come (tcp_cleanup_rbuf).
        """
        self.arrived_s, self.arrived_sent_s = now, segment.sent_s
        flights = self.flights
        edge = self.entered_count - len(flights)
        if flights and flights[0].path.is_arrived:
            edge += self._ready_count()
        if self.unanswered:
            self._acknowledge_late(now)
        count = segment.segment_count
        ack = count, count if count == 1 else 0, edge
        if not self.is_answered and not self.unanswered:
            if self._say(ack, now) and not segment.has_been_lost:
                self._sample(now + self.back_s - segment.sent_s)
        else:
            self.unanswered.append((now, nan if segment.has_been_lost else segment.sent_s, *ack))
            if len(self.unanswered) > 1 or self._later or self.lost or self.marked:
                self._acknowledge_alone(now)
        if self.lost or self.marked:
            self._partial = (segment.number, now + self.back_s, now + self.back_s - segment.sent_s)
        elif self._later:
            self._later.clear()
        elif self._partial[0]:
            self._partial = (0, inf, 0.0)

    @property
    def _edge(self) -> int:
        """Up to which message all have arrived."""
        return self.entered_count - len(self.flights)

    def _ready_count(self) -> int:
        return sum(1 for _ in takewhile(_has_arrived, self.flights))

    def answer(self, now: float) -> None:
        """The receiver sends something, and with it the acknowledgement."""
        self._acknowledge_late(now)
        if self.unanswered:
            self._acknowledge(now)
        if now - self.arrived_s < ACK_DELAY_S:
            self.is_answered = True

    def _acknowledge(self, now: float) -> None:
        """The receiver acknowledges all that has arrived up to now; the round trip is that of the first."""
        unanswered = self.unanswered
        sent_s = unanswered[0][1]
        if not isnan(sent_s):  # it was sent once
            self._sample(now + self.back_s - sent_s)
        while unanswered and unanswered[0][0] <= now:
            _, _, segment_count, widening_count, edge = unanswered.popleft()
            self.acks.add((segment_count, widening_count, edge))

    def _acknowledge_alone(self, now: float) -> None:
        """The same with nothing else to send."""
        self._acknowledge(now)
        if not (self.acks.losing and self.acks.loses(now)):
            self.hear(self.acks.count, now + self.back_s)

    def _say(self, ack: Ack, now: float) -> bool:
        """Acknowledge in a segment of its own; False if it is lost."""
        acks = self.acks
        if acks.losing and acks.loses(now):
            acks.add(ack)
            return False
        at_s = now + self.back_s
        if acks.pending and acks.pending[-1][0] > at_s:
            self.hear(acks.count, at_s)
        acks.add(ack, at_s)
        return True

    def hear(self, ack_count: int, at_s: float) -> None:
        """The sender knows the first so many acknowledgements at this time."""
        later = self.acks.hear(ack_count, at_s)
        if later is not None:
            self._later.append(later)

    def _sample(self, round_trip_s: float) -> None:
        self.clock.sample(round_trip_s)
        if round_trip_s < self._least_s:  # noqa: PLR1730  (min costs three times as much)
            self._least_s = round_trip_s

    def _acknowledge_late(self, now: float) -> None:
        """Do what the timer of delayed acknowledgements has done up to now; the receiver then expects to
        send nothing back (tcp_delack_timer_handler).
        """
        unanswered = self.unanswered
        while unanswered and unanswered[0][0] + ACK_DELAY_S <= now:
            self.is_answered = False
            self._acknowledge_alone(unanswered[0][0] + ACK_DELAY_S)

    # what the sender knows -----------------------------------------------------------------------------

    @property
    def _sent(self) -> int:
        """How many messages were sent once at least."""
        return self.entered_count - len(self.waiting)

    def after(self, flight: Carried) -> Iterator[Carried]:
        """The messages after this one that were sent once at least."""
        begin = self.flights.index(flight) + 1
        return islice(self.flights, begin, len(self.flights) - len(self.waiting))

    def may_send(self, now: float) -> bool:
        """Whether a new message leaves at once."""
        window, acks, unanswered = self.window, self.acks.pending, self.unanswered
        most_out_count = len(self.flights) + len(acks) + len(unanswered)
        if 2 * most_out_count <= window.count <= INITIAL_WINDOW_COUNT and not (
            window.state or window.is_limited
        ):
            return True  # far from any limit: acknowledgements may be counted later
        if unanswered or (acks and acks[0][0] <= now):
            self.take_acks(now)
        if window.out_count < window.count and not (self.waiting or self.marked):
            if not window.out_count and now - self.last_sent_s > self.clock.rto_s:
                window.rest(self.last_sent_s, now, self.clock.rto_s)
            return True
        return False

    def take_acks(self, now: float) -> None:
        """Learn from the acknowledgements that are back."""
        now += TIES_S
        if self.unanswered and self.unanswered[0][0] + ACK_DELAY_S + self.back_s <= now:
            self._acknowledge_late(now - self.back_s)
        acks, window = self.acks.pending, self.window
        if acks and acks[0][0] == inf and self._asking_s <= now:
            self.hear(self.acks.count, now + self._least_s)
        is_repairing = window.state != OPEN
        self.reordering.learn(now, self.clock.srtt_s)
        while acks and acks[0][0] <= now:
            at_s, segment_count, widening_count, edge = acks.popleft()
            if window.acknowledge(segment_count, widening_count, edge):
                self.last_ack_s, self.due_s, self._losses = at_s, None, 0
                if self._probe_point and edge >= self._probe_point:
                    self._probe_point = 0
                    if self._is_tail_probe and window.state == OPEN:
                        window.repaired_by_probe()
        if is_repairing and window.state == OPEN:
            self.reordering.recovered()

    def miss(self, flight: Carried, now: float) -> None:
        """Note that a message is lost. Of several segments only one is; the others have arrived."""
        self.take_acks(now)
        self.lost[flight] = None
        segment: Segment = flight.path
        count, srtt_s = segment.segment_count, self.clock.srtt_s
        segment.own_ack_s = (
            inf if count == 1 else segment.sent_s + (srtt_s if count > DUPLICATES else 1.25 * srtt_s)
        )
        self.window.lose(count - 1)

    @property
    def first_wait_s(self) -> float:
        """Seconds until a lone segment is sent again for the first time."""
        rto_s = self.clock.rto_s
        return probe_s(self.clock.srtt_s, rto_s, is_alone=True) if self._has_probe else rto_s

    def wake_s(self) -> float:
        """When something may be sent, as far as is known; infinite if nothing is waited for."""
        due_s = inf
        if self.lost or self.marked:
            first = self._first_missing()
            seen_s = min((self._seen_lost_s(flight.path) for flight in self.lost), default=inf)
            due_s = min(seen_s, self._unseen_s(first))
        if self.marked or self.waiting:
            if self.acks.next_s < inf:
                due_s = min(due_s, self.acks.next_s)
            elif self.unanswered:
                due_s = min(due_s, self.unanswered[0][0] + ACK_DELAY_S + self.back_s)
            elif self.acks.pending:
                due_s = min(due_s, self._asking_s)
        return due_s

    @property
    def _asking_s(self) -> float:
        """When a probe asks for what lost acknowledgements have said."""
        clock = self.clock
        wait_s = probe_s(clock.srtt_s, clock.rto_s, is_alone=self.window.out_count == 1)
        return max(self.last_sent_s, self.last_ack_s) + wait_s

    def note_losses(self, now: float) -> bool:
        """Mark what acknowledgements tell to be lost; if they tell nothing and the time is over, probe or
        time out. Say whether one segment is to leave whatever the window says.
        """
        if not self.lost and not self.marked:
            return False
        seen = [flight for flight in self.lost if self._seen_lost_s(flight.path) <= now + TIES_S]
        if seen:
            self._mark(seen)
            self._probe_point = 0
            self.reordering.repair()
            self.window.recover(self._sent)
            return False
        first = self._first_missing()
        if self._unseen_s(first) > now + TIES_S:
            return False
        is_forced = False
        if self._may_probe:
            is_forced = self._probe(now)
        else:
            self._time_out(first, now)
        self.due_s = now + min(self.clock.rto_s * 2**self._losses, MOST_RTO_S)
        return is_forced

    def _mark(self, flights: list[Carried]) -> None:
        for flight in flights:
            del self.lost[flight]
            self.marked[flight] = None
        self.window.lose(len(flights))

    def _first_missing(self) -> Segment:
        """The earliest message that is known to be lost, or is lost."""
        found = next(each for each in self.flights if each in self.lost or each in self.marked)
        segment: Segment = found.path
        return segment

    def _seen_lost_s(self, segment: Segment) -> float:
        """When acknowledgements of data sent later tell that this was lost: of the first, if the reordering
        window is over, of the third at once; an acknowledgement of all before a later transmission too. While
        losses are repaired there is no reordering window (tcp_rack_reo_wnd).
        """
        number, at_s, round_trip_s = self._partial
        due_s = segment.own_ack_s
        if number > segment.number:
            due_s = min(due_s, self._outwaited_s(segment, at_s, round_trip_s))
        later = [each for each in self._later if self._tells(segment, *each)] if self._later else ()
        if later:
            _, at_s, round_trip_s = later[0]
            if self.tcp.reordering_ratio is not None:
                due_s = min(due_s, self._outwaited_s(segment, at_s, round_trip_s))
            if len(later) >= DUPLICATES and not self.reordering.is_seen:
                due_s = min(due_s, later[DUPLICATES - 1][1])
        return due_s

    def _outwaited_s(self, segment: Segment, at_s: float, round_trip_s: float) -> float:
        """When the reordering window is over after an acknowledgement that came at this time."""
        window_s = self.reordering.window_s(
            (self.tcp.reordering_ratio or 0.0) * self._least_s,
            self.clock.srtt_s,
            is_repairing=self.window.state != OPEN,
        )
        wait_s = segment.sent_s + round_trip_s + window_s - at_s
        return at_s + late_timer_s(wait_s) if wait_s > 0 else at_s

    def _unseen_s(self, first: Segment) -> float:
        """When something is sent, or given up, that no acknowledgement tells of. While the reordering window
        is waited for, no other timer runs (tcp_rack_mark_lost).
        """
        timer_s = self._timer_due_s(first)
        if self.tcp.reordering_ratio is not None and any(
            at_s <= timer_s and self._tells(flight.path, number, at_s, trip_s)
            for number, at_s, trip_s in self._later
            for flight in self.lost
        ):
            timer_s = inf
        return min(timer_s, first.first_s + GIVE_UP_S)

    def _tells(self, segment: Segment, number: int, at_s: float, round_trip_s: float) -> bool:
        """Whether this acknowledges something sent later, and nothing that a probe has repeated since."""
        del round_trip_s
        return number > segment.number and (number != self._doubted[0] or at_s >= self._doubted[1])

    @property
    def _may_probe(self) -> bool:
        return self._has_probe and not self._probe_point and self.window.state == OPEN

    def _timer_due_s(self, first: Segment) -> float:
        """When probe or time-out comes. An acknowledgement of what was sent before the loss starts both anew,
        for their whole time (RFC 6298, 5.3; tcp_set_xmit_timer); data sent later cannot put off the time-out.
        """
        if self.due_s is not None:
            return self.due_s
        rto_s, ack_s = self.clock.rto_s, self.last_ack_s
        if not self._may_probe:
            return max(first.sent_s, ack_s) + rto_s
        wait_s = probe_s(self.clock.srtt_s, rto_s, is_alone=self.window.out_count == 1)
        start_s = max(first.sent_s, self.last_sent_s)
        if ack_s > start_s:
            return ack_s + wait_s
        over_s = first.sent_s + rto_s
        return min(start_s + wait_s, over_s) if over_s > start_s else start_s + wait_s

    def _probe(self, now: float) -> bool:
        """What waits is sent, or else the last segment again (tcp_send_loss_probe); False if it is underway.

        For a round trip its arrival then tells nothing of others (tcp_rack_advance).
        """
        self._probe_point = self._sent + bool(self.waiting)
        self._is_tail_probe = False
        if self.waiting:
            return True
        tail = next(each for each in reversed(self.flights) if not each.path.is_rider)
        if tail not in self.lost:
            self._doubted = (tail.path.number, now + self._least_s)
            self.reordering.note(now + self._least_s, is_probe=True)
            return False
        self._is_tail_probe = True
        self._mark([tail])
        return True

    def _time_out(self, first: Segment, now: float) -> None:
        """All is lost but what has just been sent; the next time-out is twice as long."""
        self._losses += 1
        self._probe_point = 0
        old_s = now - (1 + (self.tcp.reordering_ratio or 0.0)) * self.clock.srtt_s
        self._mark([each for each in self.lost if each.path is first or each.path.sent_s <= old_s])
        self.window.time_out(self._sent)


def _has_arrived(flight: Carried) -> bool:
    return bool(flight.path.is_arrived)
