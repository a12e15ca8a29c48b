"""The format is published as a JSON Schema that editors can use."""

import json
from pathlib import Path

import pytest

import scenarios
from scenarios.format.schema import (
    Access,
    Fleet,
    Link,
    Node,
    Scenario,
    Station,
    json_schema,
    schema_of,
    written_keys,
)


def test_the_schema_names_every_section():
    """In the order of the format."""
    assert list(json_schema()["properties"]) == [
        "scenario", "title", "description", "tags", "sites", "fleets", "nodes", "links", "world",
        "timeline", "variants", "matrix", "sensitivity", "requirements", "run",
    ]  # fmt: skip


def test_the_schema_asks_for_the_version_only():
    """Everything else has a default."""
    assert json_schema()["required"] == ["scenario"]


def test_keys_of_other_tools_are_allowed_everywhere():
    """`x-` keys are no error in an editor either."""
    schema = json_schema()

    assert schema["patternProperties"] == {"^x-": {}}
    assert schema["$defs"]["Link"]["patternProperties"] == {"^x-": {}}


def test_an_unknown_key_of_a_link_is_an_error_and_an_option_of_a_fleet_is_not():
    """Fleets and nodes carry the options of their types."""
    schema = json_schema()["$defs"]

    assert schema["Link"]["additionalProperties"] is False
    assert schema["Fleet"]["additionalProperties"] is True


def test_a_quantity_is_a_text_with_a_unit():
    """With examples for completion."""
    at = json_schema()["$defs"]["TimelineEntry"]["properties"]["at"]

    assert at["type"] == "string"
    assert at["examples"] == ["5 ms", "5 s"]


def test_the_schema_is_json():
    """It can be written to a file."""
    assert json.loads(json.dumps(json_schema())) == json_schema()


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ((), Scenario),
        (("fleets", "smoke"), Fleet),
        (("fleets", "smoke", "link"), Access),
        (("nodes", "gateway"), Node),
        (("nodes", "gateway", "station"), Station),
        (("links", 3), Link),
        (("sites",), None),
        (("nodes", "gateway", "mask"), None),
    ],
)
def test_the_form_at_a_path_is_known(path, form):
    """Overrides are checked against it."""
    assert schema_of(path) is form


def test_keys_are_written_without_unit():
    """`for_s` is written `for`."""
    assert set(written_keys(Station)) == {
        "servers", "service", "law", "cv", "queue", "overflow", "discipline", "mcu",
    }  # fmt: skip


def test_a_queue_is_limited_in_messages_or_bytes():
    """Both are whole numbers."""
    limits = [
        Link.model_validate({"between": ["a", "b"], "queue": text}).queue_limit
        for text in ("100 messages", "64 kB")
    ]

    assert limits == [100, 64_000]


def test_a_tls_version_may_be_written_without_quotes():
    """YAML reads 1.3 as a number."""
    assert Link.model_validate({"between": ["a", "b"], "tls": 1.3}).tls == "1.3"


def test_the_shipped_schema_file_is_up_to_date():
    """Editors read the file that `windtunnel schema --write` makes."""
    shipped = Path(scenarios.__file__).parent / "data" / "scenario.schema.json"

    assert json.loads(shipped.read_text(encoding="utf-8")) == json.loads(json.dumps(json_schema()))
