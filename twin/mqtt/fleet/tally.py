"""What a fleet did: counts that add up, and durations from the time things were due."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from twin.mqtt.fleet.histogram import Histogram

COUNTS: Final = (
    "connected", "offered", "sent", "sent_once", "redelivered", "acknowledged", "received", "repeated",
    "pings",
)  # fmt: skip
COUNTERS: Final = ("ended", "refused", "dropped", "syn_retries")
HISTOGRAMS: Final = ("connect", "lateness", "acknowledgement", "delivery")


@dataclass(slots=True)
class Tally:
    """Counts of one engine, or of several added up.

    `offered` publications are what the schedules and callers asked for: sent, waiting or dropped. `sent_once`
    are those at QoS 0 among `sent`, which nobody acknowledges. `repeated`
    deliveries at QoS 2 were there before and were not handed on. `syn_retries` tells connections whose first
    SYN was lost (a full backlog) by how much later they came to be.

    `connect` is from the time a connection was asked for to its CONNACK, `acknowledgement` from the time a
    message was due to its PUBACK or PUBCOMP, `delivery` from the time it was due to its arrival at
    a subscriber of the same engine, and `lateness` how late the engine itself was.
    """

    connected: int = 0
    offered: int = 0
    sent: int = 0
    sent_once: int = 0
    redelivered: int = 0
    acknowledged: int = 0
    received: int = 0
    repeated: int = 0
    pings: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    syn_retries: Counter[str] = field(default_factory=Counter)
    connect: Histogram = field(default_factory=Histogram)
    lateness: Histogram = field(default_factory=Histogram)
    acknowledgement: Histogram = field(default_factory=Histogram)
    delivery: Histogram = field(default_factory=Histogram)

    @property
    def waiting_count(self) -> int:
        """Publications that are queued, or sent and not known to have arrived."""
        return self.offered - self.sent_once - self.acknowledged - self.dropped.total()

    def merge(self, other: Tally) -> None:
        """Add what another engine did."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in COUNTERS:
            getattr(self, name).update(getattr(other, name))
        for name in HISTOGRAMS:
            getattr(self, name).merge(getattr(other, name))

    def told(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        told: dict[str, Any] = {name: getattr(self, name) for name in COUNTS}
        told |= {name: dict(getattr(self, name)) for name in COUNTERS}
        return told | {name: getattr(self, name).told() for name in HISTOGRAMS}

    @classmethod
    def heard(cls, told: Mapping[str, Any]) -> Tally:
        """The tally that `told` came from."""
        tally = cls()
        for name in COUNTS:
            setattr(tally, name, int(told[name]))
        for name in COUNTERS:
            getattr(tally, name).update(told[name])
        for name in HISTOGRAMS:
            setattr(tally, name, Histogram.heard(told[name]))
        return tally
