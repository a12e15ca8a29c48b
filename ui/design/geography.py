"""Sites on the map of the world, and the round trips between those that links join."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from network.wan import Place, WanFigure, distance_km, fibre_floor_s, given_round_trip, round_trip
from scenarios.format.parts import Parts, parts_of
from scenarios.wiring.linking import place_of
from twin.errors import InputError
from twin.units import format_quantity


@dataclass(frozen=True, slots=True)
class Spot:
    """A site with a place: degrees, what it is called, and how many nodes and fleets are there."""

    name: str
    where: str
    longitude: float
    latitude: float
    nodes: int
    fleets: int


@dataclass(frozen=True, slots=True)
class Route:
    """A wide area link between two sites: its round trip, where that figure comes from, and its length."""

    link: str
    ends: tuple[str, str]
    start: tuple[float, float]
    end: tuple[float, float]
    round_trip: str
    range: str
    kind: str
    source: str
    length_km: float
    floor: str

    @property
    def middle(self) -> tuple[float, float]:
        """Half way along the great circle (longitude, latitude)."""
        return middle(self.start, self.end)


def spots(data: Mapping[str, Any]) -> list[Spot]:
    """Every site whose place is known."""
    parts = parts_of(data)
    found = []
    for name in parts.sites:
        place = _place(parts, name)
        if place is None:
            continue
        nodes = sum(parts.site_of(node) == name for node in parts.nodes)
        fleets = sum(fleet.at == name for fleet in parts.fleets.values())
        found.append(Spot(name, place.name or place.country, place.longitude, place.latitude, nodes, fleets))
    return found


def routes(data: Mapping[str, Any]) -> list[Route]:
    """Every link over a wide area path whose ends are on the map, those of fleets too."""
    parts = parts_of(data)
    return [route for route in _routes(parts) if route is not None]


def _routes(parts: Parts) -> Iterator[Route | None]:
    for link in parts.links.values():
        if link.path == "wan":
            yield _route(parts, link.title, link.between, link.round_trip_s)
    for name, fleet in parts.fleets.items():
        if fleet.link is not None and not isinstance(fleet.link, str) and fleet.link.path == "wan":
            yield _route(parts, name, (name, fleet.via or ""), fleet.link.round_trip_s)


def _route(parts: Parts, title: str, ends: tuple[str, str], asked_s: float | None) -> Route | None:
    names = [parts.fleets[end].at if end in parts.fleets else parts.site_of(end) for end in ends]
    places = [_place(parts, name) for name in names]
    a, b = places
    if a is None or b is None:
        return None
    try:
        figure = round_trip(a, b) if asked_s is None else given_round_trip(a, b, asked_s)
    except InputError as error:  # faster than light: shown as it was asked for
        figure = WanFigure(asked_s or 0.0, asked_s or 0.0, asked_s or 0.0, "given", str(error))
    shown = [format_quantity("time", each) for each in (figure.rtt_s, figure.low_s, figure.high_s)]
    return Route(
        title,
        (str(names[0]), str(names[1])),
        (a.longitude, a.latitude),
        (b.longitude, b.latitude),
        shown[0],
        f"{shown[1]} to {shown[2]}" if figure.low_s != figure.high_s else "",
        figure.kind,
        figure.source,
        distance_km(a, b),
        format_quantity("time", fibre_floor_s(a, b)),
    )


def _place(parts: Parts, site: str | None) -> Place | None:
    found = parts.sites.get(site or "")
    if found is None or (found.metro is None and found.coordinates is None):
        return None
    try:
        return place_of(found)
    except InputError:
        return None


def middle(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """Half way along the great circle between two points (longitude, latitude in degrees)."""
    (lon_a, lat_a), (lon_b, lat_b) = ((math.radians(x), math.radians(y)) for x, y in (start, end))
    x = math.cos(lat_b) * math.cos(lon_b - lon_a)
    y = math.cos(lat_b) * math.sin(lon_b - lon_a)
    latitude = math.atan2(math.sin(lat_a) + math.sin(lat_b), math.hypot(math.cos(lat_a) + x, y))
    longitude = lon_a + math.atan2(y, math.cos(lat_a) + x)
    return (math.degrees(longitude) + 540.0) % 360.0 - 180.0, math.degrees(latitude)
