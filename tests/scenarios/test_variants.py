"""Variants merge overrides into the base, and print in full with a hash."""

import pytest

from scenarios.format.source import parse
from scenarios.format.variants import expand, resolve, swings

BASE = """\
scenario: 1
nodes:
  gateway: {kind: gateway, at: here, buffer: 10 messages, mask: [plate, face]}
links:
  - {between: [gateway, broker], name: uplink, round_trip: 231 ms}
  - {between: [a, b]}
run: {duration: 5 min}
"""


def _variant(overrides):
    drafts, issues = expand(parse(f"{BASE}variants: {{v: {overrides}}}\n"))
    assert issues == []
    return drafts[0]


def test_a_file_without_variants_has_one():
    """It is called base."""
    drafts, _ = expand(parse(BASE))

    assert [each.name for each in drafts] == ["base"]


def test_maps_merge_deep():
    """What is not overridden stays."""
    assert _variant("{nodes: {gateway: {at: there}}}").data["nodes"]["gateway"] == {
        "kind": "gateway",
        "at": "there",
        "buffer": "10 messages",
        "mask": ["plate", "face"],
    }


def test_lists_replace():
    """A list is one value."""
    assert _variant("{nodes.gateway.mask: [face]}").data["nodes"]["gateway"]["mask"] == ["face"]


def test_null_removes():
    """A key, or an item of a list."""
    assert "buffer" not in _variant("{nodes.gateway.buffer: null}").data["nodes"]["gateway"]
    assert [each.get("name") for each in _variant("{links.uplink: null}").data["links"]] == [None]


@pytest.mark.parametrize("key", ["links.uplink.round_trip", "links.0.round_trip"])
def test_an_item_is_addressed_by_name_or_index(key):
    """A link's figure can be swept."""
    assert _variant(f"{{{key}: 50 ms}}").data["links"][0]["round_trip"] == "50 ms"


def test_a_key_known_with_a_default_can_be_set():
    """`run.seed` need not be written in the base."""
    assert _variant("{run.seed: 7}").data["run"] == {"duration": "5 min", "seed": 7}


def test_a_missing_section_known_to_the_format_can_be_filled():
    """`world` has a default: nothing."""
    assert _variant("{world.people: 5}").data["world"] == {"people": 5}


@pytest.mark.parametrize(
    ("override", "message", "label"),
    [
        (
            "nodes.gatway.at: x",
            "the override 'nodes.gatway.at' changes nothing: 'nodes' has no key 'gatway'",
            "did you mean 'gateway'?",
        ),
        (
            "run.sead: 7",
            "the override 'run.sead' changes nothing: 'run' has no key 'sead'",
            "did you mean 'seed'?",
        ),
        ("links.7.loss: 1 %", "'links' has no item '7'", ""),
        ("run.seed.x: 1", "'run.seed' is a single value and has no key 'x'", ""),
        (
            "nodez: {}",
            "the override 'nodez' changes nothing: the scenario has no key 'nodez'",
            "did you mean 'nodes'?",
        ),
    ],
)
def test_an_override_of_nothing_is_an_error_with_the_nearest_name(override, message, label):
    """A misspelt override would silently have no effect."""
    text = BASE.replace("5 min}", "5 min, seed: 1}")
    _, issues = expand(parse(f"{text}variants: {{v: {{{override}}}}}\n"))

    assert [(each.code, each.message, each.label) for each in issues] == [("E042", message, label)]


def test_the_base_is_not_changed_by_a_variant():
    """Variants do not see each other."""
    drafts, _ = expand(parse(f"{BASE}variants: {{a: {{nodes.gateway.at: there}}, b: {{}}}}\n"))

    assert [each.data["nodes"]["gateway"]["at"] for each in drafts] == ["there", "here"]


def test_reserved_keys_are_about_the_variant():
    """They override nothing."""
    assert "why" not in _variant("{title: T, why: because, fails: []}").data


def test_the_matrix_multiplies_the_variants():
    """Two variants by two values by three make twelve."""
    matrix = "matrix: {run.seed: [1, 2], links.uplink.round_trip: [50 ms, 99 ms, 231 ms]}"
    drafts, issues = expand(parse(f"{BASE}variants: {{a: {{}}, b: {{}}}}\n{matrix}\n"))

    assert issues == []
    assert len(drafts) == 12
    assert drafts[1].name == "a run.seed=1 links.uplink.round_trip=99 ms"
    assert drafts[1].family == "a"
    assert drafts[1].data["links"][0]["round_trip"] == "99 ms"


