"""Devices that only send: open-loop load of a given pattern, for benchmarks and load tests.

Each sends `payload_bytes` to its gateway (or to the node named `to`) on `topic`, by default
`{kind}/{node}/telemetry`. What comes back is ignored.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise, starmap
from pathlib import Path
from typing import ClassVar, NamedTuple

from twin.errors import InputError
from twin.kernel.behaviour import Context, Effect, Event, NodeId, Send, Started, Wake, Woken
from twin.message import Message
from twin.units import Bytes, PerSecond, Ratio, Seconds

NEXT = "next"
LARGEST_PAYLOAD_BYTES = 268_435_455
MOST_ARRIVALS = 1_000_000


@lru_cache(maxsize=64)
def filler(size_bytes: int) -> bytes:
    """A payload of exactly this size: an empty JSON object and spaces, shared by all who ask for it."""
    if not 0 <= size_bytes <= LARGEST_PAYLOAD_BYTES:
        raise InputError(f"a payload has 0 to {LARGEST_PAYLOAD_BYTES:,} bytes, not {size_bytes:,}")
    return b"{}" + b" " * (size_bytes - 2) if size_bytes > 1 else b"0"[:size_bytes]


def _sending(to: NodeId, topic: str, size_bytes: int, qos: int) -> Send:
    return Send(to, Message(topic, filler(size_bytes), qos))


@dataclass(slots=True)
class Periodic:
    """Sends every `every_s`, from a random phase on; each gap varies by up to `jitter_ratio` of itself."""

    gateway: NodeId = field(metadata={"wired": True})
    every_s: Seconds = 60.0
    jitter_ratio: Ratio = 0.0
    payload_bytes: Bytes = 200
    qos: int = 0
    topic: str = ""
    to: NodeId = ""
    _send: Send = field(init=False, repr=False)

    measures: ClassVar[tuple[str, ...]] = ()

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Send when the gap is over."""
        if type(event) is Woken:
            return (self._send, Wake(self._gap_s(context), NEXT))
        if type(event) is Started:
            topic = self.topic or f"periodic/{context.node}/telemetry"
            self._send = _sending(self.to or self.gateway, topic, self.payload_bytes, self.qos)
            return (Wake(context.random.uniform(0.0, self.every_s), NEXT),)
        return ()

    def _gap_s(self, context: Context) -> float:
        if not self.jitter_ratio:
            return self.every_s
        return self.every_s * (1.0 + self.jitter_ratio * context.random.uniform(-1.0, 1.0))


@dataclass(slots=True)
class Poisson:
    """Sends at random instants, `rate_per_s` on average, independent of each other."""

    gateway: NodeId = field(metadata={"wired": True})
    rate_per_s: PerSecond = 1.0
    payload_bytes: Bytes = 200
    qos: int = 0
    topic: str = ""
    to: NodeId = ""
    _send: Send = field(init=False, repr=False)

    measures: ClassVar[tuple[str, ...]] = ()

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Send when the exponential gap is over."""
        if type(event) is Woken:
            return (self._send, Wake(context.random.exponential(1.0 / self.rate_per_s), NEXT))
        if type(event) is Started:
            topic = self.topic or f"poisson/{context.node}/telemetry"
            self._send = _sending(self.to or self.gateway, topic, self.payload_bytes, self.qos)
            return (Wake(context.random.exponential(1.0 / self.rate_per_s), NEXT),)
        return ()


@dataclass(slots=True)
class Burst:
    """Sends `count` messages at once every `every_s`, from a random phase on."""

    gateway: NodeId = field(metadata={"wired": True})
    count: int = 10
    every_s: Seconds = 60.0
    payload_bytes: Bytes = 200
    qos: int = 0
    topic: str = ""
    to: NodeId = ""
    _effects: tuple[Effect, ...] = field(init=False, repr=False)

    measures: ClassVar[tuple[str, ...]] = ()

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Send the whole burst when the period is over."""
        if type(event) is Woken:
            return self._effects
        if type(event) is Started:
            topic = self.topic or f"burst/{context.node}/telemetry"
            send = _sending(self.to or self.gateway, topic, self.payload_bytes, self.qos)
            self._effects = (*(send,) * self.count, Wake(self.every_s, NEXT))
            return (Wake(context.random.uniform(0.0, self.every_s), NEXT),)
        return ()


