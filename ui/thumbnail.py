"""A small picture of a scenario: the floor of its building, or its sites, nodes and links."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

from devices_models.world.floor_plan import floor_plan_svg
from scenarios.format.loading import Variant
from scenarios.format.schema import Scenario
from scenarios.wiring.members import scenes_of

WIDTH, HEIGHT = 320.0, 180.0
MARGIN: Final = 14.0
HEADING: Final = 16.0
COLUMN: Final = 62.0
LETTER: Final = 5.4
FEWEST_LETTERS: Final = 4
STYLE: Final = (
    "text{font:9px system-ui,sans-serif;fill:#3d4653}.head{font-weight:600;font-size:10px}"
    ".site{fill:#fff;stroke:#c3ccd8}.link{stroke:#0b6b8a;stroke-width:1.4;fill:none}"
    ".wan{stroke-dasharray:5 3}"
    ".node{fill:#0b6b8a}.fleet{fill:#fff;stroke:#0b6b8a;stroke-width:1.6}.thin{stroke:#9fb3c4}"
)

_OPENING: Final = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img">'

Place = tuple[float, float]


def thumbnail(variant: Variant) -> str:
    """The picture as SVG text. Raises InputError if the scenario's building cannot be read."""
    scenes = scenes_of(variant.scenario, variant.folder)
    if not scenes:
        return topology_svg(variant.scenario)
    scene = next(iter(scenes.values()))
    fire = variant.scenario.world.get("fire")
    if isinstance(fire, dict) and scene.has(str(fire.get("bay"))):
        bay = scene.feature(str(fire["bay"]))
        return _framed(floor_plan_svg(scene, bay.level, {bay.id: "fire"}))
    return _framed(floor_plan_svg(scene, scene.levels[0]))


def _framed(svg: str) -> str:
    """The drawing in the middle of a frame that is as large as every other thumbnail."""
    inner = svg.replace("<svg ", f'<svg width="{WIDTH:g}" height="{HEIGHT:g}" ', 1)
    return f'{_OPENING}<rect width="{WIDTH:g}" height="{HEIGHT:g}" fill="#f6f7f9"/>{inner}</svg>'


def topology_svg(scenario: Scenario) -> str:
    """Sites as boxes side by side, with their nodes (full) and fleets (rings), and the links between them."""
    sites = list(scenario.sites) or [""]
    width = (WIDTH - MARGIN * (len(sites) + 1)) / len(sites)
    boxes = {site: MARGIN + number * (width + MARGIN) for number, site in enumerate(sites)}
    places = dict(_places(scenario, boxes, width))
    parts = [
        _OPENING,
        f'<style>{STYLE}</style><rect width="{WIDTH:g}" height="{HEIGHT:g}" fill="#f6f7f9"/>',
    ]
    for site, left in boxes.items():
        heading = escape(_short(site, width))
        parts.append(
            f'<rect class="site" x="{left:.1f}" y="{MARGIN:g}" width="{width:.1f}"'
            f' height="{HEIGHT - 2 * MARGIN:g}" rx="6"/>'
            f'<text class="head" x="{left + 7:.1f}" y="{MARGIN + 13:g}">{heading}</text>'
        )
    parts += _lines(scenario, places)
    room = min(width / _columns(width), width)
    parts += [_symbol(name, place, room, is_fleet=name in scenario.fleets) for name, place in places.items()]
    return "".join([*parts, "</svg>"])


def _places(scenario: Scenario, boxes: dict[str, float], width: float) -> Iterator[tuple[str, Place]]:
    """Where each node and fleet stands in the box of its site: in columns, evenly."""
    homes = {name: _home(scenario, name) for name in (*scenario.fleets, *scenario.nodes)}
    for site, left in boxes.items():
        inside = [name for name, home in homes.items() if home == site]
        columns = max(1, min(len(inside), _columns(width)))
        rows = math.ceil(len(inside) / columns)
        room = HEIGHT - 2 * MARGIN - HEADING
        for number, name in enumerate(inside):
            column, row = number % columns, number // columns
            yield (
                name,
                (left + width * (column + 0.5) / columns, MARGIN + HEADING + room * (row + 0.4) / rows),
            )


def _home(scenario: Scenario, name: str) -> str:
    if name in scenario.fleets:
        return scenario.fleets[name].at
    node = scenario.nodes[name]
    return node.at or (_home(scenario, node.runs_on) if node.runs_on else "")


def _lines(scenario: Scenario, places: dict[str, Place]) -> Iterator[str]:
    drawn = [(fleet, str(each.via), "link thin") for fleet, each in scenario.fleets.items() if each.via]
    drawn += [(name, str(node.runs_on), "link thin") for name, node in scenario.nodes.items() if node.runs_on]
    drawn += [(*link.between, "link wan" if link.path == "wan" else "link") for link in scenario.links]
    for source, to, style in drawn:
        if source in places and to in places:
            (x1, y1), (x2, y2) = places[source], places[to]
            yield f'<path class="{style}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def _symbol(name: str, place: Place, room: float, *, is_fleet: bool) -> str:
    x, y = place
    style = "fleet" if is_fleet else "node"
    return (
        f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="6"/>'
        f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{escape(_short(name, room))}</text>'
    )


def _columns(width: float) -> int:
    return max(1, int(width // COLUMN))


def _short(name: str, room: float) -> str:
    """The name, cut to fit; nothing where not even a few letters fit."""
    most = int(room / LETTER)
    if len(name) <= most:
        return name
    return f"{name[: most - 1]}…" if most > FEWEST_LETTERS else ""
