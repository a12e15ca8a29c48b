"""What one run, virtual or live, says about times: of each latency and each hop of its message chains."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from scenarios.format.expression import ChainLatency, Latency, parse
from scenarios.format.schema import Requirement
from scenarios.judging.judgement import NO_CHAIN, samples_of
from scenarios.judging.outcome import Outcome, Record, Reporters
from scenarios.wiring.assembly import Assembly
from twin.kernel.observation import Transfer

PATIENCE_S: Final = 10.0
"""A chain that began so late before the end and has none may still be under way: it is left out."""
SETTLE_S: Final = 5.0
"""How long after a fault its chains still count as touched by it: links heal with a lag."""
GRAIN_S: Final = 1e-9
MOST_STEPS: Final = 32

Pair = tuple[str, int]
"""A node, and which of its starts: the same in both runs, as they share seed and schedule."""


class Chain(NamedTuple):
    """One start and what became of it; `latency_s` is infinite if its end never came."""

    start_s: float
    latency_s: float
    end_count: int
    is_touched: bool
    steps: tuple[tuple[str, float], ...]


@dataclass(slots=True)
class Recording:
    """A run as it is compared: chains by latency and pair, first ends by latency and node, and hops."""

    outcome: Outcome
    chains: dict[str, dict[Pair, Chain]] = field(default_factory=dict)
    firsts: dict[str, dict[str, float]] = field(default_factory=dict)
    hops: dict[str, list[float]] = field(default_factory=dict)


def record(
    assembly: Assembly, outcome: Outcome, nodes_of: Reporters, requirements: Iterable[Requirement]
) -> Recording:
    """Read a traced run that has ended."""
    transfers = assembly.kernel.transfers
    if transfers is None:
        raise ValueError("only a traced run knows its hops")
    data = Record(assembly, nodes_of)
    kinds = {member.node: member.kind for member in assembly.members}
    delivered = [each for each in transfers.all() if each.outcome == "delivered" and each.kind == "publish"]
    delivered = [each for each in delivered if each.source in kinds and each.to in kinds]
    found = Recording(outcome)
    by_trace: dict[int, list[Transfer]] = defaultdict(list)
    for each in delivered:
        by_trace[each.trace].append(each)
        if each.sent_s >= data.warm_up_s:
            name = f"{kinds[each.source]} > {kinds[each.to]}"
            found.hops.setdefault(name, []).append(each.arrived_s - each.sent_s)
    windows = _windows(assembly, data)
    known_to_s = max((each.ended_s for each in delivered), default=0.0) if transfers.omitted else math.inf
    for metric in _latencies(requirements):
        name = _name(metric)
        if isinstance(metric, ChainLatency):
            found.chains[name] = _chains(metric, data, windows, _Known(by_trace, known_to_s), kinds)
        else:
            found.firsts[name] = dict(zip(data.nodes_of(metric.end.text), samples_of(metric, data)))
    return found


def _latencies(requirements: Iterable[Requirement]) -> list[Latency | ChainLatency]:
    """Every latency that a requirement asks about, once, whatever its window."""
    found: dict[str, Latency | ChainLatency] = {}
    for requirement in requirements:
        for metric in parse(requirement.expect).metrics:
            if isinstance(metric, Latency | ChainLatency):
                found.setdefault(_name(metric), metric)
    return list(found.values())


def _name(metric: Latency | ChainLatency) -> str:
    arrow = "=>" if isinstance(metric, ChainLatency) else "->"
    return f"{metric.start.text} {arrow} {metric.end.text}"


def _windows(assembly: Assembly, data: Record) -> list[tuple[float, float]]:
    """When any fault was at work, and a little longer."""
    faults = {entry.fault for entry in assembly.scenario.timeline}
    spans = sorted(span for fault in faults for span in data.fault_windows(fault))
    return [(begin_s, end_s + SETTLE_S) for begin_s, end_s in spans]


class _Known(NamedTuple):
    """The transfers of each chain, up to a time: of a long run not all are kept."""

    by_trace: Mapping[int, list[Transfer]]
    to_s: float


def _chains(
    metric: ChainLatency,
    data: Record,
    windows: Sequence[tuple[float, float]],
    known: _Known,
    kinds: Mapping[str, str],
) -> dict[Pair, Chain]:
    ends: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for at_s, node, _, trace in data.samples(metric.end.text):
        ends[trace].append((at_s, node))
    begun: set[int] = set()
    ordinals: dict[str, int] = defaultdict(int)
    found: dict[Pair, Chain] = {}
    for start_s, node, _, trace in data.samples(metric.start.text):
        if trace == NO_CHAIN or trace in begun:
            continue
        begun.add(trace)
        ordinals[node] += 1
        ended = [each for each in ends[trace] if each[0] >= start_s]
        if not ended and data.duration_s - start_s < PATIENCE_S:
            continue
        end_s, end_node = ended[0] if ended else (math.inf, "")
        is_touched = any(start_s < to_s and end_s >= from_s for from_s, to_s in windows)
        steps = (
            _steps(known.by_trace[trace], (node, start_s), (end_node, end_s), kinds)
            if ended and end_s < known.to_s
            else ()
        )
        found[node, ordinals[node]] = Chain(start_s, end_s - start_s, len(ended), is_touched, steps)
    return found


def _steps(
    transfers: Iterable[Transfer],
    start: tuple[str, float],
    end: tuple[str, float],
    kinds: Mapping[str, str],
) -> tuple[tuple[str, float], ...]:
    """Where the time of a chain went, walked back from its end: on links, and at the nodes between them."""
    node, at_s = end
    left = sorted(transfers, key=lambda each: each.ended_s)
    steps: list[tuple[str, float]] = []
    while left and len(steps) < MOST_STEPS:
        before = [each for each in left if each.to == node and each.ended_s <= at_s + GRAIN_S]
        if not before or before[-1].sent_s < start[1] - GRAIN_S:
            break
        last = before[-1]
        steps.append((f"at {kinds[node]}", at_s - last.arrived_s))
        steps.append((f"{kinds[last.source]} > {kinds[node]}", last.arrived_s - last.sent_s))
        node, at_s = last.source, last.sent_s
        left = left[: left.index(last)]
        if node == start[0]:
            break
    steps.append((f"at {kinds[node]}", at_s - start[1]))
    return _numbered(reversed(steps))


def _numbered(steps: Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """Each step under a name of its own: a chain that comes through a node twice has two steps there."""
    seen: dict[str, int] = defaultdict(int)
    named = []
    for name, took_s in steps:
        seen[name] += 1
        named.append((name if seen[name] == 1 else f"{name} ({seen[name]})", took_s))
    return tuple(named)