def test_an_overridden_value_has_its_place_in_the_variant():
    """What is wrong in an override is shown there."""
    draft = _variant("{nodes.gateway.at: there}")

    assert draft.value_at(("nodes", "gateway", "at")).line == 8
    assert draft.value_at(("nodes", "gateway", "kind")).line == 3


def test_a_later_item_keeps_its_place_when_one_is_removed():
    """The second link is still in its line."""
    draft = _variant("{links.uplink: null}")

    assert draft.value_at(("links", 0, "between")).line == 6


def test_the_printed_file_does_not_depend_on_the_layout():
    """Keys of the format stand in its order; other keys are sorted."""
    first = parse("scenario: 1\nrun: {seed: 1, duration: 5 s}\nnodes: {g: {kind: gateway, z: 1, a: 2}}\n")
    second = parse(
        "nodes:\n  g: {a: 2, kind: gateway, z: 1}\nrun:\n  duration: 5 s\n  seed: 1\nscenario: 1\n"
    )

    assert resolve(first.data) == resolve(second.data)
    assert resolve(first.data).text == (
        "scenario: 1\nnodes:\n  g:\n    kind: gateway\n    a: 2\n    z: 1\nrun:\n  duration: 5 s\n  seed: 1\n"
    )


def test_the_printed_file_reads_back():
    """What is printed is the variant."""
    draft = _variant("{nodes.gateway.at: there}")

    assert parse(resolve(draft.data).text).data == draft.data


def test_sensitivity_gives_the_first_variant_a_low_and_a_high_value():
    """Two drafts an input, with the overrides of the first variant."""
    text = (
        "scenario: 1\nnodes: {a: {kind: gateway}}\nvariants: {first: {nodes.a.at: here}, second: {}}\n"
        "sensitivity: {nodes.a.buffer: [10 messages, 20 messages]}\n"
    )
    found, issues = swings(parse(text))

    assert issues == []
    assert [(key, low.data["nodes"]["a"], high.name) for key, low, high in found] == [
        (
            "nodes.a.buffer",
            {"kind": "gateway", "at": "here", "buffer": "10 messages"},
            "first nodes.a.buffer=20 messages",
        )
    ]


@pytest.mark.parametrize(
    "text",
    ["1e3", "0o17", "0x1F", "12", "1.5", "+1", ".5", "5.", "-1E+2", "true", "null", "~", "", "no", "12:30"],
)
def test_a_text_stays_a_text_when_it_is_printed(text):
    """YAML 1.2 reads more numbers than the printer's YAML 1.1."""
    data = {"title": text, "x": [text]}

    assert parse(resolve({"title": text}).text).data == {"title": text}
    assert parse(resolve({"nodes": data}).text).data == {"nodes": {"title": text, "x": [text]}}


@pytest.mark.parametrize(
    ("sections", "code", "message", "line"),
    [
        (
            "matrix: {run.seed: [7, 8, 7]}",
            "E043",
            "two values of the matrix key 'run.seed' make variants of one name, 'run.seed=7'",
            8,
        ),
        (
            'matrix: {run.seed: [7, "7"]}',
            "E043",
            "two values of the matrix key 'run.seed' make variants of one name, 'run.seed=7'",
            8,
        ),
        ('variants: {"": {}}', "E043", "a variant needs a name", 8),
        ('variants: {" ": {}}', "E043", "a variant needs a name", 8),
        (
            "variants:\n  v:\n    nodes.gateway.at: x\n    nodes: {gateway: {at: y}}",
            "E042",
            "the variant 'v' overrides 'nodes.gateway.at' twice",
            11,
        ),
    ],
)
def test_what_would_hide_a_variant_or_a_value_is_an_error(sections, code, message, line):
    """One of the two would silently be lost."""
    _, issues = expand(parse(f"{BASE}{sections}\n"))

    assert [(each.code, each.message, each.line) for each in issues] == [(code, message, line)]


def test_different_values_below_one_key_may_be_dotted_and_nested():
    """Only the same value twice is a contradiction."""
    data = _variant("{nodes.gateway.at: x, nodes: {gateway: {buffer: 5 messages}}}").data

    assert (data["nodes"]["gateway"]["at"], data["nodes"]["gateway"]["buffer"]) == ("x", "5 messages")
