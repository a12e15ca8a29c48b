"""The drawings: in scale, inside their frame, texts apart from each other."""

# ruff: noqa: S314 - the documents parsed here are our own

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from scenarios.report import charts
from scenarios.report.axes import text_width
from scenarios.report.charts import BarRow, Caption, IntervalRow, Panel, Segment, SwingRow
from scenarios.results import Hop

CAPTION = Caption("c", "A title", "A description")
LONG = "a very long label that says much more than any chart could ever show in one line " * 3


def _texts(svg):
    """(x from, x to, y, text) of every text drawn."""
    boxes = []
    for element in ET.fromstring(svg).iter("text"):
        size = 10.5 if "small" in element.get("class") else 12.0
        size *= 1.12 if "strong" in element.get("class") else 1
        width, x = text_width(element.text or "", size), float(element.get("x"))
        start = x - {"start": 0, "middle": width / 2, "end": width}[element.get("text-anchor")]
        boxes.append((start, start + width, float(element.get("y")), element.text))
    return boxes


def _overlaps(boxes):
    return [
        (a[3], b[3])
        for index, a in enumerate(boxes)
        for b in boxes[index + 1 :]
        if abs(a[2] - b[2]) < 9 and a[0] < b[1] - 0.1 and b[0] < a[1] - 0.1
    ]


def _bar(label, *parts, limit=None, note=""):
    segments = [Segment(name, value, "p-flow") for name, value in parts]
    return BarRow(label, segments, limit, "out in 10 s", is_bad=False, note=note, note_at=parts[0][1])


def _drawings(label):
    yield charts.stacked_bars(
        CAPTION,
        [_bar(label, ("a", 590.0), ("b", 0.2), ("c", 9.8), limit=591.0, note=label) for _ in range(3)],
        unit="s",
        limit_name="ASET",
    )
    yield charts.dot_whisker(
        CAPTION,
        [IntervalRow(label, 3, -1, 7, "+3 s"), IntervalRow(label, 1e-3, 1e-4, 1e-2, "1 ms")],
        unit="s",
    )
    yield charts.tornado(
        CAPTION, [SwingRow(label, label, label, 10, 11), SwingRow("b", "x", "y", 900, -30)], unit="s"
    )
    yield charts.sequence(
        CAPTION,
        [
            Hop(1.0, "a", label, label, label),
            Hop(2.0, label, "b", "t", label),
            Hop(9.0, "b", "b", label, label),
        ],
    )


@pytest.mark.parametrize("label", ["short", LONG, "\u706b\u707d" * 90])
def test_texts_do_not_overlap_and_stay_in_the_frame(label):
    """Short, long and wide labels alike keep clear of each other and of the edges."""
    for svg in _drawings(label):
        boxes = _texts(svg)
        assert _overlaps(boxes) == []
        assert min(box[0] for box in boxes) >= -0.1
        assert max(box[1] for box in boxes) <= charts.WIDTH + 0.1


def test_cut_label_keeps_its_whole_text_for_the_hover():
    """A label that was cut carries its full text as title."""
    svg = charts.dot_whisker(CAPTION, [IntervalRow(LONG, 1, 0, 2, "")], unit="s")
    assert LONG in [title.text for title in ET.fromstring(svg).iter("title")]


def test_stacked_bar_is_in_honest_scale():
    """Widths are proportional to values: 0.2 s of 590 s is a sliver, not a visible slice."""
    svg = charts.stacked_bars(CAPTION, [_bar("x", ("a", 590.0), ("b", 5.9))], unit="s", limit_name="ASET")
    bars = [r for r in ET.fromstring(svg).iter("rect") if r.get("height") == "16"]
    assert float(bars[0].get("width")) / float(bars[1].get("width")) == pytest.approx(100, rel=0.02)


def test_interval_that_contains_zero_is_drawn_as_unclear():
    """Only an interval clear of zero is drawn as a difference."""
    rows = [IntervalRow("a", 1, -1, 3, ""), IntervalRow("b", 2, 1, 3, "")]
    dots = [c.get("class") for c in ET.fromstring(charts.dot_whisker(CAPTION, rows, unit="s")).iter("circle")]
    assert dots == ["dot unclear", "dot clear"]


def test_tornado_puts_the_widest_swing_first():
    """The input that moves the result most stands at the top."""
    rows = [SwingRow("narrow", "l", "h", 10, 12), SwingRow("wide", "l", "h", 50, -30)]
    heads = [t[3] for t in _texts(charts.tornado(CAPTION, rows, unit="s")) if t[3] in {"narrow", "wide"}]
    assert heads == ["wide", "narrow"]


def test_tornado_marks_what_lies_below_zero():
    """The part of a swing without margin has its own bar."""
    svg = charts.tornado(CAPTION, [SwingRow("a", "l", "h", 30, -10)], unit="s")
    assert svg.count('class="swing-bad"') == 2  # one in the legend


def test_panels_share_their_axes():
    """The same value stands at the same place in every panel."""
    parts = [Panel("a", [(0, 0), (10, 5)], None, ""), Panel("b", [(0, 0), (100, 50)], None, "")]
    drawn = ET.fromstring(charts.panels(CAPTION, parts, unit="", is_log=False))
    lines = [path.get("d") for path in drawn.iter("path") if path.get("class") == "line"]
    ends = [tuple(map(float, line.split("L")[-1].split())) for line in lines]
    starts = [line.split("L")[0] for line in lines]
    assert starts[0] == starts[1]
    assert (ends[1][0] - 34) / (ends[0][0] - 34) == pytest.approx(10, rel=0.02)


def test_thinned_curve_keeps_both_ends():
    """A long curve is drawn with few points, the first and the last among them."""
    curve = [(float(x), float(x)) for x in range(10_000)]
    thinned = charts.thin(curve)
    assert len(thinned) == charts.MOST_POINTS
    assert (thinned[0], thinned[-1]) == (curve[0], curve[-1])


def test_sequence_marks_the_longest_wait():
    """The wait that explains the delay is the only one marked."""
    hops = [Hop(0, "a", "b", "t"), Hop(1, "b", "c", "t"), Hop(301, "c", "d", "t"), Hop(302, "d", "a", "t")]
    svg = charts.sequence(CAPTION, hops)
    assert re.findall(r'class="t small bad strong">([^<]*)<', svg) == ["+300\u00a0s"]


def test_no_drawing_holds_a_number_that_is_none():
    """Infinite and unknown results are drawn at an edge, never as text that no viewer understands."""
    rows = [IntervalRow("a", float("nan"), float("-inf"), float("inf"), "unknown")]
    svg = charts.dot_whisker(CAPTION, rows, unit="s")
    assert re.findall(r'"[^"]*(?:nan|inf)[^"]*"', svg) == []
