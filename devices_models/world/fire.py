"""A burning car: heat release, flame, plume, ceiling jet, radiation, smoke optics and doses.

Heat in kW and kJ, as the correlations of fire science are published; all else in SI. H is the height of
the ceiling above the fire, r the distance from the plume's axis, both in metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.errors import InputError

GRAVITY = 9.81
AIR_HEAT_KJ_KG_K = 1.0
AIR_K = 293.15
AIR_KG_M3 = 1.204
DIAMETER_M = 2.0
DECAY_ENERGY_RATIO = 0.3
EXTINCTION_M2_KG = 8700.0
"""Specific extinction of flaming smoke, Mulholland and Croarkin 2000."""
STEFAN_BOLTZMANN_KW = 5.67e-11
GROWTH_KW_S2 = {"slow": 0.00293, "medium": 0.01172, "fast": 0.0469, "ultrafast": 0.1876}
"""The t-squared classes of NFPA 72: 1,055 kW after 600, 300, 150 and 75 s."""


@dataclass(slots=True, frozen=True)
class BurningCar:
    """Heat release of one car: t-squared growth, plateau, exponential decay with 30 % of the energy.

    Raises InputError if the energy does not last to the peak.
    """

    alpha_kw_s2: float
    peak_kw: float
    energy_kj: float

    def __post_init__(self) -> None:
        if min(self.alpha_kw_s2, self.peak_kw, self.energy_kj) <= 0:
            raise InputError("fire: growth, peak and energy must be greater than zero")
        least_kj = self.peak_kw * self.growth_s / 3 / (1 - DECAY_ENERGY_RATIO)
        if self.energy_kj < least_kj:
            raise InputError(
                f"fire: {self.energy_kj / 1e6:g} GJ burns out before the peak of {self.peak_kw / 1e3:g} MW;"
                f" expected at least {least_kj / 1e6:.2f} GJ, or a lower peak, or a faster growth"
            )

    @property
    def growth_s(self) -> float:
        """How long the fire grows."""
        return math.sqrt(self.peak_kw / self.alpha_kw_s2)

    @property
    def plateau_s(self) -> float:
        """How long the fire stays at its peak."""
        growing_kj = self.peak_kw * self.growth_s / 3
        return ((1 - DECAY_ENERGY_RATIO) * self.energy_kj - growing_kj) / self.peak_kw

    @property
    def decay_s(self) -> float:
        """Time constant of the decay."""
        return DECAY_ENERGY_RATIO * self.energy_kj / self.peak_kw

    def heat_kw(self, age_s: float) -> float:
        """Heat release rate so long after ignition; zero before."""
        if age_s <= 0:
            return 0.0
        if age_s <= self.growth_s:
            return self.alpha_kw_s2 * age_s * age_s
        return self.peak_kw * math.exp(-max(0.0, age_s - self.growth_s - self.plateau_s) / self.decay_s)

    def heat_series_kw(self, ages_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """`heat_kw` for an array of ages."""
        growing = self.alpha_kw_s2 * np.square(np.maximum(ages_s, 0.0))
        over_s = np.maximum(ages_s - self.growth_s - self.plateau_s, 0.0)
        falling = self.peak_kw * np.exp(-over_s / self.decay_s)
        return np.where(ages_s <= self.growth_s, growing, falling)


# flame and plume: Heskestad, as in the CFAST 8 Technical Reference -----------------------------------


def _froude(heat_kw: float, diameter_m: float) -> float:
    """The fire's Froude number Q* to the power of 0.4."""
    scale = AIR_KG_M3 * AIR_HEAT_KJ_KG_K * AIR_K * math.sqrt(GRAVITY * diameter_m) * diameter_m**2
    return math.pow(heat_kw / scale, 0.4)


def flame_height_m(heat_kw: float, diameter_m: float) -> float:
    """Heskestad: L = D (-1.02 + 3.7 Q*^0.4); zero for a fire too small for its diameter."""
    return max(diameter_m * (-1.02 + 3.7 * _froude(heat_kw, diameter_m)), 0.0)


def virtual_origin_m(heat_kw: float, diameter_m: float) -> float:
    """Heskestad: z0 = D (-1.02 + 1.4 Q*^0.4)."""
    return diameter_m * (-1.02 + 1.4 * _froude(heat_kw, diameter_m))


_FAR: float = 0.196 * (GRAVITY * AIR_KG_M3**2 / (AIR_HEAT_KJ_KG_K * AIR_K)) ** (1 / 3)
_NEAR: float = 2.9 / (math.sqrt(GRAVITY) * AIR_HEAT_KJ_KG_K * AIR_KG_M3 * AIR_K) ** (2 / 3)


