"""What a run remembers: observations, the message ledger, and (when asked) every transfer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from twin.errors import ConservationError, LimitError
from twin.kernel.flight import Flight

MOST_OBSERVATIONS = 5_000_000
MOST_TRANSFERS = 500_000


class Sample(NamedTuple):
    """One observed value: when (seconds), at which node, and in which causal chain (0: none)."""

    at_s: float
    node: str
    value: float
    trace: int


class Observations:
    """Observed values by measure, in order of time."""

    def __init__(self, limit: int = MOST_OBSERVATIONS) -> None:
        self._samples: dict[str, list[Sample]] = {}
        self._left = limit

    def add(self, measure: str, sample: Sample) -> None:
        """Append one sample; raises LimitError past the bound."""
        self._left -= 1
        if self._left < 0:
            raise LimitError(f"more than {MOST_OBSERVATIONS:,} observations in one run")
        self._samples.setdefault(measure, []).append(sample)

    def samples(self, measure: str) -> Sequence[Sample]:
        """All samples of a measure, oldest first."""
        return self._samples.get(measure, ())

    def measures(self) -> Iterable[str]:
        """The measures that were observed at least once, sorted."""
        return sorted(self._samples)


class Ledger:
    """Where every message is: sent = delivered + lost by cause + in flight, at any instant.

    `given_up` counts messages that a node dropped after they were delivered to it (a full or expired
    buffer), by (node, cause).
    """

    def __init__(self) -> None:
        self.sent = 0
        self.delivered = 0
        self.lost: Counter[tuple[str, str]] = Counter()
        self.given_up: Counter[tuple[str, str]] = Counter()

    def check(self, in_flight: int) -> None:
        """Raise ConservationError unless the sum holds with this independently counted `in_flight`."""
        accounted = self.delivered + self.lost.total() + in_flight
        if accounted != self.sent:
            raise ConservationError(
                f"{self.sent} messages sent, but {self.delivered} delivered + {self.lost.total()} lost"
                f" + {in_flight} in flight = {accounted}"
            )


class Transfer(NamedTuple):
    """One message between two nodes: identity of itself and of the transfer that caused it, and its end.

    `arrived_s` is when it reached its node; at a node with a station it ends later, with its service. NaN if
    it never did.
    """

    identity: int
    parent: int
    trace: int
    source: str
    to: str
    topic: str
    kind: str
    sent_s: float
    ended_s: float
    outcome: str
    arrived_s: float = math.nan
    personal_bytes: int = 0


class Transfers:
    """All transfers of a traced run, bounded; what came after the bound is counted in `omitted`."""

    def __init__(self, limit: int = MOST_TRANSFERS) -> None:
        self._by_identity: dict[int, Transfer] = {}
        self._limit = limit
        self.omitted = 0

    def add(self, transfer: Transfer) -> None:
        """Keep one ended transfer."""
        if len(self._by_identity) < self._limit:
            self._by_identity[transfer.identity] = transfer
        else:
            self.omitted += 1

    def __len__(self) -> int:
        return len(self._by_identity)

    def of_trace(self, trace: int) -> list[Transfer]:
        """The transfers of one causal chain, in the order they were sent."""
        chain = [transfer for transfer in self._by_identity.values() if transfer.trace == trace]
        return sorted(chain, key=lambda transfer: (transfer.sent_s, transfer.identity))

    def all(self) -> list[Transfer]:
        """Every kept transfer, in the order they ended."""
        return list(self._by_identity.values())


def transfer_of(flight: Flight, ended_s: float, outcome: str) -> Transfer:
    """What is kept of a flight that has ended."""
    return Transfer(
        flight.identity,
        flight.parent,
        flight.trace,
        flight.source,
        flight.to,
        flight.message.topic,
        flight.message.kind,
        flight.sent_s,
        ended_s,
        outcome,
        _arrived_s(flight, ended_s, outcome),
        flight.message.personal_bytes,
    )


def _arrived_s(flight: Flight, ended_s: float, outcome: str) -> float:
    if flight.arrived_s >= 0.0:
        return flight.arrived_s
    return ended_s if outcome == "delivered" else math.nan
