"""The thread before a backend: a bounded queue, batches, and attempts until the backend has them.

A record is kept at least once: what failed, and what nobody knows the end of, is sent again under the same
key. What the backend will never take is set aside and counted, and holds up nothing.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from twin.errors import WindtunnelError
from twin.live.sinks.port import CALL_S, Answering, Record, RecordSink, RejectedError
from twin.state.rules.sinks import SinkError

QUEUE_LIMIT: Final = 10_000
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0
IDLE_S: Final = 0.5
STOP_S: Final = 5.0
MOST_TIMES: Final = 100_000

Told = Callable[[bool], None]
"""Called on the worker's thread: whether the record is kept."""
Answered = Callable[[bytes | None, int], None]
"""Called on the worker's thread with the answer and how many records were kept before it."""


class Item(NamedTuple):
    """What waits: a record, or a question about a topic."""

    record: Record | None = None
    told: Told | None = None
    topic: str = ""
    answered: Answered | None = None


@dataclass(slots=True)
class Counts:
    """What became of the records; `unanswered` are questions the backend was away for."""

    taken: int = 0
    kept: int = 0
    refused: int = 0
    rejected: int = 0
    left: int = 0
    retries: int = 0
    batches: int = 0
    answered: int = 0
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class Batching:
    """At most so many records at once; a batch that is not full waits `linger_s` for more."""

    limit: int = 500
    linger_s: float = 0.0


