"""A finite FIFO queue before a transmitter of constant rate."""

from __future__ import annotations

from network.stages.registry import register
from twin.errors import InputError

DEFAULT_QUEUE_BYTES = 1_000_000
NOMINAL_BYTES = 128


@register("rate")
class Rate:
    """Serialises at `rate_bps`; what does not fit into the queue of `queue_bytes` is dropped at the tail.

    The queue counts what waits and the part of the message in transmission that has not left yet. The
    time of release is Lindley's: the later of now and "free at", plus the transmission time.
    """

    __slots__ = ("_free_s", "_longest_s", "rate_bps")
    cause = "queue full"

    def __init__(self, rate_bps: float, queue_bytes: float = DEFAULT_QUEUE_BYTES) -> None:
        if not rate_bps > 0:
            raise InputError(f"a rate must be above zero: {rate_bps} bit/s")
        self.rate_bps = rate_bps
        self._longest_s = queue_bytes * 8 / rate_bps
        self._free_s = 0.0

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the last bit leaves, or None when the queue has no room."""
        free_s = self._free_s
        if free_s < now:  # noqa: PLR1730  (a call of max costs more than the whole comparison)
            free_s = now
        free_s += size_bytes * 8 / self.rate_bps
        if free_s - now > self._longest_s:
            return None
        self._free_s = free_s
        return free_s

    @property
    def mean_s(self) -> float:
        """Transmission time of a nominal message of 128 bytes."""
        return NOMINAL_BYTES * 8 / self.rate_bps