@dataclass(slots=True)
class Replay:
    """Sends at the given times (seconds since the start of the run, ascending), then falls silent.

    `sizes_bytes` gives each message its own size; without it all have `payload_bytes`. `file` names a
    table that `read_arrivals` turns into both lists. After a restart it goes on with the times to come.
    """

    gateway: NodeId = field(metadata={"wired": True})
    times_s: Sequence[Seconds] = ()
    sizes_bytes: Sequence[Bytes] = ()
    payload_bytes: Bytes = 200
    qos: int = 0
    topic: str = ""
    to: NodeId = ""
    file: str = ""
    _send: Send = field(init=False, repr=False)
    _gaps: Iterator[float] = field(init=False, repr=False)
    _sizes: Iterator[int] | None = field(init=False, default=None, repr=False)

    measures: ClassVar[tuple[str, ...]] = ()

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Send when the next time has come. The hot path of benchmarks: one allocation besides the pair."""
        if type(event) is Woken:
            if self._sizes is not None:
                self._resize(next(self._sizes))
            for gap_s in self._gaps:
                return (self._send, Wake(gap_s, NEXT))
            return (self._send,)
        if type(event) is Started:
            return self._begin(context)
        return ()

    def _begin(self, context: Context) -> Iterable[Effect]:
        now_s = context.now
        skipped = next((i for i, time_s in enumerate(self.times_s) if time_s >= now_s), len(self.times_s))
        times_s = self.times_s[skipped:]
        topic = self.topic or f"replay/{context.node}/telemetry"
        self._send = _sending(self.to or self.gateway, topic, self.payload_bytes, self.qos)
        self._gaps = iter(array("d", starmap(_gap_s, pairwise(times_s))))
        if self.sizes_bytes:
            self._sizes = iter(list(self.sizes_bytes[skipped:]))
        return (Wake(_gap_s(now_s, times_s[0]), NEXT),) if times_s else ()

    def _resize(self, size_bytes: int) -> None:
        message = self._send.message
        self._send = Send(self._send.to, Message(message.topic, filler(size_bytes), message.qos))


def _gap_s(earlier_s: float, later_s: float) -> float:
    """The number that added to `earlier_s` gives `later_s` to the bit, where there is one."""
    gap_s = later_s - earlier_s
    if earlier_s + gap_s == later_s:
        return gap_s
    for candidate_s in (math.nextafter(gap_s, math.inf), math.nextafter(gap_s, 0.0)):
        if earlier_s + candidate_s == later_s:
            return candidate_s
    return gap_s


class Arrivals(NamedTuple):
    """When messages are sent (seconds) and how large they are (bytes; empty if the table does not say)."""

    times_s: list[float]
    sizes_bytes: list[int]


def read_arrivals(path: Path) -> Arrivals:
    """Read a CSV with the columns `seconds` and, if sizes differ, `bytes`.

    Raises InputError naming file and line when the table is not such a one, or is not in order of time.
    """
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return _arrivals(path.name, csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name}: cannot be read as a table of arrivals: {error}") from error


def _arrivals(name: str, table: csv.DictReader[str]) -> Arrivals:
    columns = table.fieldnames or ()
    if "seconds" not in columns:
        raise InputError(
            f"{name}:1: expected the columns 'seconds' or 'seconds,bytes', not {','.join(columns)!r}"
        )
    arrivals = Arrivals([], [])
    for row in table:
        _append(arrivals, row, f"{name}:{table.line_num}", has_sizes="bytes" in columns)
    return arrivals


def _append(arrivals: Arrivals, row: dict[str, str], place: str, *, has_sizes: bool) -> None:
    try:
        time_s = float(row["seconds"])
        size_bytes = int(row["bytes"]) if has_sizes else 0
    except (TypeError, ValueError):
        raise InputError(f"{place}: expected seconds (and whole bytes), not {row!r}") from None
    earlier_s = arrivals.times_s[-1] if arrivals.times_s else 0.0
    if not earlier_s <= time_s < math.inf:
        raise InputError(f"{place}: times must be finite and ascend from 0, but {time_s} follows {earlier_s}")
    if not 0 <= size_bytes <= LARGEST_PAYLOAD_BYTES:
        raise InputError(f"{place}: a payload has 0 to {LARGEST_PAYLOAD_BYTES:,} bytes, not {size_bytes:,}")
    if len(arrivals.times_s) == MOST_ARRIVALS:
        raise InputError(f"{place}: more than {MOST_ARRIVALS:,} arrivals")
    arrivals.times_s.append(time_s)
    if has_sizes:
        arrivals.sizes_bytes.append(size_bytes)
