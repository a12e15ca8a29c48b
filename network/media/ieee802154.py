"""IEEE 802.15.4 at 2.4 GHz, under Thread and Zigbee: all devices of a cell share one channel.

Unslotted CSMA-CA with the default constants of IEEE 802.15.4: back-off of 0 to 2^BE - 1 periods of 320 us
(BE 3 to 5, five attempts), clear channel assessment 128 us, turnaround 192 us, 32 us a byte, an
acknowledged frame is sent at most four times. Two that find the channel clear within one turnaround
collide. A payload over one frame is sent as fragments (RFC 4944), and one over the IPv6 packet of 1,280
bytes is refused. Every hop sends every fragment; everybody hears everybody, so there are no hidden nodes,
and nobody sleeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from network.media.ride import TOO_LARGE, Ride
from twin.kernel.randomness import Stream

BACKOFF_PERIOD_S = 320e-6
ASSESSMENT_S = 128e-6
TURNAROUND_S = 192e-6
BYTE_S = 32e-6
PHY_BYTES = 6
ACK_BYTES = 11
LEAST_EXPONENT = 3
MOST_EXPONENT = 5
MOST_BACKOFFS = 4
MOST_RETRIES = 3
FRAME_PAYLOAD_BYTES = 80
OVERHEAD_BYTES = 47  # of a 127-byte PSDU: MAC, security, 6LoWPAN, UDP
MOST_BYTES = 1280 - 48  # IPv6 packet less its headers
NO_ACKNOWLEDGEMENT = "no acknowledgement"
CHANNEL_BUSY = "channel access failure"


def frame_s(psdu_bytes: int) -> float:
    """Seconds a frame is on the air."""
    return (PHY_BYTES + psdu_bytes) * BYTE_S


ACKNOWLEDGEMENT_S = TURNAROUND_S + ACK_BYTES * BYTE_S


def exchange_s(psdu_bytes: int) -> float:
    """Mean seconds of an acknowledged exchange on an idle channel."""
    backoff_s = ((1 << LEAST_EXPONENT) - 1) / 2 * BACKOFF_PERIOD_S
    return backoff_s + ASSESSMENT_S + TURNAROUND_S + frame_s(psdu_bytes) + ACKNOWLEDGEMENT_S


def frames_of(payload_bytes: int) -> list[int]:
    """The PSDU bytes of each frame that carries a part of the payload."""
    full, rest = divmod(payload_bytes, FRAME_PAYLOAD_BYTES)
    parts = [FRAME_PAYLOAD_BYTES] * full + ([rest] if rest or not full else [])
    return [part + OVERHEAD_BYTES for part in parts]


@dataclass(slots=True, eq=False)
class Transmission:
    """A frame on the air, and whether another came in between."""

    end_s: float
    has_collided: bool = False


@dataclass(slots=True)
class Channel:
    """What is on the air: each transmission until its acknowledgement is over."""

    _active: list[Transmission] = field(init=False, default_factory=list)

    def is_busy(self, now: float) -> bool:
        """Whether an assessment that ends now heard a frame or the exchange it belongs to."""
        self._active = [each for each in self._active if each.end_s > now - ASSESSMENT_S]
        return bool(self._active)

    def begin(self, start_s: float, psdu_bytes: int) -> Transmission:
        """Send; whoever assessed within the same turnaround did not hear it."""
        sent = Transmission(start_s + frame_s(psdu_bytes) + ACKNOWLEDGEMENT_S)
        for other in self._active:
            if other.end_s > start_s:
                other.has_collided = sent.has_collided = True
        self._active.append(sent)
        return sent


@dataclass(slots=True)
class _Work:
    """What is still to be sent for one message, and how often it was tried."""

    frames: list[int]
    backoff_count: int = 0
    exponent: int = LEAST_EXPONENT
    retry_count: int = 0


class MeshLink:
    """A device's way over so many hops, in either direction."""

    waiting_count = 0

    def __init__(self, channel: Channel, stream: Stream, hops: int = 1) -> None:
        self._channel = channel
        self._stream = stream
        self._hops = hops

    @property
    def mean_s(self) -> float:
        """Mean seconds of one full frame over all hops on an idle channel."""
        return self._hops * exchange_s(FRAME_PAYLOAD_BYTES + OVERHEAD_BYTES)

    def take(self, ride: Ride) -> None:
        """Send fragment by fragment, hop by hop."""
        if ride.size_bytes > MOST_BYTES:
            ride.refuse(TOO_LARGE)
        else:
            self._back_off(_Work(frames_of(ride.size_bytes) * self._hops), ride)

    def _back_off(self, work: _Work, ride: Ride) -> None:
        periods = self._stream.index(2**work.exponent)
        at_s = ride.now + periods * BACKOFF_PERIOD_S + ASSESSMENT_S
        ride.at(at_s, lambda ride: self._assess(work, ride))

    def _assess(self, work: _Work, ride: Ride) -> None:
        if not self._channel.is_busy(ride.now):
            start_s = ride.now + TURNAROUND_S
            sent = self._channel.begin(start_s, work.frames[0])
            ride.link.air_s += frame_s(work.frames[0])
            ride.at(sent.end_s, lambda ride: self._end(sent, work, ride))
        elif work.backoff_count >= MOST_BACKOFFS:
            ride.refuse(CHANNEL_BUSY)
        else:
            work.backoff_count += 1
            work.exponent = min(work.exponent + 1, MOST_EXPONENT)
            self._back_off(work, ride)

    def _end(self, sent: Transmission, work: _Work, ride: Ride) -> None:
        work.backoff_count, work.exponent = 0, LEAST_EXPONENT
        if not sent.has_collided:
            work.frames.pop()
            work.retry_count = 0
        elif work.retry_count >= MOST_RETRIES:
            ride.refuse(NO_ACKNOWLEDGEMENT)
            return
        else:
            work.retry_count += 1
        if work.frames:
            self._back_off(work, ride)
        else:
            ride.land()
