"""Bursty loss: the Gilbert-Elliott model, clocked in time."""

from __future__ import annotations

import math

from network.stages.registry import register
from twin.errors import InputError
from twin.kernel.randomness import Stream

DEFAULT_REFERENCE_PPS = 50.0


@register("gilbert_elliott")
class GilbertElliott:
    """Two states, good and bad, with exponential sojourns; sampled exactly at the instants of sending.

    `p`, `r`, `loss_in_bad_ratio` (1-h) and `loss_in_good_ratio` (1-k) stand in netem's order and meaning,
    for packets at `reference_pps`: the mean sojourn is (1/r) / pps in bad, (1/p) / pps in good. The default
    of 50 packets/s is one audio packet every 20 ms, the traffic such figures are measured with; a burst of
    two packets then lasts 40 ms. A chain clocked in packets would stretch it to two minutes for a sensor
    that sends once a minute. Mean loss: p/(p+r) (1-h) + r/(p+r) (1-k).
    """

    __slots__ = (
        "_bad_ratio",
        "_is_bad",
        "_last_s",
        "_rate",
        "_stream",
        "loss_in_bad_ratio",
        "loss_in_good_ratio",
    )
    cause = "burst"

    def __init__(
        self,
        p: float,
        r: float,
        stream: Stream,
        *,
        loss_in_bad_ratio: float = 1.0,
        loss_in_good_ratio: float = 0.0,
        reference_pps: float = DEFAULT_REFERENCE_PPS,
    ) -> None:
        shares = (p, r, loss_in_bad_ratio, loss_in_good_ratio)
        if not all(0 <= share <= 1 for share in shares) or p + r == 0:
            raise InputError(f"Gilbert-Elliott wants p r 1-h 1-k as shares, p + r above zero, not {shares}")
        self.loss_in_bad_ratio = loss_in_bad_ratio
        self.loss_in_good_ratio = loss_in_good_ratio
        self._bad_ratio = p / (p + r)
        self._rate = (p + r) * reference_pps
        self._stream = stream
        self._is_bad = False
        self._last_s = -math.inf

    def release(self, now: float, size_bytes: int) -> float | None:
        """Now, or None if it is lost."""
        del size_bytes
        # a fault before this stage may have ended, so that what it delayed is overtaken
        kept = math.exp(self._rate * (self._last_s - now)) if now > self._last_s else 1.0
        self._last_s = now
        bad_ratio = self._bad_ratio + (self._is_bad - self._bad_ratio) * kept
        self._is_bad = self._stream.uniform() < bad_ratio
        loss_ratio = self.loss_in_bad_ratio if self._is_bad else self.loss_in_good_ratio
        is_lost = loss_ratio > 0 and (loss_ratio >= 1 or self._stream.uniform() < loss_ratio)
        return None if is_lost else now

    @property
    def loss_ratio(self) -> float:
        """Mean loss."""
        return self._bad_ratio * self.loss_in_bad_ratio + (1 - self._bad_ratio) * self.loss_in_good_ratio
