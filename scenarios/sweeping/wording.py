"""What a sweep found, in sentences and in rows of text."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from scenarios.report.wording import SYMBOLS, count, humanise, quantity, span
from scenarios.results import MetricSummary
from scenarios.sweeping.knees import holds
from scenarios.sweeping.results import (
    Boundary,
    Knee,
    PointVerdict,
    Sweep,
    SweepPoint,
    SweptInput,
    SweptRequirement,
)

NARROW = "\u00a0"


def of_input(swept: SweptInput, number: float) -> str:
    """A value of an input in words, with its unit."""
    text = plain_number(number)
    return text if not swept.unit else f"{text}{'' if swept.unit.startswith('/') else NARROW}{swept.unit}"


def plain_number(number: float) -> str:
    """Three significant digits, and whole numbers in full."""
    return f"{number:.0f}" if number.is_integer() else f"{float(f'{number:.3g}'):.6f}".rstrip("0").rstrip(".")


def titled(swept: SweptInput) -> str:
    """The input with its unit, as the title of an axis."""
    return f"{swept.key} ({swept.unit})" if swept.unit else swept.key


def conclusions(sweep: Sweep) -> list[str]:
    """The answer: where each requirement turns, and where the metrics bend that are shown first."""
    said: dict[str, list[str]] = {}
    for each in sweep.requirements:
        said.setdefault(_of_requirement(sweep, each), []).append(each.name)
    found = [f"{text}: {', '.join(names)}." for text, names in said.items() if text in SAME]
    found += [f"{name}: {text}." for text, names in said.items() if text not in SAME for name in names]
    bends = [_of_knee(sweep, each) for each in sweep.knees if each.metric in sweep.shown]
    return [*reversed(found), *bends]


SAME: Final = ("Holds at every point", "Holds at no point")


def _of_requirement(sweep: Sweep, requirement: SweptRequirement) -> str:
    mine = [each for each in sweep.boundaries if each.requirement == requirement.name]
    if mine:
        return "; ".join(of_boundary(sweep, each) for each in mine)
    judged = [
        point.verdicts[requirement.name] for point in sweep.points if requirement.name in point.verdicts
    ]
    good = sum(holds(requirement, each) for each in judged)
    if good in {0, len(judged)}:
        return SAME[0 if good else 1]
    return f"holds at {good} of {count(len(judged), 'point')}"


def of_boundary(sweep: Sweep, boundary: Boundary) -> str:
    """Where a requirement turns."""
    swept = sweep.inputs[0]
    good, bad = (of_input(swept, each) for each in (boundary.holds, boundary.fails))
    words = ("up to", "from") if boundary.is_upper else ("from", "up to")
    sure = [
        f"{verdict} {word} {of_input(swept, value)}"
        for verdict, word, value in (
            ("PASS", words[0], boundary.surely_holds),
            ("FAIL", words[1], boundary.surely_fails),
        )
        if value is not None
    ]
    text = f"holds {words[0]} {good}, no longer at {bad}"
    where = f"with {sweep.inputs[1].key} {boundary.at_other} it " if boundary.at_other else ""
    more = f" ({', '.join(sure)})" if sure else ""
    return f"{where}{text}{more}"


def _of_knee(sweep: Sweep, knee: Knee) -> str:
    swept = sweep.inputs[0]
    where = f" with {sweep.inputs[1].key} {knee.at_other}" if knee.at_other else ""
    low, high = of_input(swept, knee.low), of_input(swept, knee.high)
    return (
        f"{humanise(knee.metric)} {BENDS[knee.bend]} at {of_input(swept, knee.at)} ({low} to {high}){where}."
    )


BENDS = {"rises": "begins to rise", "falls": "begins to fall", "levels off": "levels off"}


def measured(summary: MetricSummary | None) -> str:
    """A mean with its interval."""
    if summary is None:
        return "not measured"
    if math.isinf(summary.mean):
        return "never"
    text = quantity(summary.mean, summary.unit)
    if not math.isfinite(summary.low) or summary.low == summary.high:
        return text
    return f"{text} ({span(summary.low, summary.high, summary.unit)})"


def verdict_text(verdict: PointVerdict | None) -> str:
    """A verdict with its share."""
    if verdict is None:
        return ""
    return f"{SYMBOLS[verdict.verdict]} {verdict.met}/{verdict.runs}"


def rows(sweep: Sweep) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of all points: inputs, shown metrics, verdicts."""
    names = [each.name for each in sweep.requirements]
    headers = [each.key for each in sweep.inputs] + [humanise(each) for each in sweep.shown]
    found = [
        [
            *point.labels,
            *(measured(point.metrics.get(each)) for each in sweep.shown),
            *(verdict_text(point.verdicts.get(each)) for each in names),
        ]
        for point in sweep.points
    ]
    return [*headers, *names], found


