"""Another name for a site, fleet, node or link, everywhere the scenario uses the old one as a name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from scenarios.format import source as yaml_source
from scenarios.format.source import Keys
from scenarios.wiring.vocabulary import Vocabulary
from ui.design import edits
from ui.design.edits import EditError

USABLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
SECTION_OF: Final = {
    ("fleets", "at"): "sites",
    ("nodes", "at"): "sites",
    ("timeline", "site"): "sites",
    ("fleets", "via"): "nodes",
    ("nodes", "runs_on"): "nodes",
    ("timeline", "node"): "nodes",
    ("timeline", "fleet"): "fleets",
}
"""Keys that name a part of the scenario."""
WORDY: Final = ("expect", "stop_when", "select")
"""Texts in which a name may stand among other words."""


def renamed(text: str, section: str, path: Keys, name: str) -> str:
    """The text with another name for the part at a path. Raises EditError if that cannot be done safely."""
    data = yaml_source.parse(text).data
    if section == "links":
        return _link_renamed(text, data, path, name)
    old = str(path[1])
    if name == old:
        return text
    if not USABLE.fullmatch(name):
        raise EditError("names are letters, digits, '-' and '_', and start with a letter or digit")
    taken = {each for part in ("sites", "fleets", "nodes") for each in data.get(part) or {}}
    if name in taken:
        raise EditError(f"'{name}' is there already; choose another name")
    _refuse_words(data, old)
    text = edits.rename(text, path, name)
    for place in list(_references(yaml_source.parse(text).data, section, old)):
        text = edits.set_value(text, place, name)
    return _overrides_renamed(text, section, old, name)


def _link_renamed(text: str, data: Any, path: Keys, name: str) -> str:
    old = data["links"][path[1]].get("name")
    text = edits.set_value(text, (*path, "name"), name)
    for place, value in list(_scalars(data.get("timeline"), ("timeline",))):
        if place[-1] == "link" and value == old:
            text = edits.set_value(text, place, name)
    return _overrides_renamed(text, "links", str(old), name)


def _refuse_words(data: Any, old: str) -> None:
    """A requirement may speak of a node; what a word in it means is not for us to guess."""
    word = re.compile(rf"(?<![A-Za-z0-9_-]){re.escape(old)}(?![A-Za-z0-9_-])")
    for place, value in _scalars(data, ()):
        if place[-1] in WORDY and isinstance(value, str) and word.search(value):
            where = ".".join(map(str, place))
            raise EditError(f"'{old}' also stands in '{where}'; rename it in the YAML, and look at both")


def _references(data: Any, section: str, old: str) -> Iterator[Keys]:
    """Every value that names the part."""
    for place, value in _scalars(data, ()):
        if value == old and _names(place, section):
            yield place


def _names(place: Keys, section: str) -> bool:
    inner = place[{"variants": 2, "matrix": 1, "sensitivity": 1}.get(str(place[0]), 0) :]
    if not inner:
        return False
    top = str(inner[0]).split(".")[0]
    key = next((str(step).split(".")[-1] for step in reversed(inner) if isinstance(step, str)), "")
    if key == "between":
        return section == "nodes" if top == "links" else section in {"nodes", "sites", "fleets"}
    if key == "link" and top == "timeline":
        return section == "fleets"
    return SECTION_OF.get((top, key)) == section or (
        section == "nodes" and top == "nodes" and key in _node_keys()
    )


def _node_keys() -> frozenset[str]:
    """Options of node kinds that name another node."""
    return frozenset(key for kind in Vocabulary().kinds.values() for key in kind.names_nodes)


def _scalars(data: Any, at: Keys) -> Iterator[tuple[Keys, Any]]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _scalars(value, (*at, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _scalars(value, (*at, index))
    else:
        yield at, data


def _overrides_renamed(text: str, section: str, old: str, name: str) -> str:
    """Dotted keys of variants, matrix and sensitivity that address the part."""
    data = yaml_source.parse(text).data
    places: list[Keys] = [(part, key) for part in ("matrix", "sensitivity") for key in data.get(part) or {}]
    for variant, written in (data.get("variants") or {}).items():
        places += [("variants", variant, key) for key in written or {}]
    for place in places:
        parts = str(place[-1]).split(".")
        if parts[:2] == [section, old]:
            text = edits.rename(text, place, ".".join([section, name, *parts[2:]]))
        elif parts == [section] and place[0] == "variants":
            value = data["variants"][place[1]][place[2]]
            if isinstance(value, dict) and old in value:
                text = edits.rename(text, (*place, old), name)
    return text
