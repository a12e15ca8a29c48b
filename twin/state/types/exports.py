"""Device types for others: W3C WoT Thing Description 1.1 and Microsoft DTDL version 3."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from twin.state.records import Tree
from twin.state.registry.things import Thing
from twin.state.types.checking import X_TWIN
from twin.state.types.model import ThingModel
from twin.state.types.plain import plain

TD_CONTEXT: Final = "https://www.w3.org/2022/wot/td/v1.1"
MQTT_VOCABULARY: Final = "http://www.example.org/mqtt-binding#"
"""As the Thing Description's own examples have it; the binding has no final address yet."""
DTDL_CONTEXT: Final = "dtmi:dtdl:context;3"

_DTDL_NAME: Final = re.compile(r"[A-Za-z](?:[A-Za-z0-9_]{0,510}[A-Za-z0-9])?")
_PRIMITIVES: Final = {"boolean": "boolean", "integer": "integer", "number": "double", "string": "string"}
_UNMAPPED: Final = (
    "unit", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems", "required",
    "additionalProperties", "const", "default",
)  # fmt: skip


# Thing Description ---------------------------------------------------------------------------------------


def to_wot_td(model: ThingModel, thing: Thing, broker: str = "mqtts://localhost:8883") -> Tree:
    """The Thing Description of a thing, with the topics under which it is reached at the broker."""
    field, shadow = f"site/{thing.site}/{model.name}/{thing.name}", f"$aws/things/{thing.name}/shadow/update"
    document = _without_twin(plain(model.document))
    made: Tree = {
        "@context": [TD_CONTEXT, {"mqv": MQTT_VOCABULARY}],
        "id": f"urn:windtunnel:thing:{thing.name}",
        "title": thing.name,
        "description": document.get("description", model.title),
        "securityDefinitions": {"broker": {"scheme": "auto"}},
        "security": ["broker"],
    }
    if "version" in document:
        made["version"] = {"instance": str(thing.version), **document["version"]}
    if "schemaDefinitions" in document:
        made["schemaDefinitions"] = document["schemaDefinitions"]
    for section in ("properties", "actions", "events"):
        for name, affordance in (document.get(section) or {}).items():
            forms = list(_forms(section, name, model, broker, field, shadow))
            observed = {"observable": True} if section == "properties" else {}
            made.setdefault(section, {})[name] = {**affordance, **observed, "forms": forms}
    return made


def _forms(
    section: str, name: str, model: ThingModel, broker: str, field: str, shadow: str
) -> Iterator[Tree]:
    if section == "actions":
        yield _form(broker, "invokeaction", "publish", f"{field}/cmd/{name}", 1)
    elif section == "events":
        yield _form(broker, ["subscribeevent", "unsubscribeevent"], "subscribe", f"{field}/event/{name}", 1)
    else:
        yield _form(broker, ["observeproperty", "unobserveproperty"], "subscribe", f"{field}/telemetry", 0)
        if model.properties[name].is_desirable:
            yield _form(broker, "writeproperty", "publish", shadow, 1)


def _form(broker: str, op: str | list[str], packet: str, topic: str, qos: int) -> Tree:
    where = "mqv:filter" if packet == "subscribe" else "mqv:topic"
    return {
        "href": broker,
        "contentType": "application/json",
        "op": op,
        "mqv:controlPacket": packet,
        where: topic,
        "mqv:qos": str(qos),
    }


def to_thing_model(model: ThingModel) -> Tree:
    """The type as one Thing Model, with what it extends put in."""
    return copy.deepcopy(model.document)


def _without_twin(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_twin(inner) for key, inner in value.items() if key != X_TWIN}
    return [_without_twin(inner) for inner in value] if isinstance(value, list) else value


# DTDL ----------------------------------------------------------------------------------------------------


class Dtdl(NamedTuple):
    """A DTDL interface, and what of the type it could not take (place and reason)."""

    interface: Tree
    left_out: list[str]


def to_dtdl(model: ThingModel) -> Dtdl:
    """The interface of a type: properties, actions as commands, events as telemetry."""
    mapper = _Mapper(model)
    contents = [
        *mapper.section("properties", mapper.as_property),
        *mapper.section("actions", mapper.as_command),
        *mapper.section("events", mapper.as_telemetry),
    ]
    interface = {
        "@context": DTDL_CONTEXT,
        "@id": f"dtmi:windtunnel:{_identifier(model.name)};1",
        "@type": "Interface",
        "displayName": model.title[:512],
        "description": str(model.document.get("description", model.title))[:512],
        "contents": contents,
    }
    return Dtdl(interface, mapper.left_out)


def _identifier(name: str) -> str:
    """A name as DTDL allows it in an identifier."""
    words = re.sub(r"[^A-Za-z0-9_]", "_", name).strip("_")
    return words if _DTDL_NAME.fullmatch(words) else f"t_{words}0"


