"""The report of a sweep: one HTML file in the style of every other report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from scenarios.report.charts import Caption
from scenarios.report.elements import command, figure, remark, table
from scenarios.report.markup import escape
from scenarios.report.page import document
from scenarios.report.sweep_charts import BandPoint, HeatCell, Mark, band_curve, heat_map
from scenarios.report.wording import LIMITS, humanise
from scenarios.sweeping.knees import holds
from scenarios.sweeping.results import Sweep, SweepPoint, SweptRequirement
from scenarios.sweeping.wording import (
    all_hold,
    conclusions,
    measured,
    of_input,
    repeat_command,
    rows,
    size,
    titled,
)

FARTHEST_LIMIT: Final = 3.0
METHOD: Final = (
    "Every point has the same seeds, so neighbouring points differ by the input and not by chance. Bands and"
    " intervals are 95 %. A requirement holds where it is met in at least the share of the runs that it asks"
    " for; PASS and FAIL are those of the sequential test. A knee is the point farthest from the straight"
    " line between the curve's ends (Satopää, Albrecht, Irwin, Raghavan: Finding a 'Kneedle' in a Haystack,"
    " ICDCS Workshops 2011); it depends on the range that was swept."
)


def page(sweep: Sweep, *, created: str, host: str) -> str:
    """The whole report as one HTML document."""
    facts = {
        "Variant": sweep.variant,
        "Measured": size(sweep),
        "Created": created,
        "Seeds": f"{sweep.seed} to {sweep.seed + sweep.replications - 1}",
        "Scenario hash": sweep.scenario_hash[:16],
        "Version": sweep.product_version,
        "Host": host,
    }
    entries = "".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items() if v)
    keys = " and ".join(each.key for each in sweep.inputs)
    header = (
        f'<p class="kicker">Windtunnel sweep</p><h1>{escape(sweep.scenario_title)}</h1>'
        f'<p class="lede">{escape(keys)}</p><dl class="meta">{entries}</dl>'
    )
    sections = [
        ("findings", "What was found", _findings(sweep)),
        ("charts", "Curves" if len(sweep.inputs) == 1 else "Maps", _charts(sweep)),
        ("points", "Every point", _points(sweep)),
        ("repeat", "How to repeat this", command(repeat_command(sweep))),
    ]
    footer = f"<p>{escape(LIMITS)}</p><p>Windtunnel {escape(sweep.product_version)}, {escape(created)}</p>"
    return document(sweep.scenario_title, header, [each for each in sections if each[2]], footer)


def _findings(sweep: Sweep) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in conclusions(sweep))
    return f"<ul>{items}</ul>{remark(METHOD)}"


def _charts(sweep: Sweep) -> str:
    draw = _curve if len(sweep.inputs) == 1 else _map
    return "".join(draw(sweep, index, name) for index, name in enumerate(sweep.shown) if sweep.points)


def _points(sweep: Sweep) -> str:
    headers, found = rows(sweep)
    return table(headers, found)


def _curve(sweep: Sweep, index: int, name: str) -> str:
    """One metric over the input."""
    (swept,) = sweep.inputs
    requirement = next((each for each in sweep.requirements if each.name == name), None)
    known = [(point, point.metrics[name]) for point in sweep.points if name in point.metrics]
    if not known:
        return ""
    points = [
        BandPoint(point.numbers[0], found.mean, found.low, found.high,
                  point.verdicts[name].verdict if name in point.verdicts else "")
        for point, found in known
    ]  # fmt: skip
    marks = [
        Mark(each.at, each.low, each.high, f"{each.bend} at {of_input(swept, each.at)}")
        for each in sweep.knees
        if each.metric == name
    ]
    caption = Caption(f"curve-{index}", f"{humanise(name)} over {swept.key}", " ".join(conclusions(sweep)))
    chart = band_curve(
        caption,
        points,
        marks,
        x_title=titled(swept),
        unit=known[0][1].unit,
        is_log=swept.is_log,
        limit=_near(requirement, [found.mean for _, found in known]),
    )
    headers = [swept.key, "mean (95 % interval)", "5 %", "median", "95 %"]
    body = [
        [point.labels[0], measured(found), f"{found.p05:.4g}", f"{found.p50:.4g}", f"{found.p95:.4g}"]
        for point, found in known
    ]
    return f"<h3>{escape(humanise(name))}</h3>" + figure(chart, headers, body, _key(requirement))


def _near(requirement: SweptRequirement | None, means: Sequence[float]) -> float | None:
    """The limit, unless the curve would be flat beside it."""
    finite = [abs(mean) for mean in means if math.isfinite(mean)]
    if requirement is None or not finite or not math.isfinite(requirement.limit):
        return None
    return requirement.limit if abs(requirement.limit) <= FARTHEST_LIMIT * max(finite) else None


def _key(requirement: SweptRequirement | None) -> str:
    if requirement is None:
        return ""
    return f"{requirement.expect}. Filled: PASS, open: undecided, cross: FAIL."


def _map(sweep: Sweep, index: int, name: str) -> str:
    """One metric over both inputs."""
    first, second = sweep.inputs
    cells = {tuple(point.labels): point for point in sweep.points}
    lines = [
        (other, [_cell(sweep, cells.get((label, other)), name) for label in first.labels])
        for other in reversed(second.labels)
    ]
    caption = Caption(f"map-{index}", f"{humanise(name)} over both inputs", " ".join(conclusions(sweep)))
    chart = heat_map(caption, first.labels, lines, x_title=first.key, y_title=second.key)
    body = [[other, *(cell.text for cell in row)] for other, row in lines]
    what = name if any(each.name == name for each in sweep.requirements) else "every requirement"
    note = f"The line runs between where {what} holds and where it does not (crosses)."
    note = note if sweep.requirements else ""
    return f"<h3>{escape(humanise(name))}</h3>" + figure(chart, [second.key, *first.labels], body, note)


def _cell(sweep: Sweep, point: SweepPoint | None, name: str) -> HeatCell:
    found = point.metrics.get(name) if point else None
    if point is None or found is None:
        return HeatCell(None, "", None)
    return HeatCell(found.mean, measured(found).partition(" (")[0], is_good(sweep, point, name))


def is_good(sweep: Sweep, point: SweepPoint, name: str) -> bool | None:
    """Whether the requirement of this name holds at a point; of a metric, whether all do."""
    if not sweep.requirements:
        return None
    asked = next((each for each in sweep.requirements if each.name == name), None)
    if asked is None or name not in point.verdicts:
        return all_hold(sweep, point)
    return holds(asked, point.verdicts[name])
