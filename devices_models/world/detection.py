"""What detectors under the ceiling feel: the ceiling jet, through the lag of their sensing element."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from devices_models.world.fire import jet_factors

STEP_S = 0.25
BLOCK = 240
HORIZON_S = 7200.0
SMOKE_RTI = 5.0
"""Response time index of the surrogate of a smoke detector, m^0.5 s^0.5 (alarm at 13 K)."""
SMOKE_ALARM_RISE_K = 13.0


class LaggedSensors:
    """Temperature rise of the elements of many detectors, integrated block by block as far as asked.

    dT_L/dt = sqrt(u) / RTI (dT_jet - dT_L), exact for a jet that is constant over each step of 0.25 s.
    `heat_series_kw` gives the heat release at an array of ages (seconds); `distances_m` are horizontal.
    """

    def __init__(
        self,
        heat_series_kw: Callable[[NDArray[np.float64]], NDArray[np.float64]],
        distances_m: Sequence[float],
        ceiling_m: float,
        rti: Sequence[float],
    ) -> None:
        self._heat_series_kw = heat_series_kw
        factors = np.array([jet_factors(distance, ceiling_m) for distance in distances_m])
        self._warm = factors[:, 0]
        self._lag = np.sqrt(factors[:, 1]) / np.array(rti) * STEP_S
        self._rises = np.zeros((len(distances_m), 1))

    def rise_k(self, sensor: int, age_s: float) -> float:
        """The element's rise over ambient so long after ignition."""
        step = int(min(max(age_s, 0.0), HORIZON_S) / STEP_S)
        while self._rises.shape[1] <= step:
            self._extend()
        return float(self._rises[sensor, step])

    def reaches_s(self, sensor: int, rise_k: float, from_s: float) -> float:
        """Age of the fire at the first step from `from_s` on with at least this rise; infinite if never."""
        first = math.ceil(max(from_s, 0.0) / STEP_S)
        while True:
            hot = self._rises[sensor, first:] >= rise_k
            if hot.any():
                return float((first + int(hot.argmax())) * STEP_S)
            first = max(first, self._rises.shape[1])
            if first * STEP_S >= HORIZON_S:
                return math.inf
            self._extend()

    def _extend(self) -> None:
        """One more block: s <- kept s + gained for all its steps, as a prefix scan that doubles its span.

        It only averages (kept + share gained = 1), so however small the RTI no element passes its jet.
        """
        done = self._rises.shape[1]
        ages_s: NDArray[np.float64] = np.arange(done - 1, done - 1 + BLOCK, dtype=np.float64) * STEP_S
        heat = self._heat_series_kw(ages_s)
        jet = self._warm[:, None] * np.cbrt(heat * heat)
        kept = np.exp(-self._lag[:, None] * np.power(heat, 1 / 6))
        gained = (1 - kept) * jet
        span = 1
        while span < BLOCK:
            gained[:, span:] += kept[:, span:] * gained[:, :-span]
            kept[:, span:] *= kept[:, :-span]
            span *= 2
        self._rises = np.concatenate([self._rises, kept * self._rises[:, -1:] + gained], axis=1)
