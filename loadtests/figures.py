"""What a load measured: counts and histograms that add up over users, processes and machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from loadtests.ledger import Account
from twin.mqtt.fleet.histogram import Histogram

HISTOGRAMS: Final = ("connect", "acknowledgement", "service", "delivery", "lateness")
QUANTILES: Final = (0.5, 0.9, 0.99, 0.999)
TROUBLES: Final = ("ended", "refused", "dropped", "syn_retries")


@dataclass(slots=True)
class Figures:
    """All that one user or several have measured. Durations are in seconds.

    `connect`: from the time a connection was asked for to its CONNACK. `acknowledgement` and `delivery`: from
    the time a message was due to its PUBACK, and to its arrival at a subscriber. `service`: from the time it
    was handed over to its PUBACK, which is what closed-loop tools report. `lateness`: how late the generator
    was. `published_s` is how long it published.
    """

    devices: int = 0
    up: int = 0
    most_up: int = 0
    connected: int = 0
    published_s: float = 0.0
    account: Account = field(default_factory=Account)
    trouble: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in TROUBLES})
    connect: Histogram = field(default_factory=Histogram)
    acknowledgement: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    delivery: Histogram = field(default_factory=Histogram)
    lateness: Histogram = field(default_factory=Histogram)

    def merge(self, other: Figures) -> None:
        """Add what another measured at the same time."""
        for name in ("devices", "up", "most_up", "connected"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.published_s = max(self.published_s, other.published_s)
        self.account.merge(other.account)
        for name in TROUBLES:
            self.trouble[name].update(other.trouble[name])
        for name in HISTOGRAMS:
            getattr(self, name).merge(getattr(other, name))

    def told(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        plain: dict[str, Any] = {
            name: getattr(self, name) for name in ("devices", "up", "most_up", "connected", "published_s")
        }
        plain["account"] = msgspec.to_builtins(self.account)
        plain["trouble"] = {name: dict(counts) for name, counts in self.trouble.items()}
        return plain | {name: getattr(self, name).told() for name in HISTOGRAMS}

    @classmethod
    def heard(cls, told: Mapping[str, Any]) -> Figures:
        """The figures that `told` came from."""
        figures = cls()
        for name in ("devices", "up", "most_up", "connected"):
            setattr(figures, name, int(told[name]))
        figures.published_s = float(told["published_s"])
        figures.account = msgspec.convert(told["account"], Account)
        for name in TROUBLES:
            figures.trouble[name].update(told["trouble"][name])
        for name in HISTOGRAMS:
            setattr(figures, name, Histogram.heard(told[name]))
        return figures

    def summary(self) -> dict[str, Any]:
        """The same for people and scripts: quantiles in the place of buckets, no value that is none."""
        told = self.told()
        for name in HISTOGRAMS:
            told[name] = quantiles_of(getattr(self, name))
        told["rate_per_s"] = self.rate_per_s
        return told

    @property
    def rate_per_s(self) -> float:
        """Publications a second while it published."""
        return self.account.attempted / self.published_s if self.published_s else 0.0


def added(parts: Iterable[Figures]) -> Figures:
    """All of them together."""
    whole = Figures()
    for part in parts:
        whole.merge(part)
    return whole


def quantiles_of(histogram: Histogram) -> dict[str, float | int]:
    """Count, mean, quantiles and largest (s); only the count where nothing was counted."""
    if not histogram.count:
        return {"count": 0}
    values = histogram.quantiles(QUANTILES)
    named = {f"p{share * 100:g}_s": value for share, value in zip(QUANTILES, values)}
    return {
        "count": histogram.count,
        "mean_s": histogram.mean_s,
        **named,
        "largest_s": histogram.largest_s,
    }
