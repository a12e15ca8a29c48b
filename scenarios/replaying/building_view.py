"""What a replay shows of a building: its plan, its smoke, its queues and who is where."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devices_models.world.building import Building
from devices_models.world.fire import visibility_m
from devices_models.world.scene import Scene
from scenarios.replaying.document import Counts, Happening, Plan, Shape, SmokeSeries
from scenarios.replaying.movement import BEFORE, Movement
from scenarios.replaying.wording import untenable_text

MARGIN_M: Final = 8.0
"""Around the features: stairwells are drawn beside them."""
SMOKE_STEP_S: Final = 5.0
MOST_SMOKE: Final = 2_000
"""Rows of a smoke series."""
LEAST_QUEUE: Final = 2
"""Where never more stood at once, there was no queue."""
QUEUE_STEP_S: Final = 1.0
UNDRAWN: Final = frozenset({"assembly"})


def bounds(scene: Scene) -> tuple[float, float, float, float]:
    """The box around everything that is drawn (m)."""
    drawn = [point for feature in scene.features if feature.kind not in UNDRAWN for point in feature.points]
    xs, ys = [x for x, _ in drawn], [y for _, y in drawn]
    return (min(xs) - MARGIN_M, min(ys) - MARGIN_M, max(xs) + MARGIN_M, max(ys) + MARGIN_M)


def plan(scene: Scene, box: tuple[float, float, float, float]) -> Plan:
    """The scene, to be drawn."""
    shapes = [
        Shape(
            feature.id,
            feature.kind,
            feature.level,
            list(feature.points),
            [float(part) for part in feature.properties.get("size", ())],
            feature.text("to_level"),
            feature.text("type"),
        )
        for feature in scene.features
    ]
    return Plan(scene.name, list(scene.levels), box, shapes)


def fire(building: Building) -> tuple[str, float] | None:
    """The bay that burns, and from when."""
    return None if building.blaze is None else (building.blaze.bay.id, building.blaze.starts_at_s)


def smoke(building: Building, until_s: float) -> list[SmokeSeries]:
    """The smoke on the burning level every few seconds; nowhere else is any."""
    blaze = building.blaze
    if blaze is None or until_s < blaze.starts_at_s:
        return []
    count = min(int((until_s - blaze.starts_at_s) / SMOKE_STEP_S) + 1, MOST_SMOKE)
    times_s = [blaze.starts_at_s + number * SMOKE_STEP_S for number in range(count)]
    airs = [blaze.air(at_s) for at_s in times_s]
    sights = [visibility_m(air.soot_kg_m3) for air in airs]
    return [
        SmokeSeries(
            blaze.bay.level,
            times_s,
            [round(metres, 2) if math.isfinite(metres) else None for metres in sights],
            [round(air.layer_height_m, 3) for air in airs],
            [round(building.ambient_c + air.rise_k, 1) for air in airs],
            [round(air.carbon_monoxide_ppm, 1) for air in airs],
        )
    ]


def events(building: Building, until_s: float, inside: Callable[[str], float]) -> Iterator[Happening]:
    """What the fire does: it begins, and the level is lost; `inside` gives who was inside then."""
    blaze = building.blaze
    if blaze is None:
        return
    level = blaze.bay.level
    if blaze.starts_at_s <= until_s:
        yield Happening(blaze.starts_at_s, "fire", f"a car begins to burn in {blaze.bay.id}", "", level)
    if building.aset_s <= until_s:
        people, cars = inside("people_inside_at_untenable"), inside("cars_inside_at_untenable")
        yield Happening(building.aset_s, "tenability", untenable_text(level, people, cars), "", level)


def occupancy(building: Building) -> dict[str, Counts]:
    """The series that the building samples itself: people, cars, those who head for each gate."""
    columns = building.occupancy()
    times_s = columns.pop("time_s")
    return {name: list(zip(times_s, values)) for name, values in columns.items()}


def people_on_levels(building: Building, movement: Movement) -> dict[str, Counts]:
    """People who have not left each level through its door."""
    levels = movement.levels_of_people()
    found: dict[str, Counts] = {}
    for level in building.scene.levels:
        left_s = np.sort(np.array([at_s for where, at_s in levels if where == level], np.float64))
        if len(left_s):
            found[f"people on {level}"] = _steps(-np.ones(len(left_s)), left_s, float(len(left_s)))
    return found


def queues(movement: Movement) -> dict[str, Counts]:
    """How many stood at each door, stair, exit and piece of road, and on the way to each gate.

    Only where there was a queue. Those who wait for room at a door are among those who stand at it.
    """
    arrived: dict[str, list[NDArray[np.float64]]] = {}
    left: dict[str, list[NDArray[np.float64]]] = {}
    for queue in (*movement.queues(), *movement.gate_queues()):
        name = queue.name.removeprefix(BEFORE)
        arrived.setdefault(name, []).append(queue.arrived_s)
        left.setdefault(name, []).append(queue.left_s)
    found = {}
    for name, parts in arrived.items():
        came_s, gone_s = np.concatenate(parts), np.concatenate(left[name])
        changes = np.concatenate([np.ones(len(came_s)), -np.ones(len(gone_s))])
        series = _steps(changes, np.concatenate([came_s, gone_s]), 0.0)
        if max((count for _, count in series), default=0.0) >= LEAST_QUEUE:
            found[name] = series
    return found


def _steps(changes: NDArray[np.float64], times_s: NDArray[np.float64], first: float) -> Counts:
    """A count that begins with `first`, where it has changed at the end of each second."""
    is_past = np.isfinite(times_s)
    ends = np.ceil(times_s[is_past] / QUEUE_STEP_S) * QUEUE_STEP_S
    marks, which = np.unique(ends, return_inverse=True)
    counts = first + np.cumsum(np.bincount(which, changes[is_past], len(marks)))
    series = [(0.0, first)]
    for at_s, count in zip(marks.tolist(), counts.tolist()):
        if count != series[-1][1]:
            series.append((at_s, count))
    return series
