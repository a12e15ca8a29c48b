"""Cellular access: gaps when a moving device changes cells, and the transport blocks of NB-IoT.

A handover interrupts the radio for 30 to 80 ms in LTE and LTE-M, for 50 to 150 ms in 5G NR (engineering
rule of drive tests). What is sent meanwhile waits for its end. NB-IoT knows no handover, only re-
selection, and sends uplink blocks of up to 125 bytes (TS 36.213).
"""

from __future__ import annotations

import math

from network.stages.rate import DEFAULT_QUEUE_BYTES
from twin.errors import InputError
from twin.kernel.randomness import Stream

HANDOVER_GAPS_S = {
    "lte-m": (0.030, 0.080),
    "lte": (0.030, 0.080),
    "5g": (0.050, 0.150),
    "5g-campus": (0.050, 0.150),
}
TRANSPORT_BLOCK_BYTES = 125


def blocks_s(payload_bytes: int, rate_bps: float) -> float:
    """Seconds that the transport blocks of a payload take."""
    blocks = max(1, math.ceil(payload_bytes / TRANSPORT_BLOCK_BYTES))
    return blocks * TRANSPORT_BLOCK_BYTES * 8 / rate_bps


class Handovers:
    """A stage: the device changes cells at random instants, `every_s` apart on average; both directions of
    its link share it.
    """

    cause = "handover"

    def __init__(self, technology: str, every_s: float, stream: Stream) -> None:
        if technology not in HANDOVER_GAPS_S:
            raise InputError(f"a device on {technology} changes cells by re-selection, not by handover")
        if not every_s > 0:
            raise InputError(f"handovers need a time between them, not {every_s} s")
        self._gap_s = HANDOVER_GAPS_S[technology]
        self._every_s = every_s
        self._stream = stream
        self.count = 0
        self._begin_s, self._end_s = 0.0, 0.0
        self._draw()

    def release(self, now: float, size_bytes: int) -> float | None:
        """Now, or the end of the gap."""
        del size_bytes
        while self._end_s <= now:
            self._draw()
        return self._end_s if self._begin_s <= now else now

    def _draw(self) -> None:
        self._begin_s = self._end_s + self._stream.exponential(self._every_s)
        self._end_s = self._begin_s + self._stream.uniform(*self._gap_s)
        self.count += 1


class TransportBlocks:
    """A stage: the uplink of NB-IoT, which sends whole blocks."""

    cause = "queue full"

    def __init__(self, rate_bps: float) -> None:
        self.rate_bps = rate_bps
        self.air_s = 0.0
        self._free_s = 0.0

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the last block is sent, or None when the queue has no room."""
        seconds = blocks_s(size_bytes, self.rate_bps)
        free_s = max(now, self._free_s) + seconds
        if (free_s - now) * self.rate_bps > DEFAULT_QUEUE_BYTES * 8:
            return None
        self.air_s += seconds
        self._free_s = free_s
        return free_s

    @property
    def mean_s(self) -> float:
        """One block."""
        return TRANSPORT_BLOCK_BYTES * 8 / self.rate_bps
