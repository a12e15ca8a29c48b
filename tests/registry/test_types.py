"""Device types: the shipped ones, what is wrong with broken ones, and what they allow."""

import copy
import json
import math

import pytest

from devices_models.catalogue import DEVICES
from devices_models.shadow_device import ShadowDevice
from scenarios.format.source import parse
from twin.errors import InputError
from twin.kernel.randomness import Stream
from twin.message import Message
from twin.state.records import Records
from twin.state.registry.things import Thing
from twin.state.shadow import Shadows
from twin.state.twins import Twins
from twin.state.types import shipped_types
from twin.state.types.checking import check, extended, read_type
from twin.state.types.model import ThingModel
from twin.state.types.shadow_schema import TypeSchema
from twin.state.types.shipped import ENDING, files, parse_document, shipped_documents
from twin.state.types.simulation import LAWS, generator, simulation_problems

SOUND = {
    "@type": "tm:ThingModel",
    "properties": {
        "gate": {
            "type": "string",
            "enum": ["open", "closed"],
            "x-twin": {"max_age": "5 min", "desired_expiry": "15 min", "fail_safe": "closed"},
        },
        "count": {"type": "integer", "readOnly": True, "x-twin": {"sim": {"law": "counter", "step": 1}}},
    },
    "actions": {"open": {"input": {"type": "object", "properties": {"for_s": {"type": "number"}}}}},
    "events": {"opened": {"data": {"type": "object", "properties": {"by": {"type": "string"}}}}},
}


def test_every_device_of_a_building_has_a_type():
    """Workloads and devices that are whatever a scenario says have none."""
    built = [
        device for device in DEVICES.values() if device.placement and device.behaviour is not ShadowDevice
    ]
    assert {device.kind for device in built} <= set(shipped_types())


