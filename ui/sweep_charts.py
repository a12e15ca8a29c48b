"""The charts of the page Sweep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from scenarios.report.wording import quantity
from scenarios.sweeping.results import Knee, SweptInput
from scenarios.sweeping.wording import BENDS, of_input, titled
from ui.palette import BAD, DESIGNS, MARK

HEIGHT: Final = 420
CELL_HEIGHT: Final = 58
CROSS: Final = "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z"
SHAPES: Final = {
    "PASS": "circle",
    "every requirement holds": "circle",
    "measured": "circle",
    "INCONCLUSIVE": "diamond",
    "FAIL": CROSS,
    "not every one holds": CROSS,
}


def _data(rows: Sequence[Mapping[str, Any]]) -> Any:
    return alt.Data(values=list(rows))  # type: ignore[no-untyped-call]


def curve(
    rows: Sequence[Mapping[str, Any]],
    swept: SweptInput,
    metric: str,
    unit: str,
    *,
    knees: Sequence[Knee],
    turns: Sequence[Mapping[str, Any]],
    limit: float | None,
    ink: str,
) -> Any:
    """The mean over the input with its interval; verdicts by shape, knee and boundary as bands."""
    scale = alt.Scale(type="log" if swept.is_log else "linear", nice=False, zero=False, padding=14)
    x = alt.X("x:Q", title=titled(swept), scale=scale, axis=alt.Axis(format="~r", tickCount=8))
    what = f"{metric} ({unit})" if unit else metric
    y = alt.Y("mean:Q", title=what, scale=alt.Scale(zero=_from_zero(rows)), axis=alt.Axis(tickCount=6))
    base = alt.Chart(_data(rows)).encode(x=x)
    layers = [
        *_bands(x, knees, swept, ink),
        *_turns(x, turns, ink),
        base.mark_area(opacity=0.18, color=DESIGNS[0]).encode(y=alt.Y("low:Q", title=what), y2="high:Q"),
        base.mark_line(strokeWidth=2, color=DESIGNS[0]).encode(y=y),
        _points(base, rows, y),
    ]
    if limit is not None:
        layers += _limit(limit, quantity(limit, unit), what, ink)
    return alt.layer(*layers).properties(height=HEIGHT)


def _from_zero(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the values differ enough to be seen above zero."""
    values = [each[name] for each in rows for name in ("low", "high")]
    return not values or max(values) - min(values) >= 0.25 * max(map(abs, values))


def _points(base: Any, rows: Sequence[Mapping[str, Any]], y: Any) -> Any:
    kinds = [kind for kind in SHAPES if any(each["verdict"] == kind for each in rows)]
    legend = alt.Legend(title=None, orient="top") if kinds != ["measured"] else None
    hues = [BAD if SHAPES[kind] == CROSS else DESIGNS[0] for kind in kinds]
    return base.mark_point(size=95, filled=True, opacity=1).encode(
        y=y,
        shape=alt.Shape(
            "verdict:N", scale=alt.Scale(domain=kinds, range=[SHAPES[k] for k in kinds]), legend=legend
        ),
        color=alt.Color("verdict:N", scale=alt.Scale(domain=kinds, range=hues), legend=legend),
        tooltip=[
            alt.Tooltip("label:N", title="Value"),
            alt.Tooltip("text:N", title="Mean (95 %)"),
            alt.Tooltip("verdict:N", title="Stands"),
        ],
    )


def _bands(x: Any, knees: Sequence[Knee], swept: SweptInput, ink: str) -> list[Any]:
    """Where the curve bends, and between which values that lies."""
    rows = [
        {"x": each.at, "low": each.low, "high": each.high,
         "text": f"{BENDS[each.bend]} at {of_input(swept, each.at)}"}
        for each in knees
    ]  # fmt: skip
    if not rows:
        return []
    base = alt.Chart(_data(rows))
    return [
        base.mark_rect(color=MARK, opacity=0.14).encode(x=alt.X("low:Q", title=titled(swept)), x2="high:Q"),
        base.mark_rule(color=MARK, strokeWidth=2).encode(x=x),
        base.mark_text(align="left", dx=6, dy=8, baseline="top", fontSize=12, color=ink).encode(
            x=x, y=alt.value(0), text="text:N"
        ),
    ]


