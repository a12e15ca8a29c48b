"""Judging one replication: what its observations say about a requirement's expression."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from scenarios.format.expression import (
    After,
    BytesLeaving,
    ChainLatency,
    Clause,
    Comparison,
    During,
    Expression,
    Latency,
    Limit,
    Measure,
    Metric,
    Share,
    Statistic,
    Window,
)
from scenarios.judging.statistics import quantile
from twin import units

Sample: TypeAlias = tuple[float, str, float, int]
"""When (seconds), at which node, the value in SI units, and the message chain (0: none)."""

NEVER = "never"
NO_CHAIN = 0
ROUNDING_S = 1e-9


class Observations(Protocol):
    """What one replication recorded."""

    @property
    def duration_s(self) -> float:
        """How long it lasted."""
        ...

    @property
    def warm_up_s(self) -> float:
        """How much of it, from its start, is left out of every judgement."""
        ...

    def samples(self, measure: str) -> Sequence[Sample]:
        """All samples of a measure, oldest first."""
        ...

    def nodes_of(self, measure: str) -> Sequence[str]:
        """The nodes that report this measure, also those that never did."""
        ...

    def bytes(self, kind: str, scope: str) -> int:
        """Payload bytes of a kind ('personal', 'all') that left a place."""
        ...

    def fault_windows(self, fault: str) -> Sequence[tuple[float, float]]:
        """When a fault was at work: from and to, in seconds."""
        ...


class Judgement(NamedTuple):
    """Whether a replication met the expression, the value that decides, and both in words.

    The value is that of the first clause that failed, or of the first clause. It is NaN if nothing was
    observed that a value could be made of.
    """

    is_met: bool
    value: float
    text: str


_COMPARE: dict[Comparison, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def evaluate(expression: Expression, data: Observations) -> Judgement:
    """Judge one replication. Values that were needed and never happened are not met."""
    judged = [_judge(clause, data) for clause in expression.clauses]
    deciding = next((each for each in judged if not each.is_met), judged[0])
    return Judgement(deciding.is_met, deciding.value, "; ".join(each.text for each in judged))


def _judge(clause: Clause, data: Observations) -> Judgement:
    value = _value(clause, data)
    if value is None:
        return Judgement(is_met=False, value=math.nan, text=_missing(clause, data))
    is_met = _COMPARE[clause.comparison](value, clause.limit.value)
    relation = "meets" if is_met else "misses"
    return Judgement(is_met, value, f"{shown(value, clause)} {relation} {clause.text}")


def compared(value: float, comparison: Comparison, limit: float) -> bool:
    """Whether the comparison holds."""
    return _COMPARE[comparison](value, limit)


def shown(value: float, clause: Clause) -> str:
    """A value in the unit of the clause's limit."""
    if math.isinf(value):
        return NEVER
    kind = clause.limit.kind
    return units.format_quantity(kind, value) if kind else f"{value:.6g}"


def _missing(clause: Clause, data: Observations) -> str:
    value = clause.value
    metric = value.metric if isinstance(value, Statistic | Share) else None
    names = [metric.name] if isinstance(metric, Measure) else [metric.start, metric.end] if metric else []
    absent = [name.text for name in names if not data.samples(name.text)]
    window = " in that time" if metric is not None and metric.window is not None and not absent else ""
    what = absent[0] if absent else names[0].text
    return f"{what} never happened{window}: {clause.text}"


def _value(clause: Clause, data: Observations) -> float | None:
    """The clause's value, or None if no sample happened where some were needed."""
    value = clause.value
    if isinstance(value, BytesLeaving):
        return float(data.bytes(value.kind.text, value.scope.text))
    return value_of(value, samples_of(value.metric, data, deadline_of(clause)), data)


def value_of(value: Statistic | Share, numbers: Sequence[float], data: Observations) -> float | None:
    """What a statistic makes of samples, or None if there are none and some were needed."""
    if isinstance(value, Share):
        return _share(numbers, value.comparison, value.limit)
    if value.function == "rate":
        length_s = _length(value.metric.window, data)
        return len(numbers) / length_s if length_s > 0 else None
    if value.function in _OF_ANY:
        return _OF_ANY[value.function](numbers)
    if not numbers:
        return None
    if value.function == "quantile":
        return quantile(numbers, value.level)
    return _OF_SOME[value.function](numbers)


