"""From judged replications to the results document that every report reads."""

from __future__ import annotations

import math
import statistics as mean_of
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from devices_models.world.floor_plan import floor_plan_svg
from network.catalogue import link_figures
from network.wan import round_trip
from scenarios.format import schema
from scenarios.format.expression import parse
from scenarios.format.loading import ScenarioFile
from scenarios.judging.outcome import Outcome
from scenarios.judging.runner import VariantRun
from scenarios.judging.statistics import (
    Verdict,
    clopper_pearson,
    paired_difference,
    quantile,
    student_quantile,
)
from scenarios.results import (
    BudgetPart,
    Comparison,
    Curve,
    FigureSource,
    Hop,
    LedgerSummary,
    MetricSummary,
    RequirementResult,
    Sensitivity,
    Study,
    VariantResult,
)
from scenarios.wiring.linking import LAN, place_of
from scenarios.wiring.members import scenes_of
from twin.units import format_quantity

COMPARED: Final = (
    ("alarm_to_gate_command", "s"),
    ("alarm_to_gate_open", "s"),
    ("people_margin", "s"),
    ("cars_out", "s"),
    ("cars_inside_at_untenable", "cars"),
)
UNITS: Final = {
    "messages_sent": "messages",
    "messages_lost": "messages",
    "people_count": "people",
    "people_inside_at_untenable": "people",
    "cars_count": "cars",
    "cars_inside_at_untenable": "cars",
    "fire_spread": "cars",
}
CURVE_POINTS: Final = 200


def study_of(
    scenario: ScenarioFile,
    runs: Sequence[VariantRun],
    *,
    version: str,
    created: str,
    host: str,
    wall_s: float,
    sensitivities: Sequence[Sensitivity] = (),
    profile: str = "",
) -> Study:
    """Everything measured, as one document; all but version, created, host and wall_s follows from files."""
    return Study(
        scenario_title=scenario.title,
        description=runs[0].variant.scenario.description,
        scenario_file=scenario.source.name,
        scenario_hash=scenario.hash,
        product_version=version,
        created=created,
        seed=runs[0].outcomes[0].seed,
        host=host,
        duration_s=wall_s,
        variants=[variant_result(run) for run in runs],
        comparisons=comparisons(runs),
        sensitivities=list(sensitivities),
        provenance=provenance([run.variant.scenario for run in runs]),
        floor_plan_svg=_floor_plan(runs[0]),
        scenario_text=scenario.text,
        profile_file=profile,
    )


def variant_result(run: VariantRun) -> VariantResult:
    """One variant, summarised over its replications."""
    variant, outcomes = run.variant, run.outcomes
    return VariantResult(
        name=variant.name,
        title=variant.title or variant.name,
        why=variant.why or "",
        expected_fails=None if variant.fails is None else list(variant.fails),
        replications=len(outcomes),
        seeds=[outcome.seed for outcome in outcomes],
        requirements=[_requirement(run, each) for each in run.variant.requirements],
        metrics=_metrics(outcomes),
        time_budget=_budget(outcomes),
        aset_s=_median([outcome.metrics["aset"] for outcome in outcomes if "aset" in outcome.metrics]),
        cdfs=_cdfs(outcomes),
        ledger=_ledger(outcomes),
        border_bytes=dict(_summed(outcome.border_bytes for outcome in outcomes)),
        wall_s=run.wall_s,
        series=outcomes[0].series,
    )


