"""What `windtunnel explain` says: error codes, device types, node kinds, faults, links and metros."""

from __future__ import annotations

import inspect

from devices_models.catalogue import DEVICES
from network.catalogue import aliases, link_figures, technologies
from network.wan import is_metro, metro
from scenarios.catalogue import Description
from scenarios.issues import explain, nearest
from scenarios.vocabulary import Vocabulary
from twin.errors import InputError
from twin.units import format_quantity


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
        return _described(subject, words.kinds[subject], "")
    if subject in words.faults:
        return f"fault {subject}: takes {', '.join(sorted(words.faults[subject])) or 'no figures'}"
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


def _described(name: str, known: Description, text: str) -> str:
    options = ", ".join(sorted(known.form.keys)) or "none"
    measures = ", ".join(sorted(known.measures)) or "none"
    body = text or inspect.getdoc(known.options) or ""
    return f"{name}\n\n{body}\n\noptions: {options}\nmeasures: {measures}".replace("\n\n\n\n", "\n\n")


def _link_text(name: str) -> str:
    figures = link_figures(name)
    p50, p99 = (format_quantity("time", value) for value in (figures.p50_s, figures.p99_s))
    up, down = (format_quantity("rate", value) for value in (figures.up_bps, figures.down_bps))
    rows = {
        "one way": f"p50 {p50}, p99 {p99}",
        "rate": f"up {up}, down {down}",
        "largest payload": f"{figures.mtu_bytes} B",
        "mean loss": f"{figures.loss_ratio:.4%}",
        "kind of figures": figures.kind,
        "source": figures.basis,
        "notes": figures.notes or "-",
    }
    lines = [f"  {key}: {value}" for key, value in rows.items()]
    return "\n".join([f"link {figures.name}: {figures.label}", *lines])
