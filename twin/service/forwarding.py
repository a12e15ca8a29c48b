"""What rules forward, on its way from the outbox to the sinks.

A commit is settled when the broker has its messages and every sink its documents, so a document that waits
is in the outbox, and comes again after a restart under the same key. What a full queue has no room for stays
there too, and is fetched when there is room.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import msgspec

from twin.live.sinks.port import Record
from twin.live.sinks.worker import SinkWorker
from twin.message import Message
from twin.state.journal import Outgoing
from twin.state.rules.sinks import SINK_TOPIC

KEY_BYTES: Final = 16
PAUSE_S: Final = 0.02
FETCH_BELOW: Final = 0.5
"""How full a queue may be at most when what did not fit before is fetched."""


class _Stamp(msgspec.Struct):
    """What a forwarded document says of itself."""

    rule: str = ""
    thing: str = ""
    at_s: float = 0.0


@dataclass(slots=True)
class Forwarding:
    """Between the writer, the broker's bridge and the sinks by name.

    `source` tells one service's documents from another's. A document for another goes to the broker,
    under `$sink/` and its name. `settled` hears of each commit once all of it is where it belongs.
    """

    sinks: Mapping[str, SinkWorker]
    source: str
    settled: Callable[[int], None]

    _open: dict[int, int] = field(init=False, default_factory=dict)
    _behind: dict[str, set[int]] = field(init=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._behind = {name: set() for name in self.sinks}

    def start(self) -> None:
        """Connect; one that is away is no error. Raises InputError or MissingEnvironmentError."""
        for each in self.sinks.values():
            each.start()

    def finish(self, timeout_s: float) -> None:
        """Give the sinks that are there so long to write what waits."""
        until_s = time.monotonic() + timeout_s
        while any(each.is_up and each.waiting for each in self.sinks.values()) and time.monotonic() < until_s:
            time.sleep(PAUSE_S)

    def stop(self) -> None:
        """End the sinks; what is left stays in the outbox."""
        for each in self.sinks.values():
            each.stop(0.0)

    def take(self, number: int, messages: Sequence[Message]) -> list[Message]:
        """On the writer's thread: keep what is for sinks, and return what is for the broker."""
        if not self.sinks:
            return list(messages)
        by_sink: dict[str, list[Record]] = {}
        rest: list[Message] = []
        for index, message in enumerate(messages):
            name = self._sink_of(message)
            if name:
                by_sink.setdefault(name, []).append(self._record(number, index, message))
            else:
                rest.append(message)
        if by_sink:
            with self._lock:
                self._open[number] = sum(map(len, by_sink.values())) + bool(rest)
        for name, records in by_sink.items():
            self._offer(name, number, records)
        return rest

    def broker_done(self, number: int) -> None:
        """From any thread: the broker has its messages of this commit."""
        if self.sinks:
            self._done(number)
        else:
            self.settled(number)

    @property
    def wants(self) -> frozenset[int]:
        """The commits of which something did not fit, if there is room for it now."""
        found: set[int] = set()
        for name, numbers in self._behind.items():
            if numbers and self.sinks[name].waiting < self.sinks[name].limit * FETCH_BELOW:
                found |= numbers
        return frozenset(found)

    def fetch(self, outbox: Iterable[Outgoing]) -> None:
        """On the writer's thread: offer again what did not fit, in the order of its commits."""
        wanted = self.wants
        for number, messages in outbox:
            if number not in wanted:
                continue
            for name, numbers in self._behind.items():
                if number in numbers:
                    numbers.discard(number)
                    records = [
                        self._record(number, index, message)
                        for index, message in enumerate(messages)
                        if self._sink_of(message) == name
                    ]
                    if not self._offer(name, number, records, is_again=True):
                        return

    def standing(self) -> dict[str, dict[str, Any]]:
        """How each sink stands, for health and metrics."""
        return {
            name: {
                "up": each.is_up,
                "trouble": each.trouble,
                "waiting": each.waiting,
                "behind": len(self._behind[name]),
                "kept": each.counts.kept,
                "rejected": each.counts.rejected,
                "retries": each.counts.retries,
            }
            for name, each in self.sinks.items()
        }

    def _sink_of(self, message: Message) -> str:
        name = message.topic.removeprefix(SINK_TOPIC)
        return name if name != message.topic and name in self.sinks else ""

    def _offer(self, name: str, number: int, records: Sequence[Record], *, is_again: bool = False) -> bool:
        """All records of a commit or none; after one that does not fit the next wait behind it."""
        worker, behind = self.sinks[name], self._behind[name]
        if (behind and not is_again) or worker.waiting + len(records) > worker.limit:
            behind.add(number)
            return False
        taken = [worker.offer(each, lambda _kept: self._done(number)) for each in records]
        if not all(taken):  # the worker ends; the outbox keeps the commit
            behind.add(number)
        return all(taken)

    def _done(self, number: int) -> None:
        with self._lock:
            left = self._open.get(number, 0) - 1
            if left > 0:
                self._open[number] = left
            else:
                self._open.pop(number, None)
        if left <= 0:
            self.settled(number)

    def _record(self, number: int, index: int, message: Message) -> Record:
        about = f"{self.source}/{number}/{index}/{message.topic}/".encode()
        key = blake2b(about + message.payload, digest_size=KEY_BYTES).hexdigest()
        try:
            stamp = msgspec.json.decode(message.payload, type=_Stamp)
        except msgspec.DecodeError:
            stamp = _Stamp()
        return Record(key, f"rule/{stamp.rule}", stamp.thing, stamp.at_s, message.payload)
