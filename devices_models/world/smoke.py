"""Smoke on the burning level: two zones at constant pressure, or one when jet fans mix them.

A screening model: one well-mixed layer over the whole level, no wind, no sprinklers, no CFD.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from devices_models.world.fire import (
    AIR_HEAT_KJ_KG_K,
    AIR_K,
    AIR_KG_M3,
    DIAMETER_M,
    entrainment_kg_s,
    gas_dose_per_s,
    heat_dose_per_s,
    layer_radiation_kw_m2,
    visibility_m,
)
from devices_models.world.settings import TenabilitySettings

STEP_S = 0.5
HORIZON_S = 3600.0
"""How long after ignition the smoke is followed."""
FUEL_KJ_KG = 25_000.0
THINNEST_RATIO = 0.05
"""The layer never comes closer to the floor than this share of the height."""
SEED_RATIO = 1e-6
MOLAR_CO_KG = 0.028
PASCAL, GAS_CONSTANT = 101_325.0, 8.314


@dataclass(slots=True, frozen=True)
class Room:
    """The volume that fills: floor area (m2), height (m), and how its fire makes smoke and loses heat."""

    area_m2: float
    height_m: float
    soot_yield_ratio: float = 0.07
    carbon_monoxide_yield_ratio: float = 0.05
    radiative_ratio: float = 0.35
    ceiling_loss_ratio: float = 0.9
    ambient_c: float = 28.0

    @property
    def air_kg(self) -> float:
        """Mass of the air in it."""
        return self.area_m2 * self.height_m * AIR_KG_M3


class Layer(NamedTuple):
    """Contents of the smoke at one step: masses in kg, `heat` in kg K, doses received in it."""

    mass: float
    heat: float
    soot: float
    carbon_monoxide: float
    gas_dose: float
    heat_dose: float
    is_mixed: bool

    def volume_m3(self) -> float:
        """Volume of the smoke at its temperature."""
        return self.heat / (AIR_KG_M3 * AIR_K)


class Air(NamedTuple):
    """What there is to breathe and see: the smoke itself, and how low it hangs."""

    layer_height_m: float
    rise_k: float
    soot_kg_m3: float
    carbon_monoxide_ppm: float
    gas_dose: float
    heat_dose: float
    is_mixed: bool


class Ventilation(NamedTuple):
    """What the fans do: extracted flow (m3/s), and whether jet fans stir the level."""

    extract_m3_s: float = 0.0
    is_stirred: bool = False


class Smoke:
    """The smoke of one fire, stepped by 0.5 s as far as asked; fans may change it from a moment on.

    `heat_kw` gives the heat release at an age of the fire; every time here is such an age, in seconds.
    A level that was mixed stays mixed: it does not stratify again (a bounding assumption).
    """

    def __init__(self, room: Room, heat_kw: Callable[[float], float]) -> None:
        self.room = room
        self._heat_kw = heat_kw
        self._fans = Ventilation()
        mass = SEED_RATIO * room.air_kg
        self._layers = [Layer(mass, mass * AIR_K, 0.0, 0.0, 0.0, 0.0, is_mixed=False)]

    def air(self, age_s: float) -> Air:
        """The air so long after ignition, the last known one past the horizon."""
        return self._seen(self._layer(int(min(max(age_s, 0.0), HORIZON_S) / STEP_S)))

    def ventilate(self, age_s: float, fans: Ventilation) -> None:
        """From this age on the fans run so; what was foreseen for later is forgotten."""
        step = int(min(max(age_s, 0.0), HORIZON_S) / STEP_S)
        self._layer(step)
        del self._layers[step + 1 :]
        self._fans = fans

    def reaches_s(self, is_reached: Callable[[Air], bool], from_s: float) -> float:
        """Age of the first step from `from_s` on at which the air is so; infinite if never."""
        for step in range(math.ceil(max(from_s, 0.0) / STEP_S), int(HORIZON_S / STEP_S) + 1):
            if is_reached(self._seen(self._layer(step))):
                return step * STEP_S
        return math.inf

    def untenable_s(self, limits: TenabilitySettings, from_s: float = 0.0) -> float:
        """The available safe egress time from ignition, if the fans stay as they are."""
        return self.reaches_s(lambda air: bool(breach(air, limits, self.room.ambient_c)), from_s)

    def _layer(self, step: int) -> Layer:
        while len(self._layers) <= step:
            self._layers.append(self._next((len(self._layers) - 1) * STEP_S, self._layers[-1]))
        return self._layers[step]

    def _seen(self, layer: Layer) -> Air:
        volume = (
            max(layer.volume_m3(), 1e-9) if not layer.is_mixed else self.room.area_m2 * self.room.height_m
        )
        kelvin = layer.heat / layer.mass
        molar = MOLAR_CO_KG * PASCAL / (GAS_CONSTANT * kelvin)
        return Air(
            self._height_m(layer),
            kelvin - AIR_K,
            layer.soot / volume,
            layer.carbon_monoxide / volume / molar * 1e6,
            layer.gas_dose,
            layer.heat_dose,
            layer.is_mixed,
        )

    def _height_m(self, layer: Layer) -> float:
        if layer.is_mixed:
            return 0.0
        height_m = self.room.height_m
        return max(height_m - layer.volume_m3() / self.room.area_m2, THINNEST_RATIO * height_m)

    def _next(self, age_s: float, layer: Layer) -> Layer:
        room, heat_kw = self.room, self._heat_kw(age_s)
        if self._fans.is_stirred and not layer.is_mixed:
            warmth = layer.heat - layer.mass * AIR_K
            layer = layer._replace(mass=room.air_kg, heat=room.air_kg * AIR_K + warmth, is_mixed=True)
        fuel = heat_kw / FUEL_KJ_KG
        warmed = (1 - room.ceiling_loss_ratio) * (1 - room.radiative_ratio) * heat_kw / AIR_HEAT_KJ_KG_K
        gained = layer._replace(
            heat=layer.heat + warmed * STEP_S,
            soot=layer.soot + fuel * room.soot_yield_ratio * STEP_S,
            carbon_monoxide=layer.carbon_monoxide + fuel * room.carbon_monoxide_yield_ratio * STEP_S,
        )
        return self._mixed(layer, gained) if layer.is_mixed else self._layered(heat_kw, layer, gained)

    def _layered(self, heat_kw: float, layer: Layer, gained: Layer) -> Layer:
        """The plume feeds the layer until it is down; extraction takes layer gas."""
        room, height_m = self.room, self._height_m(layer)
        is_down = height_m <= THINNEST_RATIO * room.height_m + 1e-6
        plume = 0.0 if is_down else entrainment_kg_s(heat_kw, DIAMETER_M, height_m, room.radiative_ratio)
        share = min(self._fans.extract_m3_s * STEP_S / max(layer.volume_m3(), 1e-9), 1.0)
        mass = max(layer.mass * (1 - share) + plume * STEP_S, SEED_RATIO * room.air_kg)
        return gained._replace(
            mass=mass,
            heat=max(gained.heat - layer.heat * share + plume * AIR_K * STEP_S, mass * AIR_K * 0.999),
            soot=gained.soot - layer.soot * share,
            carbon_monoxide=gained.carbon_monoxide - layer.carbon_monoxide * share,
        )

    def _mixed(self, layer: Layer, gained: Layer) -> Layer:
        """The whole level is one zone of constant mass; extraction is made up by fresh air."""
        share = min(self._fans.extract_m3_s * STEP_S / (self.room.area_m2 * self.room.height_m), 1.0)
        air = self._seen(layer)
        return gained._replace(
            heat=gained.heat - (layer.heat - layer.mass * AIR_K) * share,
            soot=gained.soot - layer.soot * share,
            carbon_monoxide=gained.carbon_monoxide - layer.carbon_monoxide * share,
            gas_dose=layer.gas_dose + gas_dose_per_s(air.carbon_monoxide_ppm) * STEP_S,
            heat_dose=layer.heat_dose + heat_dose_per_s(self.room.ambient_c + air.rise_k) * STEP_S,
        )


def breach(air: Air, limits: TenabilitySettings, ambient_c: float) -> str:
    """Which tenability limit the air passes, in words; empty while it is tenable.

    Below an intact layer people breathe clean air, so only its height and its radiation count.
    """
    if layer_radiation_kw_m2(air.rise_k) > limits.radiant_flux:
        return "radiant flux"
    if not air.is_mixed:
        return "layer height" if air.layer_height_m < limits.layer_height else ""
    if visibility_m(air.soot_kg_m3) < limits.visibility:
        return "visibility"
    if ambient_c + air.rise_k > limits.temperature:
        return "temperature"
    return "dose" if max(air.gas_dose, air.heat_dose) > limits.fractional_dose else ""
