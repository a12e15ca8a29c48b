"""Where travellers are drawn: a line for each lane, stair, doorstep and walk of a scene.

The model knows lengths and times; a track gives them a place. Someone who has done half of a link's time
stands at half of its track, so a track may be a little longer or shorter than the model's way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from devices_models.world.feature import Feature, Point, distance_m
from devices_models.world.routes import DOORSTEP_M, Track, along, length_m, piece, project
from devices_models.world.scene import Scene

SHORTEST_FLIGHT_M = 1.0
"""A stair whose line is shorter is drawn as two half flights."""
HALF_WELL_M = 0.6
"""From the middle of a stairwell to the middle of a half flight."""
RUN_RATIO = 0.84
"""Horizontal run of a stair as a share of its slope, if a scene gives neither riser nor tread."""
MOUTH_SHARE = 0.5
"""How much of the way from its bay to the middle of the aisle a car has gone when it asks for room."""


class Tracks:
    """The tracks of one scene, each made when it is first asked for."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._lanes = scene.driveways.tracks
        self._doors = {(door.text("stair"), door.level): door for door in scene.of_kind("door")}
        self._walks: dict[tuple[str, str], tuple[Track, Track]] = {}
        self._on_foot: dict[tuple[str, str], Track] = {}

    def lane(self, name: str) -> Track:
        """The track of a lane."""
        return self._lanes[name]

    def pull_out(self, bay: str) -> Track:
        """From the middle of a bay to its mouth."""
        feature = self._scene.feature(bay)
        return Track((feature.place, self._mouth(feature)), feature.level, feature.level)

    def first_lane(self, bay: str, name: str, first_m: float) -> Track:
        """From a bay's mouth along the last `first_m` of the lane."""
        feature, lane = self._scene.feature(bay), self._lanes[name]
        total_m = length_m(lane.points)
        rest = piece(max(total_m - first_m, 0.0), total_m, lane.points)
        return Track((self._mouth(feature), *rest), lane.level, lane.to_level)

    def to_door(self, bay: str, door: str) -> tuple[Track, Track]:
        """The walk from a bay along its aisle to a door: to the doorstep, and over it."""
        found = self._walks.get((bay, door))
        if found is None:
            start, end = self._scene.feature(bay), self._scene.feature(door)
            line = self._walk(start, end)
            total_m = length_m(line)
            step_m = max(total_m - DOORSTEP_M, 0.0)
            found = self._walks[bay, door] = (
                Track(piece(0.0, step_m, line), start.level, start.level),
                Track(piece(step_m, total_m, line), start.level, start.level),
            )
        return found

    def on_foot(self, name: str, before: str, start: Track) -> Track:
        """The track of a stair or exit, entered from the link `before` whose track is `start`."""
        found = self._on_foot.get((name, before))
        if found is None:
            feature = self._scene.feature(name)
            points = self._flight(feature) if feature.kind == "stair" else feature.points
            to_level = feature.text("to_level") or feature.level
            line = (start.points[-1], *points)
            found = self._on_foot[name, before] = Track(line, feature.level, to_level)
        return found

    def _mouth(self, bay: Feature) -> Point:
        return along(MOUTH_SHARE * distance_m(bay.place, foot := self._foot(bay)), (bay.place, foot))

    def _foot(self, bay: Feature) -> Point:
        """The place on a bay's aisle that is nearest to it."""
        aisle = self._scene.feature(bay.text("access"))
        return along(project(bay.place, aisle.points)[0], aisle.points)

    def _walk(self, bay: Feature, door: Feature) -> tuple[Point, ...]:
        """Out of the bay, along the aisle as far as it leads to the door, then square to the door."""
        aisle = self._scene.feature(bay.text("access"))
        out_m, near_m = project(bay.place, aisle.points)[0], project(door.place, aisle.points)[0]
        middle = piece(min(out_m, near_m), max(out_m, near_m), aisle.points)
        if out_m > near_m:
            middle = middle[::-1]
        leave = middle[-1]
        is_along_x = abs(aisle.points[-1][0] - aisle.points[0][0]) >= abs(
            aisle.points[-1][1] - aisle.points[0][1]
        )
        corner = (leave[0], door.place[1]) if is_along_x else (door.place[0], leave[1])
        return (bay.place, *middle, corner, door.place)

    def _flight(self, stair: Feature) -> Sequence[Point]:
        """The line of a stair; if the scene marks a place only, half a flight out and half a flight back."""
        if length_m(stair.points) >= SHORTEST_FLIGHT_M:
            return stair.points
        x, y = stair.place
        east, north = self._outwards(stair)
        run_m = stair.number("slope_length") * _run_ratio(stair)
        return [
            (x + side * north * HALF_WELL_M + out_m * east, y - side * east * HALF_WELL_M + out_m * north)
            for side, out_m in ((-1, 0.0), (-1, run_m), (1, run_m), (1, 0.0))
        ]

    def _outwards(self, stair: Feature) -> Point:
        """The direction from the door of a stair to the stair; north where there is none."""
        door = self._doors.get((stair.text("stair"), stair.level))
        away_m = distance_m(door.place, stair.place) if door is not None else 0.0
        if door is None or not away_m:
            return (0.0, 1.0)
        return (
            (stair.place[0] - door.place[0]) / away_m,
            (stair.place[1] - door.place[1]) / away_m,
        )


def _run_ratio(stair: Feature) -> float:
    riser, tread = stair.properties.get("riser"), stair.properties.get("tread")
    if not isinstance(riser, int | float) or not isinstance(tread, int | float):
        return RUN_RATIO
    return float(tread) / math.hypot(float(riser), float(tread))