class _Mapper:
    """Maps one type and notes what is lost."""

    def __init__(self, model: ThingModel) -> None:
        self._model = model
        self._document = plain(model.document)
        self._names: set[str] = set()
        self.left_out: list[str] = []

    def section(self, name: str, make: Any) -> Iterator[Tree]:
        """What becomes of the affordances of a section; one whose name DTDL refuses is left out."""
        for key, entry in (self._document.get(name) or {}).items():
            place = f"{name}.{key}"
            if not _DTDL_NAME.fullmatch(key):
                self._lose(place, "DTDL does not allow this name")
            elif key in self._names:
                self._lose(place, "DTDL has one name space, and the name is taken")
            elif (made := make(key, entry, place)) is not None:
                self._names.add(key)
                yield made

    def as_property(self, name: str, entry: Tree, place: str) -> Tree | None:
        """A property, writable if somebody may wish for it."""
        schema = self._schema(entry, place)
        if X_TWIN in entry:
            self._lose(place, "x-twin (age, expiry, fail-safe value, simulation)")
        if schema is None:
            return None
        is_writable = self._model.properties[name].is_desirable
        return self._described(
            {"@type": "Property", "name": name, "schema": schema, "writable": is_writable}, entry
        )

    def as_command(self, name: str, entry: Tree, place: str) -> Tree:
        """A command with its request and response."""
        made: Tree = {"@type": "Command", "name": name}
        for ours, theirs in (("input", "request"), ("output", "response")):
            schema = self._schema(entry[ours], f"{place}.{ours}") if ours in entry else None
            if schema is not None:
                made[theirs] = {"name": ours, "schema": schema}
        return self._described(made, entry)

    def as_telemetry(self, name: str, entry: Tree, place: str) -> Tree | None:
        """Telemetry with the event's data; an event without data is left out."""
        if "data" not in entry:
            self._lose(place, "DTDL has no events without data")
            return None
        schema = self._schema(entry["data"], f"{place}.data")
        if schema is None:
            return None
        return self._described({"@type": "Telemetry", "name": name, "schema": schema}, entry)

    def _described(self, made: Tree, entry: Tree) -> Tree:
        if isinstance(entry.get("description"), str):
            made["description"] = entry["description"][:512]
        return made

    def _lose(self, place: str, reason: str) -> None:
        self.left_out.append(f"{place}: {reason}")

    def _schema(self, schema: Tree, place: str) -> Any:
        """The DTDL schema, or None for what it cannot say."""
        if lost := [key for key in _UNMAPPED if key in schema]:
            self._lose(place, ", ".join(lost))
        if "enum" in schema:
            return self._enumeration(schema["enum"], place)
        match schema.get("type"):
            case "object":
                return self._object(schema, place)
            case "array" if isinstance(schema.get("items"), dict):
                element = self._schema(schema["items"], f"{place}.items")
                return None if element is None else {"@type": "Array", "elementSchema": element}
            case str(kind) if kind in _PRIMITIVES:
                return _PRIMITIVES[kind]
        return self._nullable(schema, place)

    def _nullable(self, schema: Tree, place: str) -> Any:
        """What may be one thing or null becomes that thing; any other choice is lost."""
        choices = [each for each in schema.get("oneOf", []) if isinstance(each, dict)]
        things = [each for each in choices if each.get("type") != "null"]
        if len(things) == 1 and len(choices) == 2:
            self._lose(place, "null as a value")
            return self._schema(things[0], place)
        self._lose(place, "DTDL has no schema for this")
        return None

    def _enumeration(self, values: list[Any], place: str) -> Any:
        if all(isinstance(each, str) and _DTDL_NAME.fullmatch(each) for each in values):
            named = [{"name": each, "enumValue": each} for each in values]
            return {"@type": "Enum", "valueSchema": "string", "enumValues": named}
        if all(isinstance(each, int) and not isinstance(each, bool) for each in values):
            named = [{"name": f"value{each}".replace("-", "m"), "enumValue": each} for each in values]
            return {"@type": "Enum", "valueSchema": "integer", "enumValues": named}
        self._lose(place, "DTDL enumerates words or whole numbers only")
        return None

    def _object(self, schema: Tree, place: str) -> Any:
        fields = []
        for name, inner in schema.get("properties", {}).items():
            if not _DTDL_NAME.fullmatch(name):
                self._lose(f"{place}.{name}", "DTDL does not allow this name")
            elif (made := self._schema(inner, f"{place}.{name}")) is not None:
                fields.append({"name": name, "schema": made})
        if not fields:
            self._lose(place, "an object without fields")
            return None
        return {"@type": "Object", "fields": fields}
