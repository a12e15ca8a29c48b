"""Charts of sweeps as inline SVG: a curve with its interval, and a heat map with the line of a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from scenarios.report.axes import Axis, linear_axis, nice_ticks, text_width
from scenarios.report.charts import (
    WIDTH,
    Caption,
    dot,
    element,
    image,
    label,
    line,
)
from scenarios.report.markup import escape
from scenarios.report.wording import quantity
from scenarios.results import Verdict

_HEIGHT, _LEFT, _TOP, _SMALL = 250.0, 64.0, 22.0, 10.5
_ROW_HEIGHT, _ROW_LABEL = 34.0, 110.0
_LEAST_RISE = 0.25
_FAINTEST, _STRONGEST = 0.06, 0.55
_NARROWEST_TEXT = 44.0


class BandPoint(NamedTuple):
    """A point of a curve: its mean with the interval, and a verdict ('' if none was asked)."""

    x: float
    mean: float
    low: float
    high: float
    verdict: Verdict | str


class Mark(NamedTuple):
    """A value on the x axis that stands out, and what it is; `low` to `high` is shaded."""

    at: float
    low: float
    high: float
    text: str


def band_curve(
    caption: Caption,
    points: Sequence[BandPoint],
    marks: Sequence[Mark],
    *,
    x_title: str,
    unit: str,
    is_log: bool,
    limit: float | None = None,
) -> str:
    """The mean over an input with its interval; a limit across, marks from top to bottom.

    Points without a finite mean are drawn at the upper edge, as crosses.
    """
    finite = [point for point in points if math.isfinite(point.mean)]
    values = [each for point in finite for each in (point.mean, point.low, point.high) if math.isfinite(each)]
    y_axis = _value_axis(values + ([limit] if limit is not None else []), _HEIGHT, _TOP)
    xs = [point.x for point in points]
    x_axis = Axis(min(xs), max(xs), _LEFT, WIDTH - 16, is_log=is_log)
    content = _frame(x_axis, y_axis, x_title, unit)
    content += "".join(_marked(x_axis, mark) for mark in marks)
    content += _band(x_axis, y_axis, finite)
    if limit is not None:
        content += line(_LEFT, y_axis.at(limit), WIDTH - 16, y_axis.at(limit), "limit")
        content += label(WIDTH - 16, y_axis.at(limit) - 4, f"limit {quantity(limit, unit)}",
                          style="small quiet", anchor="end", room=200)  # fmt: skip
    content += "".join(_marker(x_axis, y_axis, point) for point in points)
    return image(caption, WIDTH, _HEIGHT + 44, content)


def _value_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """From zero, unless that would hide how the values differ."""
    if not values or max(values) - min(values) >= _LEAST_RISE * max(map(abs, values)):
        return linear_axis(values, start, end)
    spread = max(max(values) - min(values), 1e-3 * max(map(abs, values)), 1e-12)
    return Axis(min(values) - 0.15 * spread, max(values) + 0.15 * spread, start, end)


def _frame(x_axis: Axis, y_axis: Axis, x_title: str, unit: str) -> str:
    content = ""
    for tick in y_axis.ticks(5):
        y = y_axis.at(tick)
        content += line(_LEFT, y, WIDTH - 16, y, "axis" if tick == 0 else "grid")
        content += label(_LEFT - 6, y + 3.5, quantity(tick, unit), style="small quiet", anchor="end",
                          room=_LEFT - 6)  # fmt: skip
    ticks = x_axis.ticks(8) if x_axis.is_log else nice_ticks(x_axis.low, x_axis.high, 8)
    for tick in ticks:
        x = x_axis.at(tick)
        content += line(x, _HEIGHT, x, _HEIGHT + 4, "axis")
        content += label(x, _HEIGHT + 16, f"{tick:g}", style="small quiet", anchor="middle", room=70)
    content += line(_LEFT, _HEIGHT, WIDTH - 16, _HEIGHT, "axis")
    middle = (_LEFT + WIDTH - 16) / 2
    return content + label(middle, _HEIGHT + 36, x_title, style="small", anchor="middle", room=WIDTH)


def _band(x_axis: Axis, y_axis: Axis, points: Sequence[BandPoint]) -> str:
    if not points:
        return ""
    known = [point for point in points if math.isfinite(point.low) and math.isfinite(point.high)]
    upper = [f"{x_axis.at(p.x):.1f} {y_axis.at(p.high):.1f}" for p in known]
    lower = [f"{x_axis.at(p.x):.1f} {y_axis.at(p.low):.1f}" for p in reversed(known)]
    middle = [f"{x_axis.at(p.x):.1f} {y_axis.at(p.mean):.1f}" for p in points]
    area = element("path", d="M" + "L".join(upper + lower) + "Z", class_="band") if known else ""
    return area + element("path", d="M" + "L".join(middle), class_="line")


def _marker(x_axis: Axis, y_axis: Axis, point: BandPoint) -> str:
    x, y = x_axis.at(point.x), y_axis.at(point.mean) if math.isfinite(point.mean) else _TOP
    if point.verdict == "FAIL" or not math.isfinite(point.mean):
        cross = f"M{x - 4:.1f} {y - 4:.1f}l8 8M{x + 4:.1f} {y - 4:.1f}l-8 8"
        return element("path", d=cross, class_="cross")
    return dot(x, y, "dot undecided" if point.verdict == "INCONCLUSIVE" else "dot clear")


def _marked(x_axis: Axis, mark: Mark) -> str:
    left, right, x = x_axis.at(mark.low), x_axis.at(mark.high), x_axis.at(mark.at)
    shade = element("rect", x=min(left, right), y=_TOP, width=abs(right - left), height=_HEIGHT - _TOP,
                     class_="shade")  # fmt: skip
    is_left = x + 4 + text_width(mark.text, _SMALL) > WIDTH
    words = label(x + (-4 if is_left else 4), 14, mark.text, style="small", room=WIDTH,
                   anchor="end" if is_left else "start")  # fmt: skip
    return shade + line(x, _TOP - 4, x, _HEIGHT, "mark") + words


class HeatCell(NamedTuple):
    """A cell: its value (None: not measured), the text in it, and whether it is on the good side."""

    value: float | None
    text: str
    is_good: bool | None


def heat_map(
    caption: Caption,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[HeatCell]]],
    *,
    x_title: str,
    y_title: str,
) -> str:
    """A grid of cells, stronger where the value is higher; a line runs between the good and the bad side."""
    known = [cell.value for _, cells in rows for cell in cells if cell.value is not None]
    finite = [value for value in known if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    width = (WIDTH - _ROW_LABEL) / max(1, len(columns))
    bottom = _TOP + _ROW_HEIGHT * len(rows)
    content = label(0, 14, y_title, style="small", room=_ROW_LABEL * 3)
    for index, (name, cells) in enumerate(rows):
        y = _TOP + index * _ROW_HEIGHT
        content += label(_ROW_LABEL - 8, y + 21, name, style="small quiet", anchor="end", room=_ROW_LABEL)
        for number, cell in enumerate(cells):
            content += _heat_cell(_ROW_LABEL + number * width, y, width, cell, low, high)
    content += _border(rows, width)
    for number, name in enumerate(columns):
        x = _ROW_LABEL + (number + 0.5) * width
        content += label(x, bottom + 16, name, style="small quiet", anchor="middle", room=width - 2)
    x = (_ROW_LABEL + WIDTH) / 2
    content += label(x, bottom + 36, x_title, style="small", anchor="middle", room=WIDTH)
    return image(caption, WIDTH, bottom + 44, content)


def _heat_cell(x: float, y: float, width: float, cell: HeatCell, low: float, high: float) -> str:
    if cell.value is None:
        return ""
    share = 1.0 if high == low or cell.value > high else (cell.value - low) / (high - low)
    opacity = f"{_FAINTEST + (_STRONGEST - _FAINTEST) * share:.2f}"
    hover = element("title", escape(cell.text))
    drawn = element("rect", hover, x=x + 0.5, y=y + 0.5, width=width - 1, height=_ROW_HEIGHT - 1,
                     fill_opacity=opacity, class_="heat")  # fmt: skip
    if cell.is_good is False:
        drawn += element("path", d=f"M{x + 5:.1f} {y + 5:.1f}l5 5m0 -5l-5 5", class_="cross")
    if width < _NARROWEST_TEXT:
        return drawn
    return drawn + label(x + width / 2, y + 21, cell.text, style="small", anchor="middle", room=width - 6)


def _border(rows: Sequence[tuple[str, Sequence[HeatCell]]], width: float) -> str:
    """The line between cells of which one is good and the other is not."""
    lines = ""
    for index, (_, cells) in enumerate(rows):
        y = _TOP + index * _ROW_HEIGHT
        for number, (left, right) in enumerate(pairwise(cells)):
            if _differ(left, right):
                x = _ROW_LABEL + (number + 1) * width
                lines += f"M{x:.1f} {y:.1f}v{_ROW_HEIGHT:g}"
        if index + 1 < len(rows):
            for number, (above, below) in enumerate(zip(cells, rows[index + 1][1])):
                if _differ(above, below):
                    lines += f"M{_ROW_LABEL + number * width:.1f} {y + _ROW_HEIGHT:.1f}h{width:.1f}"
    return element("path", d=lines, class_="border") if lines else ""


def _differ(first: HeatCell, second: HeatCell) -> bool:
    return None not in {first.is_good, second.is_good} and first.is_good is not second.is_good
