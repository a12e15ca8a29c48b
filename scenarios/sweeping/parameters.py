"""The numeric inputs of a variant: what can be swept, what it is now, and a range that makes sense."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
from pydantic import BaseModel

from network.wan import round_trip
from scenarios.format.loading import ScenarioFile, Variant
from scenarios.format.options import written_key
from scenarios.format.schema import Form, schema_of
from scenarios.judging.study import site_of
from scenarios.sweeping.ranges import label_of
from scenarios.wiring.linking import place_of
from scenarios.wiring.vocabulary import Vocabulary
from twin.units import Quantity, format_quantity

SECTIONS: Final = ("links", "nodes", "fleets", "world", "timeline", "run")
LEFT_OUT: Final = frozenset({"run.seed", "run.replications"})
OPEN: Final = frozenset({"round_trip", "delay", "jitter", "loss", "rate"})
"""Keys that are worth trying although the scenario leaves them to the link's technology."""
UNKNOWN: Final = {
    "time": "50 ms..800 ms/6 log",
    "ratio": "0 %..20 %/6",
    "rate": "100 kbit/s..10 Mbit/s/6 log",
    "size": "100 B..10 kB/6 log",
    "messages": "10 messages..1000 messages/6 log",
    "frequency": "0.5 /s..8 /s/6",
}
FACTOR: Final = 4
COUNT: Final = 6


class Parameter(msgspec.Struct, frozen=True):
    """One input: its dotted key, its kind, what it is now ('' if that is not written), and a range for it.

    `kind` is a key of `twin.units.KINDS`, or `whole`, or `number`. `is_written`: it stands in the scenario.
    """

    key: str
    kind: str
    now: str
    proposal: str
    is_written: bool


def parameters_of(scenario: ScenarioFile, variant: Variant) -> list[Parameter]:
    """The numeric inputs of a variant: those of `sensitivity` first, then what is written, then defaults."""
    asked = _asked(scenario)
    found = {each.key: each for each in _found(variant) if _is_worth_it(each)}
    found |= {each.key: each for each in _distances(variant) if not found[each.key].is_written}
    first = [_with_range(found[key], ends) for key, ends in asked.items() if key in found]
    others = [each for each in found.values() if each.key not in asked]
    return first + sorted(others, key=lambda each: not each.is_written)


def _is_worth_it(parameter: Parameter) -> bool:
    """Whether it is written, has a default that can be scaled, or is a figure of a link."""
    last = parameter.key.rpartition(".")[2]
    if last == "qos" or (parameter.key.startswith("run.") and not parameter.is_written):
        return False
    return parameter.is_written or last in OPEN or parameter.now not in {"", "0", "0 s", "0 %"}


def _distances(variant: Variant) -> Iterator[Parameter]:
    """The round trips of wide area links, as the places of their ends make them."""
    scenario = variant.scenario
    for index, link in enumerate(scenario.links):
        if link.path == "wan":
            ends = [place_of(scenario.sites[site_of(scenario, node)]) for node in link.between]
            now_s = round_trip(*ends).rtt_s
            low, high = math.ceil(now_s * 1e3), float(f"{now_s * 8e3:.2g}")
            proposal = f"{low} ms..{high:g} ms/{COUNT} log"
            key = f"links.{link.name or index}.round_trip"
            yield Parameter(key, "time", format_quantity("time", now_s), proposal, is_written=False)


def _asked(scenario: ScenarioFile) -> dict[str, list[Any]]:
    written = scenario.source.data.get("sensitivity") or {}
    return {key: list(ends) for key, ends in written.items()}


def _with_range(parameter: Parameter, ends: list[Any]) -> Parameter:
    """The range that the scenario's author asked about."""
    low, high = map(label_of, sorted(ends, key=lambda end: _value(parameter.kind, end) or 0.0))
    return msgspec.structs.replace(parameter, proposal=f"{low}..{high}/{COUNT}")


def _found(variant: Variant) -> Iterator[Parameter]:
    catalogue = Vocabulary()
    data = variant.data
    for section in SECTIONS:
        for name, item in _items(section, data.get(section)):
            path = (section, *name)
            yield from _of_form(".".join(path), _form(path), item)
            if section == "fleets" and item.get("device") in catalogue.devices:
                yield from _of_options(".".join(path), catalogue.devices[item["device"]].options, item)
            if section == "nodes" and item.get("kind") in catalogue.kinds:
                yield from _of_options(".".join(path), catalogue.kinds[item["kind"]].options, item)
            if section == "world" and item:
                yield from _of_options("world", catalogue.world.options, item)


def _items(section: str, written: Any) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """The maps of a section, each with the rest of its path."""
    if section in {"world", "run"}:
        yield (), written or {}
    elif isinstance(written, list):
        for index, item in enumerate(written):
            yield (str(item.get("name") or index),), item
    else:
        for name, item in (written or {}).items():
            yield (name,), item


