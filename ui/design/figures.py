"""Every figure that holds for the scenario, whether it was written or not: its value, kind and source."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, get_type_hints

from devices_models.catalogue import DEVICES
from network.catalogue import LinkFigures, link_figures
from scenarios.format import schema
from scenarios.format.options import written_key
from scenarios.format.parts import Parts, parts_of
from scenarios.wiring.linking import LAN, access_of
from scenarios.wiring.vocabulary import Vocabulary
from twin.errors import InputError
from twin.units import Quantity, format_quantity
from ui.design.geography import routes

Kind = Literal["written", "published", "derived", "default", "estimated"]

OF_FORMAT: Final = "default of the scenario format"


class Figure(NamedTuple):
    """One figure: of which part, what, its value, what kind of figure it is, and where it comes from."""

    section: str
    name: str
    what: str
    value: str
    kind: str
    source: str


def figures(data: Mapping[str, Any]) -> list[Figure]:
    """All figures of links, fleets and nodes, in the order of the file."""
    parts = parts_of(data)
    wide = {route.link: route for route in routes(data)}
    found: list[Figure] = []
    for link in parts.links.values():
        found += _of_link(link, wide.get(link.title))
    for name, fleet in parts.fleets.items():
        found += _of_fleet(name, fleet)
    for name, node in parts.nodes.items():
        found += _of_node(name, node, parts)
    return found


def _of_link(link: schema.Link, route: Any) -> Iterator[Figure]:
    title = link.title
    if route is not None:
        kind = "written" if route.kind == "given" else route.kind
        value = f"{route.round_trip} ({route.range})" if route.range else route.round_trip
        yield Figure("links", title, "round trip", value, kind, route.source)
    technology = link.access if link.path == "wan" else LAN if link.path == "direct" else link.path
    if technology:
        yield from _of_technology("links", title, technology, link)
    yield from _of_form("links", title, link, ("tls", "session", "transport", "certificates", "dns", "rto"))


def _of_technology(section: str, title: str, technology: str, form: schema.Figures) -> Iterator[Figure]:
    try:
        known = link_figures(technology)
    except InputError:
        return
    for what, value in _technology_values(known, form):
        yield Figure(section, title, f"{what} ({technology})", value, known.kind, known.basis)
    for what, value in _written_figures(form):
        yield Figure(section, title, what, value, "written", "this scenario")


def _technology_values(known: LinkFigures, form: schema.Figures) -> Iterator[tuple[str, str]]:
    is_timed = any(each is not None for each in (form.delay_s, form.jitter_s))
    if not is_timed:
        p50, p99 = (format_quantity("time", each) for each in (known.p50_s, known.p99_s))
        yield "one way delay", f"p50 {p50}, p99 {p99}"
    if form.rate_bps is None:
        up, down = (format_quantity("rate", each) for each in (known.up_bps, known.down_bps))
        yield "rate", f"up {up}, down {down}"
    if form.loss_ratio is None and known.ge_p > 0:
        yield "loss", format_quantity("ratio", known.loss_ratio)


def _written_figures(form: schema.Figures) -> Iterator[tuple[str, str]]:
    kinds = {"delay": "time", "jitter": "time", "loss": "ratio", "rate": "rate"}
    for name, field in type(form).model_fields.items():
        key = field.alias or name
        value = getattr(form, name)
        if key in kinds and value is not None:
            yield key, format_quantity(kinds[key], value)


def _of_form(section: str, title: str, form: schema.Form, keys: tuple[str, ...]) -> Iterator[Figure]:
    """Keys of a form that were not written: the format's own defaults."""
    for name, field in type(form).model_fields.items():
        key = field.alias or name
        if key in keys and name not in form.model_fields_set:
            yield Figure(
                section, title, key, _shown(field.default, field.annotation, name), "default", OF_FORMAT
            )


def _of_fleet(name: str, fleet: schema.Fleet) -> Iterator[Figure]:
    device = DEVICES.get(fleet.device)
    if device is None:
        return
    access = access_of(fleet)
    if fleet.link is None:
        source = f"usual link of a {fleet.device}"
        yield Figure("fleets", name, "link", device.link, "default", source)
    yield from _of_technology("fleets", name, access.medium, access)
    yield from _of_form("fleets", name, access, ("hops", "transport"))
    yield Figure(
        "fleets", name, "model quality", device.quality.tier, "judged", "; ".join(device.quality.reasons)
    )
    options = set(fleet.options)
    yield from _of_options(
        "fleets",
        name,
        device.behaviour,
        options,
        f"default of {fleet.device}",
        device.wired | set(device.fixed),
    )


def _of_node(name: str, node: schema.Node, parts: Parts) -> Iterator[Figure]:
    known = Vocabulary().kinds.get(node.kind)
    if known is None:
        return
    yield from _of_options(
        "nodes", name, known.options, set(node.options), f"default of {node.kind}", frozenset()
    )
    if node.station is not None and node.station.mcu is None:
        yield from _of_form(
            "nodes", name, node.station, ("servers", "service", "law", "queue", "overflow", "discipline")
        )
    elif node.station is None:
        yield Figure("nodes", name, "station", "no delay of its own", "default", OF_FORMAT)
    site = parts.site_of(name)
    if node.at is None and site is not None:
        yield Figure("nodes", name, "site", site, "derived", f"where {node.runs_on} is")


def _of_options(
    section: str, name: str, form: type[Any], written: set[str], source: str, given: frozenset[str] | set[str]
) -> Iterator[Figure]:
    """Options that were not written, with the default of the data class."""
    hints = get_type_hints(form, include_extras=True)
    for field in dataclasses.fields(form):
        hint = hints[field.name]
        key = written_key(field.name, hint)
        is_open = (
            field.init and not field.metadata.get("wired") and field.name not in given and key not in written
        )
        if is_open and isinstance(field.default, bool | int | float | str) and field.default != "":
            yield Figure(section, name, key, _shown(field.default, hint, field.name), "default", source)


def _shown(value: Any, hint: Any, name: str) -> str:
    """A value as it would be written."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, int | float):
        kind = next((each.kind for each in _quantities(hint)), "")
        kind = kind or next((k for suffix, k in _SUFFIXES.items() if name.endswith(suffix)), "")
        return format_quantity(kind, float(value)) if kind else f"{value:g}"
    return str(value)


_SUFFIXES: Final = {"_bytes": "size", "_bps": "rate", "_per_s": "frequency", "_ratio": "ratio", "_s": "time"}


def _quantities(hint: Any) -> list[Quantity]:
    marks = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Quantity)]
    inner = getattr(hint, "__args__", ())
    return marks + [found for part in inner for found in _quantities(part)]
