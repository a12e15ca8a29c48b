"""A constant delay: propagation."""

from __future__ import annotations

from network.stages.registry import register
from twin.errors import InputError


@register("delay")
class Delay:
    """Everything leaves `delay_s` seconds after it came."""

    __slots__ = ("delay_s",)
    cause = "delay"

    def __init__(self, delay_s: float) -> None:
        if not delay_s >= 0:
            raise InputError(f"a delay cannot be negative: {delay_s} s")
        self.delay_s = delay_s

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the message leaves."""
        del size_bytes
        return now + self.delay_s

    @property
    def mean_s(self) -> float:
        """Mean delay in seconds."""
        return self.delay_s