def repeat_command(sweep: Sweep) -> str:
    """The line that repeats the sweep."""
    words = ["windtunnel", "sweep", sweep.scenario_file, "--variant", sweep.variant]
    for each in sweep.inputs:
        words += ["--set", f"{each.key}={', '.join(map(_quoted, each.values))}"]
    return shlex.join([*words, "--replications", str(sweep.replications), "--seed", str(sweep.seed)])


def _quoted(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def table(sweep: Sweep, *, width: int) -> str:
    """The sweep for a terminal."""
    lines = [sweep.scenario_title, f"{sweep.variant}, {size(sweep)}", ""]
    lines += _grid(sweep) if len(sweep.inputs) == 2 else _list(sweep)
    lines += ["", *conclusions(sweep)]
    return "\n".join(line[:width].rstrip() if line not in conclusions(sweep) else line for line in lines)


def size(sweep: Sweep) -> str:
    """How much was measured."""
    done = count(len(sweep.points), "point")
    if len(sweep.points) < sweep.planned:
        done = f"{len(sweep.points)} of {count(sweep.planned, 'point')}"
    return f"{done} with {count(sweep.replications, 'run')} each"


def _list(sweep: Sweep) -> list[str]:
    """The shown metrics, and the requirements that do not end the same everywhere."""
    headers, found = rows(sweep)
    first = len(headers) - len(sweep.requirements)
    turning = [n for n in range(first, len(headers)) if len({row[n][:1] for row in found}) > 1]
    kept = [*range(first), *turning]
    legend = [
        f"[{n}] {each.name}: {each.expect}"
        for n, each in enumerate((sweep.requirements[place - first] for place in turning), 1)
    ]
    heads = headers[:first] + [f"[{n}]" for n in range(1, len(turning) + 1)]
    return [*columns([heads, *([row[n] for n in kept] for row in found)]), *([""] if legend else []), *legend]


def _grid(sweep: Sweep) -> list[str]:
    """The first metric over both inputs; a mark says whether every requirement holds there."""
    name = sweep.shown[0] if sweep.shown else ""
    first, second = sweep.inputs
    cells = {tuple(point.labels): _cell(sweep, point, name) for point in sweep.points}
    body = [[label, *(cells.get((label, other), "") for other in second.labels)] for label in first.labels]
    legend = "\u2713 every requirement holds, \u2717 not every one" if sweep.requirements else ""
    head = f"{humanise(name)}, by {first.key} (down) and {second.key} (across)"
    return [head, "", *columns([["", *second.labels], *body]), "", legend]


def _cell(sweep: Sweep, point: SweepPoint, name: str) -> str:
    found = point.metrics.get(name)
    value = "" if found is None else measured(found).partition(" (")[0]
    return (
        f"{value} {'' if not sweep.requirements else SYMBOLS['PASS' if all_hold(sweep, point) else 'FAIL']}"
    )


def all_hold(sweep: Sweep, point: SweepPoint) -> bool:
    """Whether every requirement holds at a point."""
    return all(
        holds(each, point.verdicts[each.name]) for each in sweep.requirements if each.name in point.verdicts
    )


def columns(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of cells, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
