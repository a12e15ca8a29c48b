"""Twins as the page shows them: values with their worth, the history of one, a drawing of relations."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

QUALITY: Final = {"good": "● good", "stale": "◐ stale", "unknown": "○ unknown"}
STATES: Final = {
    "live": "what is shown is what the device reported",
    "stale": "some values are older than they may be",
    "read_only": "the broker is away: nothing can be changed, and values grow old",
    "diverged": "edge and cloud know different things",
    "branch": "a what-if branch: nothing of it is real",
}
MOST_DRAWN: Final = 24
MOST_HISTORY: Final = 500
WIDTH, RADIUS = 640.0, 190.0


def found_rows(page: Mapping[str, Any]) -> list[dict[str, str]]:
    """The things that a search found."""
    return [
        {
            "name": thing["name"],
            "type": thing["type"],
            "place": " / ".join(thing[part] for part in ("site", "level", "bay") if thing.get(part)),
            "tags": ", ".join(thing.get("tags", ())),
            "groups": ", ".join(thing.get("groups", ())),
            "state": thing["state"],
        }
        for thing in page.get("things", ())
    ]


def value_rows(shadow: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Each value with what was reported, what is desired, what differs, its age and its quality."""
    if shadow is None:
        return []
    state = shadow.get("state", {})
    sides = {side: dict(leaves(state.get(side, {}))) for side in ("reported", "desired", "delta")}
    quality = shadow.get("quality", {})
    paths = dict.fromkeys([*(path for side in sides.values() for path in side), *quality])
    rows = []
    for path in paths:
        about = quality.get(path, {})
        shown = {side: _text(values[path]) if path in values else "" for side, values in sides.items()}
        rows.append(
            {
                "value": path.lstrip("/"),
                **shown,
                "age": age_text(about.get("age_s")),
                "quality": QUALITY.get(about.get("quality", "unknown"), QUALITY["unknown"]),
            }
        )
    return rows


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no object, by its path (`/a/b`)."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from leaves(each, f"{path}/{key}")
    elif path:
        yield path, value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def age_text(age_s: float | None) -> str:
    """How long ago, in words."""
    if age_s is None or not math.isfinite(age_s):
        return "never reported"
    for most_s, one_s, unit in ((90, 1, "s"), (5_400, 60, "min"), (172_800, 3_600, "h")):
        if age_s < most_s:
            return f"{age_s / one_s:.0f} {unit}"
    return f"{age_s / 86_400:.0f} days"


def moment(at_s: float) -> str:
    """A time of the service for people (UTC)."""
    return f"{dt.datetime.fromtimestamp(at_s, dt.UTC):%Y-%m-%d %H:%M:%S}"


def history_rows(page: Mapping[str, Any]) -> list[dict[str, str]]:
    """What happened to a thing, newest first."""
    return [
        {
            "when": moment(entry["at_s"]),
            "what": entry["what"],
            "kind": entry["kind"],
            "key": entry["key"],
            "record": json.dumps(entry["record"])[:MOST_HISTORY],
        }
        for entry in page.get("entries", ())
    ]


def series(page: Mapping[str, Any], path: str) -> list[dict[str, Any]]:
    """How one value was reported and desired over time, from the shadow records of a history."""
    points = []
    for entry in sorted(page.get("entries", ()), key=lambda each: each["sequence"]):
        record = entry.get("record")
        if entry.get("kind") != "shadow" or not isinstance(record, Mapping):
            continue
        for side in ("reported", "desired"):
            found = dict(leaves((record.get("state") or {}).get(side) or {}))
            if path in found:
                points.append({"when": moment(entry["at_s"]), "side": side, "value": found[path]})
    return points


def writable(kind: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """The properties of a device type that an operator may desire, with their schema."""
    properties = (kind or {}).get("properties", {})
    return {
        name: about
        for name, about in properties.items()
        if not about.get("readOnly")
        and {"operator", "cloud"} & set(about.get("x-twin", {}).get("writable_by", ("operator",)))
    }


def actions(kind: Mapping[str, Any] | None) -> dict[str, str]:
    """The commands of a device type, with what they do."""
    return {
        name: str(about.get("description", "")) for name, about in (kind or {}).get("actions", {}).items()
    }


def is_actuator(kind: Mapping[str, Any] | None) -> bool:
    """Whether something moves when it is told to: then nobody tells it by one click."""
    return bool(actions(kind) or writable(kind))


def desired_document(values: Mapping[str, Any]) -> dict[str, Any]:
    """The body that desires these values, by path."""
    state: dict[str, Any] = {}
    for path, value in values.items():
        place = state
        *above, last = path.strip("/").split("/")
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return {"state": {"desired": state}}


def relations(graph: Mapping[str, Any], thing: str) -> list[dict[str, str]]:
    """The relationships of a thing, as sentences."""
    return [
        {"from": link["source"], "relation": link["kind"], "to": link["target"]}
        for link in graph.get("links", ())
        if thing in {link["source"], link["target"]}
    ]


def graph_svg(rows: Iterable[Mapping[str, str]], thing: str) -> str:
    """The thing in the middle, what it is related to around it; a drawing of names that are text only."""
    shown = list(rows)[:MOST_DRAWN]
    others = list(dict.fromkeys(end for row in shown for end in (row["from"], row["to"]) if end != thing))
    height = 2 * RADIUS + 80
    places = {thing: (WIDTH / 2, height / 2)}
    for number, other in enumerate(others):
        angle = 2 * math.pi * number / max(1, len(others)) - math.pi / 2
        places[other] = (WIDTH / 2 + RADIUS * 1.25 * math.cos(angle), height / 2 + RADIUS * math.sin(angle))
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" role="img">'
        "<style>text{font:12px system-ui,sans-serif;fill:#3d4653;text-anchor:middle}"
        ".l{stroke:#9fb3c4;stroke-width:1.4}.k{font-size:10px;fill:#5b666e}</style>"
        f'<rect width="{WIDTH:g}" height="{height:g}" fill="#f6f7f9" rx="8"/>'
    )
    parts = [opening]
    for row in shown:
        (x1, y1), (x2, y2) = places[row["from"]], places[row["to"]]
        middle = f'x="{(x1 + x2) / 2:.0f}" y="{(y1 + y2) / 2 - 4:.0f}"'
        parts.append(
            f'<line class="l" x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}"/>'
            f'<text class="k" {middle}>{escape(row["relation"])}</text>'
        )
    for name, (x, y) in places.items():
        fill = "#0b6b8a" if name == thing else "#ffffff"
        parts.append(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="8" fill="{fill}" stroke="#0b6b8a" stroke-width="2"/>'
            f'<text x="{x:.0f}" y="{y + 24:.0f}">{escape(name[:28])}</text>'
        )
    return "".join([*parts, "</svg>"])
