"""How fast people walk and how many pass a door: two published conventions.

`sfpe_effective_width`: the hydraulic model of the SFPE Handbook (Gwynne and Rosenbaum); a layer at each
wall is not used. `imo_clear_width`: the tables of IMO MSC.1/Circ.1533, annex 2, on the clear width.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal, TypeAlias

from devices_models.world.routes import Walk
from devices_models.world.settings import WidthConvention
from devices_models.world.spatial_queue import FLOW_DENSITY

Surface: TypeAlias = Literal["level", "stair_down", "stair_up"]

SFPE_SPEED = {"level": 1.40, "stair_down": 1.08, "stair_up": 1.08}
SFPE_FLOW = {"level": 1.32, "stair_down": 1.01, "stair_up": 1.01}
SFPE_LAYER_M = {"level": 0.20, "stair_down": 0.15, "stair_up": 0.15}
SFPE_DOOR_LAYER_M = 0.15
SLOWEST_M_S = 0.1
NARROWEST_M = 0.3
IMO_FLOW = {"level": 1.3, "stair_down": 1.1, "stair_up": 0.88}
IMO_SPEED = {
    "level": ((0.0, 1.2), (0.5, 1.2), (1.9, 0.67), (3.2, 0.20), (3.5, 0.10)),
    "stair_down": ((0.0, 1.0), (0.54, 1.0), (2.0, 0.55)),
    "stair_up": ((0.0, 0.8), (0.5375, 0.8), (2.0, 0.44)),
}
"""Density (people per m2) and speed (m/s); of stairs, density is the table's flow over its speed."""


def speed_m_s(convention: WidthConvention, surface: Surface, density_m2: float) -> float:
    """Walking speed among others at this density (people per m2)."""
    if convention == "sfpe_effective_width":
        factor = SFPE_SPEED[surface]
        if density_m2 <= 0.54:
            return 0.85 * factor
        return max(factor * (1 - 0.266 * density_m2), SLOWEST_M_S)
    for (low, fast), (high, slow) in pairwise(IMO_SPEED[surface]):
        if density_m2 <= high:
            return fast + (slow - fast) * (density_m2 - low) / (high - low)
    return IMO_SPEED[surface][-1][1]


def flow_per_s(convention: WidthConvention, surface: Surface, width_m: float, door_m: float) -> float:
    """People a second out of a way of this width, through a door of this clear width at its end if any."""
    if convention == "imo_clear_width":
        return IMO_FLOW["level"] * door_m if door_m else IMO_FLOW[surface] * width_m
    if door_m:
        return SFPE_FLOW["level"] * max(door_m - 2 * SFPE_DOOR_LAYER_M, NARROWEST_M)
    return SFPE_FLOW[surface] * max(width_m - 2 * SFPE_LAYER_M[surface], NARROWEST_M)


def paces(convention: WidthConvention, walk: Walk) -> tuple[float, ...]:
    """Speed by the number of people already on the way, as far as it takes people in."""
    area_m2 = walk.length_m * walk.width_m
    room = max(1, math.floor(FLOW_DENSITY * area_m2))
    return tuple(speed_m_s(convention, walk.kind, count / area_m2) for count in range(room))
