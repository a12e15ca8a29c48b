"""Message chains: the transfers that lead from a cause to its effect, for what a requirement asks about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from scenarios.format.expression import ChainLatency, Expression, Latency, Measure
from scenarios.judging.chain_path import chain_path
from scenarios.judging.judgement import Observations, Sample
from scenarios.results import Hop
from twin.kernel.observation import Transfer, Transfers

LONGEST_CHAIN: Final = 40
AFTERMATH_S: Final = 10.0
"""How long after the sample that is explained its chain is shown."""


def message_chains(
    data: Observations, transfers: Transfers | None, expressions: Mapping[str, Expression]
) -> dict[str, list[Hop]]:
    """In a traced run: for each requirement about a latency, the message chain behind its worst end."""
    if transfers is None:
        return {}
    chains = {}
    for name, expression in expressions.items():
        metric = next((each for each in expression.metrics if not isinstance(each, Measure)), None)
        if metric is not None and (shown := explaining_sample(data, metric)) is not None:
            chains[name] = chain_behind(data, transfers.of_trace(shown[3]), metric, shown)
    return chains


def explaining_sample(data: Observations, metric: Latency | ChainLatency) -> Sample | None:
    """The sample whose chain explains a latency: of a start that never came to its end, else the last end."""
    starts = [sample for sample in data.samples(metric.start.text) if sample[2]]
    ends = [sample for sample in data.samples(metric.end.text) if sample[2] and sample[3]]
    if isinstance(metric, ChainLatency):
        ended = {sample[3] for sample in ends}
        unended = [sample for sample in starts if sample[3] not in ended]
        return next(iter(unended or ends[-1:]), None)
    first_ends: dict[str, Sample] = {}
    for sample in ends:
        first_ends.setdefault(sample[1], sample)
    return max(first_ends.values(), default=next(iter(starts), None))


def chain_behind(
    data: Observations, legs: Iterable[Transfer], metric: Latency | ChainLatency, shown: Sample
) -> list[Hop]:
    """The transfers of the sample's chain (`legs`) with the marks of both ends, in order of time."""
    marks = [
        Hop(at_s, node, node, measure)
        for measure in (metric.start.text, metric.end.text)
        for at_s, node, _, trace in data.samples(measure)
        if trace == shown[3]
    ]
    return longest(sorted(hops(legs, shown[0]) + marks, key=lambda hop: hop.at_s))


def longest(chain: list[Hop]) -> list[Hop]:
    """So many of the steps as are kept: those on the way from cause to effect first, then the earliest."""
    if len(chain) <= LONGEST_CHAIN:
        return chain
    leading = {id(step) for step in chain_path(chain).hops}
    ranked = sorted(range(len(chain)), key=lambda number: (id(chain[number]) not in leading, number))
    return [chain[number] for number in sorted(ranked[:LONGEST_CHAIN])]


def leading_to(legs: Sequence[Transfer], shown: Sample) -> list[Transfer]:
    """The transfers of a chain that led to a sample at a node, and earlier tries of them that were lost.

    It goes back from the last message that the node got before: to the transfer that caused it or, where a
    buffer lies between, to the one in which its sender had got it. All, if no message led to the node.
    """
    delivered = [leg for leg in legs if leg.kind == "publish" and leg.outcome == "delivered"]
    known = {leg.identity: leg for leg in delivered}
    way: list[Transfer] = []
    leg = _last_to(delivered, shown[1], shown[0])
    while leg is not None and len(way) < LONGEST_CHAIN:
        way.append(leg)
        parent = known.get(leg.parent)
        leg = parent if parent is not None else _last_to(delivered, leg.source, leg.sent_s, leg.topic)
        if leg in way:
            break
    if not way:
        return list(legs)
    tries = {(leg.source, leg.to, leg.topic) for leg in way}
    lost = [leg for leg in legs if leg.outcome != "delivered" and (leg.source, leg.to, leg.topic) in tries]
    return sorted([*way, *lost], key=lambda leg: (leg.sent_s, leg.identity))


def _last_to(legs: Iterable[Transfer], node: str, by_s: float, topic: str = "") -> Transfer | None:
    """The last of these transfers that reached a node by a time, of this topic (with a prefix) if any is."""
    reached = [leg for leg in legs if leg.to == node and leg.ended_s <= by_s]
    same = [leg for leg in reached if topic.endswith(leg.topic) or leg.topic.endswith(topic)]
    return max(same or reached, key=lambda leg: (leg.ended_s, leg.identity), default=None)


def hops(legs: Iterable[Transfer], at_s: float) -> list[Hop]:
    """The application messages among these transfers, up to a little after the time that is explained."""
    return [
        Hop(
            leg.sent_s,
            leg.source,
            leg.to,
            leg.topic or leg.kind,
            _note(leg.outcome, leg.ended_s - leg.sent_s),
            leg.ended_s - leg.sent_s if leg.outcome == "delivered" else None,
        )
        for leg in legs
        if leg.kind == "publish" and (leg.sent_s <= at_s + AFTERMATH_S)
    ]


def _note(outcome: str, took_s: float) -> str:
    return f"{took_s * 1e3:.0f} ms" if outcome == "delivered" else outcome
