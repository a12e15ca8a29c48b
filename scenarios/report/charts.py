"""Charts as inline SVG: stacked bars, dots with whiskers, tornado, small multiples of lines, sequences.

Pure functions from values to text. Colours come from CSS classes, so that one drawing serves light, dark and
paper. Each chart is an image with a title and a description; the caller puts the data table beside it. All
texts are escaped here, and none is drawn wider than the room it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from scenarios.report.axes import Axis, fit, linear_axis, log_axis, text_width
from scenarios.report.markup import escape
from scenarios.report.wording import quantity, signed
from scenarios.results import Curve, Hop

WIDTH = 720.0
MOST_POINTS = 60
MOST_HOPS_DRAWN = 24
MOST_OVERLAID = 200
SHORTEST_WAIT_S = 0.001
_TEXT = 12.0
_SMALL = 10.5
_BOLD_FACTOR = 1.12
_LEGEND_ROOM = 26.0
_AXIS_ROOM = 34.0
_PANEL_WIDTH, _PANEL_HEIGHT = 240.0, 168.0


class Caption(NamedTuple):
    """What a chart is called and shows, for readers and for screen readers; `id` is unique in the page."""

    id: str
    title: str
    description: str


class Segment(NamedTuple):
    """One part of a stacked bar; `style` is its CSS class."""

    name: str
    value: float
    style: str


class BarRow(NamedTuple):
    """A stacked bar: its limit (a mark), the value written at the right, a note under the bar at a value."""

    label: str
    segments: Sequence[Segment]
    limit: float | None
    value_text: str
    is_bad: bool
    note: str
    note_at: float


class IntervalRow(NamedTuple):
    """A mean with its interval."""

    label: str
    mean: float
    low: float
    high: float
    value_text: str


class SwingRow(NamedTuple):
    """What a result becomes at the low and at the high value of an input."""

    label: str
    low_label: str
    high_label: str
    at_low: float
    at_high: float


class Panel(NamedTuple):
    """One of several line charts on the same axes; `marker` is a value on the x axis."""

    label: str
    curve: Curve
    marker: float | None
    note: str


def element(name: str, content: str = "", **attributes: str | float) -> str:
    """One element with its attributes; the content is markup."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"' for key, value in attributes.items()
    )
    return f"<{name}{words}>{content}</{name}>" if content else f"<{name}{words}/>"


