"""Generates car parks of one family: four rows of bays, two aisles, a ramp between levels, two stairs.

 S1  +----------------------------------------+  S2
GB < | AB  bays / aisle / bays                |
     | CW                                  CE | ramps
GA < | AA  bays / aisle / bays                |
     +----------------------------------------+
"""

from __future__ import annotations

from typing import Any

from twin.errors import InputError

BAY_WIDTH_M, BAY_LENGTH_M, AISLE_M = 2.4, 4.8, 6.6
STOREY_M, CLEAR_M = 3.0, 2.4
ROWS = 4
Y = (0.0, 4.8, 11.4, 16.2, 21.0, 27.6, 32.4)
"""The edges of bays and aisles from south to north, metres."""
Y_A, Y_B = (Y[1] + Y[2]) / 2, (Y[4] + Y[5]) / 2
DETECTOR_SPACING_M, DETECTOR_ROWS = 7.1, 5
AIR_CHANGES_PER_H = 9
MOST_LEVELS, MOST_BAYS = 20, 996


def point(x: float, y: float) -> dict[str, Any]:
    """A GeoJSON point."""
    return {"type": "Point", "coordinates": [round(x, 2), round(y, 2)]}


def line(*points: tuple[float, float]) -> dict[str, Any]:
    """A GeoJSON line."""
    return {"type": "LineString", "coordinates": [[round(x, 2), round(y, 2)] for x, y in points]}


def box(x: float, y: float) -> dict[str, Any]:
    """A GeoJSON rectangle from the origin."""
    return {"type": "Polygon", "coordinates": [[[0, 0], [x, 0], [x, y], [0, y], [0, 0]]]}


