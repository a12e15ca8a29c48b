"""From the data of a type file to a device type, or to everything that is wrong with it at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import jsonschema_rs

from twin.errors import InputError
from twin.state.records import Tree
from twin.state.registry.things import unknown
from twin.state.types.model import DEFINITIONS, PropertyModel, ThingModel, compile_schema
from twin.state.types.simulation import simulation_problems
from twin.state.types.vocabulary import (
    ACTION_KEYS,
    EVENT_KEYS,
    PROPERTY_KEYS,
    PROPERTY_TWIN_KEYS,
    SCHEMA_KEYS,
    TYPE_KEYS,
    TYPE_TWIN_KEYS,
)
from twin.units import parse

Place: TypeAlias = tuple[str | int, ...]

LONGEST_CHAIN: Final = 10
EXTENDS: Final = "tm:extends"
X_TWIN: Final = "x-twin"
WRITERS: Final = ("device", "cloud", "rules", "operator")
PERSONAL: Final = ("keep", "mask", "drop")


class Problem(NamedTuple):
    """One thing that is wrong at a place, or (a warning) unwise; `is_key` if the key there is meant."""

    place: Place
    message: str
    advice: str = ""
    is_key: bool = False
    is_warning: bool = False


def check(document: Any, name: str, others: Mapping[str, Any] | None = None) -> list[Problem]:
    """Everything that is wrong with a type, or unwise; `others` are the documents it may extend."""
    return _Checker(document, name, others or {}).problems()


def read_type(document: Any, name: str, others: Mapping[str, Any] | None = None) -> ThingModel:
    """The device type of a document. Raises InputError with everything that is wrong with it."""
    problems = [each for each in check(document, name, others) if not each.is_warning]
    if problems:
        lines = (f"  {'.'.join(map(str, each.place))}: {each.message}" for each in problems)
        raise InputError("\n".join([f"the device type {name!r} cannot be used:", *lines]))
    return _model(extended(document, others or {}), name)


def extended(document: Tree, others: Mapping[str, Any]) -> Tree:
    """The document with what it extends underneath: maps merge, everything else is replaced, null removes."""
    base_name = base_of(document)
    for _ in range(LONGEST_CHAIN):
        base = others.get(base_name) if base_name else None
        if not isinstance(base, dict):
            break
        document = _merged({key: value for key, value in base.items() if key != "links"}, document)
        base_name = base_of(base)
    return document


def base_of(document: Tree) -> str:
    """The name of the type that this one extends, or ''."""
    for link in document.get("links") or ():
        if isinstance(link, dict) and link.get("rel") == EXTENDS:
            return type_name(str(link.get("href", "")))
    return ""


def type_name(path: str) -> str:
    """The name of a type by its file: what stands before the first dot."""
    return path.rpartition("/")[2].partition(".")[0]


def _merged(below: Tree, above: Tree) -> Tree:
    whole = dict(below)
    for key, value in above.items():
        if value is None:
            whole.pop(key, None)
        elif isinstance(value, dict) and isinstance(whole.get(key), dict):
            whole[key] = _merged(whole[key], value)
        else:
            whole[key] = value
    return whole


class _Checker:
    """Walks one document and collects what is wrong."""

    def __init__(self, document: Any, name: str, others: Mapping[str, Any]) -> None:
        self._document, self._name, self._others = document, name, others
        self._found: list[Problem] = []

    def problems(self) -> list[Problem]:
        document = self._document
        if not isinstance(document, dict):
            return [Problem((), "a device type is a map with properties, actions and events")]
        if odd := _odd_key(document):
            return [Problem((), f"the key {odd[0]!r} is no text", "put it in quotes")]
        self._keys(document, (), TYPE_KEYS, "key")
        kind = document.get("@type")
        if "tm:ThingModel" not in (kind if isinstance(kind, list) else [kind]):
            self._say(("@type",), "a device type says '@type: tm:ThingModel'")
        self._type_twin(document.get(X_TWIN), (X_TWIN,))
        self._links(document)
        for section, keys in (
            ("properties", PROPERTY_KEYS),
            ("actions", ACTION_KEYS),
            ("events", EVENT_KEYS),
        ):
            for name, entry in self._map(document.get(section), (section,)).items():
                self._affordance(section, keys, name, entry)
        if not self._found:
            self._whole(extended(document, self._others))
        return self._found

    def _say(self, place: Place, message: str, advice: str = "", *, is_key: bool = False) -> None:
        self._found.append(Problem(place, message, advice, is_key))

    def _map(self, value: Any, place: Place) -> Tree:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._say(place, f"expected a map, not {_shape(value)}")
            return {}
        return value

    def _keys(self, entry: Tree, place: Place, known: Iterable[str], what: str) -> None:
        """Report keys that are not known; those with a prefix belong to vocabularies of others."""
        for key in entry:
            if key not in known and (":" not in key or key.startswith("tm:")):
                self._say((*place, key), unknown(what, key, known), is_key=True)

    def _links(self, document: Tree) -> None:
        links = document.get("links")
        if links is not None and not isinstance(links, list):
            self._say(("links",), f"expected a list, not {_shape(links)}")
            return
        base = base_of(document)
        if base and base not in self._others:
            self._say(("links",), f"extends {unknown('type', base, self._others)}")
        seen = [self._name]
        while base in self._others:
            if base in seen or len(seen) > LONGEST_CHAIN:
                self._say(("links",), f"extends itself: {' -> '.join([*seen, base])}")
                return
            seen.append(base)
            base = base_of(self._others[base])

    def _affordance(self, section: str, keys: frozenset[str], name: str, entry: Any) -> None:
        place: Place = (section, name)
        if entry is None and base_of(self._document):
            return  # null takes away what the extended type has
        if not isinstance(entry, dict):
            self._say(place, f"expected a map, not {_shape(entry)}")
            return
        self._keys(entry, place, keys, "key")
        if section == "properties":
            self._schema(entry, place)
            self._property_twin(entry.get(X_TWIN), entry, (*place, X_TWIN))
            return
        for part in ("input", "output", "data", "subscription", "cancellation"):
            if isinstance(entry.get(part), dict):
                self._schema_keys(entry[part], (*place, part))
                self._schema(entry[part], (*place, part))
                self._personal(entry[part], (*place, part))

    def _schema_keys(self, schema: Tree, place: Place) -> None:
        self._keys(schema, place, SCHEMA_KEYS, "key")
        for name, inner in self._map(schema.get("properties"), (*place, "properties")).items():
            if isinstance(inner, dict):
                self._schema_keys(inner, (*place, "properties", name))

    def _schema(self, schema: Tree, place: Place) -> None:
        refs = list(_references(schema, place))
        for where, target in refs:
            if not any(target.startswith(f"#/{each}/") for each in DEFINITIONS):
                self._say(where, f"$ref {target!r} leads out of the type", "write '#/schemaDefinitions/NAME'")
        if refs:
            return
        try:
            compile_schema(schema)
        except jsonschema_rs.ValidationError as error:
            step = [each for each in error.instance_path if isinstance(each, str | int)]
            self._say((*place, *step), f"no JSON Schema: {error.message.replace(chr(10), ' ')}")
        except (ValueError, LookupError) as error:
            self._say(place, f"no JSON Schema: {error}")

    def _personal(self, schema: Tree, place: Place) -> None:
        for name, inner in self._map(schema.get("properties"), (*place, "properties")).items():
            twin = inner.get(X_TWIN) if isinstance(inner, dict) else None
            if isinstance(twin, dict):
                here: Place = (*place, "properties", name, X_TWIN)
                self._keys(twin, here, ("personal_data",), "key of x-twin in data")
                self._choice(twin, "personal_data", PERSONAL, here)

    # x-twin ----------------------------------------------------------------------------------------------

    def _type_twin(self, twin: Any, place: Place) -> None:
        twin = self._map(twin, place)
        self._keys(twin, place, TYPE_TWIN_KEYS, "key of x-twin")
        self._quantity(twin, "max_age", "time", place)
        self._choice(twin, "unknown_fields", ("keep", "refuse"), place)

    def _property_twin(self, twin: Any, entry: Tree, place: Place) -> None:
        twin = self._map(twin, place)
        self._keys(twin, place, PROPERTY_TWIN_KEYS, "key of x-twin")
        for key in ("max_age", "desired_expiry"):
            self._quantity(twin, key, "time", place)
        self._quantity(twin, "rate", "frequency", place)
        self._choice(twin, "personal_data", PERSONAL, place)
        if not isinstance(twin.get("clear_on_report", False), bool):
            self._say((*place, "clear_on_report"), "expected true or false")
        self._writers(twin, entry, place)
        if "fail_safe" in twin and not any(_references(entry, ())):
            self._fits(twin["fail_safe"], entry, (*place, "fail_safe"))
        if "sim" in twin:
            for step, message in simulation_problems(twin["sim"], entry):
                self._say((*place, "sim", *step), message, is_key=bool(step))

    def _writers(self, twin: Tree, entry: Tree, place: Place) -> None:
        writers = twin.get("writable_by", [])
        for writer in writers if isinstance(writers, list) else [writers]:
            if writer not in WRITERS:
                self._say((*place, "writable_by"), unknown("writer", str(writer), WRITERS))
            elif writer != "device" and entry.get("readOnly"):
                self._say((*place, "writable_by"), f"a read-only property cannot be written by {writer}")

    def _quantity(self, twin: Tree, key: str, kind: str, place: Place) -> None:
        if key in twin:
            try:
                value = parse(kind, twin[key])
            except InputError as error:
                self._say((*place, key), str(error))
            else:
                if value <= 0.0:
                    self._say((*place, key), f"{key} must be more than 0")

    def _choice(self, twin: Tree, key: str, known: tuple[str, ...], place: Place) -> None:
        if key in twin and twin[key] not in known:
            self._say((*place, key), unknown(key, str(twin[key]), known))

    def _fits(self, value: Any, schema: Tree, place: Place) -> None:
        try:
            is_fit = compile_schema(schema).is_valid(value)
        except (jsonschema_rs.ValidationError, ValueError):
            return  # the schema's own problem is reported already
        if not is_fit:
            self._say(place, f"{value!r} is no value of this property", "a fail-safe value fits the schema")

    # the whole, with what it extends ---------------------------------------------------------------------

    def _whole(self, document: Tree) -> None:
        try:
            model = _model(document, self._name)
        except (jsonschema_rs.ValidationError, ValueError, LookupError) as error:
            self._say((), f"its schemas cannot be used: {str(error).splitlines()[0]}")
            return
        for each in model.properties.values():
            if each.is_desirable and each.desired_expiry_s == math.inf and not each.is_cleared_on_report:
                advice = "add desired_expiry: 15 min, or clear_on_report: true"
                message = (
                    f"a desired value of {each.name!r} stands for ever and can undo what the device did since"
                )
                self._found.append(
                    Problem(("properties", each.name), message, advice, is_key=True, is_warning=True)
                )


def _model(document: Tree, name: str) -> ThingModel:
    twin = document.get(X_TWIN) or {}
    properties = {
        key: _property(key, entry, twin) for key, entry in (document.get("properties") or {}).items() if entry
    }
    is_strict = twin.get("unknown_fields") == "refuse"
    return ThingModel(name=name, document=document, properties=properties, refuses_unknown=is_strict)


def _property(name: str, entry: Tree, type_twin: Tree) -> PropertyModel:
    twin = entry.get(X_TWIN) or {}
    written = twin.get("writable_by", ["device"] if entry.get("readOnly") else ["cloud", "rules", "operator"])
    return PropertyModel(
        name=name,
        schema={key: value for key, value in entry.items() if key in SCHEMA_KEYS and key != X_TWIN},
        writable_by=frozenset(written if isinstance(written, list) else [written]),
        max_age_s=_read("time", twin.get("max_age", type_twin.get("max_age"))),
        desired_expiry_s=_read("time", twin.get("desired_expiry")),
        is_cleared_on_report=twin.get("clear_on_report", False),
        has_fail_safe="fail_safe" in twin,
        fail_safe=twin.get("fail_safe"),
        personal_data=twin.get("personal_data", "keep"),
        every_s=1.0 / _read("frequency", twin["rate"]) if "rate" in twin else 0.0,
        simulation=twin.get("sim"),
    )


def _read(kind: str, text: Any) -> float:
    return math.inf if text is None else parse(kind, text)


def _references(schema: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """Every reference in a schema, without recursion: it is a stranger's text."""
    waiting: list[tuple[Place, Any]] = [(place, schema)]
    while waiting:
        here, value = waiting.pop()
        if isinstance(value, dict):
            for key in ("$ref", "$dynamicRef", "$id", "$schema"):
                if isinstance(value.get(key), str):
                    yield (*here, key), value[key]
            waiting += [((*here, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*here, number), inner) for number, inner in enumerate(value)]


def _odd_key(document: Any) -> list[Any]:
    """A key that is no text, as some readers make of `on`; an empty list if there is none."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if odd := [key for key in value if not isinstance(key, str)]:
                return odd
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return []


def _shape(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")
