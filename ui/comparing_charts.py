"""The charts of the page Compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from scenarios.results import Comparison, Sensitivity
from ui.comparing import in_words, is_clear
from ui.palette import BAD, DESIGNS, PARTS, QUIET

ROW_HEIGHT: Final = 46
AXIS_HEIGHT: Final = 60
LEGEND_HEIGHT: Final = 34
UNIT_TITLES: Final = {"": "", "s": "s", "ratio": "share", "bytes": "bytes"}


def colours(labels: Sequence[str]) -> alt.Color:
    """The colour of each design, the same in every chart of the page."""
    return alt.Color(
        "design:N",
        scale=alt.Scale(domain=list(labels), range=list(DESIGNS[: len(labels)])),
        legend=_legend(),
    )


def _legend() -> alt.Legend:
    return alt.Legend(title=None, orient="top", labelLimit=300, symbolType="stroke", symbolStrokeWidth=3)


def _data(rows: Sequence[Mapping[str, Any]]) -> Any:
    return alt.Data(values=list(rows))  # type: ignore[no-untyped-call]


def forest(rows: Sequence[Comparison], labels: Sequence[str], ink: str) -> Any:
    """Differences from the first design, each with its interval; hollow where zero is inside."""
    hue = dict(zip(labels, DESIGNS))
    data = _data(
        [
            {
                "design": each.variant_a,
                "mean": each.mean_difference,
                "low": each.low,
                "high": each.high,
                "text": in_words(each),
                "hue": hue[each.variant_a],
                "fill": hue[each.variant_a] if is_clear(each) else "transparent",
                "pairs": each.pairs,
            }
            for each in rows
        ]
    )
    title = f"difference from {rows[0].variant_b}" + (f" ({rows[0].unit})" if rows[0].unit else "")
    order = [label for label in labels if label != rows[0].variant_b]
    x = alt.X("low:Q", title=title, axis=alt.Axis(tickCount=5), scale=alt.Scale(padding=90))
    y = alt.Y("design:N", sort=order, title=None, axis=alt.Axis(labelLimit=180, ticks=False, domain=False))
    colour = alt.Color("hue:N", scale=None)
    tooltip = [
        alt.Tooltip("design:N", title="Design"),
        alt.Tooltip("text:N", title="Difference"),
        alt.Tooltip("pairs:Q", title="Pairs"),
    ]
    zero = alt.Chart(_data([{"x": 0}])).mark_rule(color=QUIET, strokeDash=[4, 3]).encode(x="x:Q")
    base = alt.Chart(data).encode(y=y, color=colour, tooltip=tooltip)
    whisker = base.mark_rule(strokeWidth=2.5).encode(x=x, x2="high:Q")
    ends = [base.mark_tick(thickness=2, size=11).encode(x=f"{end}:Q") for end in ("low", "high")]
    dots = base.mark_point(size=80, strokeWidth=2, opacity=1).encode(
        x="mean:Q", fill=alt.Fill("fill:N", scale=None)
    )
    words = (
        alt.Chart(data)
        .encode(y=y, tooltip=tooltip)
        .mark_text(align="center", dy=-14, fontSize=12, color=ink)
        .encode(x="mean:Q", text="text:N")
    )
    return alt.layer(zero, whisker, *ends, dots, words).properties(
        height=AXIS_HEIGHT + ROW_HEIGHT * len(rows)
    )


def budget(
    parts: Sequence[Mapping[str, Any]], limits: Sequence[Mapping[str, Any]], labels: Sequence[str], ink: str
) -> Any:
    """A stacked bar a design, from ignition until everybody is out; the place stays safe until the mark."""
    order = [label for label in labels if any(each["design"] == label for each in parts)]
    names = list(dict.fromkeys(each["part"] for each in parts))
    y = alt.Y("design:N", sort=order, title=None, axis=alt.Axis(labelLimit=180, ticks=False, domain=False))
    bars = (
        alt.Chart(_data(parts))
        .mark_bar(height=22)
        .encode(
            y=y,
            x=alt.X(
                "duration_s:Q", title="time since ignition (s)", stack="zero", axis=alt.Axis(tickCount=8)
            ),
            order=alt.Order("place:Q"),
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=names, range=[PARTS.get(name, QUIET) for name in names]),
                legend=alt.Legend(title=None, orient="top", symbolType="square"),
            ),
            tooltip=[
                alt.Tooltip("design:N", title="Design"),
                alt.Tooltip("part:N", title="Part"),
                alt.Tooltip("text:N", title="Takes"),
            ],
        )
    )
    marks = alt.Chart(_data(limits)).encode(y=alt.Y("design:N", sort=order, title=None))
    safe = marks.mark_tick(color=BAD, thickness=3, size=34).encode(
        x="aset_s:Q",
        tooltip=[
            alt.Tooltip("aset_s:Q", title="Safe until (s)", format=".1f"),
            alt.Tooltip("text:N", title="So"),
        ],
    )
    words = marks.mark_text(align="right", dx=-8, fontSize=12, color=ink).encode(x="aset_s:Q", text="text:N")
    return alt.layer(bars, safe, words).properties(
        height=AXIS_HEIGHT + LEGEND_HEIGHT + ROW_HEIGHT * len(order)
    )


def distribution(rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> Any:
    """The share of messages that came within a time, on a logarithmic scale."""
    return (
        alt.Chart(_data(rows))
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X("latency_s:Q", scale=alt.Scale(type="log", nice=False), title="latency (s), logarithmic",
                    axis=alt.Axis(format="~r", tickCount=6)),
            y=alt.Y("share:Q", scale=alt.Scale(domain=[0, 1]), title="share of messages",
                    axis=alt.Axis(format="%", tickCount=5)),
            color=colours(labels),
            strokeDash=alt.StrokeDash("design:N", legend=_legend(), scale=alt.Scale(
                domain=list(labels), range=[[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]][: len(labels)])),
            tooltip=[alt.Tooltip("design:N", title="Design"),
                     alt.Tooltip("latency_s:Q", title="Latency (s)", format=".4~g"),
                     alt.Tooltip("share:Q", title="Share", format=".1%")],
        )
        .properties(height=380)
    )  # fmt: skip


def tornado(rows: Sequence[Sensitivity], ink: str) -> Any:
    """What the margin becomes at the ends of each input."""
    order = [each.input for each in rows]
    swings = [{"input": each.input, "low": each.margin_low_s, "high": each.margin_high_s} for each in rows]
    y = alt.Y("input:N", sort=order, title=None, axis=alt.Axis(labelLimit=260, ticks=False, domain=False))
    title = "margin of the people (s)"
    bars = alt.Chart(_data(swings)).mark_bar(height=12, color=DESIGNS[0], opacity=0.45)
    bars = bars.encode(y=y, x=alt.X("low:Q", title=title, axis=alt.Axis(tickCount=8)), x2="high:Q")
    zero = alt.Chart(_data([{"x": 0}])).mark_rule(color=BAD, strokeDash=[4, 3]).encode(x="x:Q")
    base = alt.Chart(_data(_ends(rows))).encode(y=y, x=alt.X("margin_s:Q", title=title))
    dots = base.mark_point(size=80, filled=True, opacity=1).encode(
        color=alt.Color(
            "end:N",
            title=None,
            scale=alt.Scale(domain=["low value", "high value"], range=["#8fb6d6", DESIGNS[0]]),
            legend=alt.Legend(orient="top"),
        ),
        tooltip=[
            alt.Tooltip("input:N", title="Input"),
            alt.Tooltip("end:N", title="At its"),
            alt.Tooltip("margin_s:Q", title="Margin (s)", format="+.1f"),
        ],
    )
    left = base.transform_filter("datum.is_left").mark_text(align="right", dx=-9, fontSize=12, color=ink)
    right = base.transform_filter("!datum.is_left").mark_text(align="left", dx=9, fontSize=12, color=ink)
    words = [each.encode(text="label:N") for each in (left, right)]
    return alt.layer(zero, bars, dots, *words).properties(height=AXIS_HEIGHT + LEGEND_HEIGHT + 36 * len(rows))


def _ends(rows: Sequence[Sensitivity]) -> list[dict[str, Any]]:
    """Both ends of each swing, with their labels: one for both where they would stand on each other."""
    margins = [margin for each in rows for margin in (each.margin_low_s, each.margin_high_s)]
    narrow = 0.04 * (max(margins) - min(margins))
    found = []
    for each in rows:
        is_rising = each.margin_low_s < each.margin_high_s
        labels = [each.low_label, each.high_label]
        if abs(each.margin_high_s - each.margin_low_s) < narrow:
            labels = ["", f"{labels[0]} to {labels[1]}"] if is_rising else [f"{labels[0]} to {labels[1]}", ""]
        low = {"margin_s": each.margin_low_s, "label": labels[0], "end": "low value", "is_left": is_rising}
        high = {"margin_s": each.margin_high_s, "label": labels[1], "end": "high value"}
        found += [{"input": each.input, **low}, {"input": each.input, **high, "is_left": not is_rising}]
    return found