def entrainment_kg_s(heat_kw: float, diameter_m: float, height_m: float, radiative_ratio: float) -> float:
    """Air that the plume carries up through `height_m`; linear in height below the flame's tip."""
    if heat_kw <= 0:
        return 0.0
    froude = _froude(heat_kw, diameter_m)
    tip_m = max(diameter_m * (-1.02 + 3.7 * froude), 0.0)
    above_m = max(height_m, tip_m) - diameter_m * (-1.02 + 1.4 * froude)
    rise = math.pow(max(above_m, 1e-3), 5 / 3)
    convective_kw = heat_kw * (1 - radiative_ratio)
    mass = _FAR * math.cbrt(convective_kw) * (rise + _NEAR * math.cbrt(convective_kw) ** 2)
    return mass if height_m >= tip_m else mass * height_m / tip_m


# ceiling jet -----------------------------------------------------------------------------------------


def jet_factors(r_m: float, H_m: float) -> tuple[float, float]:
    """Alpert 1972: (a, b) with temperature rise a Q^(2/3) K and speed b Q^(1/3) m/s."""
    warm = 16.9 / H_m ** (5 / 3) if r_m / H_m <= 0.18 else 5.38 / r_m ** (2 / 3) / H_m
    fast = 0.96 / H_m ** (1 / 3) if r_m / H_m <= 0.15 else 0.195 * H_m**0.5 / r_m ** (5 / 6)
    return warm, fast


def ceiling_jet(heat_kw: float, r_m: float, H_m: float) -> tuple[float, float]:
    """Temperature rise (K) and speed (m/s) under an unconfined ceiling, Alpert 1972 (SFPE Handbook)."""
    warm, fast = jet_factors(r_m, H_m)
    return warm * heat_kw ** (2 / 3), fast * heat_kw ** (1 / 3)


def ceiling_jet_cfast(heat_kw: float, r_m: float, H_m: float) -> tuple[float, float]:
    """The form in the CFAST 8 Technical Reference, for comparison: 2 to 27 % warmer, up to 1.9 x faster."""
    scale = AIR_KG_M3 * AIR_HEAT_KJ_KG_K * AIR_K * math.sqrt(GRAVITY) * H_m**2.5
    share = heat_kw / scale
    ratio = r_m / H_m
    warm = 6.3 if ratio <= 0.2 else (0.225 + 0.27 * ratio) ** (-4 / 3)
    fast = 3.61 if ratio <= 0.17 else 1.06 * ratio**-0.69
    return AIR_K * share ** (2 / 3) * warm, math.sqrt(GRAVITY * H_m) * share ** (1 / 3) * fast


# radiation and spread --------------------------------------------------------------------------------


def point_source_kw_m2(heat_kw: float, distance_m: float, radiative_ratio: float = 0.35) -> float:
    """Radiant flux of a fire seen as a point: q = chi_r Q / (4 pi R^2)."""
    return radiative_ratio * heat_kw / (4 * math.pi * distance_m**2)


def layer_radiation_kw_m2(rise_k: float) -> float:
    """Flux from a black smoke layer onto people below it."""
    return STEFAN_BOLTZMANN_KW * ((AIR_K + rise_k) ** 4 - AIR_K**4)


def spread_delay_s(
    car: BurningCar,
    gap_m: float,
    critical_kw_m2: float,
    radiative_ratio: float,
    limits_s: tuple[float, float],
) -> float:
    """From a car's ignition to that of the car beside it: when the point source reaches the critical flux.

    Clamped to `limits_s`, the range of full-scale tests; infinite if even the peak does not reach it.
    """
    needed_kw = critical_kw_m2 * 4 * math.pi * gap_m**2 / radiative_ratio
    if needed_kw > car.peak_kw:
        return math.inf
    return min(max(math.sqrt(needed_kw / car.alpha_kw_s2), limits_s[0]), limits_s[1])


# smoke optics and doses ------------------------------------------------------------------------------


def visibility_m(soot_kg_m3: float, contrast: float = 3.0) -> float:
    """V = C / (K_m c_s); C is 3 for reflecting and 8 for light-emitting signs (Jin)."""
    return contrast / (EXTINCTION_M2_KG * soot_kg_m3) if soot_kg_m3 > 0 else math.inf


def obscuration_percent_m(soot_kg_m3: float) -> float:
    """Light lost over one metre, in percent."""
    return 100 * (1 - math.exp(-EXTINCTION_M2_KG * soot_kg_m3))


def gas_dose_per_s(carbon_monoxide_ppm: float, carbon_dioxide_percent: float = 0.0) -> float:
    """Fractional effective dose of asphyxiants (ISO 13571, carbon monoxide term)."""
    return carbon_monoxide_ppm * math.exp(carbon_dioxide_percent / 5) / 35_000 / 60


def heat_dose_per_s(temperature_c: float) -> float:
    """Fractional effective dose of hot air on clothed people: T^3.61 / 4.1e8 a minute (ISO 13571)."""
    return math.pow(max(temperature_c, 0.0), 3.61) / 4.1e8 / 60


def radiant_dose_per_s(flux_kw_m2: float) -> float:
    """Fractional effective dose of radiant heat: 1 after 4.2 q^-1.9 minutes above 2.5 kW/m2 (ISO 13571)."""
    return math.pow(flux_kw_m2, 1.9) / 4.2 / 60 if flux_kw_m2 >= 2.5 else 0.0
