"""Quantities, sentences and the line that repeats a run."""

from __future__ import annotations

import shlex

import msgspec
import pytest

from scenarios.report.markup import drawing, plain, shorten
from scenarios.report.wording import expectations, headline, number, quantity, repeat_command, signed, span


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0776, "s", "77.6\u00a0ms"),
        (298.2, "s", "298\u00a0s"),
        (0.0, "s", "0\u00a0s"),
        (12_345_678, "bytes", "12.3\u00a0MB"),
        (0, "bytes", "0\u00a0B"),
        (0.953, "ratio", "95.3\u00a0%"),
        (206_514, "", "206\u202f514"),
        (9.996, "", "10"),
        (-7.1, "people", "\u22127.1\u00a0people"),
        (float("nan"), "s", "unknown"),
        (float("inf"), "s", "\u221e"),
    ],
)
def test_quantities_read_as_people_write_them(value, unit, text):
    """Three significant digits, the unit that suits the size, a true minus sign."""
    assert quantity(value, unit) == text


def test_small_negative_number_is_not_minus_zero():
    """What rounds to nothing has no sign."""
    assert number(-0.0) == "0"


def test_signed_quantity_always_shows_its_sign():
    """Differences and margins carry plus or minus; nothing carries none."""
    assert [signed(v, "s") for v in (276, -24, 0)] == ["+276\u00a0s", "\u221224\u00a0s", "0\u00a0s"]


def test_span_writes_a_common_unit_once():
    """The unit is repeated only where it differs."""
    assert span(284, 315, "s") == "284 to 315\u00a0s"
    assert span(0.9, 1.1, "s") == "900\u00a0ms to 1.1\u00a0s"


def test_headline_names_how_many_variants_are_clean(sample):
    """All, some, one and none each have their sentence."""
    by_name = {design.name: design for design in sample.DESIGNS}

    def said(*names):
        return headline(sample.study([by_name[name] for name in names]))

    assert said("edge", "cloud_us") == "All 2 variants meet every requirement."
    assert said("edge") == "The only variant meets every requirement."
    assert said("edge", "unmasked") == "1 of 2 variants meets every requirement."
    assert said("unmasked") == "None of 1 variant meets every requirement."


def test_surprises_are_counted(study):
    """A failure nobody foresaw is a surprise; failures that were foreseen are said to be."""
    assert expectations(study) == "Every failure was expected by the author."
    cut = next(v for v in study.variants if v.name == "cloud_us_cut")
    surprised = msgspec.structs.replace(cut, expected_fails=[])
    text = expectations(msgspec.structs.replace(study, variants=[surprised]))
    assert text == "2 verdicts not as the author expected."


def test_repeat_command_survives_the_shell(study):
    """File and variant are quoted, so that a shell reads the very words."""
    odd = msgspec.structs.replace(study, scenario_file="my file; rm -rf.yaml")
    words = shlex.split(repeat_command(odd, "edge $HOME", 7))
    assert words == ["windtunnel", "run", "my file; rm -rf.yaml", "--variant", "edge $HOME",
                     "--seed", "7", "--replications", "1"]  # fmt: skip
    measured = msgspec.structs.replace(odd, profile_file="ours of today.yaml")
    assert shlex.split(repeat_command(measured))[2:5] == [
        "my file; rm -rf.yaml",
        "--profile",
        "ours of today.yaml",
    ]


def test_plain_text_has_no_control_characters():
    """Terminal escapes, reordering marks and lone surrogates are dropped; line ends stay."""
    assert plain("a\x1b[31mb\u202ec\ud800\r\nd") == "a[31mbc\nd"


def test_shortened_text_counts_wide_characters():
    """An East Asian character takes two columns."""
    assert shorten("\u706b\u707d\u706b\u707d", 5) == "\u706b\u707d\u2026"


def test_drawing_keeps_shapes_and_drops_everything_that_acts():
    """Scripts, handlers, styles, images and outside references leave; shapes and text stay."""
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" onload="x()"><style>*{}</style><script>x()</script>'
        '<a href="http://e.example"><rect width="1"/></a><use href="#r"/><use href="http://e.example#r"/>'
        '<rect fill="url(#g) url(http://e.example)" stroke="url(#g)"/><text>bay &lt;1&gt;</text></svg>'
    )
    assert drawing(svg) == (
        '<svg><use href="#r"></use><use></use><rect stroke="url(#g)"></rect><text>bay &lt;1&gt;</text></svg>'
    )


@pytest.mark.parametrize("svg", ["", "<svg", "<p/>", '<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>'])
def test_drawing_that_is_no_plain_svg_is_left_out(svg):
    """Broken, foreign and entity-laden documents give nothing."""
    assert drawing(svg) == ""
