"""How a store in a SQL database keeps transactions: commit, folding, snapshots and retention."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from twin.service.batches import unpacked
from twin.service.planning import Plan, Statements
from twin.service.sql import FOLD_BYTES, FOLD_ENTRIES, SqlHistory
from twin.state.journal import (
    EVERYTHING,
    BrokenStoreError,
    Mark,
    Retention,
    StoreError,
    disposable,
)
from twin.state.records import Transaction

FORGET_AT_ONCE: Final = 5_000
"""Journal entries that are deleted between two commits."""
RETRY_ENTRIES: Final = 10_000
"""After a snapshot that failed the next waits for so many entries."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long the journal is kept, and after how many entries it is folded and a snapshot is taken.

    With many records a snapshot waits until there are so many times as many entries, as it costs as much.
    """

    retention: Retention = field(default=EVERYTHING)
    snapshot_entries: int = 100_000
    snapshot_records: int = 10
    fold_entries: int = FOLD_ENTRIES


class _Forgetting(NamedTuple):
    statements: Statements
    subjects: set[int]


class SqlStore(SqlHistory):
    """What the stores have in common: a subclass writes statements, takes snapshots, and closes."""

    def begin(self, keeping: Keeping) -> None:
        """Read what a writer has to know; the connection is there."""
        self.keeping = keeping
        self.numbered = self.subjects()
        bounds = self.bounds()
        self.last = Mark(bounds.last, bounds.last_s)
        self.snapshot_due = 0
        self.trouble = ""
        """What is wrong with snapshots, retention and the like; what was accepted is kept all the same."""
        self._number = max((each.number for each in self.outbox()), default=0)
        self._settled: list[int] = []
        self._plan: Plan | None = None
        self._forget_until = 0
        self._broken = ""
        self.fold()

    # the port --------------------------------------------------------------------------------------------

    def prepare(self, transactions: Sequence[Transaction]) -> None:
        """Write down what the next commit needs of some transactions."""
        plan, self._plan = self._plan, None
        if plan is None:
            plan = Plan(self.last.sequence)
        self.numbered.extend(plan, transactions)
        self._plan = plan  # not if it failed in the middle: then the commit begins anew

    def commit(self, transactions: Sequence[Transaction]) -> int:
        """Keep all of them, durably when this returns, or raise StoreError and keep none."""
        plan, self._plan = self._plan, None
        if self._broken:
            raise BrokenStoreError(self._broken)
        if plan is None or not plan.is_of(transactions):
            plan = Plan(self.last.sequence)
        self.numbered.extend(plan, transactions[len(plan.transactions) :])
        plan.close(self._number + 1)
        settled, self._settled = self._settled, []
        plan.settle = [(number,) for number in settled]
        statements = plan.statements()
        if not statements:
            return 0
        try:
            self._written(statements)
        except StoreError:
            self._settled = settled
            raise
        self.numbered.adopt(plan)
        if plan.write:
            sequence, _, at_s, *_ = plan.write[-1]  # the last piece of the journal
            self.last = Mark(sequence, at_s)
        self._number += len(plan.queue)
        self.follow(plan)
        return self._number if plan.queue else 0

    def settle(self, numbers: Iterable[int]) -> None:
        """The messages under these numbers were published; they are forgotten with the next commit."""
        self._settled.extend(numbers)

    def tend(self) -> None:
        """Fold, take a snapshot when one is due, and forget a part of what retention does not need."""
        if self._broken:
            return
        try:
            if self._is_fold_due():
                self.fold()
            if self.last.sequence >= self.snapshot_due:
                self.snapshot()
            if self._forget_until:
                self._forget()
        except StoreError as error:
            self.trouble = str(error)
            self._forget_until = 0
            self.wait_from(self.last.sequence + RETRY_ENTRIES - self.keeping.snapshot_entries)

    def _is_fold_due(self) -> bool:
        count = self.last.sequence - self.numbered.folded
        return count >= self.keeping.fold_entries or self.numbered.unfolded_bytes >= FOLD_BYTES

    def snapshot(self) -> Mark:
        """Keep how all records stand now, and let retention go on from here."""
        self.fold()
        self.take_snapshot()
        self.trouble = ""
        self.wait_from(self.last.sequence)
        until = disposable(self.keeping.retention, self, self.last.at_s)
        self._forget_until = max(self._forget_until, until)
        return self.last

    def wait_from(self, sequence: int) -> None:
        """The next snapshot is due so long after this sequence."""
        records = self.keeping.snapshot_records * self.numbered.standing_count
        self.snapshot_due = sequence + max(self.keeping.snapshot_entries, records)

    def fold(self) -> None:
        """Bring the tables of records and of the trail to where the journal is."""
        last = self.last.sequence
        if last != self.numbered.folded:
            folding = self.numbered.folding(last)
            self._written(folding.statements)
            self.numbered.fold(folding)

    def finish(self) -> None:
        """Keep what is settled, and leave the tables folded."""
        if self._broken:
            return
        try:
            self.commit([])
            self.fold()
        except StoreError as error:
            self.trouble = str(error)

    # for a subclass --------------------------------------------------------------------------------------

    @abstractmethod
    def write(self, statements: Statements) -> None:
        """Carry out all statements durably, or none of them and raise StoreError."""

    @abstractmethod
    def take_snapshot(self) -> None:
        """Keep all records as they stand; raise StoreError if that fails."""

    def follow(self, plan: Plan) -> None:
        """A commit was kept."""

    def _written(self, statements: Statements) -> None:
        self._plan = None  # what it builds on changes
        try:
            self.write([(statement, rows) for statement, rows in statements if rows])
        except BrokenStoreError as error:
            self._broken = str(error)
            raise

    # retention -------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        first = self.bounds().first
        most = min(self._forget_until, first + FORGET_AT_ONCE - 1, self.last.sequence - 1)
        ((until,),) = self.query("SELECT max(last) FROM journal WHERE last <= ?", (most,))
        if until is None:
            self._forget_until = 0
            return
        forgetting = self._forgetting(until)
        self._written(forgetting.statements)
        if forgetting.subjects:
            self.numbered.drop(forgetting.subjects)

    def _forgetting(self, until: int) -> _Forgetting:
        """Delete the entries up to there, the runs that lie before it, and subjects that nothing names."""
        gone = {
            number
            for (written,) in self.query("SELECT subjects FROM journal WHERE last <= ?", (until,))
            for number in unpacked(written)
        }
        runs: list[tuple[Any, ...]] = self.query("SELECT number FROM run WHERE number <= ?", (until,))
        old = gone - self.numbered.unfolded_subjects()
        unused = {number for number in old if not self._is_needed(number, until)}
        return _Forgetting(
            [
                ("DELETE FROM journal WHERE last <= ?", [(until,)]),
                ("DELETE FROM trail WHERE run = ?", runs),
                ("DELETE FROM run WHERE number = ?", runs),
                ("DELETE FROM subject WHERE number = ?", [(number,) for number in unused]),
            ],
            unused,
        )

    def _is_needed(self, subject: int, until: int) -> bool:
        if subject in self.numbered.stored:  # nothing of it is unfolded
            return True
        found = self.query(
            f"SELECT t.sequences FROM run r {self.join} trail t ON t.run = r.number"  # noqa: S608  (fixed)
            " WHERE t.subject = ? AND r.number > ? ORDER BY r.number DESC LIMIT 1",
            (subject, until),
        )
        return bool(found) and unpacked(found[0][0])[-1] > until