@dataclass(slots=True)
class SinkWorker:
    """Writes to one backend. `offer` and `ask` from any thread; `report` hears when it goes and comes.

    `shown` is the backend's URL without what is secret; `service_s` has how long each write took that was
    acknowledged (seconds).
    """

    name: str
    sink: RecordSink
    batching: Batching = Batching()
    limit: int = QUEUE_LIMIT
    report: Callable[[str], None] = lambda _: None
    shown: str = ""

    counts: Counts = field(init=False, default_factory=Counts)
    trouble: str = field(init=False, default="not connected yet")
    service_s: array[float] = field(init=False, default_factory=lambda: array("d"))
    _items: deque[Item] = field(init=False, default_factory=deque)
    _change: threading.Condition = field(init=False, default_factory=threading.Condition)
    _settled: threading.Event = field(init=False, default_factory=threading.Event)
    _fault: WindtunnelError | None = field(init=False, default=None)
    _busy: int = field(init=False, default=0)
    _is_open: bool = field(init=False, default=False)
    _until_s: float | None = field(init=False, default=None)
    _thread: threading.Thread | None = field(init=False, default=None)

    # for every thread ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect and begin; return when the first attempt is over, `trouble` says how.

        Raises InputError or MissingEnvironmentError for what another attempt would not change.
        """
        self._thread = threading.Thread(target=self._run, name=f"sink-{self.name}", daemon=True)
        self._thread.start()
        self._settled.wait(2 * CALL_S)
        if self._fault is not None:
            raise self._fault

    def offer(self, record: Record, told: Told | None = None) -> bool:
        """Take a record; False (and counted) if the queue is full or the worker ends."""
        return self._put(Item(record, told))

    def ask(self, topic: str, answered: Answered) -> bool:
        """Ask for the latest value under a topic, after all records that were offered before."""
        return self._put(Item(topic=topic, answered=answered))

    @property
    def waiting(self) -> int:
        """How many wait or are being written."""
        return len(self._items) + self._busy

    @property
    def is_up(self) -> bool:
        """Whether the backend took what it was last given."""
        return not self.trouble

    def stop(self, timeout_s: float = STOP_S) -> int:
        """Write what waits, for so long; return how many records are left unwritten."""
        with self._change:
            self._until_s = time.monotonic() + timeout_s
            self._change.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s + 2 * CALL_S)
        with self._change:
            self.counts.left += sum(each.record is not None for each in self._items)
            self._items.clear()
        return self.counts.left

    def _put(self, item: Item) -> bool:
        with self._change:
            if len(self._items) >= self.limit or self._until_s is not None:
                self.counts.refused += 1
                return False
            self.counts.taken += item.record is not None
            self._items.append(item)
            if len(self._items) in (1, self.batching.limit):
                self._change.notify()
            return True

    # the worker's thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._first_open()
            while self._fault is None and (items := self._next()):
                if items[0].record is None:
                    self._answer(items[0])
                else:
                    self._deliver(items)
                self._busy = 0
        finally:
            self._settled.set()
            self._guarded(self.sink.close)

    def _first_open(self) -> None:
        try:
            self.sink.open()
        except SinkError as error:
            self._down(error)
        except WindtunnelError as error:
            self._fault = error
        else:
            self._is_open, self.trouble = True, ""
        self._settled.set()

    def _next(self) -> list[Item]:
        """The records at the front, as many as make a batch, or one question; nothing at the end."""
        with self._change:
            while not self._items:
                if self._until_s is not None:
                    return []
                self._change.wait(IDLE_S)
            if self._is_over():
                return []
            if self.batching.linger_s and self._items[0].record is not None and self._until_s is None:
                self._change.wait_for(self._is_full, self.batching.linger_s)
            items = [self._items.popleft()]
            while (
                items[0].record is not None
                and self._items
                and self._items[0].record is not None
                and len(items) < self.batching.limit
            ):
                items.append(self._items.popleft())
            self._busy = len(items)
            return items

    def _is_full(self) -> bool:
        return len(self._items) >= self.batching.limit or self._until_s is not None

    def _is_over(self) -> bool:
        return self._until_s is not None and time.monotonic() > self._until_s

    def _deliver(self, items: Sequence[Item]) -> None:
        records = [each.record for each in items if each.record is not None]
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                self._write(records)
            except RejectedError as error:
                self._set_aside(items, error)
            except Exception as error:  # noqa: BLE001  (a client library's defect must not end the thread)
                self._down(error)
                if self._is_over():
                    self.counts.left += len(records)
                    return
                self._pause(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                self.counts.retries += 1
                continue
            else:
                self.counts.kept += len(records)
                self._tell(items, is_kept=True)
            return

    def _write(self, records: Sequence[Record]) -> None:
        self._ensure_open()
        began_s = time.monotonic()
        self.sink.write(records)
        if len(self.service_s) < MOST_TIMES:
            self.service_s.append(time.monotonic() - began_s)
        self.counts.batches += 1
        self._up()

    def _ensure_open(self) -> None:
        if not self._is_open:
            self._guarded(self.sink.close)
            self.sink.open()
            self._is_open = True

    def _set_aside(self, items: Sequence[Item], error: RejectedError) -> None:
        """Find the records that the backend will not have, by halves; the others are kept."""
        self._up()
        if len(items) > 1:
            half = len(items) // 2
            self._deliver(items[:half])
            self._deliver(items[half:])
            return
        self.counts.rejected += 1
        if self.counts.rejected == 1:
            self.report(f"sink {self.name!r} rejects a record: {error}; it is counted and left out")
        self._tell(items, is_kept=False)

    def _answer(self, item: Item) -> None:
        if item.answered is None or not isinstance(self.sink, Answering):
            return
        try:
            self._ensure_open()
            value = self.sink.latest(item.topic)
        except Exception as error:  # noqa: BLE001  (as above)
            self._down(error)
            self.counts.unanswered += 1
            return
        self.counts.answered += 1
        self._up()
        item.answered(value, self.counts.kept)

    def _tell(self, items: Sequence[Item], *, is_kept: bool) -> None:
        for each in items:
            if each.told is not None:
                each.told(is_kept)

    def _up(self) -> None:
        if self.trouble:
            self.report(f"sink {self.name!r} is there again")
        self.trouble = ""

    def _down(self, error: Exception) -> None:
        self._is_open = False
        if not self.trouble:
            self.report(f"sink {self.name!r} is away: {error}; records wait, and are tried again")
        self.trouble = str(error) or type(error).__name__

    def _pause(self, pause_s: float) -> None:
        with self._change:
            self._change.wait_for(self._is_over, pause_s)

    @staticmethod
    def _guarded(call: Callable[[], Any]) -> None:
        with suppress(Exception):  # what is closed because it broke may break again
            call()
