"""Scenario text is a bounded subset of YAML 1.2 that knows the place of every key and value."""

import time

import pytest

from scenarios.format.issues import ScenarioError, Span
from scenarios.format.source import LARGEST_FILE_BYTES, MOST_ALIASED_VALUES, parse, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("0o17", 15),
        ("0xff", 255),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        ("-7", -7),
        ("true", True),
        ("~", None),
        ("", None),
        ("'1.3'", "1.3"),
        ('"true"', "true"),
        ("2024-01-01", "2024-01-01"),
        ("[a, 1]", ["a", 1]),
    ],
)
def test_scalars_follow_yaml_1_2(text, value):
    """Norway is no falsehood and half past twelve is no number."""
    assert parse(f"key: {text}").data == {"key": value}


def test_every_key_and_value_has_a_place():
    """Line and column from 1, length in characters."""
    source = parse("links:\n  - {between: [a, bc]}\n")

    assert source.keys == {("links",): Span(1, 1, 5), ("links", 0, "between"): Span(2, 6, 7)}
    assert source.values[("links", 0, "between", 1)] == Span(2, 19, 2)


def test_the_place_of_what_is_not_there_is_that_of_what_is_around_it():
    """A missing key is shown at its map."""
    source = parse("a:\n  b: 1\n")

    assert source.value_at(("a", "c", "d")) == source.values[("a",)]


def test_an_alias_stands_for_its_anchor():
    """Values can be shared, and are placed where they are used."""
    source = parse("a: &x [1, 2]\nb: *x\n")

    assert source.data["b"] == [1, 2]
    assert source.value_at(("b", 1)) == Span(2, 4, 2)


def _refused(text):
    started = time.process_time()
    with pytest.raises(ScenarioError) as caught:
        parse(text)
    assert time.process_time() - started < 2.0
    return caught.value.issues[0]


def test_a_billion_laughs_are_refused_at_once():
    """Nine levels of nine aliases stand for more values than allowed."""
    levels = "".join(f"k{i}: &k{i} [{', '.join([f'*k{i - 1}'] * 9)}]\n" for i in range(1, 10))

    issue = _refused("k0: &k0 [x, x, x, x, x, x, x, x, x]\n" + levels)

    assert issue.code == "E007"
    assert f"{MOST_ALIASED_VALUES:,}" in issue.message


@pytest.mark.parametrize("text", ["[" * 2_000_000, "- " * 100_000 + "x", "{a: " * 100_000, "? " * 50_000])
def test_deep_nesting_is_refused_before_anything_breaks(text):
    """Two million brackets neither crash nor take time."""
    assert _refused(text).code in {"E007", "E008"}


def test_an_alias_of_itself_is_refused():
    """A value cannot hold itself."""
    assert _refused("a: &a [*a]").code == "E004"


def test_a_key_twice_is_refused_with_both_lines():
    """YAML would silently keep the last."""
    issue = _refused("a: 1\nb: 2\na: 3\n")

    assert issue.message == "the key 'a' stands twice in the same map (lines 1 and 3)"
    assert issue.related[0].span == Span(1, 1, 1)


@pytest.mark.parametrize("text", ["a: \x00", "a: \x07", "\x1b[31m"])
def test_a_control_character_is_refused(text):
    """A terminal is not driven by a scenario."""
    assert _refused(text).code == "E004"


def test_half_of_a_surrogate_pair_is_refused():
    """Text that cannot be written in UTF-8 is no text."""
    assert _refused("a: \ud800").code == "E003"


def test_a_missing_file_is_an_error_without_traceback(tmp_path):
    """The path is named."""
    with pytest.raises(ScenarioError, match=r"E001.*nowhere\.scenario\.yaml cannot be read: No such file"):
        read(tmp_path / "nowhere.scenario.yaml")


def test_a_folder_is_no_scenario(tmp_path):
    """Reading a folder is refused in the same way."""
    with pytest.raises(ScenarioError, match="E001"):
        read(tmp_path)


def test_a_file_of_ten_megabytes_is_refused_unread(tmp_path):
    """The limit is 5 MB, and the refusal is immediate."""
    path = tmp_path / "large.scenario.yaml"
    path.write_bytes(b"# " + b"x" * 10_000_000)

    started = time.process_time()
    with pytest.raises(ScenarioError, match=r"the file has 10\.0 MB; the limit is 5 MB"):
        read(path)

    assert time.process_time() - started < 0.5
    assert path.stat().st_size > LARGEST_FILE_BYTES


def test_a_file_that_is_not_utf_8_is_refused_with_the_byte(tmp_path):
    """The place of the first bad byte is shown."""
    path = tmp_path / "latin.scenario.yaml"
    path.write_bytes("scenario: 1\ntitle: Parkhaus Süd\n".encode("latin-1"))

    with pytest.raises(ScenarioError) as caught:
        read(path)

    (issue,) = caught.value.issues
    assert (issue.code, issue.line, issue.column) == ("E003", 2, 18)
    assert issue.message == "byte 29 (0xfc) is not UTF-8"


def test_a_byte_order_mark_is_no_content(tmp_path):
    """Files of some editors start with one."""
    path = tmp_path / "mark.scenario.yaml"
    path.write_bytes(b"\xef\xbb\xbfscenario: 1\n")

    assert read(path).data == {"scenario": 1}
