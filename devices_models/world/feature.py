"""One thing of a scene: what kinds there are, what each must say, and how a GeoJSON feature becomes one."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Point: TypeAlias = tuple[float, float]
Expected: TypeAlias = Literal["number", "text", "flag", "size"]

SHAPES = {"Point": 1, "LineString": 2, "Polygon": 4}
"""Geometry types and the fewest positions each needs."""

KINDS: dict[str, tuple[str, dict[str, Expected]]] = {
    "level": ("Polygon", {"storey_height": "number"}),
    "bay": ("Point", {"size": "size", "access": "text"}),
    "aisle": ("LineString", {"width": "number", "two_way": "flag", "speed_kmh": "number"}),
    "ramp": (
        "LineString",
        {
            "length": "number",
            "speed_kmh": "number",
            "to_level": "text",
            "from_node": "text",
            "to_node": "text",
        },
    ),
    "stair": (
        "LineString",
        {"clear_width": "number", "slope_length": "number", "stair": "text", "to_level": "text"},
    ),
    "door": ("Point", {"clear_width": "number", "stair": "text"}),
    "exit": ("Point", {"clear_width": "number", "stair": "text"}),
    "gate": ("Point", {"normal_service_s": "number", "from_node": "text", "gateway": "text"}),
    "road": ("LineString", {"speed_kmh": "number"}),
    "assembly": ("Point", {}),
    "detector": ("Point", {"rti": "number", "gateway": "text"}),
    "sensor": ("Point", {"type": "text", "gateway": "text"}),
    "gateway": ("Point", {}),
    "sign": ("Point", {}),
    "fan": ("Point", {"type": "text"}),
    "lift": ("Point", {}),
}
"""Kind -> geometry and the properties that the model reads."""

REFERENCES: dict[tuple[str, str], str] = {
    ("bay", "access"): "aisle",
    ("ramp", "from_node"): "aisle",
    ("ramp", "to_node"): "aisle",
    ("ramp", "to_level"): "level",
    ("stair", "to_level"): "level",
    ("gate", "from_node"): "aisle",
    ("gate", "gateway"): "gateway",
    ("detector", "gateway"): "gateway",
    ("sensor", "gateway"): "gateway",
    ("sensor", "watches"): "door",
}
"""Which property of which kind names a feature of which other kind."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A thing of the scene. Points are in metres in the scene's local frame, x east and y north."""

    id: str
    kind: str
    level: str
    points: tuple[Point, ...]
    properties: Mapping[str, Any]

    @property
    def place(self) -> Point:
        """Where it is: the point itself, or the first of a line or polygon."""
        return self.points[0]

    def number(self, name: str) -> float:
        """A numeric property."""
        return float(self.properties[name])

    def text(self, name: str) -> str:
        """A text property, empty if the feature does not have it."""
        return str(self.properties.get(name, ""))


def nearest(name: object, known: Iterable[str]) -> str:
    """Advice that ends a message: the nearest valid name, if one is near."""
    found = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean '{found[0]}'?" if found else ""


def distance_m(a: Point, b: Point) -> float:
    """Straight distance in metres."""
    return math.hypot(a[0] - b[0], a[1] - b[1])


def read_feature(raw: object, number: int) -> tuple[Feature | None, list[str]]:
    """The feature, or why this JSON value is none. `number` counts from 1, for features without an id."""
    label = f"feature number {number}"
    if not isinstance(raw, dict) or raw.get("type") != "Feature":
        return None, [f'{label}: not a GeoJSON feature; expected an object with "type": "Feature"']
    identity, properties = raw.get("id"), raw.get("properties")
    if not isinstance(identity, str) or not identity:
        return None, [f"{label}: no id; expected a text such as 'L1-B001'"]
    label = f"feature '{identity}'"
    if not isinstance(properties, dict):
        return None, [f"{label}: no properties; expected an object with kind and level"]
    kind = properties.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        return None, [
            f"{label}: unknown kind {kind!r}; expected one of {', '.join(KINDS)}{nearest(kind, KINDS)}"
        ]
    points, problems = _points(raw.get("geometry"), KINDS[kind][0])
    problems += _lacking(properties, {"level": "text", **KINDS[kind][1]})
    if problems:
        return None, [f"{label}: {problem}" for problem in problems]
    return Feature(identity, kind, properties["level"], points, properties), []


def _points(geometry: object, shape: str) -> tuple[tuple[Point, ...], list[str]]:
    if not isinstance(geometry, dict) or geometry.get("type") != shape:
        found = geometry.get("type") if isinstance(geometry, dict) else geometry
        return (), [f"geometry is {found!r}; expected a {shape}"]
    given = geometry.get("coordinates")
    positions = {"Point": [given], "Polygon": given[0] if isinstance(given, list) and given else None}.get(
        shape, given
    )
    if not isinstance(positions, list) or not all(map(_is_position, positions)):
        return (), ["bad coordinates; expected pairs of finite numbers in metres, [x, y]"]
    points = tuple((float(position[0]), float(position[1])) for position in positions)
    if len(points) < SHAPES[shape]:
        return (), [f"{len(points)} positions; expected at least {SHAPES[shape]} for a {shape}"]
    if shape == "Polygon" and points[0] != points[-1]:
        return (), [f"the ring is open; expected the last position to repeat the first, {list(points[0])}"]
    return points, []


def _is_position(position: object) -> bool:
    return (
        isinstance(position, list)
        and len(position) in (2, 3)
        and all(isinstance(part, int | float) and not isinstance(part, bool) for part in position)
        and all(map(math.isfinite, position))
    )


def _lacking(properties: Mapping[str, Any], expected: Mapping[str, Expected]) -> list[str]:
    """What is absent or of the wrong sort among the properties."""
    problems = []
    for name, sort in expected.items():
        if name not in properties:
            problems.append(f"no property '{name}'; expected {WORDS[sort]}{nearest(name, properties)}")
        elif not _is_sort(properties[name], sort):
            problems.append(f"property '{name}' is {properties[name]!r}; expected {WORDS[sort]}")
    return problems


WORDS: dict[Expected, str] = {
    "number": "a number greater than zero",
    "text": "a text",
    "flag": "true or false",
    "size": "two numbers greater than zero, [width, length] in metres",
}


def _is_sort(value: object, sort: Expected) -> bool:
    match sort:
        case "text":
            return isinstance(value, str) and bool(value)
        case "flag":
            return isinstance(value, bool)
        case "size":
            return (
                isinstance(value, list)
                and len(value) == 2
                and all(_is_sort(part, "number") for part in value)
            )
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
