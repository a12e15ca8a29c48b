"""A recorded course of round trips drives the delay."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from network.stages.registry import register
from twin.errors import InputError


@register("trace")
class Trace:
    """Delays by half the round trip that was measured last before this time; no interpolation.

    Points are (seconds, round trip in seconds, or None where the measurement got no answer: lost here too).
    Looped, the trace starts again when the last point has stood as long as the one before it; else the last
    point holds for ever. Messages keep their order.
    """

    __slots__ = ("_delays_s", "_last_release_s", "_length_s", "_times_s", "is_looped")
    cause = "outage"

    def __init__(self, points: Sequence[tuple[float, float | None]], *, is_looped: bool = True) -> None:
        times_s = [time_s for time_s, _ in points]
        if not points or any(a >= b for a, b in pairwise(times_s)):
            raise InputError("a trace needs a point or more, each later than the one before")
        self._times_s = [time_s - times_s[0] for time_s in times_s]
        self._delays_s = [None if round_trip_s is None else round_trip_s / 2 for _, round_trip_s in points]
        last_step_s = times_s[-1] - times_s[-2] if len(points) > 1 else math.inf
        self._length_s = self._times_s[-1] + last_step_s
        self.is_looped = is_looped
        self._last_release_s = -math.inf

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the message leaves, or None where the recording has a gap."""
        del size_bytes
        at_s = math.fmod(now, self._length_s) if self.is_looped else now
        delay_s = self._delays_s[max(bisect_right(self._times_s, at_s) - 1, 0)]
        if delay_s is None:
            return None
        self._last_release_s = max(now + delay_s, self._last_release_s)
        return self._last_release_s

    @property
    def mean_s(self) -> float:
        """Mean of the recorded one-way delays in seconds."""
        known = [delay_s for delay_s in self._delays_s if delay_s is not None]
        return math.fsum(known) / len(known) if known else 0.0
