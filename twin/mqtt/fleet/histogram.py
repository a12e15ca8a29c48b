"""Durations counted in buckets that grow with their size, so that histograms of many processes add up.

Each octave has `SUBDIVISIONS` buckets: a quantile is off by at most `RELATIVE_ERROR` of its value. Below a
microsecond all is one bucket.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SUBDIVISIONS: Final = 128
RELATIVE_ERROR: Final = 0.5 / SUBDIVISIONS
OCTAVES: Final = 44
GRAIN_S: Final = 1e-6
LAST: Final = OCTAVES * SUBDIVISIONS


@dataclass(slots=True)
class Histogram:
    """A histogram of durations in seconds. Smallest, largest and sum are exact."""

    counts: dict[int, int] = field(default_factory=dict)
    count: int = 0
    total_s: float = 0.0
    smallest_s: float = math.inf
    largest_s: float = 0.0

    def add(self, duration_s: float) -> None:
        """Count one duration; what is negative counts as 0."""
        if duration_s < GRAIN_S:
            duration_s, place = max(duration_s, 0.0), 0
        else:
            mantissa, exponent = math.frexp(duration_s / GRAIN_S)
            place = (exponent - 1) * SUBDIVISIONS + int((mantissa - 0.5) * (2 * SUBDIVISIONS)) + 1
            place = min(place, LAST)
        self.counts[place] = self.counts.get(place, 0) + 1
        self.count += 1
        self.total_s += duration_s
        self.largest_s = max(self.largest_s, duration_s)
        self.smallest_s = min(self.smallest_s, duration_s)

    def merge(self, other: Histogram) -> None:
        """Count what the other has counted too: the same as if all had come here."""
        for place, count in other.counts.items():
            self.counts[place] = self.counts.get(place, 0) + count
        self.count += other.count
        self.total_s += other.total_s
        self.smallest_s = min(self.smallest_s, other.smallest_s)
        self.largest_s = max(self.largest_s, other.largest_s)

    def quantile(self, share: float) -> float:
        """The duration (s) that this share does not exceed, NaN if there is none."""
        return next(iter(self.quantiles((share,))))

    def quantiles(self, shares: Iterable[float]) -> list[float]:
        """The same for several shares in ascending order."""
        places = sorted(self.counts)
        found, seen, at = [], 0, -1
        for share in shares:
            rank = max(1, math.ceil(share * self.count))
            while seen < rank and at + 1 < len(places):
                at += 1
                seen += self.counts[places[at]]
            found.append(self._value(places[at], rank) if self.count else math.nan)
        return found

    def _value(self, place: int, rank: int) -> float:
        if rank in {1, self.count}:
            return self.smallest_s if rank == 1 else self.largest_s
        return min(max(middle_s(place), self.smallest_s), self.largest_s)

    @property
    def mean_s(self) -> float:
        """The mean (s), NaN if there is none."""
        return self.total_s / self.count if self.count else math.nan

    def told(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            "counts": {str(place): count for place, count in self.counts.items()},
            "total_s": self.total_s,
            "smallest_s": self.smallest_s if self.count else 0.0,
            "largest_s": self.largest_s,
        }

    @classmethod
    def heard(cls, told: Mapping[str, Any]) -> Histogram:
        """The histogram that `told` came from."""
        counts = {int(place): int(count) for place, count in told["counts"].items()}
        count = sum(counts.values())
        smallest_s = float(told["smallest_s"]) if count else math.inf
        return cls(counts, count, float(told["total_s"]), smallest_s, float(told["largest_s"]))


def middle_s(place: int) -> float:
    """The middle of a bucket (s)."""
    if place == 0:
        return GRAIN_S / 2
    octave, step = divmod(place - 1, SUBDIVISIONS)
    return math.ldexp(0.5 + (step + 0.5) / (2 * SUBDIVISIONS), octave + 1) * GRAIN_S
