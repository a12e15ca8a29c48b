"""What others read: Thing Descriptions and DTDL interfaces of every shipped type."""

import jsonschema_rs
import pytest

from twin.errors import InputError
from twin.mqtt.topics import check_filter
from twin.state.registry.access import may
from twin.state.registry.things import Thing
from twin.state.types import shipped_types
from twin.state.types.checking import check, read_type
from twin.state.types.exports import to_dtdl, to_thing_model, to_wot_td

OPS = {
    "properties": ["readproperty", "writeproperty", "observeproperty", "unobserveproperty"],
    "actions": ["invokeaction", "queryaction", "cancelaction"],
    "events": ["subscribeevent", "unsubscribeevent"],
}


def _affordances(section, **more):
    op = {"enum": OPS[section]}
    form = {
        "type": "object",
        "required": ["href", "op"],
        "properties": {
            "href": {"type": "string", "pattern": "^[a-z]+://"},
            "contentType": {"const": "application/json"},
            "op": {"anyOf": [op, {"type": "array", "items": op, "minItems": 1}]},
            "mqv:controlPacket": {"enum": ["publish", "subscribe"]},
            "mqv:qos": {"enum": ["0", "1", "2"]},
            "mqv:topic": {"type": "string"},
            "mqv:filter": {"type": "string"},
        },
        "additionalProperties": False,
    }
    entry = {
        "type": "object",
        "required": ["forms"],
        "properties": {"forms": {"type": "array", "minItems": 1, "items": form}, **more},
    }
    return {"type": "object", "additionalProperties": entry}


DATA = {
    "type": "object",
    "properties": {
        "type": {"enum": ["boolean", "integer", "number", "string", "object", "array", "null"]},
        "unit": {"type": "string"},
        "enum": {"type": "array", "minItems": 1, "uniqueItems": True},
        "oneOf": {"type": "array", "items": {"$ref": "#/$defs/data"}},
        "items": {"anyOf": [{"$ref": "#/$defs/data"}, {"type": "array"}]},
        "properties": {"type": "object", "additionalProperties": {"$ref": "#/$defs/data"}},
        "readOnly": {"type": "boolean"},
        "minimum": {"type": "number"},
        "x-twin": False,
    },
}
THING_DESCRIPTION = {
    "$defs": {"data": DATA},
    "type": "object",
    "required": ["@context", "title", "security", "securityDefinitions"],
    "properties": {
        "@context": {
            "type": "array",
            "prefixItems": [{"const": "https://www.w3.org/2022/wot/td/v1.1"}],
            "items": {"type": "object"},
        },
        "id": {"type": "string", "pattern": "^urn:"},
        "title": {"type": "string"},
        "description": {"type": "string"},
        "version": {"type": "object", "required": ["instance"]},
        "security": {"type": "array", "items": {"const": "broker"}},
        "securityDefinitions": {"type": "object", "required": ["broker"]},
        "properties": {
            "allOf": [_affordances("properties"), {"additionalProperties": {"$ref": "#/$defs/data"}}]
        },
        "actions": _affordances("actions", input={"$ref": "#/$defs/data"}),
        "events": _affordances("events", data={"$ref": "#/$defs/data"}),
        "schemaDefinitions": {"type": "object", "additionalProperties": {"$ref": "#/$defs/data"}},
    },
    "additionalProperties": False,
}
"""The structure of a Thing Description 1.1 as far as ours goes, in our own words."""

