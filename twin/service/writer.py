"""The one thread that changes the twins: takes requests, keeps what they change, then lets it be known.

Requests wait in a bounded queue. The writer handles as many as are there, up to a limit, keeps all of them
with one commit, and only then publishes their messages and answers whoever waits. If the store does not
keep them, the twins are as they were before.
"""

from __future__ import annotations

import gc
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, TypeVar

from twin.errors import WindtunnelError
from twin.message import Message
from twin.state.journal import Outgoing, Store, StoreError
from twin.state.records import Transaction
from twin.state.twins import Twins

T = TypeVar("T")

LONGEST_WAIT_S: Final = 1.0
"""So often at least the writer looks at the clock and settles what was published."""
STOP_TIMEOUT_S: Final = 30.0
PREPARED_AT_ONCE: Final = 25
"""So many requests at most are handled before what they lead to is made ready for the store."""
COLLECT_AFTER: Final = 100_000
"""Objects more than were there at the last look."""


class BusyError(WindtunnelError):
    """The queue of the writer is full, or it has stopped: the request was not taken."""


@dataclass(frozen=True, slots=True)
class Batching:
    """At most so many requests are kept with one commit, or as many as come in `span_s` seconds.

    The durability "each" is a limit of 1: a commit for every request.
    """

    limit: int = 500
    span_s: float = 0.005
    queue_limit: int = 10_000


class Request(NamedTuple):
    """A message for the twins or work on a transaction, and whom to tell how it ended."""

    work: Message | Callable[[Transaction], Any]
    future: Future[Any] | None = None
    on_kept: Callable[[], None] | None = None


@dataclass(slots=True)
class Counts:
    """What the writer has done since it started."""

    taken: int = 0
    kept: int = 0
    failed: int = 0
    commits: int = 0
    commit_failures: int = 0
    published: int = 0
    turned_away: int = 0