def _requirement(run: VariantRun, asked: schema.Requirement) -> RequirementResult:
    test = run.tests[asked.name]
    verdict = test.verdict or Verdict.INCONCLUSIVE
    worst = run.worst(asked.name)
    met = sum(outcome.judgements[asked.name].is_met for outcome in run.outcomes)
    interval = clopper_pearson(met, len(run.outcomes))
    chain = run.traced[asked.name].chains.get(asked.name, []) if asked.name in run.traced else []
    limit = parse(asked.expect).clauses[0].limit
    return RequirementResult(
        name=asked.name,
        expect=asked.expect,
        verdict=verdict.value,
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        runs=len(run.outcomes),
        met=met,
        probability=asked.probability,
        why=asked.why or "",
        value_text=_value_text(run.outcomes, worst, asked.name, limit.kind),
        limit_text=limit.text,
        worst_seed=worst.seed,
        chain=[Hop(hop.at_s, hop.source, hop.to, hop.topic, hop.note, hop.took_s) for hop in chain],
    )


def _value_text(outcomes: Sequence[Outcome], missed: Outcome, name: str, kind: str) -> str:
    """The median over the replications; where most met the limit, also the value of one that did not.

    What that one said if there is no number.
    """
    judged = [outcome.judgements[name] for outcome in outcomes]
    known = [each.value for each in judged if not math.isnan(each.value)]
    if not known:
        return missed.judgements[name].text
    text, first = _written(quantile(known, 0.5), kind), missed.judgements[name]
    is_rare = sum(each.is_met for each in judged) > len(judged) / 2
    if first.is_met or not is_rare or math.isnan(first.value):
        return text
    return f"{text}, but {_written(first.value, kind)} with seed {missed.seed}"


def _written(value: float, kind: str) -> str:
    if math.isinf(value):
        return "never"
    return format_quantity(kind, value) if kind else f"{value:.6g}"


def _metrics(outcomes: Sequence[Outcome]) -> dict[str, MetricSummary]:
    names = sorted({name for outcome in outcomes for name in outcome.metrics})
    return {
        name: summary_of([o.metrics[name] for o in outcomes if name in o.metrics], unit_of(name))
        for name in names
    }


def unit_of(metric: str) -> str:
    """The unit of a metric of a replication."""
    return "ratio" if metric.startswith("utilisation ") else UNITS.get(metric, "s")


def summary_of(values: Sequence[float], unit: str) -> MetricSummary:
    """Mean with its t interval, and quantiles; infinite values make the mean infinite."""
    mean = sum(values) / len(values)
    half = math.inf
    if len(values) > 1 and math.isfinite(mean):
        spread = mean_of.stdev(values) / math.sqrt(len(values))
        half = student_quantile(0.975, len(values) - 1) * spread
    elif math.isinf(mean):
        half = 0.0
    return MetricSummary(
        unit, mean, mean - half, mean + half, *(quantile(values, level) for level in (0.05, 0.5, 0.95))
    )


