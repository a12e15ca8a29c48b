"""The map of the world with the sites and the wide area links between them; it needs no network."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from ui.design.geography import Route, Spot

MOST_NAMED: Final = 3
HEIGHT_PX: Final = 380
DASHES: Final = {"published": [1, 0], "derived": [1, 0], "estimated": [6, 4], "given": [2, 3]}
"""How sure a round trip is, told by the line and not by its colour."""


PLACED: Final = {
    "longitude": {"field": "longitude", "type": "quantitative"},
    "latitude": {"field": "latitude", "type": "quantitative"},
}
SAID: Final = {
    "link": "Link",
    "round_trip": "Round trip",
    "range": "Published range",
    "kind": "Kind",
    "source": "Source",
    "length": "Great circle",
}
"""What the pointer over a link shows."""


class Colours(NamedTuple):
    """Colours of the map in one theme."""

    land: str
    ink: str
    paper: str
    link: str


LIGHT: Final = Colours("#e3e6ec", "#31333f", "#ffffff", "#0b62c4")
DARK: Final = Colours("#333a47", "#fafafa", "#171614", "#69b1ff")


@cache
def _land() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("ui.data") / "land-110m.json").read_text("utf-8"))
    return found


def world_map(spots: Sequence[Spot], routes: Sequence[Route], *, is_dark: bool = False) -> dict[str, Any]:
    """A Vega-Lite chart: land, great circles with their round trips, and sites with their names."""
    colours = DARK if is_dark else LIGHT
    layers = [
        {
            "data": {"values": _land(), "format": {"type": "topojson", "feature": "land"}},
            "mark": {"type": "geoshape", "fill": colours.land, "stroke": None},
        }
    ]
    if routes:
        layers += [_links(routes, colours), *_labels(_middles(routes), colours, 16, "bold")]
    if spots:
        layers += _sites(spots, colours)
    return {
        "layer": layers,
        "projection": {"type": "equalEarth", "rotate": [-_middle_longitude(spots), 0, 0]},
        "height": HEIGHT_PX,
        "width": "container",
        "background": "transparent",
        "config": {"view": {"stroke": None}},
    }


def _middle_longitude(spots: Sequence[Spot]) -> float:
    """Where the map is cut open: opposite of the sites, so that no link between them is cut without need."""
    if not spots:
        return 0.0
    ordered = sorted(spot.longitude for spot in spots)
    gaps = [(b - a, a) for a, b in itertools.pairwise(ordered)]
    widest, start = max([*gaps, (ordered[0] + 360.0 - ordered[-1], ordered[-1])])
    middle = (start + widest / 2 + 180.0 + 180.0) % 360.0 - 180.0
    return 0.0 if abs(middle) < 60.0 and _fits(ordered) else round(middle, 1)


def _fits(longitudes: Sequence[float]) -> bool:
    return longitudes[-1] - longitudes[0] <= 180.0


def _links(routes: Sequence[Route], colours: Colours) -> dict[str, Any]:
    lines = [
        {
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": [list(route.start), list(route.end)]},
            "properties": _said(route),
        }
        for route in routes
        if route.start != route.end
    ]
    return {
        "data": {"values": lines},
        "mark": {"type": "geoshape", "filled": False, "stroke": colours.link, "strokeWidth": 2},
        "encoding": {
            "strokeDash": {
                "field": "properties.kind",
                "type": "nominal",
                "scale": {"domain": list(DASHES), "range": list(DASHES.values())},
                "legend": None,
            },
            "tooltip": [
                {"field": f"properties.{key}", "type": "nominal", "title": title}
                for key, title in SAID.items()
            ],
        },
    }


def _said(route: Route) -> dict[str, str]:
    return {
        "link": route.link,
        "round_trip": route.round_trip,
        "range": route.range,
        "kind": route.kind,
        "source": route.source,
        "length": f"{route.length_km:,.0f} km, light in fibre {route.floor}",
    }


def _middles(routes: Sequence[Route]) -> list[dict[str, Any]]:
    """One label where several links take the same way."""
    grouped: dict[tuple[float, float], list[Route]] = {}
    for route in routes:
        grouped.setdefault(route.middle, []).append(route)
    return [
        {"longitude": place[0], "latitude": place[1], "text": _route_text(together)}
        for place, together in grouped.items()
    ]


def _route_text(together: Sequence[Route]) -> str:
    figures = list(dict.fromkeys(route.round_trip for route in together))
    names = together[0].link if len(together) == 1 else f"{len(together)} links"
    return f"{names[:24]}: {', '.join(figures[:MOST_NAMED])}"


def _sites(spots: Sequence[Spot], colours: Colours) -> list[dict[str, Any]]:
    grouped: dict[tuple[float, float], list[Spot]] = {}
    for spot in spots:
        grouped.setdefault((spot.longitude, spot.latitude), []).append(spot)
    rows = [
        {
            "longitude": place[0],
            "latitude": place[1],
            "text": _names(together),
            "where": together[0].where,
            "nodes": sum(spot.nodes for spot in together),
            "fleets": sum(spot.fleets for spot in together),
        }
        for place, together in grouped.items()
    ]
    titles = {"text": "Site", "where": "Place", "nodes": "Nodes", "fleets": "Fleets"}
    dots = {
        "data": {"values": rows},
        "mark": {"type": "circle", "size": 110, "color": colours.link, "opacity": 1, "stroke": colours.paper},
        "encoding": {
            **PLACED,
            "tooltip": [{"field": key, "type": "nominal", "title": title} for key, title in titles.items()],
        },
    }
    return [dots, *_labels(rows, colours, 18, "normal")]


def _names(together: Sequence[Spot]) -> str:
    shown = ", ".join(spot.name[:24] for spot in together[:MOST_NAMED])
    return f"{shown} and {len(together) - MOST_NAMED} more" if len(together) > MOST_NAMED else shown


def _labels(rows: list[dict[str, Any]], colours: Colours, down_px: int, weight: str) -> list[dict[str, Any]]:
    """Text that can be read over land, sea and lines: with a rim in the colour of the page."""
    text = {"type": "text", "dy": down_px, "fontSize": 13, "fontWeight": weight}
    rim = {"stroke": colours.paper, "strokeWidth": 4, "strokeJoin": "round", "color": colours.paper}
    encoding = {**PLACED, "text": {"field": "text", "type": "nominal"}}
    return [
        {"data": {"values": rows}, "mark": {**text, **look}, "encoding": encoding}
        for look in (rim, {"color": colours.ink})
    ]


def in_words(spots: Sequence[Spot], routes: Sequence[Route]) -> str:
    """The map for those who do not see it."""
    sites = "; ".join(f"{spot.name} in {spot.where or 'a place of its own'}" for spot in spots[:20])
    links = "; ".join(
        f"{r.link}: {r.ends[0]} to {r.ends[1]}, round trip {r.round_trip} ({r.kind})" for r in routes[:20]
    )
    return f"World map. Sites: {sites or 'none'}. Wide area links: {links or 'none'}."
