"""A valid scenario loads into checked variants; nothing that can be written ends in a traceback."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scenarios.format.loading import ScenarioError, load, parse
from scenarios.format.schema import Carpark
from twin.errors import InputError

EXAMPLE = Path(__file__).parent / "valid" / "car_park.scenario.yaml"
TEXT = EXAMPLE.read_text("utf-8")


@pytest.fixture
def file(catalogue):
    """The example, loaded."""
    return load(EXAMPLE, catalogue=catalogue)


def test_quantities_are_si_inside(file):
    """Text with a unit outside, numbers inside."""
    scenario = file.variants[0].scenario

    assert scenario.run.duration_s == 1800.0
    assert scenario.timeline[0].at_s == 60.0
    assert scenario.timeline[0].for_s == 300.0


def test_each_variant_is_a_scenario_of_its_own(file):
    """Overrides take effect in their variant only."""
    metros = {each.name: each.scenario.sites["cloud"].metro for each in file.variants}
    hosts = {each.name: each.scenario.nodes["rules"].runs_on for each in file.variants}

    assert metros == {
        "cloud_us": "ashburn",
        "cloud_sg": "singapore",
        "edge": "ashburn",
        "unmasked": "ashburn",
    }
    assert hosts == {"cloud_us": "broker", "cloud_sg": "broker", "edge": "gateway", "unmasked": "broker"}


def test_options_stay_as_they_were_written_until_they_are_wired(file):
    """The free keys of a node are kept apart from those of the format."""
    nodes = {each.name: each.scenario.nodes["gateway"].options for each in file.variants}

    assert nodes["edge"] == {"buffer": "10000 messages", "mask": ["plate"]}
    assert nodes["unmasked"] == {"buffer": "10000 messages", "mask": []}


def test_a_requirement_knows_its_line(file):
    """The test runner reports at the line of the requirement."""
    assert file.line_of("requirements", 1) == TEXT.splitlines().index("  - name: nobody left inside") + 1


def test_an_unknown_variant_is_answered_with_the_nearest(file):
    """The lookup is by exact name."""
    assert file.variant("edge").name == "edge"
    with pytest.raises(ScenarioError, match="did you mean 'edge'"):
        file.variant("egde")


def test_a_requirement_is_judged_in_its_variants_only(catalogue):
    """`variants` limits a requirement."""
    text = TEXT.replace("inside\n", "inside\n    variants: [edge]\n")

    names = {
        each.name: [r.name for r in each.requirements] for each in parse(text, catalogue=catalogue).variants
    }

    assert "nobody left inside" in names["edge"]
    assert "nobody left inside" not in names["cloud_us"]


def test_a_fault_named_by_a_requirement_is_needed_only_where_it_is_judged(catalogue):
    """A variant without faults may leave out a requirement about them."""
    text = TEXT.replace("  edge:  ", "  calm: {timeline: []}\n  edge:  ").replace(
        'gate_open) < 35 s"', 'gate_open during partition) < 35 s"\n    variants: [edge]'
    )

    assert len(parse(text, catalogue=catalogue).variants) == 5


def test_the_keys_of_other_tools_are_left_alone(catalogue):
    """Keys that start with x- are free everywhere."""
    text = TEXT.replace("sites:\n", "x-owner: me\nsites:\n  x-note: {a: 1}\n").replace(
        "qos: 1}", "qos: 1, x-color: red}"
    )

    assert parse(text, catalogue=catalogue).hash == parse(TEXT, catalogue=catalogue).hash


def test_a_section_left_empty_is_a_section_left_out(catalogue):
    """A key with everything under it commented out says nothing."""
    text = "scenario: 1\nsites:\n  # none yet\nrequirements:\n"

    assert parse(text, catalogue=catalogue).variants[0].scenario.sites == {}


def test_a_car_park_can_be_generated(catalogue):
    """A scene is a file or a form."""
    text = TEXT.replace("scene: car_park.geojson", "scene: {levels: 3, bays: 120}")

    site = parse(text, catalogue=catalogue).variants[0].scenario.sites["car_park"]

    assert site.scene == Carpark(levels=3, bays=120)


def test_an_error_that_only_some_variants_have_names_them(catalogue):
    """The base may be right where a variant is wrong."""
    text = TEXT.replace("unmasked: {nodes.gateway.mask: []}", "unmasked: {nodes.gateway.mask: plate}")

    with pytest.raises(ScenarioError) as caught:
        parse(text, catalogue=catalogue)

    (issue,) = caught.value.issues
    assert issue.message == (
        "'mask' of node 'gateway': expected a list; found the text 'plate' (in variant 'unmasked')"
    )
    assert issue.line == TEXT.splitlines().index("  unmasked: {nodes.gateway.mask: []}") + 1


def test_five_thousand_links_are_checked_in_two_and_a_half_seconds(catalogue):
    """Reading, validating and checking 20,000 lines."""
    nodes = "".join(f"  g{i}: {{kind: gateway, at: a}}\n" for i in range(5000))
    links = "".join(
        f"  - between: [g{i}, broker]\n    path: wan\n    round_trip: {200 + i % 100} ms\n    loss: 1 %\n"
        for i in range(5000)
    )
    sites = "sites: {a: {metro: singapore}, b: {metro: ashburn}}\n"
    broker = "nodes:\n  broker: {kind: mqtt_broker, at: b}\n"
    text = f"scenario: 1\n{sites}{broker}{nodes}links:\n{links}"

    started = time.process_time()
    file = parse(text, catalogue=catalogue)

    assert len(file.variants[0].scenario.links) == 5000
    assert time.process_time() - started < 2.5


ANYTHING = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@ANYTHING
@given(st.text(max_size=200))
def test_any_text_loads_or_is_refused(catalogue, text):
    """No text ends in a traceback."""
    _loads_or_is_refused(text, catalogue)


PIECES = (
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "-",
    "\n",
    "  ",
    "\t",
    "'",
    '"',
    "&a",
    "*a",
    "null",
    "0",
    "-1",
    "1e9",
    "é",
    "!!x",
)


@ANYTHING
@given(
    st.lists(st.tuples(st.integers(0, len(TEXT)), st.integers(0, 12), st.sampled_from(PIECES)), max_size=4)
)
def test_any_change_to_a_valid_file_loads_or_is_refused(catalogue, changes):
    """Pieces are cut out and put in at random."""
    text = TEXT
    for position, length, piece in changes:
        text = text[:position] + piece + text[position + length :]

    _loads_or_is_refused(text, catalogue)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
LINES = [i for i, line in enumerate(TEXT.splitlines()) if ":" in line and not line.startswith("#")]


@ANYTHING
@given(st.sampled_from(LINES), st.integers(0, 3), VALUES)
def test_any_value_at_any_key_loads_or_is_refused(catalogue, line, which, value):
    """Every key survives a value of every shape."""
    lines = TEXT.splitlines()
    head, _, tail = lines[line].partition(":")
    inner = tail.split(":")
    if len(inner) > which + 1 and "}" in tail:
        kept = ":".join(inner[: which + 1])
        lines[line] = f"{head}:{kept}: {json.dumps(value)}" + "}" * (kept.count("{") - kept.count("}"))
    else:
        lines[line] = f"{head}: {json.dumps(value)}"

    _loads_or_is_refused("\n".join(lines), catalogue)


def _loads_or_is_refused(text, catalogue):
    try:
        message = "" if parse(text, catalogue=catalogue).variants else "no variants"
    except InputError as error:
        message = str(error)

    assert not message or message.startswith("error[E")
