"""What `windtunnel explain` says: error codes, device types, node kinds, faults, links and metros."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, Literal, get_args, get_origin, get_type_hints

from devices_models.catalogue import DEVICES
from network.catalogue import aliases, link_figures, technologies
from network.media.cells import carriage
from network.wan import is_metro, metro
from scenarios.format.catalogue import Description
from scenarios.format.fault_vocabulary import FAULT_FORMS
from scenarios.format.issues import explain, nearest
from scenarios.wiring.nodes import NODE_KINDS
from scenarios.wiring.vocabulary import Vocabulary
from twin.errors import InputError
from twin.units import Quantity, format_quantity


def overview() -> str:
    """All subjects, by group."""
    words = Vocabulary()
    groups = {
        "devices": words.devices,
        "node kinds": words.kinds,
        "faults": words.faults,
        "links": sorted(technologies()),
        "error codes": ["E001 ..."],
    }
    lines = [f"{title}: {', '.join(sorted(names))}" for title, names in groups.items()]
    return "\n".join(["windtunnel explain SUBJECT tells more about each of these.", *lines])


def explanation(subject: str) -> str:
    """What is known about a subject; raises InputError naming the nearest one."""
    words = Vocabulary()
    if subject[:1] in "Ee" and subject[1:].isdigit():
        return explain(subject.upper())
    if subject in words.devices:
        return _described(subject, words.devices[subject], _device_text(subject))
    if subject in words.kinds:
        return _described(subject, words.kinds[subject], NODE_KINDS[subject].summary)
    if subject in words.faults:
        return _fault_text(subject)
    if subject in technologies() or subject in aliases():
        return _link_text(subject)
    if is_metro(subject):
        place = metro(subject)
        return f"metro {place.name}: {place.country}, {place.latitude:g}, {place.longitude:g}"
    known = [*words.devices, *words.kinds, *words.faults, *technologies(), *aliases(), *words.metros]
    near = nearest(subject, known)
    raise InputError(f"nothing is known about {subject!r}{f'; did you mean {near!r}?' if near else ''}")


def _device_text(name: str) -> str:
    device = DEVICES[name]
    quality = f"quality {device.quality.tier}: {'; '.join(device.quality.reasons)}"
    return f"{inspect.getdoc(device.behaviour)}\n\nusual link: {device.link}\n{quality}"


def _fault_text(name: str) -> str:
    form = FAULT_FORMS[name]
    takes = ", ".join(sorted(form.figures)) or "no figures"
    needs = f" (one of these is needed: {', '.join(form.needs)})" if form.needs else ""
    return (
        f"fault {name}: acts on {form.acts_on}\n\n{form.meaning}\n\ntakes: {takes}{needs}\n"
        f"for example:\n  - {form.example}"
    )


def _described(name: str, known: Description, text: str) -> str:
    lines = [f"  {key}{f': {default}' if default else ''}" for key, default in defaults(known).items()]
    options = "\n".join(["options: (each with its default)", *lines]) if lines else "options: none"
    measures = ", ".join(sorted(known.measures)) or "none"
    return f"{name}\n\n{text}\n\n{options}\n\nmeasures: {measures}"


def defaults(known: Description) -> dict[str, str]:
    """The options a scenario may write, each with its default as it would be written; empty if needed."""
    keys = {attribute: key for key, attribute in known.form.attributes.items()}
    hints = get_type_hints(known.options, include_extras=True)
    found = {
        keys[field.name]: _default_text(field, hints[field.name])
        for field in dataclasses.fields(known.options)
        if field.name in keys
    }
    return dict(sorted(found.items()))


def _default_text(field: dataclasses.Field[Any], hint: Any) -> str:
    value: Any = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    if value is dataclasses.MISSING:
        return ""
    kind = next((each.kind for each in getattr(hint, "__metadata__", ()) if isinstance(each, Quantity)), "")
    if kind and isinstance(value, int | float):
        return format_quantity(kind, value)
    if dataclasses.is_dataclass(value) or value == ():
        return ""
    text = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    choices = " | ".join(map(str, get_args(hint))) if get_origin(hint) is Literal else ""
    return f"{text}  ({choices})" if choices else text


def _link_text(name: str) -> str:
    figures = link_figures(name)
    p50, p99 = (format_quantity("time", value) for value in (figures.p50_s, figures.p99_s))
    up, down = (format_quantity("rate", value) for value in (figures.up_bps, figures.down_bps))
    rows = {
        "one way": f"p50 {p50}, p99 {p99}",
        "rate": f"up {up}, down {down}",
        "payload": carriage(name) or f"travels in packets of {figures.mtu_bytes} bytes",
        "mean loss": f"{figures.loss_ratio:.4%}",
        "kind of figures": figures.kind,
        "source": figures.basis,
        "notes": figures.notes or "-",
    }
    lines = [f"  {key}: {value}" for key, value in rows.items()]
    return "\n".join([f"link {figures.name}: {figures.label}", *lines])
