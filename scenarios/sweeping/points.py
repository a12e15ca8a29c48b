"""The points of a sweep: what an input's value makes of the variant, and what a replication there gave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from scenarios.format.loading import ScenarioFile, Variant, with_values
from scenarios.judging.outcome import Outcome
from scenarios.sweeping.results import SweptInput
from scenarios.wiring.vocabulary import Vocabulary
from twin.errors import InputError

LOST: Final = "messages_lost"


class Row(msgspec.Struct, frozen=True):
    """One replication at a point: what was measured, and whether each requirement was met.

    A requirement without a value has none in `metrics`; otherwise its value stands there by its name.
    """

    at: list[str]
    seed: int
    metrics: dict[str, float]
    met: dict[str, bool]


class Place(NamedTuple):
    """A point to be measured: its inputs' values as labels and numbers, and what they make of the variant."""

    labels: tuple[str, ...]
    numbers: tuple[float, ...]
    values: tuple[Any, ...]
    variant: Variant
    is_refined: bool


def place_at(
    scenario: ScenarioFile,
    variant: Variant,
    inputs: Sequence[SweptInput],
    values: Sequence[Any],
    labels: Sequence[str],
    numbers: Sequence[float],
    *,
    is_refined: bool = False,
) -> Place:
    """The point with these values of the inputs. Raises InputError naming it if it is no valid variant."""
    overrides = {each.key: value for each, value in zip(inputs, values)}
    try:
        changed = with_values(scenario, variant, overrides, Vocabulary())
    except InputError as error:
        point = ", ".join(f"{each.key}={label}" for each, label in zip(inputs, labels))
        raise InputError(f"{point}: {error}") from None
    return Place(tuple(labels), tuple(numbers), tuple(values), changed, is_refined)


def row_of(place: Place, seed: int, outcome: Outcome) -> Row:
    """What is kept of a replication."""
    values = {name: each.value for name, each in outcome.judgements.items() if not math.isnan(each.value)}
    lost = float(sum(outcome.tally.lost.values()))
    return Row(
        list(place.labels),
        seed,
        {**{n: v for n, v in outcome.metrics.items() if not math.isnan(v)}, LOST: lost, **values},
        {name: each.is_met for name, each in outcome.judgements.items()},
    )