@pytest.mark.parametrize("name", sorted(shipped_documents()))
def test_a_shipped_type_has_neither_errors_nor_warnings(name):
    """Read by our loader, it is what the reader of scenario files reads too."""
    text = files("twin.state.types").joinpath("data", name + ENDING).read_text("utf-8")
    assert parse(text).data == shipped_documents()[name]
    assert check(shipped_documents()[name], name, shipped_documents()) == []


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("propertys", {}, "did you mean 'properties'"),
        ("@type", "Thing", "tm:ThingModel"),
        ("properties", [], "expected a map, not a list"),
        ("properties gate", 5, "expected a map, not a number"),
        ("properties gate enumm", [], "did you mean 'enum'"),
        ("properties gate type", "strin", "no JSON Schema"),
        ("properties gate x-twin max_ages", 1, "did you mean 'max_age'"),
        ("properties gate x-twin max_age", 5, "needs a unit"),
        ("properties gate x-twin max_age", "0 s", "more than 0"),
        ("properties gate x-twin fail_safe", "ajar", "no value of this"),
        ("properties gate x-twin writable_by", ["clod"], "did you mean 'cloud'"),
        ("properties count x-twin writable_by", "cloud", "read-only"),
        ("properties gate x-twin personal_data", "hide", "unknown personal_data"),
        ("properties gate x-twin clear_on_report", "yes", "true or false"),
        ("properties count x-twin sim law", "countr", "did you mean 'counter'"),
        ("properties count x-twin sim stop", 1, "did you mean 'step'"),
        ("properties gate $ref", "file:///etc/passwd", "leads out of the type"),
        ("events opened data properties by typ", "string", "did you mean 'type'"),
        ("actions open input type", 5, "no JSON Schema"),
        ("links", [{"rel": "tm:extends", "href": "gat.tm.yaml"}], "did you mean 'gate'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(path, value, words):
    """And the nearest name that is right."""
    document = copy.deepcopy(SOUND)
    inner, steps = document, path.split()
    for step in steps[:-1]:
        inner = inner[step]
    inner[steps[-1]] = value
    found = [each for each in check(document, "x", {"gate": SOUND}) if not each.is_warning]
    assert [each.place for each in found] == [tuple(steps)]
    assert words in found[0].message
    with pytest.raises(InputError, match="the device type 'x' cannot be used"):
        read_type(document, "x", {"gate": SOUND})


def test_everything_that_is_wrong_is_said_at_once():
    """Five faults, five places."""
    document = copy.deepcopy(SOUND)
    document["propertis"] = {}
    document["properties"]["gate"]["x-twin"]["max_age"] = 5
    document["properties"]["count"]["x-twin"]["sim"] = 7
    document["actions"]["open"]["inptu"] = {}
    document["events"]["opened"] = None
    assert len(check(document, "x")) == 5


def test_a_wish_that_would_stand_for_ever_is_warned_of():
    """The gate hazard: what was desired long ago closes a gate that was opened by hand since."""
    document = copy.deepcopy(SOUND)
    del document["properties"]["gate"]["x-twin"]["desired_expiry"]
    (warning,) = check(document, "x")
    assert warning.is_warning
    assert warning.place == ("properties", "gate")
    assert "stands for ever" in warning.message
    document["properties"]["gate"]["x-twin"]["clear_on_report"] = True
    assert check(document, "x") == []


def test_a_type_takes_over_what_it_extends():
    """Its own words go before; null takes away; circles are refused."""
    fan = shipped_types()["fan"]
    assert fan.properties["on"].desired_expiry_s == 900.0
    assert fan.properties["on"].fail_safe is False
    base = {"@type": "tm:ThingModel", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    links = [{"rel": "tm:extends", "href": "./base.tm.yaml"}]
    document = {"@type": "tm:ThingModel", "links": links, "properties": {"a": None, "b": {"title": "B"}}}
    assert extended(document, {"base": base})["properties"] == {"b": {"type": "string", "title": "B"}}
    assert (
        "extends itself"
        in check({**base, "links": links}, "base", {"base": {**base, "links": links}})[0].message
    )


def test_a_value_that_does_not_fit_is_refused_without_being_shown():
    """A reason goes into logs, a value may be personal."""
    model = read_type(SOUND, "x")
    assert model.report_problem({"gate": "open", "count": 3, "else": 1}) == ""
    problem = model.report_problem({"gate": "geheim", "count": "geheim"})
    assert "gate" in problem
    assert "count" in problem
    assert "geheim" not in problem
    assert "geheim" not in model.event_problem("opened", {"by": ["geheim"]})
    assert model.command_problem("open", {"for_s": 5}) == model.command_problem("else", 7) == ""
    assert "for_s" in model.command_problem("open", {"for_s": "x"})


def test_a_strict_type_refuses_what_it_does_not_know():
    """Fields, events, actions and wishes."""
    model = read_type({**SOUND, "x-twin": {"unknown_fields": "refuse"}}, "x")
    assert "else" in model.report_problem({"else": 1})
    assert "no event" in model.event_problem("closed", {})
    assert "no action" in model.command_problem("shut", {})
    assert "no property" in model.desired_problem({"else": 1})


def test_a_pattern_that_takes_others_for_ever_takes_linear_time():
    """A type is a stranger's text."""
    document = {
        "@type": "tm:ThingModel",
        "properties": {"a": {"type": "string", "readOnly": True, "pattern": "^(a+)+$"}},
    }
    assert read_type(document, "x").report_problem({"a": "a" * 5000 + "!"}) != ""


def test_deeply_nested_text_is_refused():
    """In one sentence."""
    schema = {"type": "string"}
    for _ in range(5000):
        schema = {"not": schema}
    problems = check({"@type": "tm:ThingModel", "properties": {"a": schema}}, "x")
    assert problems


def test_a_key_that_a_reader_took_for_a_truth_value_is_named():
    """YAML 1.1 reads `on` as true; ours does not."""
    assert parse_document("{on: yes, at: 12:30}") == {"on": "yes", "at": "12:30"}
    sim = {"law": "toggle", True: "1 s", "off": "1 s"}
    document = {"@type": "tm:ThingModel", "properties": {"a": {"type": "boolean", "x-twin": {"sim": sim}}}}
    assert [each.message for each in check(document, "x")] == ["the key True is no text"]


@pytest.fixture
def records():
    records = Records()
    records.put("thing", "gate-1", Thing(name="gate-1", type="boom_gate"))
    records.put("thing", "odd", Thing(name="odd", type="unknown"))
    return records


@pytest.mark.parametrize(
    ("thing", "section", "changes", "words"),
    [
        ("gate-1", "desired", {"gate": "open"}, ""),
        ("gate-1", "desired", {"gate": None}, ""),
        ("gate-1", "desired", {"emergency": None}, ""),
        ("gate-1", "desired", {"else": 1}, ""),
        ("gate-1", "desired", {"gate": "ajar"}, "gate:"),
        ("gate-1", "desired", {"emergency": True}, "read only"),
        ("gate-1", "reported", {"emergency": True}, ""),
        ("gate-1", "reported", {"gate": 5}, "gate:"),
        ("gate-1", "reported", {"gate": None}, ""),
        ("odd", "desired", {"gate": 5}, ""),
        ("nobody", "desired", {"gate": 5}, ""),
    ],
)
def test_a_shadow_takes_what_the_type_allows(records, thing, section, changes, words):
    """A thing without a type takes anything, and null, which removes, is always allowed."""
    problem = TypeSchema(shipped_types()).problem(thing, section, changes, records)
    assert words in problem
    assert bool(words) == bool(problem)


@pytest.mark.parametrize(
    ("by", "changes", "words"),
    [
        ("operator", {"locked": True}, ""),
        ("rules", {"locked": True}, "written by cloud, device, operator, not by rules"),
        ("rules", {"locked": None}, ""),
        ("rules", {"else": 1}, ""),
    ],
)
def test_a_wish_is_for_the_writers_of_the_type(records, by, changes, words):
    """A lock is left alone by rules, who may take a wish back as everybody may."""
    records.put("thing", "lock-1", Thing(name="lock-1", type="lock"))
    problem = TypeSchema(shipped_types()).writer_problem("lock-1", changes, by, records)
    assert words in problem
    assert bool(words) == bool(problem)


def test_personal_values_are_hidden_before_a_shadow_keeps_them(records):
    """Not in the record, nor in an answer or event, but checked as they came; null takes a value away."""
    document = {
        "@type": "tm:ThingModel",
        "properties": {
            "plate": {
                "type": "string",
                "maxLength": 8,
                "readOnly": True,
                "x-twin": {"personal_data": "mask"},
            },
            "driver": {"type": "string", "readOnly": True, "x-twin": {"personal_data": "drop"}},
            "speed": {"type": "number", "readOnly": True},
        },
    }
    schema = TypeSchema({"boom_gate": read_type(document, "boom_gate")})
    twins = Twins([Shadows(schema=schema)], records)

    def report(**values):
        payload = json.dumps({"state": {"reported": values}}).encode()
        return twins.handle(Message("$aws/things/gate-1/shadow/update", payload), 1.0)

    said = report(plate="B-AB 123", driver="Ada", speed=5)
    assert records.get("shadow", "gate-1").state.reported == {"plate": "***", "speed": 5}
    assert not any(b"AB 123" in each.payload or b"Ada" in each.payload for each in said.messages)
    assert report(plate="far too long a plate").messages[0].topic.endswith("/rejected")
    report(plate=None)
    assert records.get("shadow", "gate-1").state.reported == {"speed": 5}


def test_a_part_of_an_object_may_be_desired(records):
    """A shadow merges it with the rest, so nothing is required of the part."""
    document = {
        "@type": "tm:ThingModel",
        "properties": {
            "limits": {
                "type": "object",
                "required": ["low", "high"],
                "properties": {"low": {"type": "number"}, "high": {"type": "number"}},
                "x-twin": {"desired_expiry": "1 h"},
            }
        },
    }
    types = {"boom_gate": read_type(document, "boom_gate")}
    schema = TypeSchema(types)
    assert schema.problem("gate-1", "desired", {"limits": {"low": 1}}, records) == ""
    assert schema.problem("gate-1", "desired", {"limits": {"low": None, "high": 2}}, records) == ""
    assert schema.problem("gate-1", "desired", {"limits": {"low": "x"}}, records) != ""


def test_a_shadow_learns_how_long_wishes_stand_and_values_hold(records):
    """From the type; infinite for what it does not know."""
    schema = TypeSchema(shipped_types())
    assert schema.desired_expiry_s("gate-1", "gate", records) == 900.0
    assert schema.is_cleared_on_report("gate-1", "gate", records)
    assert schema.max_age_s("gate-1", "gate", records) == 900.0
    assert (
        schema.desired_expiry_s("gate-1", "else", records)
        == schema.max_age_s("nobody", "gate", records)
        == math.inf
    )
    assert not schema.is_cleared_on_report("nobody", "gate", records)


SIMULATIONS = [
    ({"law": "constant", "value": 5}, "number"),
    ({"law": "uniform", "low": 1, "high": 2, "decimals": 1}, "number"),
    ({"law": "normal", "mean": 5, "deviation": 2, "low": 1, "high": 9}, "integer"),
    ({"law": "walk", "start": 5, "step": 3, "low": 0, "high": 10}, "number"),
    ({"law": "sine", "mean": 5, "amplitude": 1, "period": "1 h"}, "number"),
    ({"law": "toggle", "on": "1 s", "off": "2 s"}, "boolean"),
    ({"law": "choice", "values": ["a", "b"], "weights": [1, 3]}, "string"),
    ({"law": "counter", "step": 2, "start": 4}, "integer"),
]


@pytest.mark.parametrize(("sim", "kind"), SIMULATIONS, ids=[sim["law"] for sim, _ in SIMULATIONS])
def test_a_law_gives_values_of_its_property(sim, kind):
    """Of the right type, within bounds, and the same for the same stream."""
    assert list(simulation_problems(sim, {"type": kind})) == []
    document = {"@type": "tm:ThingModel", "properties": {"v": {"type": kind, "readOnly": True}}}
    model = read_type(document, "x")

    def values():
        made, stream = generator(sim, {"type": kind}), Stream(1, "x", "v")
        return [made.next(float(now), stream) for now in range(300)]

    assert values() == values()
    assert all(model.report_problem({"v": value}) == "" for value in values())
    if sim["law"] in {"walk", "normal"}:
        assert max(values()) <= sim["high"]
        assert min(values()) >= sim["low"]
    if sim["law"] == "choice":
        assert 0.65 < values().count("b") / 300 < 0.85
    if sim["law"] == "toggle":
        assert 0.2 < sum(values()) / 300 < 0.5
    if sim["law"] == "counter":
        assert values()[:3] == [4, 6, 8]


def test_every_law_is_tried():
    """A new one needs a row."""
    assert {sim["law"] for sim, _ in SIMULATIONS} == set(LAWS)


@pytest.mark.parametrize("name", sorted(shipped_types()))
def test_the_simulated_values_of_shipped_types_fit_them(name):
    """Hours of each."""
    model: ThingModel = shipped_types()[name]
    for each in model.properties.values():
        if each.simulation is not None:
            made, stream = generator(each.simulation, each.schema), Stream(2, name, each.name)
            for now in range(0, 200_000, 1_000):
                assert model.report_problem({each.name: made.next(float(now), stream)}) == ""
