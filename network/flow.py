"""One direction of a connection: what was sent, what is missing, and when the sender repairs it."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Any, TypeAlias

from network.tcp import DUPLICATES, INITIAL_WINDOW_COUNT, probe_s
from network.topology import Path
from network.transport import GIVE_UP_S, MOST_RTO_S, Connected

KNOWN_ACKS = 16  # acknowledgements of later data that a repair is decided by; three are needed

Carried: TypeAlias = Any  # a Flight, whose `path` is its Segment here


class Segment:
    """The transport's notes on one message: stands in the flight's `path`.

    `leg` counts the one-way trips of the handshake that are done, `last_leg` those it needs; `number` is
    that of the latest transmission. Of a message of several segments one is lost at a time; `own_ack_s` is
    when acknowledgements of the others tell so.
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
        "number",
        "own_ack_s",
        "rto_s",
        "segment_count",
        "sent_s",
    )

    deadline_s: float  # of a handshake
    own_ack_s: float  # of a message that was lost

    def __init__(self, flow: Flow, now: float) -> None:
        self.flow = flow
        self.links: Path = ()
        self.first_s = self.sent_s = now
        self.rto_s = flow.rto_s
        self.leg = self.last_leg = self.number = 0
        self.segment_count = 1
        self.cause = ""
        self.has_been_lost = self.is_arrived = self.is_free = False

    @property
    def is_shaking_hands(self) -> bool:
        """Whether the handshake before the message is still going on."""
        return self.leg < self.last_leg


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

    `rto_s` is the time-out of a steady round trip; `lost` are messages that wait to be sent again; `links`
    is the path, None where it must be found; `_partial` is the latest acknowledgement of everything up to a
    transmission (its number, its time).
    """

    __slots__ = (
        "_acks",
        "_has_probe",
        "_is_probed",
        "_losses",
        "_partial",
        "alarm",
        "arrived_s",
        "arrived_sent_s",
        "back_s",
        "byte_count",
        "clock",
        "due_s",
        "flights",
        "is_fixed",
        "last_ack_s",
        "last_sent_s",
        "links",
        "lost",
        "owed_bytes",
        "rto_s",
        "sent_count",
        "source",
        "tcp",
        "to",
        "window_count",
    )

    def __init__(self, source: str, to: str, tcp: Connected) -> None:
        self.source = source
        self.to = to
        self.tcp = tcp
        self.clock = tcp.clock()
        self.rto_s = self.back_s = 0.0
        self.links: Path | None = None
        self.flights: deque[Carried] = deque()
        self.lost: dict[Carried, None] = {}
        self.byte_count = self.owed_bytes = self.sent_count = 0
        self.window_count = INITIAL_WINDOW_COUNT
        self.last_sent_s = self.last_ack_s = self.arrived_s = self.arrived_sent_s = -inf
        self.alarm: Alarm | None = None
        self.is_fixed = tcp.is_fixed
        self._has_probe = tcp.has_probe
        self._acks: deque[tuple[int, float]] = deque(maxlen=KNOWN_ACKS)
        self._partial = (0, inf)
        self._losses = 0
        self._is_probed = False
        self.due_s: float | None = None

    def settle(self, there_s: float, back_s: float) -> None:
        """Expect these delays (s), as a connection does that has known them for long."""
        self.links = None
        self.back_s = back_s if back_s < inf else there_s
        self.clock.settle(there_s + back_s)
        self.rto_s = self.tcp.rto_s(there_s + back_s)

    def acknowledge_later(self, segment: Segment, now: float) -> None:
        """A message arrived while an earlier one is missing."""
        self._acks.append((segment.number, now + self.back_s))

    def advance(self, segment: Segment, now: float) -> None:
        """The first message missing arrived: the sender learns of it half a round trip later."""
        if not segment.has_been_lost:
            self.clock.sample(now - segment.sent_s + self.back_s)
        self.arrived_s, self.arrived_sent_s = now, segment.sent_s
        self.last_ack_s = now + self.back_s
        if self.due_s is not None:
            self.due_s, self._losses, self._is_probed = None, 0, False
        if self.lost:
            self._partial = (segment.number, self.last_ack_s)
        elif self._acks:
            self._acks.clear()
        elif self._partial[0]:
            self._partial = (0, inf)

    def miss(self, flight: Carried) -> bool:
        """Note that a message is lost; say whether that may change when the next repair is due."""
        self.lost[flight] = None
        segment: Segment = flight.path
        count, srtt_s = segment.segment_count, self.clock.srtt_s
        segment.own_ack_s = (
            inf if count == 1 else segment.sent_s + (srtt_s if count > DUPLICATES else 1.25 * srtt_s)
        )
        return self.alarm is None or bool(self._acks) or count > 1

    @property
    def first_wait_s(self) -> float:
        """Seconds until a lone segment is sent again for the first time."""
        rto_s = self.clock.rto_s
        return probe_s(self.clock.srtt_s, rto_s, is_alone=True) if self._has_probe else rto_s

    def first_lost(self) -> Carried:
        """The earliest message that waits to be sent again."""
        return next(flight for flight in self.flights if flight in self.lost)

    def repair_due_s(self) -> float:
        """When the next message is sent again."""
        seen_s = min((self.seen_lost_s(flight.path) for flight in self.lost), default=inf)
        first: Segment = self.first_lost().path
        return min(seen_s, self._timer_due_s(first), first.first_s + GIVE_UP_S)

    def seen_lost_s(self, segment: Segment) -> float:
        """When acknowledgements of data sent later tell that this was lost: of the first, if the reordering
        window is over, of the third at once; an acknowledgement of all before a later transmission too.
        """
        number, due_s = self._partial
        due_s = min(due_s, segment.own_ack_s) if number > segment.number else segment.own_ack_s
        later_s = [at_s for number, at_s in self._acks if number > segment.number] if self._acks else ()
        if later_s:
            ratio = self.tcp.reordering_ratio
            if ratio is not None:
                due_s = min(due_s, max(later_s[0], segment.sent_s + (1 + ratio) * self.clock.srtt_s))
            if len(later_s) >= DUPLICATES:
                due_s = min(due_s, later_s[DUPLICATES - 1])
        return due_s

    def _timer_due_s(self, first: Segment) -> float:
        """When probe or time-out comes; acknowledgements that still arrive start both anew."""
        if self.due_s is not None:
            return self.due_s
        rto_s = self.clock.rto_s
        if not self._has_probe:
            return first.sent_s + rto_s
        wait_s = probe_s(self.clock.srtt_s, rto_s, is_alone=len(self.flights) == 1)
        start_s = max(first.sent_s, self.last_sent_s)
        if start_s < self.last_ack_s < start_s + wait_s:
            start_s = self.last_ack_s
        return min(start_s + wait_s, max(first.sent_s + rto_s, start_s))

    def time_out(self, now: float) -> None:
        """A probe, then time-outs that double: the next comes so much later."""
        if self._has_probe and not self._is_probed:
            self._is_probed = True
        else:
            self._losses += 1
            self.window_count = max(1, self.window_count // 2)
        self.due_s = now + min(self.clock.rto_s * 2**self._losses, MOST_RTO_S)