def _turns(x: Any, turns: Sequence[Mapping[str, Any]], ink: str) -> list[Any]:
    """Between which values a requirement stops holding."""
    if not turns:
        return []
    base = alt.Chart(_data(turns))
    title = x.to_dict().get("title")
    return [
        base.mark_rect(color=BAD, opacity=0.18).encode(x=alt.X("low:Q", title=title), x2="high:Q"),
        base.mark_rule(color=BAD, strokeWidth=1.5, strokeDash=[5, 3]).encode(x=alt.X("low:Q", title=title)),
        base.mark_text(align="left", dx=6, dy=26, baseline="top", fontSize=12, color=ink).encode(
            x=alt.X("low:Q", title=title), y=alt.value(0), text="text:N"
        ),
    ]


def _limit(limit: float, text: str, what: str, ink: str) -> list[Any]:
    base = alt.Chart(_data([{"y": limit, "text": f"limit {text}"}]))
    return [
        base.mark_rule(color=BAD, strokeDash=[4, 3]).encode(y=alt.Y("y:Q", title=what)),
        base.mark_text(align="right", dx=-4, dy=-7, fontSize=12, color=ink).encode(
            x=alt.value("width"), y=alt.Y("y:Q", title=what), text="text:N"
        ),
    ]


def heat(
    rows: Sequence[Mapping[str, Any]],
    lines: Sequence[Mapping[str, float]],
    inputs: Sequence[SweptInput],
    metric: str,
    unit: str,
) -> Any:
    """The metric over both inputs, each cell with its value; the line separates where it holds."""
    first, second = inputs
    data = _data([{**each, "left": each["column"] - 0.5, "right": each["column"] + 0.5,
                   "bottom": each["row"] - 0.5, "top": each["row"] + 0.5} for each in rows])  # fmt: skip
    x = alt.X(
        "left:Q",
        title=first.key,
        scale=_whole(first),
        axis=_named(first, angle=-30 if _is_long(first) else 0),
    )
    y = alt.Y("bottom:Q", title=second.key, scale=_whole(second), axis=_named(second, angle=0))
    title = f"{metric} ({unit})" if unit else metric
    colour = alt.Color(
        "value:Q",
        title=title,
        scale=alt.Scale(scheme="blues"),
        legend=alt.Legend(orient="top", gradientLength=260, titleLimit=600),
    )
    tooltip = [
        alt.Tooltip("first:N", title=first.key),
        alt.Tooltip("second:N", title=second.key),
        alt.Tooltip("text:N", title=metric),
        alt.Tooltip("sign:N", title="Holds"),
    ]
    base = alt.Chart(data)
    tiles = base.mark_rect(stroke="white", strokeWidth=1).encode(
        x=x, x2="right:Q", y=y, y2="top:Q", color=colour, tooltip=tooltip
    )
    words = base.mark_text(fontSize=12).encode(
        x=alt.X("column:Q"), y=alt.Y("row:Q"), text=alt.Text("word:N"), color=_on(rows)
    )
    words = words.transform_calculate(word="datum.sign == '' ? datum.short : datum.sign + ' ' + datum.short")
    edge = alt.Chart(_data(lines)).mark_rule(color=BAD, strokeWidth=4, strokeCap="square")
    height = 110 + CELL_HEIGHT * len(second.labels)
    return alt.layer(tiles, words, edge.encode(x="x:Q", x2="x2:Q", y="y:Q", y2="y2:Q")).properties(
        height=height
    )


def _on(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Words that are read on a pale and on a strong cell."""
    values = [each["value"] for each in rows if each["value"] is not None]
    middle = (min(values) + max(values)) / 2 if values else 0.0
    return alt.condition(f"datum.value > {middle!r}", alt.value("white"), alt.value("#10202c"))


def _whole(swept: SweptInput) -> alt.Scale:
    return alt.Scale(domain=[-0.5, len(swept.labels) - 0.5], nice=False, zero=False)


def _named(swept: SweptInput, angle: int) -> alt.Axis:
    """Ticks at the cells, with the values as labels."""
    return alt.Axis(
        values=list(range(len(swept.labels))),
        labelExpr=f"{json.dumps(swept.labels)}[datum.value]",
        grid=False,
        domain=False,
        ticks=False,
        labelAngle=angle,
        labelLimit=140,
    )


def _is_long(swept: SweptInput) -> bool:
    return sum(map(len, swept.labels)) > 90
