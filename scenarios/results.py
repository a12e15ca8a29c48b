"""The results of a study as plain data: what a run of a scenario's variants hands to every report.

Nothing here computes: the runner fills these values, the reports only read them. Times are seconds, sizes
bytes, ratios 0..1. Text fields may hold anything a scenario author wrote; whoever prints them escapes them.
"""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import msgspec

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]
FigureKind = Literal["published", "derived", "default", "estimated"]
Expectation = Literal["", "expected", "unexpected"]
Curve = list[tuple[float, float]]


class MetricSummary(msgspec.Struct, frozen=True):
    """One metric over the replications of a variant; `low` and `high` bound the mean at 95 %."""

    unit: str
    mean: float
    low: float
    high: float
    p05: float
    p50: float
    p95: float


class BudgetPart(msgspec.Struct, frozen=True):
    """One part of the time budget (detect, confirm, network, rule, actuate, pre-movement, flow): a median."""

    name: str
    duration_s: float


class LedgerSummary(msgspec.Struct, frozen=True):
    """Where every message of a variant is; `lost` counts by "where: cause".

    Duplicates are extra copies that arrived; they are no part of the sum.
    """

    sent: int
    delivered: int
    lost: dict[str, int]
    expired: int
    queued: int
    duplicated: int

    @property
    def imbalance(self) -> int:
        """Messages nobody can account for: 0 when the ledger adds up."""
        return self.sent - self.delivered - sum(self.lost.values()) - self.expired - self.queued


class Hop(msgspec.Struct, frozen=True):
    """One step of a message chain; a step that stays inside a node has `to` equal to `source`.

    `took_s` is how long the message was on its way; None if it did not arrive, or is none.
    """

    at_s: float
    source: str
    to: str
    topic: str
    note: str = ""
    took_s: float | None = None


class RequirementResult(msgspec.Struct, frozen=True):
    """The judgement of one requirement in one variant.

    `met` of `runs` replications met it, which gives the `estimate` with its interval `low`..`high` of the
    probability; `probability` is what was asked. `value_text` is the worst or median value and `limit_text`
    the limit, both ready to print. `chain` is the message chain behind the worst run.
    """

    name: str
    expect: str
    verdict: Verdict
    estimate: float
    low: float
    high: float
    runs: int
    met: int
    probability: float
    why: str = ""
    value_text: str = ""
    limit_text: str = ""
    worst_seed: int | None = None
    chain: list[Hop] = []


class VariantResult(msgspec.Struct, frozen=True):
    """Everything measured of one variant.

    `expected_fails` names the requirements its author expects to fail; None: the author said nothing.
    `cdfs` holds (latency in s, share of observations) by measure, `series` (time in s, value) by quantity,
    `border_bytes` the personal bytes that crossed each border ("singapore -> ashburn").
    """

    name: str
    title: str
    why: str
    expected_fails: list[str] | None
    replications: int
    seeds: list[int]
    requirements: list[RequirementResult]
    metrics: dict[str, MetricSummary]
    time_budget: list[BudgetPart]
    aset_s: float | None
    cdfs: dict[str, Curve]
    ledger: LedgerSummary
    border_bytes: dict[str, int]
    wall_s: float
    series: dict[str, Curve]

    def expectation(self, requirement: RequirementResult) -> Expectation:
        """Whether the verdict is what the author expected; empty when the author said nothing about it."""
        if self.expected_fails is None:
            return ""
        should_fail = requirement.name in self.expected_fails
        if requirement.verdict == "FAIL":
            return "expected" if should_fail else "unexpected"
        return "unexpected" if should_fail and requirement.verdict == "PASS" else ""

    @property
    def rset_s(self) -> float | None:
        """Required safe egress time: the sum of the time budget; None without a budget."""
        return sum(part.duration_s for part in self.time_budget) if self.time_budget else None


class Comparison(msgspec.Struct, frozen=True):
    """Paired difference of a metric, `variant_a` minus `variant_b`, with its 95 % interval."""

    variant_a: str
    variant_b: str
    metric: str
    mean_difference: float
    low: float
    high: float
    pairs: int
    unit: str


class Sensitivity(msgspec.Struct, frozen=True):
    """What the margin becomes when one input goes to its low and to its high value, in s."""

    input: str
    low_label: str
    high_label: str
    margin_low_s: float
    margin_high_s: float


class FigureSource(msgspec.Struct, frozen=True):
    """Where a figure used in the study comes from."""

    name: str
    value_text: str
    kind: FigureKind
    source: str


class Study(msgspec.Struct, frozen=True):
    """One scenario, all its variants, judged.

    `created` is ISO 8601 text and `host` a description of the machine; both are given by the caller.
    `scenario_file` is the name to type to repeat the study, with the `profile_file` if one was used;
    `scenario_text` is the resolved YAML.
    """

    scenario_title: str
    description: str
    scenario_file: str
    scenario_hash: str
    product_version: str
    created: str
    seed: int
    host: str
    duration_s: float
    variants: list[VariantResult]
    comparisons: list[Comparison] = []
    sensitivities: list[Sensitivity] = []
    provenance: list[FigureSource] = []
    floor_plan_svg: str = ""
    scenario_text: str = ""
    profile_file: str = ""
    schema_version: int = 1


Stored = TypeVar("Stored", bound=msgspec.Struct)


def encode(document: object) -> bytes:
    """A document as JSON with sorted keys: equal documents give equal bytes. An infinity is text, "inf"."""
    return msgspec.json.encode(_finite(msgspec.to_builtins(document)), order="sorted") + b"\n"


def decode(content: bytes, kind: type[Stored]) -> Stored:
    """What `encode` wrote. Raises msgspec.ValidationError for anything else."""
    return msgspec.json.decode(content, type=kind, strict=False)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value
