"""What is known of a requirement while its replication still runs.

A verdict is final as soon as nothing that may still happen can change it: a limit that a maximum has passed
stays passed. Until then a requirement is `open`, or `met so far`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from scenarios.format.expression import (
    BytesLeaving,
    Clause,
    Expression,
    Latency,
    Measure,
    Share,
    Statistic,
)
from scenarios.judging.judgement import (
    Observations,
    compared,
    deadline_of,
    evaluate,
    samples_of,
    shown,
    started_s,
    value_of,
)

State: TypeAlias = Literal["open", "met so far", "met", "missed"]

RISING = frozenset({"count", "max"})
"""Statistics that more samples can only raise."""
FALLING = frozenset({"min"})
RANK: dict[State, int] = {"missed": 0, "open": 1, "met so far": 2, "met": 3}


class Forming(NamedTuple):
    """How a requirement stands, and why in a few words."""

    state: State
    text: str


def standing(expression: Expression, data: Observations, *, is_over: bool = False) -> Forming:
    """How an expression stands now; `is_over` says that nothing more will happen."""
    if is_over:
        judged = evaluate(expression, data)
        return Forming("met" if judged.is_met else "missed", judged.text)
    formed = [_clause(clause, data) for clause in expression.clauses]
    return min(formed, key=lambda each: RANK[each.state])


def _clause(clause: Clause, data: Observations) -> Forming:
    value = clause.value
    if isinstance(value, BytesLeaving):
        return _moving(clause, float(data.bytes(value.kind.text, value.scope.text)), is_rising=True)
    if isinstance(value.metric, Latency):
        return _waiting(clause, value, value.metric, data)
    numbers = samples_of(value.metric, data, deadline_of(clause))
    now = value_of(value, numbers, data)
    if now is None:
        return Forming("open", f"no {_awaited(value, data)} yet")
    if isinstance(value, Statistic) and value.function in RISING | FALLING:
        return _moving(clause, now, is_rising=value.function in RISING)
    return _open_or_so_far(clause, now)


def _moving(clause: Clause, now: float, *, is_rising: bool) -> Forming:
    """A value that can only move one way: once beyond the limit, it stays there."""
    limit = clause.limit.value
    further = math.inf if is_rising else -math.inf
    could = [compared(each, clause.comparison, limit) for each in (now, further)]
    is_beyond = now > limit if is_rising else now < limit
    is_settled = clause.comparison in {"==", "!="} and is_beyond
    if all(could) and (is_settled or clause.comparison not in {"==", "!="}):
        return Forming("met", f"{shown(now, clause)} meets {clause.text}")
    if not any(could) and (is_settled or clause.comparison not in {"==", "!="}):
        return Forming("missed", f"{shown(now, clause)} misses {clause.text}")
    return _open_or_so_far(clause, now)


def _open_or_so_far(clause: Clause, now: float) -> Forming:
    if compared(now, clause.comparison, clause.limit.value):
        return Forming("met so far", f"{shown(now, clause)} so far")
    return Forming("open", f"{shown(now, clause)} so far, which misses {clause.text}")


def _waiting(clause: Clause, value: Statistic | Share, metric: Latency, data: Observations) -> Forming:
    """A latency of several nodes: those that have not ended yet have waited at least until now."""
    start_s = started_s(metric, data)
    waits = samples_of(metric, data)
    if start_s is None or not waits:
        return Forming("open", f"no {metric.start.text} yet")
    waited_s = data.duration_s - start_s
    if isinstance(value, Statistic) and value.function == "rate":
        return _open_or_so_far(clause, value_of(value, waits, data) or 0.0)
    ends = [
        _comparison(clause, value, [min(wait, most_s) for wait in waits], data)
        for most_s in (waited_s, math.inf)
    ]
    pending = sum(math.isinf(wait) for wait in waits)
    if ends[0] is not None and ends[0] == ends[1]:
        best = value_of(value, [min(wait, waited_s) for wait in waits], data)
        at_least = "at least " if pending and not ends[0] else ""
        relation = "meets" if ends[0] else "misses"
        text = f"{at_least}{'' if best is None else shown(best, clause)} {relation} {clause.text}"
        return Forming("met" if ends[0] else "missed", text)
    return Forming("open", f"{pending} of {len(waits)} not yet, {waited_s:.1f} s after {metric.start.text}")


def _comparison(
    clause: Clause, value: Statistic | Share, numbers: Sequence[float], data: Observations
) -> bool | None:
    found = value_of(value, numbers, data)
    return None if found is None else compared(found, clause.comparison, clause.limit.value)


def _awaited(value: Statistic | Share, data: Observations) -> str:
    """The first of what a value is made of that has not happened."""
    metric = value.metric
    names = [metric.name] if isinstance(metric, Measure) else [metric.start, metric.end]
    return next((name.text for name in names if not data.samples(name.text)), names[-1].text)
