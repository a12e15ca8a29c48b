"""Satellites: the geometry of a bent pipe, and the reallocation of a low orbit every 15 seconds.

Starlink assigns satellites anew every 15 s; delays are disturbed for about 140 ms after and 75 ms before
each change (arXiv 2601.08439). What is sent in that time waits for its end.
"""

from __future__ import annotations

import math

from twin.kernel.randomness import Stream

LIGHT_M_PER_S = 299_792_458.0
GEO_ALTITUDE_M = 35_786_000.0
PERIOD_S = 15.0
AFTER_S = 0.140
BEFORE_S = 0.075


def bent_pipe_round_trip_s(distance_m: float) -> float:
    """Up and down again, both ways, at the speed of light: four times the distance to the satellite."""
    return 4 * distance_m / LIGHT_M_PER_S


class Reallocation:
    """A stage that all links of a ground station share; the phase is drawn once."""

    cause = "reallocation"

    def __init__(self, stream: Stream) -> None:
        self._phase_s = stream.uniform(0.0, PERIOD_S)

    def release(self, now: float, size_bytes: int) -> float | None:
        """Now, or the end of the disturbance."""
        del size_bytes
        into_s = math.fmod(now + self._phase_s + BEFORE_S, PERIOD_S)
        return now + max(0.0, BEFORE_S + AFTER_S - into_s)

    @property
    def mean_s(self) -> float:
        """Mean wait over all instants."""
        return (BEFORE_S + AFTER_S) ** 2 / 2 / PERIOD_S
