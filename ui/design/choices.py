"""The words that cells and forms offer."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Final, get_args, get_type_hints

from devices_models.catalogue import DEVICES
from network import catalogue, wan
from scenarios.format import schema
from scenarios.format.parts import declared
from scenarios.wiring.nodes import NODE_KINDS
from ui.design.checking import Checked

SEVERITIES: Final = ("error", "warn")
SESSIONS: Final = ("warm", "cold")


@cache
def _fixed() -> dict[str, list[str]]:
    technologies = list(catalogue.technologies())
    return {
        "metros": list(wan.metros()),
        "devices": list(DEVICES),
        "kinds": list(NODE_KINDS),
        "technologies": technologies,
        "paths": ["wan", "direct", *technologies],
        "placing": ["scene"],
        "laws": _literals(schema.Station, "law"),
        "transports": _literals(schema.Link, "transport"),
        "tls": ["none", "1.2", "1.3"],
        "sessions": list(SESSIONS),
        "severities": list(SEVERITIES),
    }


def _literals(form: type[schema.Form], field: str) -> list[str]:
    hint: Any = get_type_hints(form)[field]
    return [str(each) for each in get_args(hint)]


def choices(checked: Checked, variant: str, name: str, present: Iterable[str] = ()) -> list[str]:
    """The words a cell may take, with those that stand there already, right or wrong."""
    data = checked.seen(variant)
    if name == "sites":
        known = list(declared(data, "sites"))
    elif name == "standing":
        known = list(declared(data, "nodes"))
    else:
        known = _fixed()[name]
    return list(dict.fromkeys([*known, *(each for each in present if each)]))
