"""Cleansing: readings that cannot be true are dropped, by cause.

`data/ranges.csv` lists for a kind's fields the lowest and highest value and the largest step from one
reading to the next. A larger step is a spike unless the next reading confirms it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, NamedTuple, TypeAlias

OUT_OF_RANGE: Final = "out of range"
SPIKE: Final = "spike"
DUPLICATE: Final = "duplicate"
Cause: TypeAlias = Literal["out of range", "spike", "duplicate"]


class Range(NamedTuple):
    """What a field may be, in its own unit."""

    field: str
    low: float
    high: float
    largest_step: float


@cache
def ranges() -> dict[str, tuple[Range, ...]]:
    """The checked fields of each kind that has some."""
    text = (files(__package__) / "data" / "ranges.csv").read_text(encoding="utf-8")
    found: dict[str, tuple[Range, ...]] = {}
    for row in csv.DictReader(text.splitlines()):
        limits = Range(row["field"], float(row["low"]), float(row["high"]), float(row["largest_step"]))
        found[row["kind"]] = (*found.get(row["kind"], ()), limits)
    return found


class Reading(NamedTuple):
    """The last reading that was kept, and a larger step that waits for its confirmation."""

    payload: bytes
    values: dict[str, float]
    suspect: dict[str, float]


@dataclass(slots=True)
class Cleanser:
    """Remembers the last reading of each node (bounded by the gateway's number of devices)."""

    last: dict[str, Reading] = field(default_factory=dict)

    def cause(self, kind: str, node: str, payload: bytes, fields: dict[str, Any]) -> Cause | None:
        """Why the reading is to be dropped; None keeps it."""
        last = self.last.get(node, Reading(b"", {}, {}))
        if "ts" in fields and payload == last.payload:
            return DUPLICATE
        limits = ranges().get(kind, ())
        values = {limit.field: float(fields[limit.field]) for limit in limits if _is_number(fields, limit)}
        if any(not limit.low <= values.get(limit.field, limit.low) <= limit.high for limit in limits):
            return OUT_OF_RANGE
        if any(_is_spike(limit, values, last) for limit in limits):
            self.last[node] = Reading(payload, last.values, values)
            return SPIKE
        self.last[node] = Reading(payload, values, {})
        return None


def _is_number(fields: dict[str, Any], limit: Range) -> bool:
    return isinstance(fields.get(limit.field), int | float)


def _is_spike(limit: Range, values: dict[str, float], last: Reading) -> bool:
    value = values.get(limit.field)
    before = last.values.get(limit.field)
    if value is None or before is None or abs(value - before) <= limit.largest_step:
        return False
    confirmed = last.suspect.get(limit.field)
    return confirmed is None or abs(value - confirmed) > limit.largest_step
