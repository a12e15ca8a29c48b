"""Changes of a scenario's text in place."""

import difflib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios import shipped
from scenarios.format import source
from ui.design import edits, writing
from ui.design.checking import check
from ui.design.document import Document, as_shown
from ui.design.edits import EditError
from ui.design.overriding import Target
from ui.design.tables import COLUMNS, changed, rows

SHIPPED = {name: (shipped.LIBRARY / f"{name}{shipped.SUFFIX}").read_text("utf-8") for name in shipped.names()}

COMMENTED = """\
# head
scenario: 1   # the version
title: 'It''s one'

sites:
  here: {metro: singapore}   # where
  there:
    # by coordinates
    country: US
    coordinates: [39.0, -77.5]
nodes:
    gateway: {kind: gateway, at: here, "buffer": 10 messages}

    # the broker
    broker:
        kind: mqtt_broker   # ours
        at: there
links:
- name: uplink
  between: [gateway, broker]   # both ways
  path: wan
  # figures
  round_trip: "240 ms"
requirements: []
description: >-
  folded
  text
"""


def lines_changed(before, after):
    """How many lines went and came."""
    said = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0))[2:]
    return [line for line in said if line[0] in "+-" and not line.startswith(("+++", "---"))]


@pytest.mark.parametrize("name", SHIPPED)
def test_text_that_nobody_edits_stays_as_it_is_to_the_byte(name):
    """Through the document, what a browser gives back, and cells written with what they say."""
    text = SHIPPED[name]
    document = Document(name, name, shipped.find(name), True, text, text)
    checked = check(text, name, document.folder)

    document.type(as_shown(text))
    for section, columns in COLUMNS.items():
        for row, column in itertools.product(rows(checked, section)[::5], columns):
            if row.cells[column.key] and column.path:
                change = changed(checked, section, row, column, row.cells[column.key], Target())
                document.apply(change)

    assert document.text == text
    assert not document.is_changed
    assert document.past == []


@pytest.mark.parametrize("name", SHIPPED)
def test_setting_any_value_to_what_it_is_changes_nothing(name):
    """For scalars all over every shipped scenario."""
    text = SHIPPED[name]
    for path, value in list(scalars(source.parse(text).data, ()))[::7]:
        assert edits.set_value(text, path, value) == text, path


@pytest.mark.parametrize("name", SHIPPED)
def test_another_value_changes_only_the_lines_it_stands_on(name):
    """For scalars of one line; everything before and behind stays."""
    text = SHIPPED[name]
    spans = source.parse(text)
    for path, _ in list(scalars(spans.data, ()))[::7]:
        place = spans.values[path]
        line = text.splitlines()[place.line - 1]
        if line.rstrip().endswith((">-", "|", ">")):
            continue
        after = edits.set_value(text, path, "something else: #1")
        assert len(lines_changed(text, after)) == 2, path


@pytest.mark.parametrize("name", SHIPPED)
def test_any_part_can_be_taken_out_and_nothing_else_goes(name):
    """For items and entries all over every shipped scenario."""
    text = SHIPPED[name]
    comments = [line for line in text.splitlines() if line.strip().startswith("#")]
    data = source.parse(text).data
    for path in list(parts(data, ()))[::9]:
        after = edits.remove(text, path)
        assert [line for line in after.splitlines() if line.strip().startswith("#")] == comments
        assert not [line for line in lines_changed(text, after) if line[0] == "+" and not line[1:].strip()]


