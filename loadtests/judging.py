"""Requirements that a load can judge: what they may speak of, and what was measured of it.

`publish => acknowledgement` and `publish => delivery` are latencies from the time a message was due; what was
lost never came, so its latency is infinite. `connect` and `lateness` are times too; the rest are counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from loadtests.figures import Figures
from scenarios.format.expression import (
    BytesLeaving,
    ChainLatency,
    Clause,
    Expression,
    Measure,
    Metric,
    Share,
    Statistic,
    parse,
)
from scenarios.format.issues import suggestion
from scenarios.format.load_words import COUNTS, ENDS, PUBLISH, TIMES, WORDS
from scenarios.format.loading import Variant
from scenarios.judging.judgement import Judgement, compared, shown
from twin.errors import InputError
from twin.mqtt.fleet.histogram import Histogram, middle_s

OF_TIMES: Final = ("quantile", "median", "max", "min", "mean")


class Asked(NamedTuple):
    """A requirement by name."""

    name: str
    expect: str


class Samples(NamedTuple):
    """Durations (s), and how many never ended."""

    histogram: Histogram
    endless: int = 0

    @property
    def size(self) -> int:
        """All of them."""
        return self.histogram.count + self.endless


def asked_of(variant: Variant, texts: Iterable[str]) -> list[Asked]:
    """The requirements of a variant that only a load can judge, and those written on a command line.

    Raises InputError for one that no load can judge.
    """
    asked = [Asked(each.name, each.expect) for each in variant.load_requirements]
    asked += [Asked(text, text) for text in texts]
    for each in asked:
        if reason := why_not(parse(each.expect)):
            raise InputError(f"{each.expect!r}: {reason}; it measures: {', '.join(WORDS)}")
    return asked


def why_not(expression: Expression) -> str:
    """Why a load cannot judge this, '' if it can."""
    for clause in expression.clauses:
        value = clause.value
        if isinstance(value, BytesLeaving):
            return "a load does not count bytes"
        if reason := _why_not_metric(value.metric, value.function if isinstance(value, Statistic) else ""):
            return reason
    return ""


def _why_not_metric(metric: Metric, function: str) -> str:
    if metric.window is not None:
        return "a load has no faults and windows"
    if isinstance(metric, Measure):
        name = metric.name.text
        if name in TIMES and function in {"", *OF_TIMES, "count", "rate"}:
            return ""
        if name in COUNTS and function in {"count", "rate"}:
            return ""
        if name in COUNTS:
            return f"{name!r} is a number: write count({name}) or rate({name})"
        near = suggestion(name, WORDS)
        return f"a load measures no {name!r}{f'; {near}' if near else ''}"
    pair = metric.start.text, metric.end.text
    if isinstance(metric, ChainLatency) and pair[0] == PUBLISH and pair[1] in ENDS and function != "sum":
        return ""
    return f"a load measures no time from {pair[0]!r} to {pair[1]!r}"


def judge(expression: Expression, figures: Figures) -> Judgement:
    """Whether what was measured meets it; what needs samples and has none is not met."""
    judged = [_judged(clause, figures) for clause in expression.clauses]
    deciding = next((each for each in judged if not each.is_met), judged[0])
    return Judgement(deciding.is_met, deciding.value, "; ".join(each.text for each in judged))


def _judged(clause: Clause, figures: Figures) -> Judgement:
    value = _value(clause, figures)
    if math.isnan(value):
        return Judgement(is_met=False, value=value, text=f"nothing was measured: {clause.text}")
    is_met = compared(value, clause.comparison, clause.limit.value)
    relation = "meets" if is_met else "misses"
    return Judgement(is_met, value, f"{shown(value, clause)} {relation} {clause.text}")


def _value(clause: Clause, figures: Figures) -> float:
    value = clause.value
    if isinstance(value, BytesLeaving):
        raise InputError("a load does not count bytes")
    if isinstance(value, Share):
        return _share(value, _samples(value.metric, figures))
    count = _count(value.metric, figures)
    if value.function == "count":
        return float(count)
    if value.function == "rate":
        return count / figures.published_s if figures.published_s else math.nan
    samples = _samples(value.metric, figures)
    level = {"median": 0.5, "max": 1.0}.get(value.function, value.level)
    if not samples.size:
        return math.nan
    if value.function == "min":
        return samples.histogram.smallest_s
    if value.function == "mean":
        return math.inf if samples.endless else samples.histogram.mean_s
    rank = max(1, math.ceil(level * samples.size))
    if rank > samples.histogram.count:
        return math.inf
    return samples.histogram.quantile(rank / samples.histogram.count)


def _samples(metric: Metric, figures: Figures) -> Samples:
    if isinstance(metric, Measure):
        histogram: Histogram = getattr(figures, metric.name.text)
        return Samples(histogram)
    if metric.end.text == "delivery":
        return Samples(figures.delivery, figures.account.lost)
    return Samples(figures.acknowledgement, figures.account.unacknowledged)


def _count(metric: Metric, figures: Figures) -> int:
    if not isinstance(metric, Measure) or metric.name.text in TIMES:
        return _samples(metric, figures).histogram.count
    if metric.name.text == "ended":
        return figures.trouble["ended"].total()
    count: int = getattr(figures.account, metric.name.text)
    return count


def _share(value: Share, samples: Samples) -> float:
    if not samples.size:
        return math.nan
    kept = sum(
        count
        for place, count in samples.histogram.counts.items()
        if compared(middle_s(place), value.comparison, value.limit.value)
    )
    endless = samples.endless if compared(math.inf, value.comparison, value.limit.value) else 0
    return (kept + endless) / samples.size


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Which requirements were judged, and why others were not."""

    judged: dict[str, Judgement]
    not_judged: dict[str, str]


def verdicts_of(variant: Variant, asked: Iterable[Asked], figures: Figures) -> Verdicts:
    """Judge what is asked, and say why the scenario's other requirements are not judged."""
    judged = {each.name: judge(parse(each.expect), figures) for each in asked}
    others = {each.name: why_not(parse(each.expect)) for each in variant.requirements}
    return Verdicts(judged, others)
