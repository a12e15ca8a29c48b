"""Ways through a scene: chunks of road and stair that a spatial queue can be laid on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, TypeAlias

import networkx as nx

from devices_models.world.feature import Feature, Point, distance_m

CHUNK_M = 24.0
"""Aisles are cut into pieces of about this length."""
JOINT_M = 0.5
"""Ends closer than this are one junction."""
SHORTEST_M = 3.0
PASSING_S = 4.2
"""What passing the junction before another gate costs a driver, in the choice of the way."""
DOORSTEP_M, DOORSTEP_WIDTH_M = 3.0, 3.0
"""The space before a door in which people queue."""
LOBBY_M, LOBBY_WIDTH_M = 4.0, 1.8
"""The way from the last stair to the exit door."""

Node: TypeAlias = tuple[str, float, float]


class Lane(NamedTuple):
    """A piece of road in one direction: metres and m/s."""

    name: str
    length_m: float
    speed_m_s: float
    is_ramp: bool = False
    is_street: bool = False


class Drive(NamedTuple):
    """A car's way: its lanes, how much of the first it drives, and what the way costs on free roads."""

    lanes: tuple[Lane, ...]
    first_m: float
    cost_s: float


class Track(NamedTuple):
    """Where a lane lies: its line, and the levels of its first and its second half."""

    points: tuple[Point, ...]
    level: str
    to_level: str


class Walk(NamedTuple):
    """A piece of way on foot; `door_m` is the clear width of the door at its end, or 0."""

    name: str
    kind: Literal["level", "stair_down", "stair_up"]
    length_m: float
    width_m: float
    door_m: float


