"""One fire in one scene: what it does to the detectors, the air and the next cars, at world time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from devices_models.world.detection import HORIZON_S, SMOKE_RTI, STEP_S, LaggedSensors
from devices_models.world.feature import Feature, distance_m, nearest
from devices_models.world.fire import (
    GROWTH_KW_S2,
    BurningCar,
    ceiling_jet,
    jet_factors,
    spread_delay_s,
    visibility_m,
)
from devices_models.world.scene import Scene
from devices_models.world.settings import FireSettings, WorldSettings
from devices_models.world.smoke import Air, Room, Smoke, Ventilation
from twin.errors import InputError

FIRE_BASE_M = 0.3
"""The fire burns this high above the floor."""
HEAT_RTI = 50.0
"""Response time index where a feature has none of its own, m^0.5 s^0.5."""
AT_DETECTOR = ("ceiling_jet_rise", "smoke_sensor_rise", "heat_sensor_temperature")
IN_SMOKE = ("visibility", "carbon_monoxide_ppm", "layer_height")


class Blaze:
    """The fire of a world. Raises InputError if the bay is unknown or the fire's figures are impossible.

    `epoch` counts the changes of ventilation: what was foreseen of the smoke in an earlier one is void.
    """

    def __init__(self, scene: Scene, settings: WorldSettings) -> None:
        assert settings.fire is not None  # noqa: S101  # the building asks first
        fire = settings.fire
        self.bay = scene.feature(fire.bay)
        if self.bay.kind != "bay":
            raise InputError(f"fire: '{fire.bay}' is a {self.bay.kind}; expected the id of a bay")
        self.starts_at_s = fire.starts_at_s
        self.epoch = 0
        self._scene = scene
        self._settings = settings
        self._car = burning_car(fire)
        self._spread = tuple(self._spreading(fire))
        level = scene.feature(self.bay.level)
        self._ceiling_m = level.number("storey_height") - FIRE_BASE_M
        self._smoke = Smoke(self._room(level, fire), self._heat_series_kw)
        self._aset: tuple[int, float] | None = None
        self._detectors = [f for f in scene.of_kind("detector") if f.level == self.bay.level]
        self._rows = {feature.id: row for row, feature in enumerate(self._detectors)}
        self._sensors: dict[tuple[str, str], LaggedSensors] = {}

    @staticmethod
    def clear(scene: Scene, settings: WorldSettings, feature: Feature, quantity: str) -> float:
        """The quantity where nothing burns."""
        match quantity:
            case "heat_sensor_temperature":
                return settings.ambient
            case "visibility":
                return math.inf
            case "layer_height":
                return scene.feature(feature.level).number("storey_height")
        return 0.0

    def is_felt_at(self, feature: Feature) -> bool:
        """Only the burning level feels the fire."""
        return feature.level == self.bay.level

    def value(self, feature: Feature, quantity: str, now_s: float) -> float:
        """The quantity at a feature; detectors hang in the smoke under the ceiling."""
        age_s = now_s - self.starts_at_s
        if age_s <= 0 or not self.is_felt_at(feature):
            return self.clear(self._scene, self._settings, feature, quantity)
        if quantity in IN_SMOKE:
            return seen(self._smoke.air(age_s), quantity)
        if quantity == "ceiling_jet_rise":
            return ceiling_jet(self._car.heat_kw(age_s), self._distance_m(feature), self._ceiling_m)[0]
        sensors, row = self._lagged(feature, quantity)
        rise_k = sensors.rise_k(row, age_s)
        return rise_k + (self._settings.ambient if quantity == "heat_sensor_temperature" else 0.0)

    def air(self, now_s: float) -> Air:
        """The smoke on the burning level at a time that is not in the future."""
        return self._smoke.air(now_s - self.starts_at_s)

    def reaches_s(
        self,
        feature: Feature,
        quantity: str,
        is_reached: Callable[[float], bool],
        threshold: float,
        now_s: float,
    ) -> float:
        """World time from which on the quantity has reached the threshold; infinite if it never does."""
        from_s = now_s - self.starts_at_s
        if quantity in IN_SMOKE:
            age_s = self._smoke.reaches_s(lambda air: is_reached(seen(air, quantity)), from_s)
        else:
            if quantity == "ceiling_jet_rise":
                return self.starts_at_s + self._jet_reaches_s(feature, threshold, from_s)
            rise_k = threshold - (self._settings.ambient if quantity == "heat_sensor_temperature" else 0.0)
            sensors, row = self._lagged(feature, quantity)
            age_s = sensors.reaches_s(row, rise_k, from_s)
        return self.starts_at_s + age_s

    def untenable_s(self) -> float:
        """World time at which the level becomes untenable, if the fans stay as they are."""
        if self._aset is None or self._aset[0] != self.epoch:
            self._aset = (self.epoch, self._smoke.untenable_s(self._settings.tenability))
        return self.starts_at_s + self._aset[1]

    def ventilate(self, now_s: float, fans: Ventilation) -> None:
        """The fans of the burning level run so from now on."""
        self.epoch += 1
        self._smoke.ventilate(now_s - self.starts_at_s, fans)

    def spread(self) -> Iterator[tuple[float, int]]:
        """World times at which more cars burn, with the number then burning."""
        burning = 1
        for age_s, more in self._spread:
            burning += more
            yield self.starts_at_s + age_s, burning

    def _heat_series_kw(self, ages_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Heat release that makes the smoke: of the first car, or of all that burn."""
        heat_kw = self._car.heat_series_kw(ages_s)
        if self._settings.fire is not None and self._settings.fire.smoke_from == "all_cars":
            for at_s, more in self._spread:
                heat_kw = heat_kw + more * self._car.heat_series_kw(ages_s - at_s)
        return heat_kw

    def _spreading(self, fire: FireSettings) -> Iterator[tuple[float, int]]:
        """(age, cars more): outwards along a row that is parked full, a bounding assumption."""
        delay_s = spread_delay_s(
            self._car,
            fire.gap,
            fire.critical_flux,
            fire.radiative_ratio,
            (fire.earliest_spread_s, fire.latest_spread_s),
        )
        row = [bay for bay in self._scene.of_kind("bay") if self._is_in_row(bay)]
        sides = [sum(bay.place[0] < self.bay.place[0] for bay in row)]
        sides.append(len(row) - sides[0])
        for step in range(1, max(sides) + 1 if delay_s < math.inf else 1):
            yield step * delay_s, sum(side >= step for side in sides)

    def _is_in_row(self, bay: Feature) -> bool:
        is_beside = bay.level == self.bay.level and bay.place[1] == self.bay.place[1]
        return is_beside and bay is not self.bay

    def _room(self, level: Feature, fire: FireSettings) -> Room:
        return Room(
            area_m2(level),
            level.number("storey_height"),
            fire.soot_yield_ratio,
            fire.carbon_monoxide_yield_ratio,
            fire.radiative_ratio,
            fire.ceiling_loss_ratio,
            self._settings.ambient,
        )

    def _distance_m(self, feature: Feature) -> float:
        return distance_m(feature.place, self.bay.place)

    def _jet_reaches_s(self, feature: Feature, rise_k: float, from_s: float) -> float:
        """The same steps as the sensing elements take, without their lag."""
        steps = np.arange(math.ceil(max(from_s, 0.0) / STEP_S), HORIZON_S / STEP_S, dtype=np.float64)
        warm, _ = jet_factors(self._distance_m(feature), self._ceiling_m)
        hot = warm * np.cbrt(np.square(self._car.heat_series_kw(steps * STEP_S))) >= rise_k
        return float(steps[int(hot.argmax())] * STEP_S) if hot.any() else math.inf

    def _lagged(self, feature: Feature, quantity: str) -> tuple[LaggedSensors, int]:
        """The sensing elements that a feature's is among, and its row; all detectors share one array."""
        row = self._rows.get(feature.id)
        key = (quantity, "" if row is not None else feature.id)
        found = self._sensors.get(key)
        if found is None:
            members = [feature] if row is None else self._detectors
            found = self._sensors[key] = self._elements(members, quantity)
        return found, row or 0

    def _elements(self, members: list[Feature], quantity: str) -> LaggedSensors:
        is_smoke = quantity == "smoke_sensor_rise"
        rti = [SMOKE_RTI if is_smoke else float(f.properties.get("rti", HEAT_RTI)) for f in members]
        distances_m = [self._distance_m(feature) for feature in members]
        return LaggedSensors(self._car.heat_series_kw, distances_m, self._ceiling_m, rti)


def burning_car(fire: FireSettings) -> BurningCar:
    """The heat release that the settings describe."""
    if isinstance(fire.growth, str) and fire.growth not in GROWTH_KW_S2:
        known = ", ".join(GROWTH_KW_S2)
        advice = nearest(fire.growth, GROWTH_KW_S2)
        raise InputError(f"fire: growth is '{fire.growth}'; expected {known} or a number in kW/s2{advice}")
    alpha = GROWTH_KW_S2[fire.growth] if isinstance(fire.growth, str) else fire.growth
    return BurningCar(alpha, fire.peak / 1e3, fire.energy / 1e3)


def seen(air: Air, quantity: str) -> float:
    """A quantity of the smoke under the ceiling."""
    match quantity:
        case "visibility":
            return visibility_m(air.soot_kg_m3)
        case "carbon_monoxide_ppm":
            return air.carbon_monoxide_ppm
    return air.layer_height_m


def area_m2(level: Feature) -> float:
    """Floor area from the outline (shoelace formula)."""
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(level.points, level.points[1:]))) / 2
