"""Tables of a scenario's parts: what stands in each cell, and what a changed cell means for the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from scenarios.format.schema import Fleet as FleetForm
from scenarios.format.schema import Link as LinkForm
from scenarios.format.schema import Node as NodeForm
from scenarios.format.schema import Requirement as RequirementForm
from scenarios.format.schema import Site as SiteForm
from scenarios.format.schema import written_keys
from scenarios.format.source import Keys
from ui.design import edits, writing
from ui.design.checking import Checked
from ui.design.edits import EditError
from ui.design.overriding import Target, overridden, put, take_out
from ui.design.renaming import renamed

Section = Literal["sites", "fleets", "nodes", "links", "requirements"]
NAMED: Final = frozenset({"sites", "fleets", "nodes"})
PROBLEM: Final = "problem"
FURTHER: Final = "further"
MARK: Final = "variant"


class Column(NamedTuple):
    """A column: its heading, where its value stands in an item, and what it takes.

    `choices` names the list of words it may take; `is_text`: what is typed is a text, also if it looks like a
    number.
    """

    key: str
    heading: str
    path: tuple[str | int, ...]
    hint: str = ""
    choices: str = ""
    is_text: bool = False
    width: Literal["small", "medium", "large"] | None = None


def _plain(key: str, heading: str, hint: str = "", choices: str = "", **further: Any) -> Column:
    return Column(key, heading, (key,), hint, choices, **further)


NAME: Final = Column("name", "Name", (), "letters, digits, '-' and '_'", is_text=True, width="small")

COLUMNS: Final[dict[Section, tuple[Column, ...]]] = {
    "sites": (
        NAME,
        _plain("metro", "Metro", "gives country and coordinates", "metros"),
        _plain("country", "Country", "two letters", is_text=True),
        _plain("coordinates", "Coordinates", "[latitude, longitude]"),
        _plain("scene", "Scene", "a GeoJSON file, or {levels: 2, bays: 60}", width="medium"),
    ),
    "fleets": (
        NAME,
        _plain("device", "Device", "the type of its devices", "devices"),
        _plain("count", "Count", "how many, if the scene does not say it"),
        _plain("placed_by", "Placed by", "'scene': one at each place of the building", "placing"),
        _plain("at", "Site", "where they are", "sites"),
        _plain("via", "Via", "the node their messages go to first", "standing"),
        Column("link", "Link", ("link",), "the technology of each device's link", "technologies"),
        Column("hops", "Hops", ("link", "hops"), "radio hops to the node"),
        _plain("every", "Every", "how often it reports, such as 60 s"),
        _plain("battery", "Battery", "capacity, such as 2400 mAh"),
    ),
    "nodes": (
        NAME,
        _plain("kind", "Kind", "what it is", "kinds"),
        _plain("at", "Site", "where it is", "sites"),
        _plain("runs_on", "Runs on", "the node that it runs on", "standing"),
        Column("service", "Service", ("station", "service"), "mean time for one message, such as 20 ms"),
        Column("servers", "Servers", ("station", "servers"), "how many messages at a time"),
        Column("law", "Law", ("station", "law"), "of the service times", "laws"),
        Column("queue", "Queue", ("station", "queue"), "such as 1000 messages"),
    ),
    "links": (
        _plain("name", "Name", "faults and variants use it; else both ends", is_text=True, width="small"),
        Column("from", "From", ("between", 0), "one end", "standing"),
        Column("to", "To", ("between", 1), "the other end", "standing"),
        _plain("path", "Path", "'wan', 'direct' or a technology", "paths"),
        _plain("access", "Access", "the first mile of a 'wan' path", "technologies"),
        _plain("round_trip", "Round trip", "such as 231 ms; else by distance"),
        _plain("delay", "Delay", "one way, such as 20 ms"),
        _plain("jitter", "Jitter", "p99 of the delay less its median"),
        _plain("loss", "Loss", "such as 0.1 %"),
        _plain("rate", "Rate", "such as 10 Mbit/s"),
        _plain("queue", "Queue", "messages or bytes"),
        _plain("transport", "Transport", "", "transports"),
        _plain("tls", "TLS", "", "tls", is_text=True),
        _plain("session", "Session", "kept open or made anew", "sessions"),
        _plain("qos", "QoS", "0, 1 or 2"),
    ),
    "requirements": (
        _plain("name", "Name", "reads as a claim", is_text=True, width="medium"),
        _plain("expect", "Expect", "such as p99(alarm -> gate_open) < 2 s", is_text=True, width="large"),
        _plain("probability", "Probability", "share of runs in which it holds; else 95 %"),
        _plain("indifference", "Indifference", "from here down it must FAIL; else 80 %"),
        _plain("severity", "Severity", "", "severities"),
        _plain("variants", "Variants", "only in these, such as [edge]"),
        _plain("why", "Why", "free text", is_text=True, width="large"),
    ),
}
FORMS: Final[dict[str, tuple[str, ...]]] = {
    "sites": written_keys(SiteForm),
    "fleets": written_keys(FleetForm),
    "nodes": written_keys(NodeForm),
    "links": written_keys(LinkForm),
    "requirements": written_keys(RequirementForm),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One part of the scenario: its place in the seen data, its cells, and what is wrong with it."""

    path: Keys
    cells: Mapping[str, str]
    further: str
    problem: str
    overrides: str


