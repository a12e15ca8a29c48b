"""Paired differences between two variants under the same seeds, of a run at hand or of a stored one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from scenarios.archive import METRICS
from scenarios.format.expression import parse
from scenarios.format.schema import Requirement
from scenarios.judging.runner import VariantRun
from scenarios.judging.statistics import paired_difference
from scenarios.judging.study import COMPARED
from scenarios.results import Comparison

Values: TypeAlias = Mapping[int, Mapping[str, float]]
"""Metrics, and values of requirements, by seed."""

UNITS: Final = {"time": "s", "size": "B", "rate": "bit/s"}


def units_of(requirements: Iterable[Requirement | Any]) -> dict[str, str]:
    """What is compared, with its unit: the usual metrics, then each requirement by its name."""
    kinds = {each.name: parse(each.expect).clauses[0].limit.kind for each in requirements}
    return {**dict(COMPARED), **{name: UNITS.get(kind, "") for name, kind in kinds.items()}}


def values_of(run: VariantRun) -> Values:
    """What the replications of a variant gave."""
    return {
        outcome.seed: {
            **outcome.metrics,
            **{name: judgement.value for name, judgement in outcome.judgements.items()},
        }
        for outcome in run.outcomes
    }


def stored_values(folder: Path, variant: str) -> Values:
    """The same of a stored run."""
    rows = msgspec.json.decode((folder / METRICS).read_bytes(), type=list[dict[str, Any]])
    return {
        row["seed"]: {
            **{name: _number(value) for name, value in row["metrics"].items()},
            **{name: _number(each["value"]) for name, each in row["judgements"].items()},
        }
        for row in rows
        if row["variant"] == variant
    }


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float | str) else math.nan


def differences(names: tuple[str, str], a: Values, b: Values, units: Mapping[str, str]) -> list[Comparison]:
    """`a` minus `b` of everything that both have a finite value of in every run they share."""
    return list(_differences(names, a, b, units))


def _differences(
    names: tuple[str, str], a: Values, b: Values, units: Mapping[str, str]
) -> Iterator[Comparison]:
    shared = [seed for seed in a if seed in b]
    for metric, unit in units.items():
        pairs = [(b[seed].get(metric, math.nan), a[seed].get(metric, math.nan)) for seed in shared]
        if len(pairs) < 2 or not all(math.isfinite(value) for pair in pairs for value in pair):
            continue
        found = paired_difference([pair[0] for pair in pairs], [pair[1] for pair in pairs])
        yield Comparison(*names, metric, found.estimate, found.low, found.high, len(pairs), unit)