class Driveways:
    """The lanes of a scene, and the fastest way from each bay to each gate."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._graph: nx.DiGraph[Node] = nx.DiGraph()
        self._lanes: dict[tuple[Node, Node], Lane] = {}
        self._nodes: dict[str, list[Node]] = {}
        self._aisles = {feature.id: feature for feature in features if feature.kind == "aisle"}
        self._roads = [feature for feature in features if feature.kind == "road"]
        self._pieces: dict[str, list[tuple[float, Node]]] = {}
        self.tracks = {road.id: Track(road.points, road.level, road.level) for road in self._roads}
        """Where each lane lies, by its name."""
        self.bays = {feature.id: feature for feature in features if feature.kind == "bay"}
        self.gates = {feature.id: feature for feature in features if feature.kind == "gate"}
        ramps = [feature for feature in features if feature.kind == "ramp"]
        cuts = self._cuts(ramps)
        for aisle in self._aisles.values():
            self._lay_aisle(aisle, cuts[aisle.id])
        for ramp in ramps:
            self._lay_ramp(ramp)
        self._joints = {gate.id: self._lay_gate(gate) for gate in self.gates.values()}
        self._ways = {gate: self._ways_to(gate) for gate in self.gates}

    def gates_from(self, bay: str) -> tuple[str, ...]:
        """The gates that a car from this bay can reach, in the order of the scene."""
        starts = [end for _, _, end in self._starts(bay)]
        return tuple(gate for gate in self.gates if any(end in self._ways[gate][0] for end in starts))

    def drive(self, bay: str, gate: str) -> Drive:
        """The fastest way on free roads from a bay through a gate to the street."""
        seconds, paths = self._ways[gate]
        cost_s, first_m, lane, end = min(
            (
                (first_m / lane.speed_m_s + seconds[end], first_m, lane, end)
                for first_m, lane, end in self._starts(bay)
                if end in seconds
            ),
            key=lambda start: start[:2],
        )
        lanes = [self._lanes[pair] for pair in pairwise(reversed(paths[end]))]
        return Drive((lane, *lanes, *self._street(self.gates[gate])), first_m, cost_s)

    def lane_of(self, gate: str) -> Lane:
        """The lane that ends at a gate."""
        return self._lanes[self._joints[gate], (gate, *self.gates[gate].place)]

    def _cuts(self, ramps: Iterable[Feature]) -> dict[str, list[float]]:
        """Where each aisle is cut: at the ends of other aisles, at ramps and at gates (metres along it)."""
        cuts: dict[str, list[float]] = {name: [] for name in self._aisles}
        for aisle in self._aisles.values():
            for other in self._aisles.values():
                if other.level == aisle.level and other is not aisle:
                    for end in (other.points[0], other.points[-1]):
                        along_m, off_m = project(end, aisle.points)
                        if off_m <= JOINT_M:
                            cuts[aisle.id].append(along_m)
        for ramp in ramps:
            for name, end in (("from_node", ramp.points[0]), ("to_node", ramp.points[-1])):
                aisle = self._aisles[ramp.text(name)]
                cuts[aisle.id].append(project(end, aisle.points)[0])
        for gate in self.gates.values():
            aisle = self._aisles[gate.text("from_node")]
            cuts[aisle.id].append(project(gate.place, aisle.points)[0])
        return cuts

    def _lay_aisle(self, aisle: Feature, cuts: list[float]) -> None:
        total_m = length_m(aisle.points)
        marks = [0.0]
        for cut in sorted((*cuts, total_m)):
            if cut - marks[-1] <= JOINT_M:
                continue
            count = max(1, round((cut - marks[-1]) / CHUNK_M))
            step = (cut - marks[-1]) / count
            marks += [marks[-1] + step * part for part in range(1, count + 1)]
        nodes = [self._node(aisle.level, along(mark, aisle.points)) for mark in marks]
        self._pieces[aisle.id] = list(zip(marks, nodes))
        speed_m_s = aisle.number("speed_kmh") / 3.6
        for number, (start, end) in enumerate(pairwise(nodes)):
            piece_m = marks[number + 1] - marks[number]
            line = piece(marks[number], marks[number + 1], aisle.points)
            there, back = f"{aisle.id}.{number}+", f"{aisle.id}.{number}-"
            self._lay(start, end, Lane(there, piece_m, speed_m_s), line)
            if aisle.properties["two_way"]:
                self._lay(end, start, Lane(back, piece_m, speed_m_s), line[::-1])

    def _lay_ramp(self, ramp: Feature) -> None:
        ends = []
        extra_m = 0.0
        for name, point in (("from_node", ramp.points[0]), ("to_node", ramp.points[-1])):
            aisle = self._aisles[ramp.text(name)]
            joint = along(project(point, aisle.points)[0], aisle.points)
            extra_m += distance_m(joint, point)
            ends.append(self._node(aisle.level, joint))
        speed_m_s = ramp.number("speed_kmh") / 3.6
        line = (ends[0][1:], *ramp.points, ends[1][1:])
        lane = Lane(ramp.id, ramp.number("length") + extra_m, speed_m_s, is_ramp=True)
        self._lay(ends[0], ends[1], lane, line)

    def _lay(self, start: Node, end: Node, lane: Lane, line: Sequence[Point]) -> None:
        self.tracks[lane.name] = Track(tuple(line), start[0], end[0])
        self._graph.add_edge(start, end, seconds=lane.length_m / lane.speed_m_s)
        self._lanes[start, end] = lane

    def _node(self, level: str, point: Point) -> Node:
        """The junction at this place, made on first use."""
        known = self._nodes.setdefault(level, [])
        for node in known:
            if distance_m(node[1:], point) <= JOINT_M:
                return node
        known.append((level, *point))
        return known[-1]

    def _lay_gate(self, gate: Feature) -> Node:
        """The lane that ends at a gate; returns the junction where it begins."""
        aisle = self._aisles[gate.text("from_node")]
        joint = self._node(aisle.level, along(project(gate.place, aisle.points)[0], aisle.points))
        reach_m = max(distance_m(joint[1:], gate.place), SHORTEST_M)
        lane = Lane(f"{gate.id}.lane", reach_m, aisle.number("speed_kmh") / 3.6)
        self._lay(joint, (gate.id, *gate.place), lane, (joint[1:], gate.place))
        self.tracks[lane.name] = Track((joint[1:], gate.place), joint[0], gate.level)
        return joint

    def _ways_to(self, gate: str) -> tuple[dict[Node, float], dict[Node, list[Node]]]:
        """Seconds and path (from the gate backwards) from every junction to a gate.

        Drivers keep off the queue at another gate: to pass it counts as a longer way.
        """
        avoided = {joint for other, joint in self._joints.items() if other != gate}

        def seconds(_: Node, start: Node, edge: dict[str, float]) -> float:
            return edge["seconds"] + (PASSING_S if start in avoided else 0.0)

        source = (gate, *self.gates[gate].place)
        backwards = self._graph.reverse(copy=False)
        costs_s = nx.single_source_dijkstra_path_length(backwards, source, weight=seconds)
        return costs_s, nx.single_source_dijkstra_path(backwards, source, weight=seconds)

    def _street(self, gate: Feature) -> Iterator[Lane]:
        for road in self._roads:
            if distance_m(road.points[0], gate.place) <= JOINT_M:
                yield Lane(road.id, length_m(road.points), road.number("speed_kmh") / 3.6, is_street=True)
                return

    def _starts(self, bay: str) -> Iterator[tuple[float, Lane, Node]]:
        """How a car may set out: (metres to the end of the piece, the piece, its end)."""
        feature = self.bays[bay]
        aisle = self._aisles[feature.text("access")]
        at_m, _ = project(feature.place, aisle.points)
        for (low_m, low), (high_m, high) in pairwise(self._pieces[aisle.id]):
            if low_m <= at_m <= high_m:
                yield high_m - at_m, self._lanes[low, high], high
                if (high, low) in self._lanes:
                    yield at_m - low_m, self._lanes[high, low], low
                return


class Walkways:
    """The ways on foot: from a level's door down (or up) its stair to the exit."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._graph: nx.DiGraph[tuple[str, str]] = nx.DiGraph()
        self._walks: dict[tuple[tuple[str, str], tuple[str, str]], Walk] = {}
        self._rank = {feature.id: n for n, feature in enumerate(f for f in features if f.kind == "level")}
        for feature in features:
            self._lay(feature)
        outside = ("", "")
        self._graph.add_node(outside)
        backwards = self._graph.reverse(copy=False)
        self._metres = nx.single_source_dijkstra_path_length(backwards, outside, weight="metres")
        self._paths = nx.single_source_dijkstra_path(backwards, outside, weight="metres")
        self._doors = {feature.id: feature for feature in features if feature.kind == "door"}

    def doors(self, level: str) -> tuple[Feature, ...]:
        """The doors of a level from which a way leads outside."""
        return tuple(
            door for door in self._doors.values() if door.level == level and ("door", door.id) in self._metres
        )

    def way_out(self, door: str) -> tuple[Walk, ...]:
        """The pieces from this door to the open air, the doorstep first."""
        return tuple(self._walks[pair] for pair in pairwise(reversed(self._paths["door", door])))

    def nearest_door(self, bay: Feature) -> tuple[Feature, float]:
        """The door of the shortest way outside, and the walk to it along the aisles (metres)."""
        walks = [(self._approach_m(bay, door), door) for door in self.doors(bay.level)]
        approach_m, door = min(walks, key=lambda walk: walk[0] + self._metres["door", walk[1].id])
        return door, approach_m

    @staticmethod
    def _approach_m(bay: Feature, door: Feature) -> float:
        return abs(bay.place[0] - door.place[0]) + abs(bay.place[1] - door.place[1])

    def _lay(self, feature: Feature) -> None:
        """Landings are (stair, level); a door leads to one, a flight joins two, an exit leaves one."""
        landing = (feature.text("stair"), feature.level)
        if feature.kind == "door":
            step = Walk(feature.id, "level", DOORSTEP_M, DOORSTEP_WIDTH_M, feature.number("clear_width"))
            self._join(("door", feature.id), landing, step)
        elif feature.kind == "exit":
            lobby = Walk(feature.id, "level", LOBBY_M, LOBBY_WIDTH_M, feature.number("clear_width"))
            self._join(landing, ("", ""), lobby)
        elif feature.kind == "stair":
            to = feature.text("to_level")
            is_down = self._rank[to] < self._rank[feature.level]
            slope_m = 2 * feature.number("slope_length")
            width_m = feature.number("clear_width")
            self._join(
                landing,
                (landing[0], to),
                Walk(feature.id, "stair_down" if is_down else "stair_up", slope_m, width_m, 0.0),
            )

    def _join(self, start: tuple[str, str], end: tuple[str, str], walk: Walk) -> None:
        self._graph.add_edge(start, end, metres=walk.length_m)
        self._walks[start, end] = walk