def document(levels: int, bays: int) -> dict[str, Any]:
    """The scene as a JSON document. Raises InputError for sizes outside the family."""
    if not 1 <= levels <= MOST_LEVELS:
        raise InputError(f"car park: {levels} levels; expected 1 to {MOST_LEVELS}")
    if not ROWS <= bays <= MOST_BAYS or bays % ROWS:
        near = min(max(round(bays / ROWS), 1) * ROWS, MOST_BAYS)
        raise InputError(
            f"car park: {bays} bays a level; expected a multiple of {ROWS} up to {MOST_BAYS}, such as {near}"
        )
    return {
        "type": "FeatureCollection",
        "scene": _header(levels, bays),
        "features": _Builder(levels, bays // ROWS).features(),
    }


def _header(levels: int, bays: int) -> dict[str, Any]:
    return {
        "format": "twin-scene",
        "version": 1,
        "name": f"carpark-{levels}x{bays}",
        "units": "m",
        "crs": {"type": "local-enu", "anchor_lonlat": [103.8198, 1.3521], "rotation_deg": 0.0},
        "levels": [f"L{number + 1}" for number in range(levels)],
        "licence": "CC0-1.0",
        "note": "invented building; no real place",
    }


class _Builder:
    """Collects the features level by level."""

    def __init__(self, levels: int, columns: int) -> None:
        self._levels, self._columns = levels, columns
        self._east = AISLE_M + columns * BAY_WIDTH_M + AISLE_M
        self._x_west, self._x_east = AISLE_M / 2, self._east - AISLE_M / 2
        self._features: list[dict[str, Any]] = []

    def features(self) -> list[dict[str, Any]]:
        for number in range(self._levels):
            self._storey(number)
            self._bays(f"L{number + 1}")
            self._aisles(f"L{number + 1}")
            self._stairs(number)
            if number:
                self._ramps(number)
            self._detection(f"L{number + 1}")
            self._equipment(number)
        self._outside()
        return self._features

    def _add(self, identity: str, kind: str, geometry: dict[str, Any], level: str, **properties: Any) -> None:
        about = {"kind": kind, "level": level, **properties}
        self._features.append({"type": "Feature", "id": identity, "geometry": geometry, "properties": about})

    def _storey(self, number: int) -> None:
        level = f"L{number + 1}"
        self._add(
            level,
            "level",
            box(round(self._east, 2), Y[-1]),
            level,
            z=number * STOREY_M,
            storey_height=STOREY_M,
            clear_height=CLEAR_M,
            area=round(self._east * Y[-1], 1),
            enclosed=True,
            smoke_zone=level,
        )

    def _bays(self, level: str) -> None:
        rows = ((Y[0], "AA"), (Y[2], "AA"), (Y[3], "AB"), (Y[5], "AB"))
        for row, (south, aisle) in enumerate(rows):
            for column in range(self._columns):
                self._add(
                    f"{level}-B{row * self._columns + column + 1:03d}",
                    "bay",
                    point(AISLE_M + (column + 0.5) * BAY_WIDTH_M, south + BAY_LENGTH_M / 2),
                    level,
                    size=[BAY_WIDTH_M, BAY_LENGTH_M],
                    access=f"{level}-{aisle}",
                    ev=row == 0 and column < 6,
                    accessible=row == 1 and column < 3,
                )

    def _aisles(self, level: str) -> None:
        west, east = self._x_west, self._x_east
        for name, geometry in (
            ("AA", line((east, Y_A), (west, Y_A))),
            ("AB", line((east, Y_B), (west, Y_B))),
            ("CW", line((west, Y_A), (west, Y_B))),
            ("CE", line((east, Y_A), (east, Y_B))),
        ):
            self._add(f"{level}-{name}", "aisle", geometry, level, width=AISLE_M, two_way=True, speed_kmh=10)

    def _stairs(self, number: int) -> None:
        level = f"L{number + 1}"
        for stair, x, y in (("S1", 0.0, 16.2), ("S2", self._x_east, 32.4)):
            self._add(
                f"{level}-{stair}-door",
                "door",
                point(x, y),
                level,
                clear_width=1.0,
                stair=stair,
                fire_rated=True,
            )
            if not number:
                continue
            at = (x - 1.5, y) if stair == "S1" else (x, y + 1.5)
            self._add(
                f"{level}-{stair}-flight",
                "stair",
                line(at, (at[0], at[1] + 0.01)),
                level,
                to_level=f"L{number}",
                clear_width=1.2,
                slope_length=5.6,
                riser=0.1765,
                tread=0.275,
                stair=stair,
            )

    def _ramps(self, number: int) -> None:
        upper, lower = f"L{number + 1}", f"L{number}"
        for name, x, start, end in (("RD", 1.8, upper, lower), ("RU", 5.4, lower, upper)):
            ys = (28.2, 4.2) if name == "RD" else (4.2, 28.2)
            self._add(
                f"{upper}-{name}",
                "ramp",
                line((self._east + x, ys[0]), (self._east + x, ys[1])),
                start,
                to_level=end,
                width=3.6,
                length=24.2,
                gradient=0.125,
                direction="down" if name == "RD" else "up",
                speed_kmh=10,
                from_node=f"{start}-CE",
                to_node=f"{end}-CE",
            )

    def _detection(self, level: str) -> None:
        columns = max(2, round(self._east / DETECTOR_SPACING_M))
        for column in range(columns):
            side, gateway = ("W", 1) if column < columns / 2 else ("E", 2)
            for row in range(DETECTOR_ROWS):
                self._add(
                    f"{level}-D{column * DETECTOR_ROWS + row + 1:02d}",
                    "detector",
                    point((column + 0.5) * self._east / columns, (row + 0.5) * Y[-1] / DETECTOR_ROWS),
                    level,
                    type="multi_heat_smoke",
                    z=STOREY_M - 0.1,
                    rti=50,
                    t_act=57.0,
                    ror_k_per_min=8.3,
                    smoke_obscuration_pct_m=3.4,
                    zone=f"{level}-{side}",
                    link="zigbee",
                    gateway=f"{level}-GW{gateway}",
                )
        for number in range(7):
            self._add(
                f"{level}-CO{number + 1}",
                "sensor",
                point((number + 0.5) * self._east / 7, Y[-1] / 2),
                level,
                type="co",
                range_ppm=[0, 300],
                period_s=10,
                link="zigbee",
                gateway=f"{level}-GW{1 if number < 4 else 2}",
            )

    def _equipment(self, number: int) -> None:
        level, east = f"L{number + 1}", self._east
        for gateway, x in ((1, east * 0.25), (2, east * 0.75)):
            self._add(
                f"{level}-GW{gateway}",
                "gateway",
                point(x, 16.2),
                level,
                uplink=["ethernet", "lte"],
                radios=["zigbee", "lora"],
                edge=number == 0 and gateway == 1,
                battery_h=24,
            )
        signs = ((self._x_west, 16.2), (east / 2, Y_A), (east / 2, Y_B), (self._x_east, 16.2))
        for place, at in enumerate(signs):
            self._add(
                f"{level}-VMS{place + 1}", "sign", point(*at), level, type="dynamic_exit", link="ethernet"
            )
        self._fans(level)
        for stair, x, y in (("S1", 0.5, 16.2), ("S2", self._x_east, 31.9)):
            self._add(
                f"{level}-{stair}-PC",
                "sensor",
                point(x, y),
                level,
                type="people_counter",
                link="ethernet",
                gateway=f"{level}-GW1",
                watches=f"{level}-{stair}-door",
            )
        self._add(f"{level}-LIFT", "lift", point(-1.5, 20.0), level, cars=1, recall=True)

    def _fans(self, level: str) -> None:
        for number in range(6):
            at = point((number + 0.5) * self._east / 6, Y_A if number % 2 else Y_B)
            self._add(f"{level}-JF{number + 1}", "fan", at, level, type="jet", thrust_n=50)
        self._add(
            f"{level}-EX",
            "fan",
            point(self._east - 0.5, Y[-1] - 0.5),
            level,
            type="extract",
            flow_m3s=round(AIR_CHANGES_PER_H * self._east * Y[-1] * STOREY_M / 3600, 1),
            note="9 air changes/h",
        )

    def _outside(self) -> None:
        for gate, y in (("GA", Y_A), ("GB", Y_B)):
            self._add(
                gate,
                "gate",
                point(0, y),
                "L1",
                type="boom",
                lane_width=3.0,
                open_time_s=1.8,
                close_time_s=2.5,
                normal_service_s=10.0,
                fail_mode="open",
                link="ethernet",
                gateway="L1-GW1",
                from_node="L1-CW",
                direction="exit",
            )
            self._add(f"{gate}-OUT", "road", line((0, y), (-30, y)), "L1", speed_kmh=30, width=3.0)
        for stair, x, y in (("S1", -3.0, 16.2), ("S2", self._x_east, 35.4)):
            self._add(f"{stair}-EXIT", "exit", point(x, y), "L1", clear_width=1.2, stair=stair)
        self._add("ASM1", "assembly", point(-40, 40), "L1", capacity=1000)
