"""CAN 2.0: the frame of the highest priority wins the bus, and is not interrupted.

    bits of the longest frame with n data bytes = g + 8 n + 13 + floor((g + 8 n - 1) / 4)

with g = 34 for identifiers of 11 bits, 54 for 29 (Davis, Burns, Bril and Lukkien 2007); every frame is
taken as its longest. More than 8 bytes go as ISO 15765-2 segments: 6 in the first frame, 7 in each other,
and one frame of flow control from the receiver; more than 4,095 bytes are refused. Events and commands
come before telemetry; within a class the device that joined first.
"""

from __future__ import annotations

from heapq import heappop, heappush

from network.media.ride import QUEUE_FULL, TOO_LARGE, Ride
from twin.kernel.station import urgent_first

STANDARD_BITS, EXTENDED_BITS = 34, 54
FRAME_BYTES = 8
FIRST_BYTES, NEXT_BYTES, FLOW_CONTROL_BYTES = 6, 7, 3
MOST_BYTES = 4095
QUEUE_LIMIT = 1_000


def frame_bits(data_bytes: int, *, is_extended: bool = False) -> int:
    """Bits on the wire of the longest frame with so many data bytes, stuffed bits included."""
    stuffed = (EXTENDED_BITS if is_extended else STANDARD_BITS) + 8 * data_bytes
    return stuffed + 13 + (stuffed - 1) // 4


def segments(payload_bytes: int) -> list[int]:
    """Data bytes of each frame that a payload takes, in order."""
    if payload_bytes <= FRAME_BYTES:
        return [payload_bytes]
    full, rest = divmod(payload_bytes - FIRST_BYTES, NEXT_BYTES)
    following = [FRAME_BYTES] * full + ([rest + 1] if rest else [])
    return [FRAME_BYTES, FLOW_CONTROL_BYTES, *following]


class CanBus:
    """One wire: who waits for it, by priority."""

    def __init__(self, rate_bps: float) -> None:
        self._rate_bps = rate_bps
        self._waiting: list[tuple[int, int, int, Ride, list[int]]] = []
        self._number = 0
        self._is_busy = False
        self.node_count = 0
        self.has_counter = False

    @property
    def waiting_count(self) -> int:
        """Messages that wait for the wire."""
        return len(self._waiting)

    def join(self) -> int:
        """The priority of one more node: its place."""
        self.node_count += 1
        return self.node_count

    def enter(self, ride: Ride, place: int) -> None:
        """Queue a message, or refuse it."""
        if ride.size_bytes > MOST_BYTES:
            ride.refuse(TOO_LARGE)
        elif len(self._waiting) >= QUEUE_LIMIT:
            ride.refuse(QUEUE_FULL)
        else:
            self._number += 1
            rank = urgent_first(ride.flight.message)
            self._contend((rank, place, self._number, ride, segments(ride.size_bytes)))

    def _contend(self, entry: tuple[int, int, int, Ride, list[int]]) -> None:
        heappush(self._waiting, entry)
        if not self._is_busy:
            self._arbitrate()

    def _arbitrate(self) -> None:
        entry = heappop(self._waiting)
        ride, frames = entry[3], entry[4]
        self._is_busy = True
        seconds = frame_bits(frames.pop(0)) / self._rate_bps
        ride.link.air_s += seconds
        ride.at(ride.now + seconds, lambda _ride: self._end(entry))

    def _end(self, entry: tuple[int, int, int, Ride, list[int]]) -> None:
        """The frame is over: the rest of its message contends again with what came meanwhile."""
        self._is_busy = False
        ride, frames = entry[3], entry[4]
        if frames:
            self._contend(entry)
        else:
            ride.land()
            if self._waiting:
                self._arbitrate()


class CanNode:
    """One direction between a device and the gateway, with the priority of the one that sends."""

    def __init__(self, bus: CanBus, place: int, *, is_counting: bool) -> None:
        self._bus = bus
        self._place = place
        self._is_counting = is_counting

    @property
    def waiting_count(self) -> int:
        """What waits for the wire, told by one node of the bus for all."""
        return self._bus.waiting_count if self._is_counting else 0

    def take(self, ride: Ride) -> None:
        """Contend for the wire."""
        self._bus.enter(ride, self._place)