_OF_ANY: dict[str, Callable[[Sequence[float]], float]] = {
    "count": lambda numbers: float(len(numbers)),
    "sum": lambda numbers: math.fsum(numbers) if all(map(math.isfinite, numbers)) else sum(numbers),
}
_OF_SOME: dict[str, Callable[[Sequence[float]], float]] = {
    "max": max,
    "min": min,
    "mean": lambda numbers: sum(numbers) / len(numbers),
    "median": lambda numbers: quantile(numbers, 0.5),
    "last": operator.itemgetter(-1),
}


_RANKED = frozenset({"max", "median", "quantile"})
"""Functions that depend on which samples are above a limit, and not on how far."""


def _share(numbers: Sequence[float], comparison: Comparison, limit: Limit) -> float | None:
    if not numbers:
        return None
    return sum(_COMPARE[comparison](number, limit.value) for number in numbers) / len(numbers)


def deadline_of(clause: Clause) -> float:
    """The latency (seconds) beyond which the clause takes all for the same; infinite if there is none."""
    value = clause.value
    if isinstance(value, Share):
        return value.limit.value
    if isinstance(value, Statistic) and value.function in _RANKED:
        return clause.limit.value
    return math.inf


def samples_of(metric: Metric, data: Observations, deadline_s: float = math.inf) -> list[float]:
    """The samples of a metric in one replication; a latency whose end never came is infinite.

    A message chain without an end is left out if it may still have been under way: it had waited neither
    beyond the deadline nor as long as the longest chain with an end.
    """
    inside = is_inside(metric.window, data)
    if isinstance(metric, Measure):
        return [value for at_s, _, value, _ in data.samples(metric.name.text) if inside(at_s)]
    if isinstance(metric, Latency):
        return _latencies(metric, data)
    return _chain_latencies(metric, data, inside, deadline_s)


def started_s(metric: Latency, data: Observations) -> float | None:
    """When what a latency is measured from began, if it has."""
    inside = is_inside(metric.window, data)
    starts = (at_s for at_s, _, value, _ in data.samples(metric.start.text) if value and inside(at_s))
    return next(starts, None)


def _latencies(metric: Latency, data: Observations) -> list[float]:
    start_s = started_s(metric, data)
    if start_s is None:
        return []
    waits = dict.fromkeys(data.nodes_of(metric.end.text), math.inf)
    for at_s, node, value, _ in data.samples(metric.end.text):
        if at_s < start_s:
            waits[node] = 0.0 if value else math.inf
        elif value and waits.get(node, math.inf) == math.inf:
            waits[node] = at_s - start_s
    return list(waits.values())


def _chain_latencies(
    metric: ChainLatency, data: Observations, inside: Callable[[float], bool], deadline_s: float
) -> list[float]:
    begun: dict[int, float] = {}
    for at_s, _, _, trace in data.samples(metric.start.text):
        if trace != NO_CHAIN:
            begun.setdefault(trace, at_s)
    ended: dict[int, float] = {}
    for at_s, _, _, trace in data.samples(metric.end.text):
        if trace in begun and at_s >= begun[trace]:
            ended.setdefault(trace, at_s)
    longest_s = max((at_s - begun[trace] for trace, at_s in ended.items()), default=0.0)
    patience_s = min(longest_s - ROUNDING_S, deadline_s + ROUNDING_S)
    return [
        ended.get(trace, math.inf) - start_s
        for trace, start_s in begun.items()
        if inside(start_s) and (trace in ended or data.duration_s - start_s >= patience_s)
    ]


def is_inside(window: Window, data: Observations) -> Callable[[float], bool]:
    """Whether a time is in a window of an expression."""
    match window:
        case After(at_s=from_s):
            return lambda at_s: at_s >= from_s
        case During(fault=fault):
            spans = data.fault_windows(fault.text)
            return lambda at_s: any(begin <= at_s < end for begin, end in spans)
        case _:
            return lambda _: True


def _length(window: Window, data: Observations) -> float:
    """How long a window lasts within the judged time (seconds); overlapping faults count once."""
    match window:
        case After(at_s=from_s):
            spans: Sequence[tuple[float, float]] = [(from_s, data.duration_s)]
        case During(fault=fault):
            spans = data.fault_windows(fault.text)
        case _:
            spans = [(0.0, data.duration_s)]
    length_s, counted_s = 0.0, data.warm_up_s
    for begin_s, end_s in sorted(spans):
        first_s, last_s = max(begin_s, counted_s), min(end_s, data.duration_s)
        length_s += max(0.0, last_s - first_s)
        counted_s = max(counted_s, last_s)
    return length_s
