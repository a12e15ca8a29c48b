"""Smoke on the burning level: two zones at constant pressure, or one when jet fans mix them.

A screening model: one well-mixed layer over the whole level, no wind, no sprinklers, no CFD.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
CARBON_DIOXIDE_YIELD_RATIO = 2.8
"""Assumption, kg per kg of fuel: carbon of a polyolefin (0.857) that is not in soot or carbon monoxide."""
MOST_CARBON_DIOXIDE_PERCENT = 21.0
"""There is no more oxygen than that in air; the model itself does not smother the fire."""
MOLAR_CO_KG, MOLAR_CO2_KG = 0.028, 0.044
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
    carbon_dioxide: float
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
    carbon_dioxide_percent: float
    gas_dose: float
    heat_dose: float
    is_mixed: bool


class Ventilation(NamedTuple):
    """What the fans do: extracted flow (m3/s), and whether jet fans stir the level."""

    extract_m3_s: float = 0.0
    is_stirred: bool = False


class Smoke:
    """The smoke of one fire, stepped by 0.5 s as far as asked; fans may change it from a moment on.

    `heat_series_kw` gives the heat release at an array of ages; every time here is such an age, in seconds.
    A level that was mixed stays mixed: it does not stratify again (a bounding assumption).
    """

    def __init__(
        self, room: Room, heat_series_kw: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    ) -> None:
        self.room = room
        self._heats_kw: list[float] = heat_series_kw(np.arange(0.0, HORIZON_S, STEP_S)).tolist()
        self._fans = Ventilation()
        convective = (1 - room.radiative_ratio) * (1 - room.ceiling_loss_ratio)
        self._warming = convective / AIR_HEAT_KJ_KG_K * STEP_S
        self._sooting = room.soot_yield_ratio / FUEL_KJ_KG * STEP_S
        self._gassing = room.carbon_monoxide_yield_ratio / FUEL_KJ_KG * STEP_S
        self._oxidising = CARBON_DIOXIDE_YIELD_RATIO / FUEL_KJ_KG * STEP_S
        mass = self._least_kg = SEED_RATIO * room.air_kg
        self._layers = [Layer(mass, mass * AIR_K, 0.0, 0.0, 0.0, 0.0, 0.0, is_mixed=False)]

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
            self._layers.append(self._next(len(self._layers) - 1, self._layers[-1]))
        return self._layers[step]

    def _seen(self, layer: Layer) -> Air:
        volume = (
            max(layer.volume_m3(), 1e-9) if not layer.is_mixed else self.room.area_m2 * self.room.height_m
        )
        kelvin = layer.heat / layer.mass
        moles = volume * PASCAL / (GAS_CONSTANT * kelvin)
        return Air(
            self._height_m(layer),
            kelvin - AIR_K,
            layer.soot / volume,
            layer.carbon_monoxide / MOLAR_CO_KG / moles * 1e6,
            min(layer.carbon_dioxide / MOLAR_CO2_KG / moles * 100, MOST_CARBON_DIOXIDE_PERCENT),
            layer.gas_dose,
            layer.heat_dose,
            layer.is_mixed,
        )

    def _height_m(self, layer: Layer) -> float:
        if layer.is_mixed:
            return 0.0
        height_m = self.room.height_m
        return max(height_m - layer.volume_m3() / self.room.area_m2, THINNEST_RATIO * height_m)

    def _next(self, step: int, layer: Layer) -> Layer:
        if self._fans.is_stirred and not layer.is_mixed:
            air_kg = self.room.air_kg
            warmth = layer.heat - layer.mass * AIR_K
            layer = layer._replace(mass=air_kg, heat=air_kg * AIR_K + warmth, is_mixed=True)
        return (self._mixed if layer.is_mixed else self._layered)(self._heats_kw[step], layer)

    def _layered(self, heat_kw: float, layer: Layer) -> Layer:
        """The plume feeds the layer until it is down; extraction takes layer gas."""
        room, height_m = self.room, self._height_m(layer)
        is_down = height_m <= THINNEST_RATIO * room.height_m + 1e-6
        plume = 0.0 if is_down else entrainment_kg_s(heat_kw, DIAMETER_M, height_m, room.radiative_ratio)
        kept = 1.0
        if self._fans.extract_m3_s:
            kept -= min(self._fans.extract_m3_s * STEP_S / max(layer.volume_m3(), 1e-9), 1.0)
        mass = max(layer.mass * kept + plume * STEP_S, self._least_kg)
        heat = layer.heat * kept + plume * AIR_K * STEP_S + heat_kw * self._warming
        return Layer(
            mass,
            max(heat, mass * AIR_K * 0.999),
            layer.soot * kept + heat_kw * self._sooting,
            layer.carbon_monoxide * kept + heat_kw * self._gassing,
            layer.carbon_dioxide * kept + heat_kw * self._oxidising,
            layer.gas_dose,
            layer.heat_dose,
            is_mixed=False,
        )

    def _mixed(self, heat_kw: float, layer: Layer) -> Layer:
        """The whole level is one zone of constant mass; extraction is made up by fresh air."""
        room, air = self.room, self._seen(layer)
        kept = 1 - min(self._fans.extract_m3_s * STEP_S / (room.area_m2 * room.height_m), 1.0)
        cold = layer.mass * AIR_K
        return Layer(
            layer.mass,
            cold + (layer.heat - cold) * kept + heat_kw * self._warming,
            layer.soot * kept + heat_kw * self._sooting,
            layer.carbon_monoxide * kept + heat_kw * self._gassing,
            layer.carbon_dioxide * kept + heat_kw * self._oxidising,
            layer.gas_dose + gas_dose_per_s(air.carbon_monoxide_ppm, air.carbon_dioxide_percent) * STEP_S,
            layer.heat_dose + heat_dose_per_s(room.ambient_c + air.rise_k) * STEP_S,
            is_mixed=True,
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