IDENTIFIER = "^[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?$"
SCHEMA = {
    "anyOf": [
        {"enum": ["boolean", "integer", "double", "string"]},
        {
            "type": "object",
            "required": ["@type", "valueSchema", "enumValues"],
            "properties": {"@type": {"const": "Enum"}, "valueSchema": {"enum": ["string", "integer"]}},
        },
        {
            "type": "object",
            "required": ["@type", "fields"],
            "properties": {"@type": {"const": "Object"}, "fields": {"items": {"$ref": "#/$defs/field"}}},
        },
        {
            "type": "object",
            "required": ["@type", "elementSchema"],
            "properties": {"@type": {"const": "Array"}, "elementSchema": {"$ref": "#/$defs/schema"}},
        },
    ]
}
FIELD = {
    "type": "object",
    "required": ["name", "schema"],
    "properties": {"name": {"pattern": IDENTIFIER}, "schema": {"$ref": "#/$defs/schema"}},
}
CONTENT = {
    "type": "object",
    "required": ["@type", "name"],
    "properties": {
        "@type": {"enum": ["Property", "Command", "Telemetry"]},
        "name": {"pattern": IDENTIFIER},
        "schema": {"$ref": "#/$defs/schema"},
        "writable": {"type": "boolean"},
        "description": {"type": "string", "maxLength": 512},
        "request": {"$ref": "#/$defs/field"},
        "response": {"$ref": "#/$defs/field"},
    },
    "additionalProperties": False,
}
INTERFACE = {
    "$defs": {"schema": SCHEMA, "field": FIELD},
    "type": "object",
    "required": ["@context", "@id", "@type", "contents"],
    "properties": {
        "@context": {"const": "dtmi:dtdl:context;3"},
        "@id": {"pattern": "^dtmi:windtunnel:[A-Za-z][A-Za-z0-9_]*[A-Za-z0-9];1$"},
        "@type": {"const": "Interface"},
        "displayName": {"type": "string"},
        "description": {"type": "string"},
        "contents": {"type": "array", "items": CONTENT},
    },
    "additionalProperties": False,
}
NAMES = pytest.mark.parametrize("name", sorted(shipped_types()))


def _problems(schema, document):
    return [
        (error.instance_path, error.message)
        for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(document)
    ]


@NAMES
def test_a_type_becomes_a_thing_description(name):
    """With the structure of version 1.1, and nothing of our own in it."""
    made = to_wot_td(shipped_types()[name], Thing(name="t-1", type=name, site="car_park"))
    assert _problems(THING_DESCRIPTION, made) == []
    for section in ("properties", "actions", "events"):
        assert set(made.get(section, {})) == set(shipped_types()[name].document.get(section) or {})


def test_the_description_is_what_a_broken_one_is_not():
    """The schema of this test refuses what the standard refuses."""
    sound = to_wot_td(shipped_types()["lock"], Thing(name="t-1", site="s"))
    for key in ("title", "security", "@context"):
        assert _problems(THING_DESCRIPTION, {each: value for each, value in sound.items() if each != key})
    forms = [{**sound["actions"]["unlock"]["forms"][0], "op": "readproperty"}]
    assert _problems(THING_DESCRIPTION, {**sound, "actions": {"unlock": {"forms": forms}}})


@NAMES
def test_the_topics_of_a_description_are_those_its_thing_is_reached_at(car_park, name):
    """What it says on them it may publish, and what is sent to it there it may receive."""
    thing = Thing(name="t-1", type=name, site="car_park")
    car_park.put("thing", "t-1", thing)
    made = to_wot_td(shipped_types()[name], thing)
    for section in ("properties", "actions", "events"):
        for affordance in made.get(section, {}).values():
            for form in affordance["forms"]:
                topic = form.get("mqv:topic") or form["mqv:filter"]
                check_filter(topic)
                verb = "publish" if form["mqv:controlPacket"] == "subscribe" else "receive"
                assert may(car_park.records, "t-1", verb, topic)


@NAMES
def test_a_type_becomes_a_dtdl_interface(name):
    """Names are unique, and whatever is missing is said."""
    model = shipped_types()[name]
    interface, left_out = to_dtdl(model)
    assert _problems(INTERFACE, interface) == []
    names = [each["name"] for each in interface["contents"]]
    assert len(names) == len(set(names))
    for section in ("properties", "actions", "events"):
        for key in model.document.get(section) or {}:
            assert key in names or any(each.startswith(f"{section}.{key}") for each in left_out)


