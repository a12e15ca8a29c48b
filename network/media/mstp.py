"""BACnet MS/TP on RS-485: a token goes round, and who has it may send one frame (ASHRAE 135 clause 9).

    rotation = N x (8 octets of token + turnaround of 40 bit times), + a data frame for each that sends

with 10 bits an octet. Every node is a master, the gateway the first; a message over 480 bytes is sent in
segments, one a token.
"""

from __future__ import annotations

from network.media.ride import QUEUE_FULL, QUEUE_MESSAGES, Ride
from network.media.turns import TurnClock, next_own_turn

OCTET_BITS = 10
TOKEN_OCTETS = 8
FRAME_OCTETS = 8 + 2
TURNAROUND_BITS = 40
SEGMENT_BYTES = 480


def token_s(baud: float) -> float:
    """Seconds to pass the token on."""
    return (TOKEN_OCTETS * OCTET_BITS + TURNAROUND_BITS) / baud


def frame_s(baud: float, payload_bytes: int) -> float:
    """Seconds of a data frame and the turnaround after it."""
    return ((FRAME_OCTETS + payload_bytes) * OCTET_BITS + TURNAROUND_BITS) / baud


class TokenBus:
    """One line and its masters in the order they joined; the gateway is there from the start."""

    def __init__(self, baud: float) -> None:
        self.baud = baud
        self.master_count = 1
        self.clock = TurnClock(token_s(baud))

    @property
    def rotation_s(self) -> float:
        """Seconds of an idle rotation."""
        return self.master_count * self.clock.turn_s

    def join(self) -> int:
        """The place of one more master."""
        self.master_count += 1
        return self.master_count - 1


class Master:
    """What one node has to send, a frame a token."""

    waiting_count = 0

    def __init__(self, bus: TokenBus, place: int) -> None:
        self._bus = bus
        self._place = place
        self._next_turn = 0

    @property
    def mean_s(self) -> float:
        """Half an idle rotation and a frame of 50 bytes."""
        return self._bus.rotation_s / 2 + frame_s(self._bus.baud, 50)

    def take(self, ride: Ride) -> None:
        """Send the whole message."""
        self._send(ride, ride.size_bytes)

    def _send(self, ride: Ride, left_bytes: int) -> None:
        """Wait for a token that no earlier frame has."""
        clock, count = self._bus.clock, self._bus.master_count
        soonest = clock.next_turn(ride.now)
        turn = next_own_turn(self._place, count, max(soonest, self._next_turn))
        if turn - soonest > (QUEUE_MESSAGES + 1) * count:
            ride.refuse(QUEUE_FULL)
            return
        self._next_turn = turn + 1
        ride.at(clock.begins_s(turn), lambda ride: self._hold(turn, ride, left_bytes))

    def _hold(self, turn: int, ride: Ride, left_bytes: int) -> None:
        begins_s = self._bus.clock.begins_s(turn)
        if begins_s > ride.now:
            ride.at(begins_s, lambda ride: self._hold(turn, ride, left_bytes))
            return
        seconds = frame_s(self._bus.baud, min(left_bytes, SEGMENT_BYTES))
        self._bus.clock.stand(ride.now, seconds)
        ride.link.air_s += seconds
        ride.at(ride.now + seconds, lambda ride: self._sent(ride, left_bytes - SEGMENT_BYTES))

    def _sent(self, ride: Ride, left_bytes: int) -> None:
        if left_bytes > 0:
            self._send(ride, left_bytes)
        else:
            ride.land()
