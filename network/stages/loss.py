"""Random loss: independent, or correlated from message to message without changing its mean."""

from __future__ import annotations

import math
from statistics import NormalDist

from network.stages.registry import register
from twin.errors import InputError
from twin.kernel.randomness import Stream


@register("loss")
class Loss:
    """Loses a share of the messages.

    `correlation_ratio` is netem's `loss 1% 25%`, done with a Gaussian copula AR(1): netem's own recursion
    loses almost nothing of what was asked.
    """

    __slots__ = ("_innovation", "_stream", "_threshold", "_z", "correlation_ratio", "loss_ratio")
    cause = "loss"

    def __init__(self, loss_ratio: float, stream: Stream, correlation_ratio: float = 0.0) -> None:
        if not (0 <= loss_ratio <= 1 and 0 <= correlation_ratio < 1):
            raise InputError(f"a loss of {loss_ratio} with correlation {correlation_ratio} is no share")
        self.loss_ratio = loss_ratio
        self.correlation_ratio = correlation_ratio
        self._stream = stream
        self._innovation = math.sqrt(1 - correlation_ratio**2)
        self._threshold = NormalDist().inv_cdf(loss_ratio) if 0 < loss_ratio < 1 else math.inf
        self._z = stream.normal() if correlation_ratio else 0.0

    def release(self, now: float, size_bytes: int) -> float | None:
        """Now, or None if it is lost."""
        del size_bytes
        if not self.correlation_ratio:
            return None if self._stream.uniform() < self.loss_ratio else now
        self._z = self.correlation_ratio * self._z + self._innovation * self._stream.normal()
        return None if self._z < self._threshold and self.loss_ratio else now
