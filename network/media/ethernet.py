"""Ethernet: every payload travels in frames, with what stands around them on the wire (IEEE 802.3).

A frame of 64 to 1,518 bytes, 20 more of preamble and gap between frames. Ports are switched: nobody
shares one.
"""

from __future__ import annotations

import math

from network.stages.rate import DEFAULT_QUEUE_BYTES, NOMINAL_BYTES
from twin.errors import InputError

PAYLOAD_BYTES = 1460
LEAST_FRAME_BYTES = 64
HEADER_BYTES = 18 + 40  # Ethernet with checksum, IPv4 and TCP
GAP_BYTES = 20


def frame_s(frame_bytes: int, rate_bps: float) -> float:
    """Seconds a frame takes, preamble and gap included."""
    return (frame_bytes + GAP_BYTES) * 8 / rate_bps


def serialisation_s(payload_bytes: int, rate_bps: float) -> float:
    """Seconds the frames of a payload take."""
    full, rest = divmod(payload_bytes, PAYLOAD_BYTES)
    seconds = full * frame_s(PAYLOAD_BYTES + HEADER_BYTES, rate_bps)
    if rest or not full:
        seconds += frame_s(max(rest + HEADER_BYTES, LEAST_FRAME_BYTES), rate_bps)
    return seconds


class Port:
    """A stage: a port that sends frames, and drops at the tail what its queue has no room for."""

    cause = "queue full"

    def __init__(self, rate_bps: float) -> None:
        if not rate_bps > 0:
            raise InputError(f"a rate must be above zero: {rate_bps} bit/s")
        self.rate_bps = rate_bps
        self._longest_s = DEFAULT_QUEUE_BYTES * 8 / rate_bps
        self._free_s = -math.inf

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the last bit leaves, or None when the queue has no room."""
        free_s = max(now, self._free_s) + serialisation_s(size_bytes, self.rate_bps)
        if free_s - now > self._longest_s:
            return None
        self._free_s = free_s
        return free_s

    @property
    def mean_s(self) -> float:
        """A nominal message."""
        return serialisation_s(NOMINAL_BYTES, self.rate_bps)