def rows(checked: Checked, section: Section, variant: str = "") -> list[Row]:
    """The rows of a table; parts that are no maps are left to the text."""
    return [
        _row(checked, section, (section, key), item, variant)
        for key, item in _items(checked.seen(variant).get(section))
        if isinstance(item, Mapping)
    ]


def _items(written: Any) -> list[tuple[str | int, Any]]:
    if isinstance(written, Mapping):
        return list(written.items())
    return list(enumerate(written)) if isinstance(written, list) else []


def _row(checked: Checked, section: Section, path: Keys, item: Mapping[str, Any], variant: str) -> Row:
    columns = COLUMNS[section]
    cells = {each.key: cell(path[1] if each == NAME else _inner(item, where(each, item))) for each in columns}
    shown = {where(each, item)[0] for each in columns if each.path}
    rest = {key: value for key, value in _leftover(item, columns).items() if key not in shown or value}
    problems = checked.problems_at(path)
    texts = [f"{issue.code} {issue.message}" for issue in problems]
    return Row(
        path,
        cells,
        writing.flow(rest)[1:-1] if rest else "",
        "; ".join(texts),
        ", ".join(overridden(checked, variant, path)),
    )


def _leftover(item: Mapping[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
    """What an item says beyond the columns."""
    rest: dict[str, Any] = {}
    paths = [where(each, item) for each in columns if each.path]
    for key, value in item.items():
        inner = {path[1] for path in paths if path[0] == key and len(path) > 1}
        if inner and isinstance(value, Mapping):
            kept = {each: its for each, its in value.items() if each not in inner}
            if kept:
                rest[key] = kept
        elif (key,) not in paths and not inner:
            rest[key] = value
    return rest


def where(column: Column, item: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Where a column's value stands in this item: a link is one word, or a map with its medium."""
    if column.path == ("link",) and isinstance(item.get("link"), Mapping):
        return ("link", "medium")
    return column.path


def _inner(item: Any, path: Keys) -> Any:
    for step in path:
        if isinstance(item, Mapping):
            item = item.get(step)
        elif isinstance(item, list) and isinstance(step, int) and step < len(item):
            item = item[step]
        else:
            return None
    return item


def cell(value: Any) -> str:
    """A value as it is shown in a cell: a text as it is, anything else as YAML."""
    return "" if value is None else value if isinstance(value, str) else writing.flow(value)


# changes ----------------------------------------------------------------------------------------------


def changed(
    checked: Checked, section: Section, row: Row, column: Column, written: str | None, target: Target
) -> Callable[[str], str]:
    """The change of the text that a changed cell asks for. Raises EditError if there is none."""
    text = (written or "").strip()
    item = _inner(checked.seen(target.shown), row.path)
    if not isinstance(item, Mapping):
        raise EditError("this row is no longer in the text")
    if column == NAME:
        return _renaming(checked, section, row, text)
    if column.key == "name" and section == "links" and text and row.cells["name"]:
        return lambda before: renamed(before, "links", row.path, text)
    path = _path(column, item, row.path)
    value: Any = text if column.is_text else writing.read_cell(text)
    if column.path == ("link", "hops") and isinstance(item.get("link"), str) and text:
        return put(checked, target, path[:-1], {"medium": item["link"], "hops": value})
    if not text:
        return take_out(checked, target, path)
    return put(checked, target, path, value)


def _path(column: Column, item: Mapping[str, Any], at: Keys) -> Keys:
    return (*at, *where(column, item))


def _renaming(checked: Checked, section: Section, row: Row, text: str) -> Callable[[str], str]:
    if not text:
        raise EditError("a name cannot be empty")
    if _inner(checked.data, row.path) is None:
        raise EditError("this part belongs to the variant; rename it in the YAML")
    return lambda before: renamed(before, section, row.path, text)


def removal(checked: Checked, section: Section, found: Sequence[Row]) -> Callable[[str], str]:
    """Take rows out of the text, the last first, so that indices stay right."""
    paths = [row.path for row in found]
    if any(_inner(checked.data, path) is None for path in paths):
        raise EditError("this part belongs to the variant; remove it in the YAML")
    if section == "links":
        paths.sort(key=lambda path: -int(path[1]))

    def change(text: str) -> str:
        for path in sorted(paths, key=lambda path: path[1] if isinstance(path[1], int) else 0, reverse=True):
            text = edits.remove(text, path)
        return text

    return change
