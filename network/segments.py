"""The transport's notes on a message: of one segment, of several, or one of several in a segment."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from network.link import Link
from network.topology import Path
from network.transport import MAXIMUM_SEGMENT_BYTES, TCP_IP_HEADER_BYTES

if TYPE_CHECKING:
    from network.flow import Flow

FULL_SEGMENT_BYTES = 1500
MOST_DRAWS = 64
RANDOM_CAUSES = ("loss", "burst")

Carried: TypeAlias = Any  # a Flight, whose `path` is its Segment here


class Segment:
    """The transport's notes on one message: stands in the flight's `path`.

    `leg` counts the one-way trips of the handshake that are done, `last_leg` those it needs; `number` is
    that of the latest transmission, `ordinal` that of the message in its flow. Of a message of several
    segments one is lost at a time; `own_ack_s` is when acknowledgements of the others tell so. `riders` are
    the messages after it that share its segment: where this one is, they are. `ack_count` is how many
    acknowledgements of the other direction it repeats. `known_s` is when the sender
    learns that it has arrived while an earlier one is missing.
    """

    __slots__ = (
        "ack_count",
        "cause",
        "deadline_s",
        "first_s",
        "flow",
        "has_been_lost",
        "is_arrived",
        "is_free",
        "is_rider",
        "known_s",
        "last_leg",
        "leg",
        "links",
        "number",
        "ordinal",
        "own_ack_s",
        "riders",
        "rto_s",
        "segment_count",
        "sent_s",
    )

    deadline_s: float  # of a handshake
    own_ack_s: float  # of a message that was lost
    known_s: float  # of one that has arrived too early

    def __init__(self, flow: Flow, now: float) -> None:
        self.flow = flow
        self.links: Path = ()
        self.first_s = self.sent_s = now
        self.rto_s = flow.rto_s
        self.leg = self.last_leg = self.number = self.ack_count = 0
        self.segment_count = 1
        self.ordinal = flow.entered_count
        self.riders: tuple[Carried, ...] = ()
        self.cause = ""
        self.has_been_lost = self.is_arrived = self.is_free = self.is_rider = False

    @property
    def is_shaking_hands(self) -> bool:
        """Whether the handshake before the message is still going on."""
        return self.leg < self.last_leg

    def is_known(self, now: float) -> bool:
        """Whether the sender knows that this has arrived."""
        return self.is_arrived and self.known_s <= now


def ordinal_of(flight: Carried) -> int:
    """Its number in its flow."""
    return int(flight.path.ordinal)


def loss_ratio(path: Path) -> float:
    """Share of segments lost along a path, by its stages of independent loss."""
    kept = 1.0
    for link in path:
        for stage in link.stages:
            kept *= 1 - float(getattr(stage, "loss_ratio", 0.0))
    return 1 - kept


def losing(path: Path) -> list[Callable[[float, int], float | None]]:
    """What loses at random along a path: each gives None for what is lost."""
    stages = [stage for link in path for stage in link.stages]
    return [stage.release for stage in stages if getattr(stage, "cause", "") in RANDOM_CAUSES]


def release_more(link: Link, now: float, segment_count: int, at_s: float) -> float | None:
    """The release time of a message of several segments, each of which may be lost."""
    for release in losing((link,)):
        for _ in range(min(segment_count - 1, MOST_DRAWS)):
            if release(now, 0) is None:
                link.cause = RANDOM_CAUSES[0]
                return None
    return at_s


def data_bytes(flight: Carried) -> int:
    """Bytes of the stream in a message, and in those that share its segment."""
    return sum(each.size_bytes - TCP_IP_HEADER_BYTES for each in (flight, *flight.path.riders))


def wire_bytes(flight: Carried) -> int:
    """Bytes of its segment, or of the trip of a handshake that it stands for."""
    segment: Segment = flight.path
    if segment.is_shaking_hands:
        return segment.flow.tcp.handshake_bytes[segment.leg]
    return data_bytes(flight) + TCP_IP_HEADER_BYTES if segment.riders else int(flight.size_bytes)


def next_waiting(waiting: deque[Carried]) -> Carried:
    """Take the first that waits, with what fits into its segment: Linux adds to what has not been sent
    (tcp_sendmsg).
    """
    return _join([waiting.popleft() for _ in range(_fitting(waiting))])


def next_repair(flow: Flow, now: float) -> Carried:
    """Take the first that is to be sent again, with what fits of those that follow it and are not known to
    have arrived (tcp_retrans_try_collapse): lost ones are repaired early, others come twice.
    """
    first = min(flow.marked, key=ordinal_of)
    del flow.marked[first]
    joined, copied, room_bytes = [first], [], MAXIMUM_SEGMENT_BYTES - data_bytes(first)
    for flight in flow.after(first):
        segment: Segment = flight.path
        if segment.is_rider:
            continue
        room_bytes -= data_bytes(flight)
        if room_bytes < 0 or segment.segment_count > 1 or segment.is_known(now):
            break
        if flight in flow.marked:
            del flow.marked[flight]
            joined.append(flight)
        elif flight in flow.lost:
            del flow.lost[flight]
            flow.window.lose(1)
            joined.append(flight)
        else:
            copied.append(flight)
    if copied:
        flow.reordering.copies[first] = copied
    return _join(joined)


def _fitting(flights: Iterable[Carried]) -> int:
    """How many of these, from the first on, a segment takes that follow each other without a gap."""
    count, room_bytes, following = 0, MAXIMUM_SEGMENT_BYTES, -1
    for flight in flights:
        segment: Segment = flight.path
        room_bytes -= data_bytes(flight)
        if count and (room_bytes < 0 or segment.ordinal != following):
            break
        count += 1
        following = segment.ordinal + 1 + len(segment.riders)
    return count


def _join(flights: list[Carried]) -> Carried:
    """Let the messages after the first share its segment."""
    first: Segment = flights[0].path
    riders = list(first.riders)
    for flight in islice(flights, 1, None):
        segment: Segment = flight.path
        riders += (flight, *segment.riders)
        segment.riders, segment.is_rider = (), True
    first.riders = tuple(riders)
    return flights[0]


def part(segment: Segment, known_s: float) -> None:
    """The messages of a segment are there, which its sender will know at this time."""
    for rider in segment.riders:
        rider.path.is_arrived, rider.path.is_rider, rider.path.known_s = True, False, known_s
    segment.riders = ()


def personal_bytes(flights: Iterable[Carried]) -> int:
    """Personal bytes in these messages."""
    return sum(flight.message.personal_bytes for flight in flights)