def _form(path: tuple[str, ...]) -> type[Form] | None:
    section, *rest = path
    return schema_of((section, 0, *rest[1:]) if section in {"links", "timeline"} else path)


def _of_form(prefix: str, form: type[Form] | None, written: Mapping[str, Any]) -> Iterator[Parameter]:
    """The numeric keys of a map of the format, and of the maps that are written in it."""
    for name, field in (form.model_fields if form else {}).items():
        key = field.alias or name
        hint = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        inner = written.get(key)
        nested = _nested(hint)
        if nested is not None and isinstance(inner, dict):
            yield from _of_form(f"{prefix}.{key}", nested, inner)
        elif (kind := _kind(hint)) and _can_be_set(prefix, key, written):
            yield _parameter(f"{prefix}.{key}", kind, inner, field.default)


def _can_be_set(prefix: str, key: str, written: Mapping[str, Any]) -> bool:
    """Whether a key makes sense where it is: a fault takes what it has, a wide area link its round trip."""
    is_fault_without = prefix.startswith("timeline") and written.get(key) is None
    is_wide = written.get("path") == "wan" and written.get(key) is None
    is_known = not (is_wide and (key == "delay" or (key == "round_trip" and prefix.startswith("fleets"))))
    return f"{prefix}.{key}" not in LEFT_OUT and is_known and not is_fault_without


def _of_options(prefix: str, form: type, written: Mapping[str, Any]) -> Iterator[Parameter]:
    """The numeric options of a data class, and of the data classes that are written in it."""
    hints = get_type_hints(form, include_extras=True)
    for field in dataclasses.fields(form):
        if not field.init:
            continue
        key = written_key(field.name, hints[field.name])
        inner, nested = written.get(key), _data_class(hints[field.name])
        if nested is not None and isinstance(inner, dict):
            yield from _of_options(f"{prefix}.{key}", nested, inner)
            continue
        has_value = inner is not None or field.default is not dataclasses.MISSING
        if has_value and (kind := _kind(hints[field.name])):
            yield _parameter(f"{prefix}.{key}", kind, inner, field.default)


def _parameter(key: str, kind: str, written: Any, default: Any) -> Parameter:
    value = _value(kind, written)
    is_written = value is not None
    if value is None and isinstance(default, int | float) and not isinstance(default, bool):
        value = float(default)
    now = "" if value is None or not math.isfinite(value) else _text(kind, value)
    return Parameter(key, kind, now, _proposal(kind, value), is_written)


def _value(kind: str, written: Any) -> float | None:
    if written is None or isinstance(written, bool | list | dict):
        return None
    try:
        return float(written) if kind in {"whole", "number"} else float(Quantity(kind).read(written))
    except ValueError:
        return None


def _text(kind: str, value: float) -> str:
    return f"{value:.6g}" if kind in {"whole", "number"} else format_quantity(kind, value)


def _proposal(kind: str, value: float | None) -> str:
    """From a quarter of what it is now to four times as much, as far as that makes sense."""
    if kind == "ratio":
        high = min(1.0, max(0.2, FACTOR * (value or 0.0)))
        return f"0 %..{high * 100:.3g} %/{COUNT}"
    if value is None or value <= 0 or not math.isfinite(value):
        return UNKNOWN.get(kind, "1..10/4")
    low, high = value / FACTOR, value * FACTOR
    if kind == "whole":
        first = max(1, round(low))
        return f"{first}..{max(first + 1, round(high))}/{COUNT}"
    if kind == "number":
        return f"{float(f'{low:.3g}')}..{float(f'{high:.3g}')}/{COUNT} log"
    if kind in {"celsius", "kelvin"}:
        return f"{_text(kind, value * 0.8)}..{_text(kind, value * 1.2)}/{COUNT}"
    return f"{_text(kind, low)}..{_text(kind, high)}/{COUNT} log"


def _kind(hint: Any) -> str:
    """What quantity an annotation speaks of; '' for none, and for one that may be a map."""
    mark = next((each for each in _marks(hint)), None)
    if mark is not None:
        return mark.kind
    plain = _plain(hint)
    if plain == {int}:
        return "whole"
    return "number" if plain and plain <= {int, float} else ""


def _marks(hint: Any) -> list[Quantity]:
    if get_origin(hint) in {list, tuple, dict} or _nested(hint) is not None:
        return []
    marks = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Quantity)]
    return marks + [found for part in get_args(hint) for found in _marks(part)]


def _plain(hint: Any) -> set[Any]:
    """The types that an annotation allows, besides None."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in {Union, types.UnionType}:
        return {found for part in get_args(hint) for found in _plain(part)} - {type(None)}
    return {hint}


def _nested(hint: Any) -> type[Form] | None:
    """The form in an annotation."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint if issubclass(hint, Form) else None
    return next((found for part in get_args(hint) if (found := _nested(part)) is not None), None)


def _data_class(hint: Any) -> type | None:
    """The data class in an annotation."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return hint
    return next((found for part in get_args(hint) if (found := _data_class(part)) is not None), None)
