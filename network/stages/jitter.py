"""A random delay, correlated in time, that keeps the order of messages."""

from __future__ import annotations

import math

from network.laws import Law, sampler
from network.stages.registry import register
from twin.kernel.randomness import Stream

DEFAULT_CORRELATION_S = 1.0
FORGOTTEN = 40.0


@register("jitter")
class Jitter:
    """Delays by a law. Draws `dt` apart correlate by exp(-dt / correlation_s) through a Gaussian copula,
    which keeps the law; 0 makes them independent.

    A message never overtakes the one before it unless `is_reordering`.
    """

    __slots__ = (
        "_draw",
        "_last_release_s",
        "_last_s",
        "_law",
        "_stream",
        "_z",
        "correlation_s",
        "is_reordering",
    )
    cause = "jitter"

    def __init__(
        self,
        law: Law,
        stream: Stream,
        *,
        correlation_s: float = DEFAULT_CORRELATION_S,
        is_reordering: bool = False,
    ) -> None:
        self.law = law
        self.correlation_s = correlation_s
        self.is_reordering = is_reordering
        self._stream = stream
        self._z = 0.0
        self._last_s = -math.inf
        self._last_release_s = -math.inf

    @property
    def law(self) -> Law:
        """The law of the delay; may be replaced during a run."""
        return self._law

    @law.setter
    def law(self, law: Law) -> None:
        self._law = law
        self._draw = sampler(law)

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the message leaves."""
        del size_bytes
        z = self._stream.normal()
        if self.correlation_s:
            z = self._z = self._correlated(z, now)
        release_s = now + self._draw(z)
        if not self.is_reordering:
            release_s = self._last_release_s = max(release_s, self._last_release_s)
        return release_s

    def _correlated(self, z: float, now: float) -> float:
        ages = (now - self._last_s) / self.correlation_s
        self._last_s = now
        if ages > FORGOTTEN:
            return z
        if ages < 0:  # a fault before this stage has ended, and what it delayed is overtaken
            ages = 0.0
        rho = math.exp(-ages)
        return rho * self._z + math.sqrt(1 - rho * rho) * z

    @property
    def mean_s(self) -> float:
        """Mean delay in seconds."""
        return self._law.mean()