def _median(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return quantile(finite, 0.5) if finite else None


def _budget(outcomes: Sequence[Outcome]) -> list[BudgetPart]:
    """The mean of each part over the replications in which everybody came out."""
    complete = [
        outcome.budget
        for outcome in outcomes
        if outcome.budget and all(map(math.isfinite, outcome.budget.values()))
    ]
    if not complete:
        return []
    return [BudgetPart(name, sum(each[name] for each in complete) / len(complete)) for name in complete[0]]


def _cdfs(outcomes: Sequence[Outcome]) -> dict[str, Curve]:
    """Distribution of each latency over all replications, in at most 200 points."""
    pooled: dict[str, list[float]] = {}
    for outcome in outcomes:
        for name, values in outcome.latencies.items():
            pooled.setdefault(name, []).extend(values)
    return {name: _curve(values) for name, values in pooled.items() if any(map(math.isfinite, values))}


def _curve(values: Sequence[float]) -> Curve:
    ordered, count = sorted(values), len(values)
    steps = sorted({round(number * (count - 1) / CURVE_POINTS) for number in range(CURVE_POINTS + 1)})
    return [(ordered[i], (i + 1) / count) for i in steps if math.isfinite(ordered[i])]


def _ledger(outcomes: Sequence[Outcome]) -> LedgerSummary:
    tallies = [outcome.tally for outcome in outcomes]
    return LedgerSummary(
        sent=sum(tally.sent for tally in tallies),
        delivered=sum(tally.delivered for tally in tallies),
        lost=dict(_summed(tally.lost for tally in tallies)),
        expired=0,
        queued=sum(tally.in_flight for tally in tallies),
        duplicated=0,
    )


def _summed(counts: Iterable[Mapping[str, int]]) -> list[tuple[str, int]]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return sorted(total.items())


def comparisons(runs: Sequence[VariantRun]) -> list[Comparison]:
    """Each variant against the first, run by run under the same random numbers."""
    return [
        comparison
        for run in runs[1:]
        for metric, unit in COMPARED
        if (comparison := compared(run, runs[0], metric, unit)) is not None
    ]


def compared(a: VariantRun, b: VariantRun, metric: str, unit: str) -> Comparison | None:
    """`a` minus `b` of a metric over the seeds both ran; None where a value is missing or infinite."""
    of_b = {outcome.seed: outcome.metrics.get(metric, math.nan) for outcome in b.outcomes}
    pairs = [
        (of_b[outcome.seed], outcome.metrics.get(metric, math.nan))
        for outcome in a.outcomes
        if outcome.seed in of_b
    ]
    if len(pairs) < 2 or not all(math.isfinite(value) for pair in pairs for value in pair):
        return None
    interval = paired_difference([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return Comparison(
        a.variant.name,
        b.variant.name,
        metric,
        interval.estimate,
        interval.low,
        interval.high,
        len(pairs),
        unit,
    )


def provenance(scenarios: Iterable[schema.Scenario]) -> list[FigureSource]:
    """Where the network figures of the study come from, each once."""
    found: dict[str, FigureSource] = {}
    for scenario in scenarios:
        for name in _technologies(scenario):
            figures = link_figures(name)
            p50, p99 = (format_quantity("time", value) for value in (figures.p50_s, figures.p99_s))
            text = f"one way p50 {p50}, p99 {p99}"
            found.setdefault(name, FigureSource(figures.label, text, figures.kind, figures.basis))
        for link in scenario.links:
            if link.path == "wan" and link.round_trip_s is None:
                source = _wan_source(scenario, link)
                found.setdefault(source.name, source)
    return list(found.values())


def _technologies(scenario: schema.Scenario) -> list[str]:
    media = [
        fleet.link.medium if isinstance(fleet.link, schema.Access) else fleet.link or LAN
        for fleet in scenario.fleets.values()
    ]
    access = [link.access for link in scenario.links if link.access is not None]
    return sorted({*media, *access})


def _wan_source(scenario: schema.Scenario, link: schema.Link) -> FigureSource:
    ends = [site_of(scenario, node) for node in link.between]
    figure = round_trip(*(place_of(scenario.sites[end]) for end in ends))
    names = " - ".join(scenario.sites[end].metro or end for end in ends)
    text = f"round trip {format_quantity('time', figure.rtt_s)}"
    if figure.low_s != figure.high_s:
        text += f" ({format_quantity('time', figure.low_s)} to {format_quantity('time', figure.high_s)})"
    kind = "default" if figure.kind == "given" else figure.kind
    return FigureSource(names, text, kind, figure.source)


def site_of(scenario: schema.Scenario, name: str) -> str:
    """The site of a node, through what it runs on."""
    node = scenario.nodes[name]
    return node.at or site_of(scenario, str(node.runs_on))


def _floor_plan(run: VariantRun) -> str:
    """The burning level of the first scene, if there is one."""
    scenes = scenes_of(run.variant.scenario, run.variant.folder)
    fire = run.variant.scenario.world.get("fire") if scenes else None
    if not isinstance(fire, dict):
        return ""
    scene = next(iter(scenes.values()))
    bay = scene.feature(str(fire["bay"]))
    return floor_plan_svg(scene, bay.level, {bay.id: "fire"})
