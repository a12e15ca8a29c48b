"""A device type that was read: its properties, actions and events, with validators compiled once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import jsonschema_rs

from twin.state.records import Tree

PersonalData: TypeAlias = Literal["keep", "mask", "drop"]
Writer: TypeAlias = Literal["device", "cloud", "rules", "operator"]

DEFINITIONS: Final = ("schemaDefinitions", "$defs")
HIDDEN: Final = "(value)"
MASK: Final = "***"
MOST_PROBLEMS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyModel:
    """One property of a type.

    A value older than `max_age_s` is stale, and `fail_safe` is what to assume then (if `has_fail_safe`).
    A desired value ends after `desired_expiry_s`, or when the device reports the property.
    """

    name: str
    schema: Tree
    writable_by: frozenset[str] = frozenset()
    max_age_s: float = math.inf
    desired_expiry_s: float = math.inf
    is_cleared_on_report: bool = False
    has_fail_safe: bool = False
    fail_safe: Any = None
    personal_data: PersonalData = "keep"
    every_s: float = 0.0
    simulation: Tree | None = None

    @property
    def is_desirable(self) -> bool:
        """Whether anybody but the device may wish for a value."""
        return bool(self.writable_by - {"device"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ThingModel:
    """A device type; `document` is the file it was read from, with what it extends put in."""

    name: str
    document: Tree
    properties: Mapping[str, PropertyModel]
    refuses_unknown: bool = False

    _report: jsonschema_rs.Draft202012Validator = field(init=False, repr=False, compare=False)
    _desired: jsonschema_rs.Draft202012Validator = field(init=False, repr=False, compare=False)
    _inputs: dict[str, jsonschema_rs.Draft202012Validator] = field(init=False, repr=False, compare=False)
    _events: dict[str, jsonschema_rs.Draft202012Validator] = field(init=False, repr=False, compare=False)
    _personal: dict[str, dict[str, PersonalData]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        actions, events = self.document.get("actions") or {}, self.document.get("events") or {}
        reported = {name: each.schema for name, each in self.properties.items()}
        desired = {name: partial(each.schema) for name, each in self.properties.items() if each.is_desirable}
        given: dict[str, Any] = {
            "_report": self._compiled(_object(reported, is_closed=self.refuses_unknown)),
            "_desired": self._compiled(_object(desired)),
            "_inputs": {name: self._compiled(each.get("input", True)) for name, each in actions.items()},
            "_events": {name: self._compiled(each.get("data", True)) for name, each in events.items()},
            "_personal": {name: _personal_of(each) for name, each in events.items()}
            | {"": self._personal_own()},
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    @property
    def title(self) -> str:
        """Its name for people."""
        return str(self.document.get("title") or self.name)

    def report_problem(self, fields: Tree) -> str:
        """Why the fields are no properties of the type, or ''; no value stands in the text."""
        return "" if self._report.is_valid(fields) else _problems(self._report, fields)

    def event_problem(self, name: str, fields: Tree) -> str:
        """Why the fields are not the data of this event, or ''; an unknown event may hold any."""
        validator = self._events.get(name)
        if validator is None:
            return f"the type {self.name} has no event {name!r}" if self.refuses_unknown else ""
        return "" if validator.is_valid(fields) else _problems(validator, fields)

    def command_problem(self, name: str, arguments: Any) -> str:
        """Why the arguments are not the input of this action, or ''; an unknown action takes any."""
        validator = self._inputs.get(name)
        if validator is None:
            return f"the type {self.name} has no action {name!r}" if self.refuses_unknown else ""
        return "" if validator.is_valid(arguments) else _problems(validator, arguments)

    def desired_problem(self, changes: Tree) -> str:
        """Why nobody may wish for this, or ''; null, which removes a wish, is always allowed."""
        wished = {name: value for name, value in changes.items() if value is not None}
        for name in wished:
            known = self.properties.get(name)
            if known is not None and not known.is_desirable:
                return f"property {name!r} of the type {self.name} is read only"
            if known is None and self.refuses_unknown:
                return f"the type {self.name} has no property {name!r}"
        wished = without_null(wished)
        return "" if self._desired.is_valid(wished) else _problems(self._desired, wished)

    def writer_problem(self, changes: Tree, by: str) -> str:
        """Why this kind of writer may not wish for this, or ''; null is always allowed."""
        for name, value in changes.items():
            known = self.properties.get(name)
            if value is not None and known is not None and by not in known.writable_by:
                writers = ", ".join(sorted(known.writable_by))
                return f"property {name!r} of the type {self.name} is written by {writers}, not by {by}"
        return ""

    def protected(self, fields: Tree, event: str = "") -> Tree:
        """The fields without personal values: masked ones are hidden, dropped ones gone."""
        rules = self._personal.get(event)
        if not rules:
            return fields
        kept = {name: MASK if rules.get(name) == "mask" else value for name, value in fields.items()}
        return {name: value for name, value in kept.items() if rules.get(name) != "drop"}

    @property
    def has_personal_data(self) -> bool:
        """Whether a payload of the type may hold personal values that must not be kept."""
        return any(self._personal.values())

    @property
    def has_personal_properties(self) -> bool:
        """Whether a property of the type is personal."""
        return bool(self._personal[""])

    def _personal_own(self) -> dict[str, PersonalData]:
        rules = {each.name: each.personal_data for each in self.properties.values()}
        return {name: rule for name, rule in rules.items() if rule != "keep"}

    def _compiled(self, schema: Any) -> jsonschema_rs.Draft202012Validator:
        definitions = {key: self.document[key] for key in DEFINITIONS if key in self.document}
        return compile_schema({"allOf": [schema], **definitions} if definitions else schema)


Types: TypeAlias = Mapping[str, ThingModel]


def partial(schema: Any) -> Any:
    """The schema of a part of a value: a shadow merges objects, so none of their members is required."""
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key not in ("required", "minProperties")}
    if isinstance(kept.get("properties"), dict):
        kept["properties"] = {name: partial(each) for name, each in kept["properties"].items()}
    return kept


def without_null(tree: Tree) -> Tree:
    """The tree without the nulls in its objects, which stand for removals."""
    return {
        name: without_null(value) if isinstance(value, dict) else value
        for name, value in tree.items()
        if value is not None
    }


def compile_schema(schema: Any) -> jsonschema_rs.Draft202012Validator:
    """A validator that shows no values, fetches nothing, and whose patterns take linear time.

    Raises jsonschema_rs.ValidationError for what is no JSON Schema.
    """
    return jsonschema_rs.Draft202012Validator(
        schema, mask=HIDDEN, retriever=_refuse, pattern_options=jsonschema_rs.RegexOptions()
    )


def _refuse(address: str) -> Any:
    raise LookupError(f"{address} is not part of the type")


def _object(properties: Tree, *, is_closed: bool = False) -> Tree:
    schema: Tree = {"type": "object", "properties": properties}
    if is_closed:
        schema["additionalProperties"] = False
    return schema


def _problems(validator: jsonschema_rs.Draft202012Validator, fields: Any) -> str:
    found = []
    for error in validator.iter_errors(fields):
        path = "/".join(str(step) for step in error.instance_path)
        found.append(f"{path}: {error.message}" if path else error.message)
        if len(found) == MOST_PROBLEMS:
            break
    return "; ".join(found)


def _personal_of(event: Tree) -> dict[str, PersonalData]:
    data = event.get("data")
    properties = data.get("properties", {}) if isinstance(data, dict) else {}
    rules = {name: each.get("x-twin", {}).get("personal_data", "keep") for name, each in properties.items()}
    return {name: rule for name, rule in rules.items() if rule != "keep"}