# measuring along a line ------------------------------------------------------------------------------


def length_m(points: Sequence[Point]) -> float:
    """Length of a polyline in metres."""
    return sum(distance_m(a, b) for a, b in pairwise(points))


def along(mark_m: float, points: Sequence[Point]) -> Point:
    """The point so many metres along a polyline."""
    for a, b in pairwise(points):
        piece_m = distance_m(a, b)
        if mark_m <= piece_m and piece_m:
            share = mark_m / piece_m
            return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)
        mark_m -= piece_m
    return points[-1]


def piece(from_m: float, to_m: float, points: Sequence[Point]) -> tuple[Point, ...]:
    """The part of a polyline between two marks (metres along it), the smaller first."""
    inner = []
    passed_m = 0.0
    for a, b in pairwise(points):
        passed_m += distance_m(a, b)
        if from_m < passed_m < to_m:
            inner.append(b)
    return (along(from_m, points), *inner, along(to_m, points))


def project(point: Point, points: Sequence[Point]) -> tuple[float, float]:
    """The nearest place on a polyline: (metres along it, metres off it)."""
    best = (0.0, math.inf)
    passed_m = 0.0
    for a, b in pairwise(points):
        piece_m = distance_m(a, b)
        if piece_m:
            dot = (point[0] - a[0]) * (b[0] - a[0]) + (point[1] - a[1]) * (b[1] - a[1])
            share = min(max(dot / piece_m**2, 0.0), 1.0)
            foot = (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)
            if (off_m := distance_m(foot, point)) < best[1]:
                best = (passed_m + share * piece_m, off_m)
        passed_m += piece_m
    return best
