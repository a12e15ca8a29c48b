"""A slow medium that carries one frame at a time."""

from __future__ import annotations

from network.stages.rate import DEFAULT_QUEUE_BYTES
from network.stages.registry import register
from twin.errors import InputError


@register("medium")
class Medium:
    """Occupied for the transmission time of each message, like a rate; but the law of delay that follows
    covers the first `frame_bytes` of a message already, so that only longer ones are delayed here.
    """

    __slots__ = ("_free_s", "_longest_s", "frame_bytes", "rate_bps")
    cause = "queue full"

    def __init__(self, rate_bps: float, frame_bytes: int, queue_bytes: float = DEFAULT_QUEUE_BYTES) -> None:
        if not rate_bps > 0:
            raise InputError(f"a rate must be above zero: {rate_bps} bit/s")
        self.rate_bps = rate_bps
        self.frame_bytes = frame_bytes
        self._longest_s = queue_bytes * 8 / rate_bps
        self._free_s = 0.0

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the last frame begins to be sent, or None when the queue has no room."""
        start_s = max(now, self._free_s)
        free_s = start_s + size_bytes * 8 / self.rate_bps
        if free_s - now > self._longest_s:
            return None
        self._free_s = free_s
        return start_s + max(size_bytes - self.frame_bytes, 0) * 8 / self.rate_bps
