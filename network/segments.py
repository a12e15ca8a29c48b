"""Messages of several segments, and segments of several messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from network.flow import Carried, Segment, ordinal_of
from network.link import Link
from network.topology import Path
from network.transport import MAXIMUM_SEGMENT_BYTES, TCP_IP_HEADER_BYTES

FULL_SEGMENT_BYTES = 1500
MOST_DRAWS = 64
RANDOM_CAUSES = ("loss", "burst")


def loss_ratio(path: Path) -> float:
    """Share of segments lost along a path, by its stages of independent loss."""
    kept = 1.0
    for link in path:
        for stage in link.stages:
            kept *= 1 - float(getattr(stage, "loss_ratio", 0.0))
    return 1 - kept


def release_more(link: Link, now: float, segment_count: int, at_s: float) -> float | None:
    """The release time of a message of several segments, each of which may be lost."""
    losing = [stage.release for stage in link.stages if getattr(stage, "cause", "") in RANDOM_CAUSES]
    for release in losing:
        for _ in range(min(segment_count - 1, MOST_DRAWS)):
            if release(now, 0) is None:
                link.cause = RANDOM_CAUSES[0]
                return None
    return at_s


def data_bytes(flight: Carried) -> int:
    """Bytes of the stream in a message, and in those that share its segment."""
    return sum(each.size_bytes - TCP_IP_HEADER_BYTES for each in (flight, *flight.path.riders))


def next_waiting(waiting: deque[Carried]) -> Carried:
    """Take the first that waits, with what fits into its segment: Linux adds to what has not been sent
    (tcp_sendmsg).
    """
    return _join([waiting.popleft() for _ in range(_fitting(waiting))])


def next_repair(marked: dict[Carried, None]) -> Carried:
    """Take the first that is to be sent again, with what fits of those that follow it without a gap
    (tcp_retrans_try_collapse).
    """
    flights = sorted(marked, key=ordinal_of)
    flights = flights[: _fitting(flights)]
    for flight in flights:
        del marked[flight]
    return _join(flights)


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


def personal_bytes(flights: Iterable[Carried]) -> int:
    """Personal bytes in these messages."""
    return sum(flight.message.personal_bytes for flight in flights)