def _attribute(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


def label(x: float, y: float, text: str, *, style: str = "", anchor: str = "start", room: float) -> str:
    """A text no wider than its room."""
    size = (_SMALL if "small" in style else _TEXT) * (_BOLD_FACTOR if "strong" in style else 1)
    shown = fit(text, room, size)
    hover = element("title", escape(text)) if shown != text else ""
    return element("text", escape(shown) + hover, x=x, y=y, text_anchor=anchor, class_=f"t {style}".strip())


def _bar(x1: float, x2: float, y: float, height: float, style: str, hover: str = "") -> str:
    title = element("title", escape(hover)) if hover else ""
    return element("rect", title, x=min(x1, x2), y=y, width=abs(x2 - x1), height=height, class_=style)


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """A straight line."""
    return element("path", d=f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}", class_=style)


def dot(x: float, y: float, style: str) -> str:
    """A dot."""
    return element("circle", cx=x, cy=y, r=4.0, class_=style)


def image(caption: Caption, width: float, height: float, content: str, style: str = "chart") -> str:
    """A whole drawing, named and described."""
    title = f'<title id="{caption.id}-t">{escape(caption.title)}</title>'
    description = f'<desc id="{caption.id}-d">{escape(caption.description)}</desc>'
    return (
        f'<svg class="{style}" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-labelledby="{caption.id}-t {caption.id}-d">{title}{description}{content}</svg>'
    )


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    content, x = "", 0.0
    for name, style in entries:
        content += element("rect", x=x, y=3.0, width=10.0, height=10.0, rx=2.0, class_=style)
        content += label(x + 14, 12, name, style="small", room=WIDTH - x - 14)
        x += 14 + text_width(name, _SMALL) + 12
    return content


def _grid(axis: Axis, top: float, bottom: float, tick_text: Callable[[float], str]) -> str:
    content, free_from = "", -1e9
    for tick in axis.ticks():
        x, text = axis.at(tick), tick_text(tick)
        half = text_width(text, _SMALL) / 2
        content += line(x, top, x, bottom, "axis" if tick == 0 else "grid")
        if x - half >= free_from:
            x_text = min(max(x, half), WIDTH - half)
            content += label(x_text, bottom + 14, text, style="small quiet", anchor="middle", room=WIDTH)
            free_from = x_text + half + 6
    return content


def _heading(row_top: float, name: str, value_text: str, style: str) -> str:
    room = WIDTH - text_width(value_text, _TEXT) - 16
    return label(0, row_top + 12, name, style="strong", room=room) + label(
        WIDTH, row_top + 12, value_text, style=style, anchor="end", room=WIDTH
    )


def stacked_bars(caption: Caption, rows: Sequence[BarRow], *, unit: str, limit_name: str) -> str:
    """One bar a row in honest scale, on a track that ends at the row's limit."""
    row_height, top = 58.0, _LEGEND_ROOM
    ends = [sum(segment.value for segment in row.segments) for row in rows]
    axis = linear_axis([*ends, *(row.limit for row in rows if row.limit is not None)], 0, WIDTH)
    bottom = top + row_height * len(rows)
    entries = list(dict.fromkeys((s.name, s.style) for row in rows for s in row.segments))
    if any(row.limit is not None for row in rows):
        entries.append((f"until {limit_name}", "track"))
    content = _legend(entries) + _grid(axis, top, bottom, lambda tick: quantity(tick, unit))
    for index, row in enumerate(rows):
        content += _stacked_row(axis, top + index * row_height, row, unit, limit_name)
    return image(caption, WIDTH, bottom + _AXIS_ROOM, content)


def _stacked_row(axis: Axis, top: float, row: BarRow, unit: str, limit_name: str) -> str:
    y, height = top + 18, 16.0
    content = _heading(top, row.label, row.value_text, "bad strong" if row.is_bad else "good strong")
    if row.limit is not None:
        hover = f"{limit_name} {quantity(row.limit, unit)}"
        content += _bar(axis.at(0), axis.at(row.limit), y, height, "track", hover)
    start = 0.0
    for segment in row.segments:
        content += _segment(axis, y, height, segment, start, unit)
        start += segment.value
    if row.limit is not None:
        content += line(axis.at(row.limit), y - 4, axis.at(row.limit), y + height + 4, "limit")
    return content + _note(axis.at(row.note_at), y + height, row.note)


def _segment(axis: Axis, y: float, height: float, segment: Segment, start: float, unit: str) -> str:
    left, right = axis.at(start), axis.at(start + segment.value)
    value = quantity(segment.value, unit)
    content = _bar(left, right, y, height, segment.style, f"{segment.name} {value}")
    for text in (f"{segment.name} {value}", value):
        if text_width(text, _SMALL) + 8 <= right - left:
            style = f"small on-{segment.style.split()[-1]}"
            return content + label(left + 5, y + 12, text, style=style, room=right - left)
    return content


def _note(x: float, y: float, text: str) -> str:
    if not text:
        return ""
    width = text_width(text, _SMALL)
    is_left = x + 6 + width > WIDTH
    content = element("path", d=f"M{x:.1f} {y + 1:.1f}v8h{-4 if is_left else 4}", class_="lead")
    anchor, room = ("end", x - 6) if is_left else ("start", WIDTH - x - 6)
    return content + label(x + (-6 if is_left else 6), y + 13, text, style="small", anchor=anchor, room=room)


def dot_whisker(caption: Caption, rows: Sequence[IntervalRow], *, unit: str) -> str:
    """A dot at each mean with its interval; intervals that do not contain zero are drawn stronger."""
    row_height, top = 40.0, 4.0
    axis = linear_axis((value for row in rows for value in (row.low, row.high)), 8, WIDTH - 8)
    bottom = top + row_height * len(rows)
    content = _grid(axis, top, bottom, lambda tick: signed(tick, unit))
    for index, row in enumerate(rows):
        y = top + index * row_height
        style = "clear" if row.low > 0 or row.high < 0 else "unclear"
        content += _heading(y, row.label, row.value_text, "")
        content += _whisker(axis.at(row.low), axis.at(row.high), y + 24, style)
        content += dot(axis.at(row.mean), y + 24, f"dot {style}")
    return image(caption, WIDTH, bottom + _AXIS_ROOM, content)


def _whisker(x1: float, x2: float, y: float, style: str) -> str:
    ends = f"M{x1:.1f} {y - 5:.1f}v10M{x2:.1f} {y - 5:.1f}v10"
    return element("path", d=f"M{x1:.1f} {y:.1f}L{x2:.1f} {y:.1f}{ends}", class_=f"whisker {style}")


def tornado(caption: Caption, rows: Sequence[SwingRow], *, unit: str) -> str:
    """What each input does to the result, widest swing first; the part below zero is marked."""
    ordered = sorted(rows, key=lambda row: abs(row.at_high - row.at_low), reverse=True)
    row_height, top, side = 42.0, _LEGEND_ROOM, 130.0
    axis = linear_axis((v for row in rows for v in (row.at_low, row.at_high)), side, WIDTH - side)
    bottom = top + row_height * len(rows)
    content = _swing_legend() + _grid(axis, top, bottom, lambda tick: signed(tick, unit))
    for index, row in enumerate(ordered):
        content += _swing(axis, top + index * row_height, row, unit)
    return image(caption, WIDTH, bottom + _AXIS_ROOM, content)


def _swing_legend() -> str:
    return (
        dot(5, 8, "dot low-end")
        + label(14, 12, "input at its low value", style="small", room=200)
        + dot(165, 8, "dot high-end")
        + label(174, 12, "at its high value", style="small", room=200)
        + element("rect", x=290.0, y=3.0, width=10.0, height=10.0, rx=2.0, class_="swing-bad")
        + label(304, 12, "below zero: no margin left", style="small", room=240)
    )


def _swing(axis: Axis, top: float, row: SwingRow, unit: str) -> str:
    y = top + 26
    low, high = sorted((row.at_low, row.at_high))
    swing = f"{signed(row.at_low, unit)} to {signed(row.at_high, unit)}"
    content = _heading(top, row.label, swing, "") + _bar(
        axis.at(low), axis.at(high), y - 5, 10, "swing", f"{row.label}: {swing}"
    )
    if low < 0:
        content += _bar(axis.at(low), axis.at(min(high, 0)), y - 5, 10, "swing-bad")
    is_low_left = row.at_low <= row.at_high
    content += _end_label(axis.at(row.at_low), y, row.low_label, "dot low-end", is_left=is_low_left)
    return content + _end_label(
        axis.at(row.at_high), y, row.high_label, "dot high-end", is_left=not is_low_left
    )


def _end_label(x: float, y: float, text: str, style: str, *, is_left: bool) -> str:
    anchor, room = ("end", x - 10) if is_left else ("start", WIDTH - x - 10)
    x_text = x - 9 if is_left else x + 9
    return dot(x, y, style) + label(x_text, y + 4, text, style="small", anchor=anchor, room=room)


def panels(
    caption: Caption, parts: Sequence[Panel], *, unit: str, is_log: bool, marker_name: str = ""
) -> str:
    """Small multiples: one line chart a part, all on the same axes, the other parts' lines behind it.

    x is time in seconds, logarithmic where asked; y has the given unit, "ratio" for a distribution.
    """
    times = [x for part in parts for x, _ in part.curve]
    times += [part.marker for part in parts if part.marker is not None]
    x_axis = (log_axis if is_log else linear_axis)(times, 34, _PANEL_WIDTH - 8)
    y_axis = linear_axis((y for part in parts for _, y in part.curve), _PANEL_HEIGHT - 20, 34)
    lines = [_path(thin(part.curve), x_axis, y_axis) for part in parts]
    behind = element("path", d="".join(lines), id=f"{caption.id}-all", fill="none")
    back = _panel_grid(x_axis, y_axis, unit) + f'<use href="#{caption.id}-all" class="context"/>'
    images = (
        _panel(Caption(f"{caption.id}-{index}", f"{caption.title}: {part.label}", caption.description),
               part, back + element("path", d=line or "M0 0", class_="line"), x_axis, marker_name)
        for index, (part, line) in enumerate(zip(parts, lines))
    )  # fmt: skip
    store = f'<svg class="store" aria-hidden="true" focusable="false"><defs>{behind}</defs></svg>'
    return f'<div class="panels">{store}{"".join(images)}</div>'


class Overlaid(NamedTuple):
    """One of several curves in the same chart; `style` is its CSS class."""

    name: str
    curve: Curve
    style: str


def overlay(caption: Caption, curves: Sequence[Overlaid]) -> str:
    """Distribution functions in one chart; time in seconds, logarithmic, and shares from none to all."""
    height, left = 260.0, 40.0
    x_axis = log_axis((x for each in curves for x, _ in each.curve), left, WIDTH - 8)
    y_axis = linear_axis((0.0, 1.0), height - 8, _LEGEND_ROOM)
    content = _legend([(each.name, f"swatch {each.style}") for each in curves])
    content += _grid(x_axis, _LEGEND_ROOM, height - 8, lambda tick: quantity(tick, "s"))
    for tick in y_axis.ticks(4):
        y = y_axis.at(tick)
        content += line(left, y, WIDTH - 8, y, "axis" if tick == 0 else "grid")
        content += label(left - 6, y + 3.5, quantity(tick, "ratio").replace("\u00a0", ""),
                          style="small quiet", anchor="end", room=left - 6)  # fmt: skip
    for each in curves:
        drawn = _path(thin(each.curve, MOST_OVERLAID), x_axis, y_axis) or "M0 0"
        content += element("path", d=drawn, class_=f"line {each.style}")
    return image(caption, WIDTH, height - 8 + _AXIS_ROOM, content)


def _panel(caption: Caption, part: Panel, drawn: str, x_axis: Axis, marker_name: str) -> str:
    content = label(0, 11, part.label, style="strong", room=_PANEL_WIDTH)
    content += label(0, 25, part.note, style="small quiet", room=_PANEL_WIDTH)
    content += drawn
    if part.marker is not None:
        x, text_half = x_axis.at(part.marker), text_width(marker_name, _SMALL)
        is_left = x + 4 + text_half > _PANEL_WIDTH
        content += line(x, 34, x, _PANEL_HEIGHT - 20, "limit")
        content += label(x + (-4 if is_left else 4), 43, marker_name, style="small quiet",
                          anchor="end" if is_left else "start", room=_PANEL_WIDTH)  # fmt: skip
    return image(caption, _PANEL_WIDTH, _PANEL_HEIGHT, content, "panel")


def _panel_grid(x_axis: Axis, y_axis: Axis, unit: str) -> str:
    content = ""
    for tick in y_axis.ticks(3):
        y = y_axis.at(tick)
        content += line(x_axis.start, y, x_axis.end, y, "axis" if tick == y_axis.low else "grid")
        content += label(x_axis.start - 4, y + 3.5, quantity(tick, unit).replace("\u00a0", ""),
                          style="small quiet", anchor="end", room=x_axis.start - 4)  # fmt: skip
    free_from = -1e9
    for tick in x_axis.ticks(5):
        x, text = x_axis.at(tick), quantity(tick, "s")
        half = text_width(text, _SMALL) / 2
        if x - half >= free_from and x + half <= _PANEL_WIDTH:
            content += line(x, y_axis.start, x, y_axis.start + 3, "axis")
            content += label(x, y_axis.start + 14, text, style="small quiet", anchor="middle", room=80)
            free_from = x + half + 5
    return content


def thin(curve: Curve, most: int = MOST_POINTS) -> Curve:
    """At most `most` points of the curve, its ends always among them."""
    if len(curve) <= most:
        return curve
    return [curve[round(index * (len(curve) - 1) / (most - 1))] for index in range(most)]


def _path(curve: Curve, x_axis: Axis, y_axis: Axis) -> str:
    places = [f"{x_axis.at(x):.1f} {y_axis.at(y):.1f}" for x, y in curve]
    return "M" + "L".join(dict.fromkeys(places)) if places else ""


def sequence(caption: Caption, hops: Sequence[Hop]) -> str:
    """A sequence diagram: one line a node, one arrow a hop, time running down with the waits written out."""
    shown = hops[:MOST_HOPS_DRAWN]
    nodes = list(dict.fromkeys(name for hop in shown for name in (hop.source, hop.to)))
    first, row_height, top = 108.0, 40.0, 40.0
    gap = (WIDTH - first - 50) / max(1, len(nodes) - 1)
    places = {name: first + index * gap for index, name in enumerate(nodes)}
    bottom = top + row_height * len(shown) + 8
    content = ""
    for name, x in places.items():
        content += line(x, 22, x, bottom, "lifeline")
        content += label(x, 14, name, style="strong", anchor="middle", room=min(gap - 8, 96))
    waits = [0.0, *(after.at_s - before.at_s for before, after in pairwise(shown))]
    for index, (hop, wait) in enumerate(zip(shown, waits)):
        is_longest = wait == max(waits) and wait > 1
        content += _hop_time(top + index * row_height, hop, wait, is_longest=is_longest)
        content += _hop(places, top + index * row_height, hop)
    return image(caption, WIDTH, bottom + 6, content)


def _hop_time(y: float, hop: Hop, wait: float, *, is_longest: bool) -> str:
    style = "small bad strong" if is_longest else "small quiet"
    return label(0, y + 16, f"{hop.at_s:.3f} s", room=80) + label(
        0, y + 30, signed(wait, "s") if wait >= SHORTEST_WAIT_S else "", style=style, room=80
    )


def _hop(places: dict[str, float], y: float, hop: Hop) -> str:
    start, end = places[hop.source], places[hop.to]
    arrow_y = y + 20
    if start == end:
        drawn = dot(start, arrow_y - 4, "dot clear")
        return drawn + _beside(start, arrow_y, [hop.topic, hop.note])
    tip = -6 if end > start else 6
    head = f"M{end + tip:.1f} {arrow_y - 4:.1f}L{end:.1f} {arrow_y:.1f}L{end + tip:.1f} {arrow_y + 4:.1f}"
    drawn = element("path", d=f"M{start:.1f} {arrow_y:.1f}L{end:.1f} {arrow_y:.1f}{head}", class_="arrow")
    return drawn + _over(min(start, end), max(start, end), arrow_y, [hop.topic, hop.note])


def _over(left: float, right: float, y: float, texts: Iterable[str]) -> str:
    content = ""
    for text, offset in zip(texts, (-5, 13)):
        half = min(text_width(text, _SMALL), WIDTH - 92) / 2
        x = min(max((left + right) / 2, 88 + half), WIDTH - half)
        style = "small" if offset < 0 else "small quiet"
        content += label(x, y + offset, text, style=style, anchor="middle", room=WIDTH - 92)
    return content


def _beside(x: float, y: float, texts: Iterable[str]) -> str:
    content = ""
    for text, offset in zip(texts, (-5, 9)):
        width = text_width(text, _SMALL)
        is_left = x + 10 + width > WIDTH
        anchor, room = ("end", x - 98) if is_left else ("start", WIDTH - x - 10)
        style = "small" if offset < 0 else "small quiet"
        content += label(
            x + (-10 if is_left else 10), y + offset, text, style=style, anchor=anchor, room=room
        )
    return content
