"""Why a requirement was met or missed: the moment that decides it, and the message chain behind that."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from scenarios.format.expression import (
    BytesLeaving,
    ChainLatency,
    Clause,
    Expression,
    Latency,
    Measure,
    Name,
    Statistic,
    parse,
)
from scenarios.format.schema import Requirement
from scenarios.judging.chains import LONGEST_CHAIN, chain_behind, explaining_sample, hops, leading_to
from scenarios.judging.judgement import Observations, Sample, evaluate, is_inside
from scenarios.judging.outcome import ALARM, COMMAND, FIRED, OPEN, SOUNDING, WORLD
from scenarios.replaying.document import Explained
from scenarios.results import Hop
from twin.kernel.observation import Transfer

ASET, MARGIN, PEOPLE_OUT = "aset", "people_margin", "people_out"
WARNING: Final = ((ALARM, SOUNDING), (ALARM, COMMAND))
"""Whose chain explains what became of the people."""
LETTING_OUT: Final = ((ALARM, OPEN), (ALARM, COMMAND), (ALARM, SOUNDING))
"""Whose chain explains what became of the cars."""

Chains = Mapping[int, Sequence[Transfer]]
Reason = tuple[float | None, list[Hop]]


def explained(
    requirement: Requirement, data: Observations, chains: Chains, nodes_in: Callable[[str], frozenset[str]]
) -> Explained:
    """The requirement as it was judged in this replication, with the moment and the chain that explain it.

    `chains` are the transfers by trace; `nodes_in` gives the nodes in a place.
    """
    expression = parse(requirement.expect)
    judged = evaluate(expression, data)
    at_s, chain = _reason(expression, data, chains, nodes_in)
    return Explained(
        requirement.name,
        requirement.expect,
        judged.is_met,
        judged.text,
        at_s,
        chain,
        requirement.why or "",
    )


def _reason(
    expression: Expression, data: Observations, chains: Chains, nodes_in: Callable[[str], frozenset[str]]
) -> Reason:
    clause = _deciding(expression, data)
    if isinstance(clause.value, BytesLeaving):
        return _first_leaving(chains, nodes_in(clause.value.scope.text), clause.value.kind.text)
    metric = clause.value.metric
    if not isinstance(metric, Measure):
        return _of_latency(metric, data, chains)
    return _of_measure(clause, metric, data, chains)


def _deciding(expression: Expression, data: Observations) -> Clause:
    """The first clause that failed, or the first one."""
    clauses = expression.clauses
    return next((each for each in clauses if not evaluate(Expression((each,)), data).is_met), clauses[0])


def _of_latency(metric: Latency | ChainLatency, data: Observations, chains: Chains) -> Reason:
    shown = _slowest(metric, data)
    if shown is None:
        return None, []
    return shown[0], _chain(metric, shown, data, chains)


def _way(
    metric: Latency | ChainLatency, shown: Sample, data: Observations, legs: Sequence[Transfer]
) -> Sequence[Transfer]:
    """What led to the end; without one, to the last message lost, where it should be, or the rule."""
    if shown in data.samples(metric.end.text):
        return leading_to(legs, shown)
    lost = [leg for leg in legs if leg.kind == "publish" and leg.outcome != "delivered"]
    if lost:
        last = lost[-1]
        before = [leg for leg in legs if leg.to == last.source and leg.ended_s <= last.sent_s]
        return [*(leading_to(legs, (last.sent_s, last.source, 1.0, last.trace)) if before else ()), last]
    ends = frozenset(data.nodes_of(metric.end.text))
    reached = [leg for leg in legs if leg.kind == "publish" and leg.to in ends]
    if reached:
        return leading_to(legs, (reached[-1].ended_s, reached[-1].to, 1.0, reached[-1].trace))
    fired = _fired(data, shown[3])
    return leading_to(legs, fired[0]) if fired else legs


def _fired(data: Observations, trace: int) -> list[Sample]:
    return [sample for sample in data.samples(FIRED) if sample[3] == trace]


def _slowest(metric: Latency | ChainLatency, data: Observations) -> Sample | None:
    """The sample that explains a latency.

    Along chains that is the first start in the window that came to no end, else the end of the slowest chain.
    A chain without an end because the run was over says nothing, so long as others took as long.
    """
    if isinstance(metric, Latency):
        return explaining_sample(data, metric)
    inside = is_inside(metric.window, data)
    starts: dict[int, Sample] = {}
    for sample in data.samples(metric.start.text):
        if sample[3] and inside(sample[0]):
            starts.setdefault(sample[3], sample)
    ends: dict[int, Sample] = {}
    for sample in data.samples(metric.end.text):
        if sample[3] in starts and sample[0] >= starts[sample[3]][0]:
            ends.setdefault(sample[3], sample)
    took_s = {trace: end[0] - starts[trace][0] for trace, end in ends.items()}
    longest_s = max(took_s.values(), default=0.0)
    for trace, start in starts.items():
        if trace not in ends and data.duration_s - start[0] > longest_s:
            return start
    return ends[max(took_s, key=took_s.__getitem__)] if took_s else next(iter(starts.values()), None)


def _of_measure(clause: Clause, metric: Measure, data: Observations, chains: Chains) -> Reason:
    measure = metric.name.text
    samples = data.samples(measure)
    if not samples:
        return None, []
    function = clause.value.function if isinstance(clause.value, Statistic) else "max"
    choose = {"max": _largest, "quantile": _largest, "min": _smallest}.get(function, _latest)
    shown = choose(samples)
    if shown[3]:
        return shown[0], hops(leading_to(chains.get(shown[3], ()), shown), shown[0])[:LONGEST_CHAIN]
    pairs = LETTING_OUT if measure.startswith("cars") else WARNING
    return _moment(measure, shown, data), _first_chain(pairs, data, chains) if shown[1] == WORLD else []


def _first_chain(pairs: Sequence[tuple[str, str]], data: Observations, chains: Chains) -> list[Hop]:
    for start, end in pairs:
        metric = Latency(Name(start, 0), Name(end, 0))
        shown = explaining_sample(data, metric)
        if shown is not None and shown[3]:
            return _chain(metric, shown, data, chains)
    return []


def _chain(metric: Latency | ChainLatency, shown: Sample, data: Observations, chains: Chains) -> list[Hop]:
    """The way that led to the sample, with the marks of the nodes on it."""
    way = _way(metric, shown, data, chains.get(shown[3], ()))
    nodes = {end for leg in way for end in (leg.source, leg.to)} | {shown[1]}
    found = chain_behind(data, way, metric, shown)
    found += [Hop(at_s, node, node, FIRED) for at_s, node, _, _ in _fired(data, shown[3])]
    ordered = sorted(found, key=lambda hop: (hop.at_s, hop.source != hop.to))
    return [hop for hop in ordered if hop.source != hop.to or hop.source in nodes]


def _moment(measure: str, shown: Sample, data: Observations) -> float:
    """When it was observed; for the margin when the level was lost, or when the last person was out."""
    if measure != MARGIN:
        return shown[0]
    times = [sample[2] for name in (ASET, PEOPLE_OUT) for sample in data.samples(name)[-1:]]
    past = [at_s for at_s in times if math.isfinite(at_s) and at_s <= shown[0]]
    return past[0] if past else shown[0]


def _first_leaving(chains: Chains, inside: frozenset[str], kind: str) -> Reason:
    """The chain of the first message with such bytes that went from inside to outside."""
    crossing = [
        leg
        for legs in chains.values()
        for leg in legs
        if (kind != "personal" or leg.personal_bytes) and leg.source in inside and leg.to not in inside
    ]
    if not crossing:
        return None, []
    first = min(crossing, key=lambda leg: (leg.sent_s, leg.identity))
    return first.sent_s, hops(chains[first.trace], first.sent_s)[:LONGEST_CHAIN]


def _largest(samples: Sequence[Sample]) -> Sample:
    return max(samples, key=lambda sample: sample[2])


def _smallest(samples: Sequence[Sample]) -> Sample:
    return min(samples, key=lambda sample: sample[2])


def _latest(samples: Sequence[Sample]) -> Sample:
    return samples[-1]
