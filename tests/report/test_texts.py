"""JUnit XML, Markdown, terminal table and JSON."""

# ruff: noqa: S314 - the documents parsed here are our own

from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

import msgspec
import pytest

from scenarios import report
from scenarios.report.markup import display_width
from scenarios.results import MetricSummary, Study, decode


def _replace_first(study, **changes):
    variant = msgspec.structs.replace(study.variants[0], **changes)
    return msgspec.structs.replace(study, variants=[variant])


def test_junit_counts_agree_with_its_cases(study):
    """The sample has 48 judgements, one inconclusive, six failures that were expected."""
    root = ET.fromstring(report.junit(study))
    counts = {key: int(root.get(key)) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": 48, "failures": 0, "errors": 1, "skipped": 6}
    assert len(root.findall("testsuite/testcase")) == 48
    assert len(root.findall("testsuite/testcase/error")) == 1
    assert len(root.findall("testsuite/testcase/skipped")) == 6


def test_junit_suites_add_up_to_the_whole(study):
    """Each variant is a suite; the suites' counts sum to the root's."""
    root = ET.fromstring(report.junit(study))
    for key in ("tests", "failures", "errors", "skipped"):
        assert sum(int(suite.get(key)) for suite in root) == int(root.get(key))


def test_junit_failure_nobody_expected_is_a_failure(study):
    """Without a word of the author, FAIL is a failure with the line that repeats it."""
    cut = next(v for v in study.variants if v.name == "cloud_us_cut")
    surprised = msgspec.structs.replace(study, variants=[msgspec.structs.replace(cut, expected_fails=None)])
    failures = ET.fromstring(report.junit(surprised)).findall("testsuite/testcase/failure")
    assert [failure.get("type") for failure in failures] == ["FAIL", "FAIL"]
    assert "--variant cloud_us_cut --seed 1007 --replications 1" in failures[0].text


def test_junit_pass_where_a_failure_was_expected_is_a_failure(study):
    """An expectation that is no longer true is reported, as a strict xfail is."""
    root = ET.fromstring(report.junit(_replace_first(study, expected_fails=["gate opens in time"])))
    assert root.get("failures") == "1"
    assert root.find("testsuite/testcase/failure").get("message").startswith("PASS but expected to fail")


def test_junit_of_hostile_names_is_well_formed(hostile):
    """Control characters and markup in names leave the document readable."""
    root = ET.fromstring(report.junit(hostile))
    assert root.find("testsuite").get("name").startswith("<script>alert(1)</script>")


def test_markdown_has_one_row_a_variant(study):
    """Header, rule and twelve rows, each with the same number of cells."""
    rows = [line for line in report.markdown(study).splitlines() if line.startswith("|")]
    assert len(rows) == 14
    assert {row.count("|") for row in rows} == {6}


def test_markdown_takes_hostile_names_literally(hostile):
    """Neither HTML nor a link, a cell border or a code fence can be smuggled in."""
    text = report.markdown(hostile)
    outside_code = re.sub(r"(`+).*?\1", "", re.sub(r"\\.", "", text))
    assert "<" not in outside_code
    assert "](" not in outside_code
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_terminal_table_keeps_within_the_width(study, hostile, width):
    """No line of the table is wider than the terminal; the lines to copy are never cut."""
    for any_study in (study, hostile):
        lines = report.terminal_table(any_study, is_colour=False, width=width).splitlines()
        assert all(display_width(line) <= width for line in lines if not line.startswith("  windtunnel "))


def test_a_narrow_terminal_cuts_no_limit(study):
    """Reasons and requirements go on in the next line, with every word."""
    wide, narrow = (report.terminal_table(study, is_colour=False, width=width) for width in (2000, 60))

    for line in wide.splitlines():
        if line.startswith(("[", "\u2717", "?")):
            assert line in " ".join(narrow.split())


def test_terminal_columns_are_aligned(study):
    """Every verdict of a requirement starts in the same column."""
    lines = report.terminal_table(study, is_colour=False, width=160).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("variant"))
    column = lines[first].index("[2]")
    assert {line[column] for line in lines[first + 1 : first + 13]} <= {"\u2713", "\u2717", "?"}


def test_terminal_colour_changes_nothing_but_colour(study):
    """Without its escape codes the coloured table is the plain one."""
    plain = report.terminal_table(study, is_colour=False, width=120)
    coloured = report.terminal_table(study, is_colour=True, width=120)
    bare = "\n".join(line.rstrip() for line in re.sub(r"\x1b\[\d+m", "", coloured).splitlines())
    assert coloured != plain
    assert bare == plain.rstrip("\n")


def test_terminal_prints_no_control_character_of_an_author(hostile):
    """A scenario cannot steer the terminal."""
    text = report.terminal_table(hostile, is_colour=False, width=120)
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text) == []


def test_terminal_says_why_and_how_to_repeat(study):
    """Each judgement that is no PASS has its line and the command that repeats its worst run."""
    text = report.terminal_table(study, is_colour=False, width=120)
    missed = sum(r.verdict != "PASS" for v in study.variants for r in v.requirements)
    assert text.count("--replications 1") == missed == 7


def test_json_reads_back_as_the_same_study(study):
    """Nothing is lost on the way through JSON."""
    assert msgspec.json.decode(report.as_json(study), type=Study) == study


def test_json_keys_are_sorted(study):
    """Equal studies give equal bytes, whatever the order in which their parts were filled."""
    variant = study.variants[0]
    reordered = msgspec.structs.replace(variant, metrics=dict(reversed(variant.metrics.items())))
    other = msgspec.structs.replace(study, variants=[reordered, *study.variants[1:]])
    assert report.as_json(other) == report.as_json(study)


def test_text_forms_are_deterministic(sample):
    """Two studies built alike give the same texts."""
    for write in (report.junit, report.markdown, report.as_json):
        assert write(sample.study()) == write(sample.study())


def test_json_keeps_what_never_happened(study):
    """An infinite figure is text in the file, and infinite again when it is read."""
    never = MetricSummary("s", math.inf, -math.inf, math.inf, math.inf, math.inf, math.inf)
    known = _replace_first(study, metrics={"gate": never})

    assert decode(report.as_json(known), Study) == known
