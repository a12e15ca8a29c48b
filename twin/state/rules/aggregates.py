"""Values of a window, kept as sums that can be added to and joined, never as lists of messages.

A sum is plain JSON, so that it can be journaled and taken up again: a count, a pair, a list of texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from twin.state.rules.functions import U, bounded, is_number, ordering

MOST_DISTINCT: Final = 1_000
"""Different values that count(DISTINCT ...) tells apart; more count as so many."""

_LESS: Final = ordering("<")


class Sum(NamedTuple):
    """How a function sums up: a new sum of one value, two joined, the result."""

    of: Callable[[Any], Any]
    joined: Callable[[Any, Any], Any]
    result: Callable[[Any], Any]
    empty: Any


def _count(value: Any) -> int:
    return 0 if value is U or value is None else 1


def _total(value: Any) -> tuple[int, float]:
    return (1, value) if is_number(value) else (0, 0)


def _join_total(a: Any, b: Any) -> tuple[int, float]:
    total = bounded(a[1] + b[1])
    return (a[0] + b[0], 0 if total is U else total)


def _extreme(is_better: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def join(a: Any, b: Any) -> Any:
        if not a or not b:
            return a or b
        return b if is_better(b[0], a[0]) is True else a

    return join


def _comparable(value: Any) -> tuple[Any, ...]:
    return (value,) if is_number(value) or value.__class__ is str else ()


def _kept(value: Any) -> tuple[Any, ...]:
    return () if value is U else (value,)


def _moments(value: Any) -> tuple[int, float, float]:
    return (1, float(value), 0.0) if is_number(value) else (0, 0.0, 0.0)


def _join_moments(a: Any, b: Any) -> tuple[int, float, float]:
    """Chan, Golub and LeVeque (1979): counts, means and squared deviations of two samples joined."""
    if not a[0] or not b[0]:
        return tuple(a if a[0] else b)
    count = a[0] + b[0]
    apart = b[1] - a[1]
    mean = a[1] + apart * b[0] / count
    return (count, mean, a[2] + b[2] + apart * apart * a[0] * b[0] / count)


def _deviation(moments: Any) -> Any:
    count, _, squares = moments
    return bounded(math.sqrt(max(0.0, squares) / count)) if count and math.isfinite(squares) else U


def _mark(value: Any) -> tuple[str, ...]:
    return () if value is U or value is None else (msgspec.json.encode(value, order="sorted").decode(),)


def _join_marks(a: Any, b: Any) -> tuple[str, ...]:
    joined = tuple(dict.fromkeys((*a, *b)))
    return joined[:MOST_DISTINCT]


def _first(kept: Any) -> Any:
    return kept[0] if kept else U


SUMS: Final = {
    "count": Sum(_count, lambda a, b: a + b, lambda a: a, 0),
    "sum": Sum(_total, _join_total, lambda a: a[1] if a[0] else U, (0, 0)),
    "avg": Sum(_total, _join_total, lambda a: a[1] / a[0] if a[0] else U, (0, 0)),
    "min": Sum(_comparable, _extreme(_LESS), _first, ()),
    "max": Sum(_comparable, _extreme(ordering(">")), _first, ()),
    "first": Sum(_kept, lambda a, b: a or b, _first, ()),
    "last": Sum(_kept, lambda a, b: b or a, _first, ()),
    "stddev": Sum(_moments, _join_moments, _deviation, (0, 0.0, 0.0)),
    "distinct": Sum(_mark, _join_marks, len, ()),
}
"""Every aggregate; `stddev` is that of the population, `distinct` is count(DISTINCT ...)."""