class Queue(Generic[T]):
    """A bounded queue of which many are taken at once, under one lock."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._items: deque[T] = deque()
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)
        self._emptied = threading.Condition(self._lock)
        self._is_closed = False
        self._is_nudged = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T, timeout_s: float) -> None:
        """Add at the end, waiting for room; raise BusyError if none comes, or when closed."""
        with self._lock:
            if len(self._items) >= self.limit and not self._is_closed:
                self._emptied.wait_for(self._has_room, timeout_s)
            if self._is_closed:
                raise BusyError("the twin service is stopping and takes no more requests")
            if len(self._items) >= self.limit:
                raise BusyError(f"the twin service is busy: {self.limit} requests are waiting; try again")
            self._items.append(item)
            if len(self._items) == 1:
                self._filled.notify()

    def take(self, most: int, timeout_s: float) -> list[T]:
        """Take at most so many from the front, waiting for the first."""
        with self._lock:
            if not self._items and not self._is_closed and not self._is_nudged and timeout_s > 0.0:
                self._filled.wait_for(self._is_awaited, timeout_s)
            self._is_nudged = False
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            if taken:
                self._emptied.notify_all()
            return taken

    def nudge(self) -> None:
        """Let whoever waits for an item look up."""
        with self._lock:
            self._is_nudged = True
            self._filled.notify()

    def close(self) -> None:
        """Take no more; what is there can still be taken."""
        with self._lock:
            self._is_closed = True
            self._filled.notify_all()
            self._emptied.notify_all()

    def _has_room(self) -> bool:
        return len(self._items) < self.limit or self._is_closed

    def _is_awaited(self) -> bool:
        return bool(self._items) or self._is_closed or self._is_nudged


@dataclass(slots=True)
class _Batch:
    """What is handled and not kept yet."""

    transactions: list[Transaction] = field(default_factory=list)
    changed: list[Transaction] = field(default_factory=list)
    prepared_count: int = 0
    answers: list[tuple[Request, Any]] = field(default_factory=list)
    handled_count: int = 0

    def add(self, transaction: Transaction) -> None:
        """Take in what was handled."""
        self.transactions.append(transaction)
        if transaction.changes or transaction.messages:
            self.changed.append(transaction)


class Writer:
    """Owns the twins and their store: `start`, then `submit` and `offer` from any thread, `stop`.

    `publish(number, messages)` is called on the writer's thread after the commit and must not block;
    whoever has published all of them calls `settle(number)`, from any thread. What was not settled when
    the process ended is published again at the next start. `clock` gives seconds; if it goes back, the
    twins' time stands still. `report` is told what went wrong, one sentence each; `kept` is told, on the
    writer's thread, of the transactions of each commit, with what they observed.
    """

    def __init__(
        self,
        twins: Twins,
        store: Store,
        publish: Callable[[int, Sequence[Message]], None],
        clock: Callable[[], float],
        *,
        batching: Batching = Batching(),
        report: Callable[[str], None] = lambda _: None,
        kept: Callable[[Sequence[Transaction]], None] = lambda _: None,
        since_s: float = -math.inf,
        waiting: Sequence[Outgoing] = (),
    ) -> None:
        self.twins, self.store, self.batching = twins, store, batching
        self.counts = Counts()
        self.trouble = ""
        """Why the last commit failed; empty when all is well."""
        self._publish, self._clock, self._report, self._kept = publish, clock, report, kept
        self._now_s = since_s
        self._waiting = list(waiting)
        self._queue: Queue[Request] = Queue(batching.queue_limit)
        self._settled: deque[int] = deque()
        self._retry_s = -math.inf
        self._thread = threading.Thread(target=self._run, name="twin-writer", daemon=True)

    # for every thread ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Publish what was left over from the last time, then take requests."""
        self._thread.start()

    def submit(self, work: Callable[[Transaction], T], *, timeout_s: float = 1.0) -> Future[T]:
        """Do some work in a transaction; the future has its result once it is kept.

        The future raises what the work raised, or StoreError if it was not kept: then nothing has changed.
        Raises BusyError if there is no room in the queue in time.
        """
        future: Future[T] = Future()
        self._put(Request(work, future), timeout_s)
        return future

    def offer(
        self,
        message: Message,
        on_kept: Callable[[], None] | None = None,
        *,
        timeout_s: float = 1.0,
    ) -> None:
        """Hand over a message; `on_kept` is called on the writer's thread once what it changed is kept, or
        once it is clear that it changes nothing because a component fails at it.

        Raises BusyError if there is no room in the queue in time.
        """
        self._put(Request(message, None, on_kept), timeout_s)

    def settle(self, number: int) -> None:
        """The messages under this number were published."""
        self._settled.append(number)

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    @property
    def is_running(self) -> bool:
        """Whether the writer's thread is at work."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Take no more requests, finish those that wait, close the store."""
        self._queue.close()
        if self._thread.ident is None:
            self._close()
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise WindtunnelError(f"the writer did not finish in {timeout_s:g} s; the store stays open")

    def _put(self, request: Request, timeout_s: float) -> None:
        try:
            self._queue.put(request, timeout_s)
        except BusyError:
            self.counts.turned_away += 1
            raise

    # the writer's thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        with _seldom_collected():
            self._run_to_the_end()

    def _run_to_the_end(self) -> None:
        try:
            for number, messages in self._waiting:
                self._send(number, messages)
            self._waiting.clear()
            while (first := self._queue.take(self.batching.limit, self._patience_s())) or self._is_open():
                self._round(first)
        except BaseException as error:  # nobody is left to raise it to
            self._report(f"the writer has stopped: {type(error).__name__}: {error}")
            self._queue.close()
            raise
        finally:
            self._close()

    def _is_open(self) -> bool:
        return not self._queue._is_closed  # noqa: SLF001  (its own queue)

    def _close(self) -> None:
        for request in self._queue.take(self.batching.queue_limit, 0.0):
            _fail(request, BusyError("the twin service has stopped; nothing was changed"))
        self._pass_on_settled()
        self.store.close()

    def _patience_s(self) -> float:
        due_s = max(self.twins.next_due_s(), self._retry_s)
        return min(LONGEST_WAIT_S, max(0.0, due_s - self._now()))

    def _now(self) -> float:
        self._now_s = max(self._now_s, self._clock())
        return self._now_s

    def _round(self, requests: list[Request]) -> None:
        """One batch: handle, keep, publish, answer."""
        began_s, batch = self._now(), _Batch()
        self._elapse(batch)
        elapsed_count = len(batch.transactions)
        while requests:
            now_s = self._now()
            for start in range(0, len(requests), PREPARED_AT_ONCE):
                for request in requests[start : start + PREPARED_AT_ONCE]:
                    self._handle(request, batch, now_s)
                self._prepare(batch)
            batch.handled_count += len(requests)
            room = self.batching.limit - batch.handled_count
            is_over = room <= 0 or self._now() - began_s >= self.batching.span_s
            requests = [] if is_over else self._queue.take(room, 0.0)
        self.counts.taken += batch.handled_count
        if self._keep(batch):
            self.counts.kept += len(batch.transactions) - elapsed_count

    def _elapse(self, batch: _Batch) -> None:
        now_s = self._now()
        if self.twins.next_due_s() > now_s or self._retry_s > now_s:
            return
        try:
            batch.add(self.twins.elapse(now_s))
        except Exception as error:  # noqa: BLE001  (one component's defect must not stop the others' requests)
            self._retry_s = now_s + LONGEST_WAIT_S
            self._failed(f"a deadline could not be dealt with: {type(error).__name__}: {error}")

    def _handle(self, request: Request, batch: _Batch, now_s: float) -> None:
        work, future, on_kept = request
        result: Any = None
        try:
            if isinstance(work, Message):
                transaction = self.twins.handle(work, now_s)
            else:
                transaction, result = self._work(work, now_s)
        except Exception as error:  # noqa: BLE001  (it belongs to whoever asked)
            if future is None:
                self._failed(f"a message could not be handled: {type(error).__name__}: {error}")
                if on_kept is not None:  # it would fail again, so nobody must bring it again
                    self._tell(on_kept)
            else:
                self.counts.failed += 1
                _fail(request, error)
            return
        batch.add(transaction)
        if future is not None or on_kept is not None:
            batch.answers.append((request, result))

    def _work(self, work: Callable[[Transaction], T], now_s: float) -> tuple[Transaction, T]:
        transaction = Transaction(self.twins.records, now_s)
        try:
            return transaction, work(transaction)
        except BaseException:
            transaction.undo()
            raise

    def _prepare(self, batch: _Batch) -> None:
        """Let the store write down what is new, while the processor has it at hand."""
        fresh = batch.changed[batch.prepared_count :]
        batch.prepared_count += len(fresh)
        with suppress(Exception):  # the commit meets it again, and says so
            self.store.prepare(fresh)

    def _failed(self, what: str) -> None:
        self.counts.failed += 1
        self._report(what)

    def _keep(self, batch: _Batch) -> bool:
        """Whether it was kept; whoever waits is told."""
        changed = batch.changed
        has_settled = self._pass_on_settled()
        try:
            number = self.store.commit(changed) if changed or has_settled else 0
        except Exception as error:  # noqa: BLE001  (whatever it was, nothing was accepted)
            self._give_up(batch, error)
            return False
        self.trouble = ""
        self.counts.commits += bool(changed)
        if number:
            self._send(number, [message for each in changed for message in each.messages])
        for request, result in batch.answers:
            if request.future is not None:
                _answer(request.future, result)
            if request.on_kept is not None:
                self._tell(request.on_kept)
        if batch.transactions:
            self._tell(lambda: self._kept(batch.transactions))
        self._tell(self.store.tend)
        return True

    def _tell(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  (a listener's defect is not the writer's)
            self._report(f"a listener failed: {type(error).__name__}: {error}")

    def _give_up(self, batch: _Batch, error: Exception) -> None:
        for transaction in reversed(batch.transactions):
            transaction.undo()
        self.counts.commit_failures += 1
        self._retry_s = self._now_s + LONGEST_WAIT_S
        self.trouble = str(error) or type(error).__name__
        self._report(self.trouble)
        refused = error if isinstance(error, StoreError) else StoreError(f"nothing was kept: {error!r}")
        for request, _ in batch.answers:
            _fail(request, refused)

    def _send(self, number: int, messages: Sequence[Message]) -> None:
        self.counts.published += len(messages)
        try:
            self._publish(number, messages)
        except Exception as error:  # noqa: BLE001  (they stay in the outbox and go out at the next start)
            self._report(f"messages could not be published: {type(error).__name__}: {error}")

    def _pass_on_settled(self) -> bool:
        numbers = []
        while self._settled:
            numbers.append(self._settled.popleft())
        if numbers:
            self.store.settle(numbers)
        return bool(numbers)


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Cyclic garbage is looked for when more has piled up than a batch holds.

    A batch is freed as a whole, by reference counting; with the usual threshold each would have every record
    walked through for nothing, which takes a third of its time.
    """
    first, second, third = gc.get_threshold()
    gc.set_threshold(max(first, COLLECT_AFTER), second, third)
    try:
        yield
    finally:
        gc.set_threshold(first, second, third)


def _answer(future: Future[Any], result: Any) -> None:
    try:
        future.set_result(result)
    except InvalidStateError:
        return  # whoever waited has given up


def _fail(request: Request, error: Exception) -> None:
    if request.future is not None:
        try:
            request.future.set_exception(error)
        except InvalidStateError:
            return  # whoever waited has given up
