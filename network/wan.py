"""Wide area: metros, the round trip between two of them, and where the figure comes from."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Literal

import msgspec

from network.laws import ShiftedLognormal
from network.naming import unknown
from network.tables import table
from twin.errors import InputError

FIBRE_S_PER_KM = 4.9e-6
EARTH_RADIUS_KM = 6371.0088
SAME_METRO_ROUND_TRIP_S = 0.002
ESTIMATE_EXTRA_S = 0.003
UNKNOWN_STRETCH = 1.8
SHORTEST_ESTIMATED_KM = 50.0

FLOOR_RATIO = 0.985
BACKBONE_P99_RATIO = 1.25
PUBLIC_P99_RATIO = 1.6
BACKBONE_LOSS_RATIO = 0.0001
PUBLIC_LOSS_RATIO = 0.001

Kind = Literal["published", "derived", "default", "estimated", "given"]


class Place(msgspec.Struct, frozen=True):
    """A point on the map; latitude and longitude in degrees, the country as a two-letter code."""

    name: str
    country: str
    latitude: float
    longitude: float


class WanFigure(msgspec.Struct, frozen=True):
    """A round trip in seconds, the range published for it, and what kind of figure it is."""

    rtt_s: float
    low_s: float
    high_s: float
    kind: Kind
    source: str


@cache
def metros() -> dict[str, Place]:
    """All metros by name."""
    return {row["metro"]: _place(row) for row in table("wan_metros")}


@cache
def aliases() -> dict[str, str]:
    """The metro of each region alias, spelt small without spaces and hyphens: `aws:apsoutheast1`."""
    found = {}
    for row in table("wan_metros"):
        for provider in ("aws", "azure", "ibm"):
            if region := row[f"{provider}_region"]:
                found[_plain(f"{provider}:{region}")] = row["metro"]
    return found


def is_metro(name: str) -> bool:
    """Whether there is a metro of this name or region alias."""
    return name in metros() or _plain(name) in aliases()


def metro(name: str) -> Place:
    """The metro of this name or region alias (`aws:ap-southeast-1`, `azure:southeastasia`, `ibm:tokyo`)."""
    place = metros().get(name) or metros().get(aliases().get(_plain(name), ""))
    if place is None:
        raise unknown("metro", name, [*metros(), *aliases()])
    return place


def metros_of(pair: str) -> tuple[str, str]:
    """The two metros of `singapore-ashburn`, whose names may hold hyphens themselves."""
    parts = pair.split("-")
    cuts = [("-".join(parts[:at]), "-".join(parts[at:])) for at in range(1, len(parts))]
    found = next((cut for cut in cuts if is_metro(cut[0]) and is_metro(cut[1])), None)
    if found is not None:
        return found
    for name in cuts[0] if cuts else (pair,):
        metro(name)  # says which of the two is not known
    raise InputError(f"a wide area link is written wan:singapore-ashburn, not wan:{pair}")


def distance_km(a: Place, b: Place) -> float:
    """Great circle (haversine) between two places."""
    lat_a, lon_a, lat_b, lon_b = map(math.radians, (a.latitude, a.longitude, b.latitude, b.longitude))
    h = (
        math.sin((lat_b - lat_a) / 2) ** 2
        + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(h))


def fibre_floor_s(a: Place, b: Place) -> float:
    """The round trip no cable can beat: light in glass along the great circle, there and back."""
    return 2 * FIBRE_S_PER_KM * distance_km(a, b)


def round_trip(a: str | Place, b: str | Place) -> WanFigure:
    """The round trip between two metros or places: published, or estimated where nothing is published."""
    here, there = (_resolved(a), _resolved(b))
    if here == there:
        rtt_s = SAME_METRO_ROUND_TRIP_S
        return WanFigure(rtt_s, rtt_s, rtt_s, "derived", "same metro: within a region, and access")
    return _pairs().get(frozenset((here.name, there.name))) or estimate(here, there)


def given_round_trip(a: str | Place, b: str | Place, rtt_s: float) -> WanFigure:
    """A round trip somebody asked for; raise InputError if it is below the fibre floor."""
    here, there = (_resolved(a), _resolved(b))
    floor_s = fibre_floor_s(here, there)
    if rtt_s < floor_s:
        raise InputError(
            f"a round trip of {rtt_s * 1e3:.4g} ms between {here.name} and {there.name} is impossible: "
            f"light in fibre needs {floor_s * 1e3:.4g} ms for {distance_km(here, there):.0f} km and back"
        )
    return WanFigure(rtt_s, rtt_s, rtt_s, "given", "asked for in the scenario")


def estimate(a: Place, b: Place) -> WanFigure:
    """Fibre floor times the median stretch between the continents, plus 3 ms (mean error 13 %)."""
    continents = "-".join(sorted(_continents().get(place.country, "?") for place in (a, b)))
    stretch = _stretches().get(continents, UNKNOWN_STRETCH)
    rtt_s = max(
        fibre_floor_s(a, b) * stretch + ESTIMATE_EXTRA_S,
        2 * FIBRE_S_PER_KM * SHORTEST_ESTIMATED_KM,
    )
    source = f"estimated: fibre floor x {stretch:.2f} ({continents}) + 3 ms"
    return WanFigure(rtt_s, rtt_s, rtt_s, "estimated", source)


def one_way_law(rtt_s: float, *, is_public: bool = False) -> ShiftedLognormal:
    """Delay in one direction: floor 98.5 % of half the round trip, median half of it, 99th percentile
    1.25 times the median on provider backbones, 1.6 times on the public Internet.
    """
    half_s = rtt_s / 2
    p99_ratio = PUBLIC_P99_RATIO if is_public else BACKBONE_P99_RATIO
    return ShiftedLognormal(FLOOR_RATIO * half_s, half_s, p99_ratio * half_s)


@cache
def route_events() -> dict[str, dict[str, str]]:
    """Recorded detours by name (`osaka-tokyo-2023-04`), those with figures: the rows of wan_events.csv."""
    return {row["name"]: row for row in table("wan_events") if row["name"]}


def route_event(name: str) -> dict[str, str]:
    """The recorded detour of this name; raise InputError if there is none."""
    if name not in route_events():
        raise unknown("route event", name, route_events())
    return route_events()[name]


def _resolved(place: str | Place) -> Place:
    return metro(place) if isinstance(place, str) else place


def _plain(alias: str) -> str:
    return re.sub(r"[\s_-]", "", alias.lower())


def _place(row: dict[str, str]) -> Place:
    return Place(row["metro"], row["country"], float(row["lat"]), float(row["lon"]))


@cache
def _continents() -> dict[str, str]:
    return {row["country"]: row["continent"] for row in table("wan_metros")}


@cache
def _stretches() -> dict[str, float]:
    return {row["continents"]: float(row["stretch"]) for row in table("wan_stretch_by_continent")}


@cache
def _pairs() -> dict[frozenset[str], WanFigure]:
    return {frozenset((row["metro_a"], row["metro_b"])): _figure(row) for row in table("wan_rtt_default")}


def _figure(row: dict[str, str]) -> WanFigure:
    is_estimate = row["providers"] == "estimate"
    rtt_s = float(row["rtt_ms"]) / 1e3
    low_s = float(row["published_min_ms"] or row["rtt_ms"]) / 1e3
    high_s = float(row["published_max_ms"] or row["rtt_ms"]) / 1e3
    source = row["source"]
    return WanFigure(rtt_s, low_s, high_s, "estimated" if is_estimate else "published", source)