def scalars(data, at):
    if isinstance(data, dict):
        for key, value in data.items():
            yield from scalars(value, (*at, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from scalars(value, (*at, index))
    else:
        yield at, data


def parts(data, at):
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*at, key)
        yield from parts(value, (*at, key))


WORDS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["on", "NO", "1e3", "0o17", "12:30", "~", "null", "- a", "a: b", "a #b", "#c", "'", '"', "*x", "&x"]
    ),
    st.integers(-(10**9), 10**9),
    st.booleans(),
    st.none(),
)
VALUES = st.recursive(
    WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PATHS = [
    ("title",),
    ("description",),
    ("sites", "here", "metro"),
    ("sites", "there", "country"),
    ("sites", "there", "coordinates", 0),
    ("nodes", "gateway", "buffer"),
    ("nodes", "broker", "kind"),
    ("links", 0, "name"),
    ("links", 0, "round_trip"),
    ("links", 0, "between", 1),
    ("requirements",),
    ("nodes", "gateway", "keep_alive"),
    ("nodes", "broker", "station", "service"),
    ("nodes", "new", "kind"),
    ("fleets", "new", "device"),
    ("run",),
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PATHS), VALUES)
def test_a_value_that_was_put_is_read_back(path, value):
    """Whatever it is, and wherever it stands; or the change is refused, and the text is as it was."""
    try:
        after = edits.set_value(COMMENTED, path, value)
    except EditError:
        return
    found = source.parse(after).data
    for step in path:
        found = found[step]
    assert found == value
    assert type(found) is type(value)
    assert after.count("#") >= 8


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_a_text_is_written_so_that_it_is_read_as_that_text(text):
    """Within brackets and without."""
    try:
        assert source.parse(f"{{k: {writing.flow(text)}}}").data == {"k": text}
        assert source.parse(f"k: {writing.flow(text, is_inside=False)}").data == {"k": text}
    except source.ScenarioError:
        assert any("\ud800" <= each <= "\udfff" for each in text)


def test_the_quote_that_was_there_is_kept():
    """Also where it would not be needed."""
    after = edits.set_value(COMMENTED, ("links", 0, "round_trip"), "250 ms")

    assert 'round_trip: "250 ms"' in after
    assert edits.set_value(after, ("title",), "Two").splitlines()[2] == "title: 'Two'"


def test_a_folded_text_stays_folded():
    """With its indicator and indentation."""
    after = edits.set_value(COMMENTED, ("description",), "another one")

    assert after.endswith("description: >-\n  another one\n")


def test_a_new_part_is_written_as_its_neighbours_are():
    """In one line, or over several, with their indentation."""
    after = edits.set_value(COMMENTED, ("nodes", "app"), {"kind": "application", "at": "there"})
    linked = edits.append(COMMENTED, ("links",), {"between": ["gateway", "app"], "path": "wan"})

    assert "        at: there\n    app:\n        kind: application\n        at: there\nlinks:" in after
    assert '  round_trip: "240 ms"\n- between: [gateway, app]\n  path: wan\nrequirements' in linked


def test_a_new_section_comes_where_the_format_has_it():
    """Behind the last section that stands before it."""
    after = edits.append(COMMENTED, ("timeline",), {"at": "60 s", "fault": "partition"})

    assert after.index("links:") < after.index("timeline:") < after.index("requirements:")


def test_line_breaks_of_windows_stay():
    """New lines end as the others do."""
    text = COMMENTED.replace("\n", "\r\n")

    after = edits.append(
        edits.set_value(text, ("links", 0, "loss"), "2 %"), ("links",), {"between": ["a", "b"]}
    )

    assert after.count("\n") == after.count("\r\n") == text.count("\n") + 2


def test_what_stands_behind_an_alias_is_not_changed_behind_ones_back():
    """The anchored value would change too."""
    text = "scenario: 1\nsites:\n  a: &place {metro: singapore}\n  b: *place\n"

    with pytest.raises(EditError):
        edits.set_value(text, ("sites", "b", "metro"), "tokyo")
    with pytest.raises(EditError):
        edits.set_value(text, ("sites", "a", "metro"), "tokyo")


def test_a_name_that_is_taken_is_refused():
    """One sentence says so."""
    with pytest.raises(EditError, match="'broker' is there already"):
        edits.rename(COMMENTED, ("nodes", "gateway"), "broker")