def test_what_dtdl_cannot_say_is_listed():
    """By place and reason; what may be null becomes what it otherwise is."""
    document = {
        "@type": "tm:ThingModel",
        "properties": {
            "odd-name": {"type": "string", "readOnly": True},
            "choice": {"oneOf": [{"type": "string"}, {"type": "number"}], "readOnly": True},
            "maybe": {"oneOf": [{"type": "number"}, {"type": "null"}], "readOnly": True},
            "level": {"type": "integer", "enum": [-1, 0, 1], "readOnly": True},
            "list": {
                "type": "array",
                "items": {"type": "object", "properties": {"a": {"type": "string"}}},
                "readOnly": True,
            },
            "warm": {"type": "number", "minimum": 5, "unit": "K", "readOnly": True},
        },
        "events": {"bang": {}},
    }
    interface, left_out = to_dtdl(read_type(document, "odd-type"))
    assert _problems(INTERFACE, interface) == []
    assert interface["@id"] == "dtmi:windtunnel:odd_type;1"
    assert {each["name"] for each in interface["contents"]} == {"maybe", "level", "list", "warm"}
    assert left_out == [
        "properties.odd-name: DTDL does not allow this name",
        "properties.choice: DTDL has no schema for this",
        "properties.maybe: null as a value",
        "properties.warm: unit, minimum",
        "events.bang: DTDL has no events without data",
    ]


def test_what_only_json_schema_can_say_is_said_otherwise():
    """References, several types, true and false: the formats have none, and a crash would be no answer."""
    document = {
        "@type": "tm:ThingModel",
        "properties": {
            "maybe": {"type": ["number", "null"], "readOnly": True},
            "place": {"$ref": "#/schemaDefinitions/point", "readOnly": True},
            "loose": {"type": "object", "properties": {"any": True, "none": False}, "readOnly": True},
            "rows": {"type": ["array"], "items": {"$ref": "#/$defs/flag"}, "readOnly": True},
        },
        "actions": {"go": {"input": {"$ref": "#/schemaDefinitions/point"}, "output": True}},
        "events": {"bang": {"data": True}},
        "schemaDefinitions": {
            "point": {
                "type": "object",
                "properties": {"x": {"type": "number"}, "next": {"$ref": "#/schemaDefinitions/point"}},
            }
        },
        "$defs": {"flag": {"type": "boolean"}},
    }
    model = read_type(document, "odd")
    made = to_wot_td(model, Thing(name="t-1", type="odd", site="s"))
    assert _problems(THING_DESCRIPTION, made) == []
    assert "$" not in str(made["properties"]) + str(made["actions"]) + str(made["schemaDefinitions"])
    assert all(each["observable"] for each in made["properties"].values())
    interface, left_out = to_dtdl(model)
    assert _problems(INTERFACE, interface) == []
    schemas = {each["name"]: each.get("schema") for each in interface["contents"]}
    point = {"@type": "Object", "fields": [{"name": "x", "schema": "double"}]}
    rows = {"@type": "Array", "elementSchema": "boolean"}
    assert schemas == {"maybe": "double", "place": point, "rows": rows, "go": None}
    assert "properties.maybe: null as a value" in left_out


def test_references_that_multiply_end_in_a_sentence():
    """Each of thirty definitions names the next one twice."""
    names = [f"#/$defs/d{number}" for number in range(30)]
    pairs = {
        f"d{number}": {"type": "object", "properties": {"a": {"$ref": after}, "b": {"$ref": after}}}
        for number, after in enumerate(names[1:])
    }
    properties = {"big": {"$ref": names[0], "readOnly": True}}
    document = {
        "@type": "tm:ThingModel", "properties": properties, "$defs": {**pairs, "d29": {"type": "string"}}
    }  # fmt: skip
    with pytest.raises(InputError, match="more than 10000 schemas"):
        to_dtdl(read_type(document, "odd"))


def test_a_thing_model_is_whole():
    """What it extends is put in, so that it stands alone, and the caller may change it."""
    fan = shipped_types()["fan"]
    made = to_thing_model(fan)
    assert check({key: value for key, value in made.items() if key != "links"}, "fan") == []
    made["properties"].clear()
    assert fan.document["properties"]
