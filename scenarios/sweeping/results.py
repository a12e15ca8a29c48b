"""What a sweep found, as plain data: nothing here computes.

Every number of a swept input is in the unit it was asked in (`SweptInput.unit`), metrics in their own unit.
The document holds no dates and no machine: equal scenario, seeds and version give equal bytes.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from scenarios.results import MetricSummary, Verdict

SWEEP: Final = "sweep.json"

Bend = Literal["rises", "falls", "levels off"]


class SweptInput(msgspec.Struct, frozen=True):
    """One input: its dotted key, the values as a scenario writes them, and as numbers in `unit`.

    A list of words has no numbers: they are 0, 1, 2 and so on, and `is_numeric` is false.
    """

    key: str
    unit: str
    is_numeric: bool
    is_log: bool
    values: list[Any]
    labels: list[str]
    numbers: list[float]


class SweptRequirement(msgspec.Struct, frozen=True):
    """A requirement of the variant; `limit` is that of its first clause, in the unit of its value."""

    name: str
    expect: str
    probability: float
    limit: float
    limit_text: str
    unit: str


class PointVerdict(msgspec.Struct, frozen=True):
    """How a requirement was judged at a point: `met` of `runs`, with the 95 % interval of the share."""

    verdict: Verdict
    met: int
    runs: int
    estimate: float
    low: float
    high: float


class SweepPoint(msgspec.Struct, frozen=True):
    """One point: the inputs' values, verdicts by requirement, and metrics.

    The value of a requirement is a metric too, by the requirement's name. `is_refined` marks a point that
    was added to find a boundary.
    """

    labels: list[str]
    numbers: list[float]
    is_refined: bool
    runs: int
    verdicts: dict[str, PointVerdict]
    metrics: dict[str, MetricSummary]


class Knee(msgspec.Struct, frozen=True):
    """Where a metric begins to bend, in the input's unit, with the interval the data allows.

    `at_other` is the value of the second input, empty if there is none. `depth` is how far the curve is from
    the straight line between its ends, as a share of its height.
    """

    metric: str
    at_other: str
    at: float
    low: float
    high: float
    depth: float
    bend: Bend


class Boundary(msgspec.Struct, frozen=True):
    """Between which two neighbouring values of the first input a requirement stops holding.

    It holds at a point if it is met in at least the share of the runs that it asks for. `surely_holds` and
    `surely_fails` are the nearest values on either side with the verdict PASS and FAIL; None: none has it.
    `at_other` is the value of the second input, empty if there is none.
    """

    requirement: str
    at_other: str
    holds: float
    fails: float
    surely_holds: float | None
    surely_fails: float | None

    @property
    def is_upper(self) -> bool:
        """Whether it holds below and fails above."""
        return self.holds < self.fails


class Sweep(msgspec.Struct, frozen=True):
    """A whole sweep. `planned` is how many points were asked for; fewer are there if it was interrupted."""

    scenario_title: str
    scenario_file: str
    scenario_hash: str
    product_version: str
    variant: str
    seed: int
    replications: int
    inputs: list[SweptInput]
    requirements: list[SweptRequirement]
    shown: list[str]
    """The metrics to show first."""
    points: list[SweepPoint]
    planned: int
    knees: list[Knee]
    boundaries: list[Boundary]
    schema_version: int = 1
