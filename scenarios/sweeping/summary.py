"""From the replications of a sweep to its verdicts, metrics, knees and boundaries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from scenarios.format.expression import parse
from scenarios.format.loading import Variant
from scenarios.judging.runner import tests_of
from scenarios.judging.statistics import SequentialTest, Verdict, clopper_pearson
from scenarios.judging.study import COMPARED, summary_of, unit_of
from scenarios.results import MetricSummary
from scenarios.sweeping import knees
from scenarios.sweeping.points import Place, Row
from scenarios.sweeping.results import (
    Boundary,
    Knee,
    PointVerdict,
    SweepPoint,
    SweptInput,
    SweptRequirement,
)

Rows: TypeAlias = Mapping[tuple[str, ...], Sequence[Row]]
"""The replications of each point, by the labels of its values, in the order of the seeds."""

VALUE_UNITS: Final = {"time": "s", "size": "bytes", "rate": "bit/s", "ratio": "ratio"}
MOST_SHOWN: Final = 3


def requirements_of(variant: Variant) -> list[SweptRequirement]:
    """The requirements that are judged at every point."""
    found = []
    for each in variant.requirements:
        limit = parse(each.expect).clauses[0].limit
        unit = VALUE_UNITS.get(limit.kind, "")
        found.append(
            SweptRequirement(each.name, each.expect, each.probability, limit.value, limit.text, unit)
        )
    return found


def point_of(place: Place, rows: Sequence[Row]) -> SweepPoint:
    """A point, summarised over its replications."""
    units = {each.name: each.unit for each in requirements_of(place.variant)}
    return SweepPoint(
        labels=list(place.labels),
        numbers=list(place.numbers),
        is_refined=place.is_refined,
        runs=len(rows),
        verdicts=verdicts_of(place.variant, rows),
        metrics=dict(_metrics(rows, units)),
    )


def verdicts_of(variant: Variant, rows: Sequence[Row]) -> dict[str, PointVerdict]:
    """How each requirement is judged after these replications."""
    return {name: _verdict(test, [row.met[name] for row in rows]) for name, test in tests_of(variant).items()}


def _verdict(test: SequentialTest, met: Sequence[bool]) -> PointVerdict:
    for each in met:
        test.add(each)
    share = clopper_pearson(sum(met), len(met))
    verdict = test.verdict or Verdict.INCONCLUSIVE
    return PointVerdict(verdict.value, sum(met), len(met), share.estimate, share.low, share.high)


def _metrics(rows: Sequence[Row], units: Mapping[str, str]) -> Iterator[tuple[str, MetricSummary]]:
    for name in sorted({name for row in rows for name in row.metrics}):
        values = [row.metrics[name] for row in rows if name in row.metrics]
        summary = summary_of(values, units.get(name, unit_of(name)))
        if not math.isnan(summary.mean):
            yield name, summary


def lines_of(inputs: Sequence[SweptInput], places: Sequence[Place]) -> Iterator[tuple[str, list[Place]]]:
    """The points along the first input, for each value of the second; none if the first has no numbers."""
    if not inputs[0].is_numeric:
        return
    for other in inputs[1].labels if len(inputs) > 1 else [""]:
        line = [place for place in places if place.labels[1:] == ((other,) if other else ())]
        yield other, sorted(line, key=lambda place: place.numbers)


def boundaries_of(
    inputs: Sequence[SweptInput],
    requirements: Sequence[SweptRequirement],
    places: Sequence[Place],
    rows: Rows,
) -> list[Boundary]:
    """Where each requirement turns, along the first input."""
    verdicts = {place.labels: verdicts_of(place.variant, rows[place.labels]) for place in places}
    return [
        boundary
        for other, line in lines_of(inputs, places)
        for requirement in requirements
        for boundary in knees.boundaries(
            requirement, [(place.numbers[0], verdicts[place.labels]) for place in line], other
        )
    ]


def knees_of(inputs: Sequence[SweptInput], places: Sequence[Place], rows: Rows) -> list[Knee]:
    """The knee of every metric that has one, along the first input."""
    names = sorted({name for each in rows.values() for row in each for name in row.metrics})
    return [
        Knee(name, other, *found)
        for other, line in lines_of(inputs, places)
        for name in names
        if (found := knee_of(line, rows, name)) is not None
    ]


def knee_of(line: Sequence[Place], rows: Rows, name: str) -> knees.KneeFound | None:
    """The knee of one metric along a line of points."""
    values = [[row.metrics.get(name, math.nan) for row in rows[place.labels]] for place in line]
    return knees.knee([place.numbers[0] for place in line], values)


def shown_of(asked: Sequence[str], requirements: Sequence[SweptRequirement], rows: Rows) -> list[str]:
    """The metrics to show first: those asked for, else the values of requirements, else the usual ones."""
    if asked:
        return list(asked)
    measured = {name for each in rows.values() for row in each for name in row.metrics}
    values = [each.name for each in requirements if each.name in measured]
    usual = [name for name, _ in COMPARED if name in measured]
    varying = sorted(
        (name for name in values if _varies(rows, name)), key=lambda name: not _turns(rows, name)
    )
    return (varying or values or usual or sorted(measured))[:MOST_SHOWN]


def _varies(rows: Rows, name: str) -> bool:
    return len({tuple(row.metrics.get(name, math.nan) for row in each) for each in rows.values()}) > 1


def _turns(rows: Rows, name: str) -> bool:
    """Whether a requirement is met at one point more often than at another."""
    return len({sum(row.met.get(name, False) for row in each) for each in rows.values()}) > 1
