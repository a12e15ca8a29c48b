"""The drawing of a scenario: sites as boxes, nodes and fleets in them, and links between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

from devices_models.catalogue import DEVICES
from scenarios.format.parts import Parts, parts_of
from scenarios.wiring.members import members_of, scenes_of
from scenarios.wiring.nodes import NODE_KINDS
from scenarios.wiring.vocabulary import Vocabulary
from twin.errors import InputError
from ui.design.checking import Checked
from ui.design.document import Positions
from ui.design.geography import routes
from ui.design.overriding import overridden

WIDTH: Final = 140.0
HEIGHT: Final = 44.0
GAP_X: Final = 44.0
GAP_Y: Final = 16.0
PADDING: Final = 16.0
HEADING: Final = 30.0
FORM: Final = 0.75
"""Width by height that the sites with devices should have, as the others stand beside them."""
MOST_ROWS: Final = 8
"""Nodes in one column of a site, until a second one is begun."""


@dataclass(slots=True)
class Item:
    """A node or fleet in the drawing; `count` says how many devices a fleet has, if that is known."""

    id: str
    section: str
    kind: str
    label: str
    note: str
    site: str
    host: str
    x: float = 0.0
    y: float = 0.0
    problem: str = ""
    is_overridden: bool = False
    count: str = ""


@dataclass(slots=True)
class Tie:
    """A line: a link of the scenario, what a fleet goes through, or what a node runs on."""

    id: str
    kind: str
    a: str
    b: str
    label: str = ""
    index: int = -1
    problem: str = ""
    is_overridden: bool = False


@dataclass(slots=True)
class Box:
    """A site, around what stands in it."""

    id: str
    label: str
    note: str
    x: float
    y: float
    width: float
    height: float
    problem: str = ""


@dataclass(slots=True)
class Drawing:
    """Everything that is drawn."""

    items: list[Item] = field(default_factory=list)
    ties: list[Tie] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        """Plain data for the browser."""
        return asdict(self)


def drawing(checked: Checked, variant: str = "", positions: Positions | None = None) -> Drawing:
    """The drawing of a variant or of the base; nodes that somebody moved stay where they were put."""
    data = checked.seen(variant)
    parts = parts_of(data)
    found = Drawing()
    found.items = [*_fleets(checked, variant, parts), *_nodes(checked, variant, parts)]
    found.ties = list(_ties(checked, variant, parts, data))
    _arrange(found, parts)
    for item in found.items:
        if positions and item.id in positions:
            item.x, item.y = positions[item.id]
    _enclose(found, parts, checked)
    return found


def _fleets(checked: Checked, variant: str, parts: Parts) -> Iterator[Item]:
    counts = fleet_sizes(checked, variant)
    for name, fleet in parts.fleets.items():
        count = counts.get(name) or fleet.count
        path = ("fleets", name)
        yield Item(
            name,
            "fleets",
            fleet.device,
            name,
            fleet.device.replace("_", " "),
            fleet.at,
            "",
            problem=_problem(checked, path),
            is_overridden=bool(overridden(checked, variant, path)),
            count=f"{count:,}" if count else "",
        )


def fleet_sizes(checked: Checked, variant: str) -> Mapping[str, int]:
    """How many devices each fleet has, those that a scene places too; nothing while the text is wrong."""
    if checked.scenario is None or not checked.is_valid:
        return {}
    chosen = [each for each in checked.scenario.variants if each.family == variant]
    found = (chosen or checked.scenario.variants)[0]
    try:
        members = members_of(found.scenario, scenes_of(found.scenario, found.folder))
    except InputError:
        return {}
    return Counter(member.fleet for member in members if member.fleet)


def _nodes(checked: Checked, variant: str, parts: Parts) -> Iterator[Item]:
    for name, node in parts.nodes.items():
        path = ("nodes", name)
        yield Item(
            name,
            "nodes",
            node.kind,
            name,
            node.kind.replace("_", " "),
            parts.site_of(name) or "",
            node.runs_on or "",
            problem=_problem(checked, path),
            is_overridden=bool(overridden(checked, variant, path)),
        )


def _problem(checked: Checked, path: tuple[str | int, ...]) -> str:
    return "; ".join(issue.message for issue in checked.problems_at(path))


def _ties(checked: Checked, variant: str, parts: Parts, data: Mapping[str, Any]) -> Iterator[Tie]:
    known = {*parts.fleets, *parts.nodes}
    wide = {route.link: route.round_trip for route in routes(data)}
    for index, link in parts.links.items():
        a, b = link.between
        if a in known and b in known:
            figure = wide.get(link.title, "" if link.path == "direct" else link.path)
            label = " · ".join(part for part in (link.name or "", figure) if part)
            path = ("links", index)
            marks = bool(overridden(checked, variant, path))
            yield Tie(f"link {index}", "link", a, b, label, index, _problem(checked, path), marks)
    for name, fleet in parts.fleets.items():
        if fleet.via in known:
            yield Tie(f"via {name}", "via", name, str(fleet.via))
    for name, node in parts.nodes.items():
        if node.runs_on in known:
            yield Tie(f"on {name}", "on", name, str(node.runs_on))


# layout -----------------------------------------------------------------------------------------------


def _arrange(found: Drawing, parts: Parts) -> None:
    """Sites with devices to the left, those without to the right; in each devices, nodes, what they host."""
    groups: dict[str, list[Item]] = {name: [] for name in parts.sites}
    for item in found.items:
        groups.setdefault(item.site, []).append(item)
    field_sites = [name for name, items in groups.items() if any(each.section == "fleets" for each in items)]
    others = [name for name in groups if name not in field_sites and (groups[name] or name in parts.sites)]
    sizes = {name: _inside(groups[name]) for name in groups}
    left = _stacked(sizes, field_sites)
    right = _stacked(sizes, others)
    beside = left.width + 2 * GAP_X if field_sites else 0.0
    tallest = max(left.height, right.height)
    for stack, x in ((left, 0.0), (right, beside)):
        for name, (site_x, site_y) in stack.corners.items():
            for item in groups[name]:
                item.x += x + site_x + PADDING
                item.y += (tallest - stack.height) / 2 + site_y + HEADING + PADDING


class Stack(NamedTuple):
    """Sites below each other in one or more columns: the corner of each, and the size of all."""

    corners: dict[str, tuple[float, float]]
    width: float
    height: float


def _stacked(sizes: Mapping[str, tuple[float, float]], names: Sequence[str]) -> Stack:
    """The sites in as many columns as come nearest to the form of a window."""
    found = [_in_columns(sizes, names, count) for count in range(1, min(12, len(names)) + 1)]
    return min(found, key=lambda stack: max(stack.width / FORM, stack.height), default=Stack({}, 0.0, 0.0))


def _in_columns(sizes: Mapping[str, tuple[float, float]], names: Sequence[str], count: int) -> Stack:
    each = -(-len(names) // count)
    corners: dict[str, tuple[float, float]] = {}
    x, tallest = 0.0, 0.0
    for start in range(0, len(names), each):
        y, widest = 0.0, 0.0
        for name in names[start : start + each]:
            corners[name] = (x, y)
            width, height = sizes[name]
            y += height + HEADING + 2 * PADDING + 2 * GAP_Y
            widest = max(widest, width + 2 * PADDING)
        x, tallest = x + widest + GAP_X, max(tallest, y)
    return Stack(corners, x - GAP_X, tallest)


def _inside(items: Sequence[Item]) -> tuple[float, float]:
    """Place the items of one site from its corner on; returns width and height."""
    names = {item.id for item in items}
    fleets = [item for item in items if item.section == "fleets"]
    hosted = [item for item in items if item.host in names]
    standing = [item for item in items if item.section == "nodes" and item.host not in names]
    order = {item.id: number for number, item in enumerate(standing)}
    hosted.sort(key=lambda item: order.get(item.host, 0))
    columns = [part for group in (fleets, standing, hosted) for part in _columns(group)]
    if not columns:
        return WIDTH, HEIGHT
    tallest = max(len(column) for column in columns)
    for number, column in enumerate(columns):
        above = (tallest - len(column)) * (HEIGHT + GAP_Y) / 2
        for row, item in enumerate(column):
            item.x, item.y = number * (WIDTH + GAP_X), above + row * (HEIGHT + GAP_Y)
    return len(columns) * (WIDTH + GAP_X) - GAP_X, tallest * (HEIGHT + GAP_Y) - GAP_Y


def _columns(items: Sequence[Item]) -> list[list[Item]]:
    """At most eight below each other; many make a block that is not too flat."""
    rows = max(MOST_ROWS, round((len(items) * 3.0) ** 0.5))
    count = -(-len(items) // rows)
    each = -(-len(items) // count) if count else 0
    return [list(items[start : start + each]) for start in range(0, len(items), each)] if each else []


def _enclose(found: Drawing, parts: Parts, checked: Checked) -> None:
    """The boxes of the sites, around their items; one without items stands below the drawing."""
    below = max((item.y for item in found.items), default=0.0) + HEIGHT + 3 * GAP_Y
    empty = 0
    for name, site in parts.sites.items():
        mine = [item for item in found.items if item.site == name]
        if mine:
            x, y = min(item.x for item in mine) - PADDING, min(item.y for item in mine) - PADDING - HEADING
            width = max(item.x for item in mine) + WIDTH + PADDING - x
            height = max(item.y for item in mine) + HEIGHT + PADDING - y
        else:
            x, y = empty * (WIDTH + 2 * PADDING + GAP_X), below
            width, height = WIDTH + 2 * PADDING, HEADING + HEIGHT + PADDING
            empty += 1
        note = site.metro or site.country or ""
        found.boxes.append(Box(name, name, note, x, y, width, height, _problem(checked, ("sites", name))))


# palette ----------------------------------------------------------------------------------------------


def palette() -> list[dict[str, str]]:
    """What a scenario can contain: sites, node kinds and device types, each with a sentence."""
    sites = [{"section": "sites", "kind": "site", "label": "site", "note": "a place with coordinates"}]
    nodes = [
        {"section": "nodes", "kind": name, "label": name.replace("_", " "), "note": kind.summary}
        for name, kind in NODE_KINDS.items()
    ]
    devices = [
        {
            "section": "fleets",
            "kind": name,
            "label": name.replace("_", " "),
            "note": f"{device.quality.tier}: {'; '.join(device.quality.reasons)}",
        }
        for name, device in DEVICES.items()
    ]
    return [*sites, *nodes, *devices]


def hosted_kinds() -> frozenset[str]:
    """Kinds of nodes that run on a gateway or broker."""
    return frozenset(name for name, kind in Vocabulary().kinds.items() if kind.reaches)
