"""Wi-Fi: the stations of an access point share the air, one frame at a time.

The occupancy of a frame is that of the distributed coordination function on an otherwise idle channel
(IEEE 802.11, OFDM at 5 GHz): DIFS 34 us, mean back-off 7.5 slots of 9 us, preamble 20 us, the frame at
the link's rate, SIFS 16 us and the acknowledgement of 44 us. Contention is the queue for it (M/G/1); the
delay of a hop that nobody disturbs is the measured law of the catalogue, which covers one frame of its
own.
"""

from __future__ import annotations

import math

from twin.errors import InputError

DIFS_S = 34e-6
BACKOFF_S = 7.5 * 9e-6
PREAMBLE_S = 20e-6
SIFS_S = 16e-6
ACKNOWLEDGEMENT_S = 44e-6
HEADER_BYTES = 36 + 8 + 28  # MAC and LLC headers, IPv4 and UDP
FRAME_BYTES = 1460
LONGEST_QUEUE_S = 1.0


def occupancy_s(payload_bytes: int, rate_bps: float) -> float:
    """Seconds the air is taken by the frames of a payload."""
    frames = max(1, math.ceil(payload_bytes / FRAME_BYTES))
    fixed_s = DIFS_S + BACKOFF_S + PREAMBLE_S + SIFS_S + ACKNOWLEDGEMENT_S
    return frames * (fixed_s + HEADER_BYTES * 8 / rate_bps) + payload_bytes * 8 / rate_bps


class AccessPoint:
    """A stage that all links of an access point share."""

    cause = "queue full"

    def __init__(self, rate_bps: float) -> None:
        if not rate_bps > 0:
            raise InputError(f"a rate must be above zero: {rate_bps} bit/s")
        self.rate_bps = rate_bps
        self.busy_s = 0.0
        self._free_s = 0.0

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the last frame gets the air, or None when a second of traffic waits already."""
        start_s = max(now, self._free_s)
        if start_s - now > LONGEST_QUEUE_S:
            return None
        seconds = occupancy_s(size_bytes, self.rate_bps)
        self.busy_s += seconds
        self._free_s = start_s + seconds
        last_s = occupancy_s(min(size_bytes, FRAME_BYTES), self.rate_bps)
        return max(start_s, self._free_s - last_s)
