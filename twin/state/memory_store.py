"""A store that lasts as long as the process: for simulation, for the API and for tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from twin.state.journal import (
    EVERYTHING,
    MOST_ENTRIES,
    Bounds,
    Entry,
    Mark,
    Outgoing,
    Retention,
    Row,
    Wanted,
    disposable,
    entries_of,
)
from twin.state.records import Transaction

KEPT_MARKS = 4
Rows: TypeAlias = dict[str, dict[str, bytes]]


class MemoryStore:
    """Keeps everything in this process; `retention` bounds the journal."""

    def __init__(self, retention: Retention = EVERYTHING) -> None:
        self.retention = retention
        self.journal: list[Entry] = []
        self.forgotten = 0
        self.kept: Rows = {}
        self.marks: list[tuple[Mark, Rows]] = []
        self.waiting: dict[int, Outgoing] = {}
        self.number = 0

    def prepare(self, transactions: Sequence[Transaction]) -> None:
        """Nothing has to be made ready."""

    def commit(self, transactions: Sequence[Transaction]) -> int:
        """Keep all of them."""
        for entry in entries_of(transactions, self.bounds().last):
            self.journal.append(entry)
            if entry.what == "put":
                self.kept.setdefault(entry.kind, {})[entry.key] = entry.record
            elif entry.what == "remove":
                self.kept.get(entry.kind, {}).pop(entry.key, None)
        messages = [message for transaction in transactions for message in transaction.messages]
        if not messages:
            return 0
        self.number += 1
        self.waiting[self.number] = Outgoing(self.number, messages)
        return self.number

    def settle(self, numbers: Iterable[int]) -> None:
        """Forget what was published."""
        for number in numbers:
            self.waiting.pop(number, None)

    def tend(self) -> None:
        """Take a snapshot, and so let old entries go, when there are twice as many as are to be kept."""
        wanted = self.retention.entries
        if wanted is not None and len(self.journal) >= 2 * max(wanted, 1):
            self.snapshot()

    def close(self) -> None:
        """Nothing is held."""

    def bounds(self) -> Bounds:
        """From where to where the journal reaches."""
        last = self.journal[-1] if self.journal else None
        if last is None:
            at_s = self.marks[-1][0].at_s if self.marks else 0.0
            return Bounds(self.forgotten + 1, self.forgotten, at_s)
        return Bounds(self.forgotten + 1, last.sequence, last.at_s)

    def entries(self, wanted: Wanted) -> list[Entry]:
        """At most `limit` entries."""
        start = max(0, wanted.after - self.forgotten)
        end = len(self.journal) if wanted.until is None else max(0, wanted.until - self.forgotten)
        span = self.journal[start:end]
        found: list[Entry] = []
        for entry in reversed(span) if wanted.is_newest_first else span:
            if _is_wanted(entry, wanted):
                found.append(entry)
                if len(found) >= min(wanted.limit, MOST_ENTRIES):
                    break
        return found

    def rows(self, snapshot: int | None = None) -> Iterator[Row]:
        """Every record as it stands now, or as a snapshot has it."""
        kept = (
            self.kept
            if snapshot is None
            else next(rows for mark, rows in self.marks if mark.sequence == snapshot)
        )
        for kind, records in kept.items():
            for key, record in records.items():
                yield Row(kind, key, record)

    def snapshots(self) -> list[Mark]:
        """The snapshots, oldest first."""
        return [mark for mark, _ in self.marks]

    def outbox(self) -> list[Outgoing]:
        """What has not been settled, oldest first."""
        return list(self.waiting.values())

    def snapshot(self) -> Mark:
        """Remember how all records stand now, and forget what retention does not need any more."""
        bounds = self.bounds()
        mark = Mark(bounds.last, bounds.last_s)
        if not self.marks or self.marks[-1][0] != mark:
            self.marks.append((mark, {kind: dict(records) for kind, records in self.kept.items()}))
        self._forget(disposable(self.retention, self, bounds.last_s))
        return mark

    def _forget(self, until: int) -> None:
        if until > self.forgotten:
            del self.journal[: until - self.forgotten]
            self.forgotten = until
            self.marks = [each for each in self.marks if each[0].sequence >= until]
            del self.marks[:-KEPT_MARKS]


def _is_wanted(entry: Entry, wanted: Wanted) -> bool:
    return (
        (wanted.kind is None or entry.kind == wanted.kind)
        and (wanted.key is None or entry.key == wanted.key)
        and (wanted.thing is None or entry.thing == wanted.thing)
    )
