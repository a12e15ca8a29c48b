"""Aggregation: the readings of one kind in one window become one message."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Statistic:
    """Count, mean, least, greatest and last value of a field."""

    count: int = 0
    total: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf
    last: float = 0.0

    def add(self, value: float) -> None:
        """Take one more value."""
        self.count += 1
        self.total += value
        self.least = min(self.least, value)
        self.greatest = max(self.greatest, value)
        self.last = value

    def summary(self) -> dict[str, float]:
        """The statistic as it is sent."""
        mean = self.total / self.count
        return {
            "count": self.count,
            "mean": round(mean, 6),
            "min": self.least,
            "max": self.greatest,
            "last": self.last,
        }


@dataclass(slots=True)
class Window:
    """The readings of one kind since the last summary. Only numbers are kept: text never leaves it."""

    merged_count: int = 0
    statistics: dict[str, Statistic] = field(default_factory=dict)

    def add(self, fields: Mapping[str, Any]) -> None:
        """Take one reading; the time stamp is no quantity."""
        self.merged_count += 1
        for name, value in fields.items():
            if name != "ts" and isinstance(value, int | float):
                self.statistics.setdefault(name, Statistic()).add(float(value))

    def summary(self) -> dict[str, Any]:
        """One payload for all readings of the window."""
        fields = {name: statistic.summary() for name, statistic in self.statistics.items()}
        return {"count": self.merged_count, "fields": fields}
