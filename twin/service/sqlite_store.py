"""The store in one SQLite file: write-ahead log, synced at every commit, one writer, many readers."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from twin.errors import InputError
from twin.service import backup
from twin.service.backup import Commit, Head, Kept, Tail
from twin.service.sql import (
    FOLD_ENTRIES,
    SCHEMA_VERSION,
    TABLES,
    Numbered,
    SqlHistory,
    Statements,
    Subjects,
    outbox_row,
)
from twin.state.journal import (
    EVERYTHING,
    BrokenStoreError,
    Mark,
    Retention,
    Row,
    StoreError,
    disposable,
    entries_of,
)
from twin.state.records import Transaction

APPLICATION_ID: Final = 0x57544E4C  # "WTNL"
FORGET_AT_ONCE: Final = 5_000
"""Journal entries that are deleted between two commits."""
RETRY_ENTRIES: Final = 10_000
"""After a snapshot that failed the next waits for so many entries."""
SETTINGS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -65536",
    "PRAGMA wal_autocheckpoint = 10000",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA temp_store = MEMORY",
)
COLUMN_TYPES: Final = {
    "integer": "INTEGER",
    "real": "REAL",
    "bytes": "BLOB",
    "clustered": "WITHOUT ROWID",
}


class Lock:
    """A lock beside the store that ends with the process: two services never write one store."""

    def __init__(self, store: Path) -> None:
        path = store.with_name(f"{store.name}.lock")
        try:
            self._file = path.open("a+b")
        except OSError as error:
            raise InputError(f"{store} cannot be written: {path.name}: {error.strerror}") from None
        if not _is_locked(self._file.fileno()):
            self._file.close()
            raise InputError(
                f"{store} is in use: another process writes it; stop that one, or name another store"
            )

    def release(self) -> None:
        """Let another process have it."""
        self._file.close()


def _is_locked(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing and keeps no writer waiting; raise InputError if there is no store.

    Without a write-ahead log nobody is at work, and the file is read as it lies there.
    """
    if not path.is_file():
        raise InputError(f"there is no store {path}")
    is_at_rest = not path.with_name(f"{path.name}-wal").exists()
    uri = f"file:{quote(str(path.resolve()))}?mode=ro{'&immutable=1' if is_at_rest else ''}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        identify(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def identify(connection: sqlite3.Connection, path: Path) -> None:
    """Raise InputError if this is no store, or one of a newer version."""
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        raise InputError(f"{path} is no store of windtunnel, or is damaged: {error}") from None
    if application != APPLICATION_ID:
        raise InputError(f"{path} is a SQLite file, but no store of windtunnel")
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema version {version}; this windtunnel reads version {SCHEMA_VERSION}:"
            f" {'upgrade windtunnel' if version > SCHEMA_VERSION else 'it cannot be migrated'}"
        )


class SqliteHistory(SqlHistory):
    """Reads a store, also while a service writes it."""

    join = "CROSS JOIN"

    def __init__(self, path: Path, connection: sqlite3.Connection | None = None) -> None:
        self.path = path
        self.connection = connection or read_only(path)

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of an answer."""
        try:
            return self.connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise said(error, self.path) from error

    def scan(self, statement: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a long answer, a part at a time."""
        try:
            yield from self.connection.execute(statement, values)
        except sqlite3.Error as error:
            raise said(error, self.path) from error

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """Several queries that see the store as it is at one moment."""
        if self.connection.in_transaction:
            yield
            return
        self.query("BEGIN")
        try:
            yield
        finally:
            self.query("ROLLBACK")

    def snapshots(self) -> list[Mark]:
        """The snapshots, oldest first."""
        return backup.marks(self.path)

    def snapshot_rows(self, snapshot: int) -> Iterator[Row]:
        """Every record as a snapshot has it."""
        return backup.snapshot_rows(backup.snapshot_path(self.path, snapshot))

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long the journal is kept, and after how many entries a snapshot is taken at the latest.

    With many records a snapshot waits until there are so many times as many entries, as it costs as much.
    """

    retention: Retention = field(default=EVERYTHING)
    snapshot_entries: int = 100_000
    snapshot_records: int = 10


class SqliteStore(SqliteHistory):
    """Keeps transactions in a file; made by `opening.open_store`, which checks and restores it first."""

    def __init__(self, path: Path, lock: Lock, keeping: Keeping) -> None:
        super().__init__(path, writable(path))
        self.keeping, self._lock = keeping, lock
        self._numbered: Subjects = self.subjects()
        last = self.bounds()
        self._last = Mark(last.last, last.last_s)
        self._number = max((each.number for each in self.outbox()), default=0)
        self._settled: list[int] = []
        self._tail: Tail | None = None
        self._snapshot_due = 0
        self._forget_until = 0
        self.fold()
        self.trouble = ""
        """What is wrong with the snapshots and the tail; the store itself is well."""
        self._broken = ""

    # the port --------------------------------------------------------------------------------------------

    def commit(self, transactions: Sequence[Transaction]) -> int:
        """Keep all of them, durably when this returns, or raise StoreError and keep none."""
        if self._broken:
            raise BrokenStoreError(self._broken)
        entries = entries_of(transactions, self._last.sequence)
        plan = self._numbered.plan(entries)
        plan.queue = outbox_row(self._number + 1, transactions)
        settled, self._settled = self._settled, []
        plan.settle = [(number,) for number in settled]
        try:
            self._write(plan.statements())
        except sqlite3.Error as error:
            self._settled = settled
            raise self._given_up(error) from error
        self._numbered.adopt(plan)
        if entries:
            self._last = Mark(entries[-1].sequence, entries[-1].at_s)
        self._number += len(plan.queue)
        self._append(Commit(entries, plan.queue, settled))
        return self._number if plan.queue else 0

    def settle(self, numbers: Iterable[int]) -> None:
        """The messages under these numbers were published; they are forgotten with the next commit."""
        self._settled.extend(numbers)

    def tend(self) -> None:
        """Take a snapshot when one is due, and forget a part of what retention does not need."""
        if self._last.sequence - self._numbered.folded >= FOLD_ENTRIES:
            self.fold()
        if self._last.sequence >= self._snapshot_due:
            self._tend_snapshot()
        if self._forget_until:
            self._forget()

    def close(self) -> None:
        """Keep what is settled and let go of the store."""
        try:
            if self._settled and not self._broken:
                self.commit([])
            if not self._broken:
                self.fold()
        except StoreError as error:
            self.trouble = str(error)
        finally:
            if self._tail is not None:
                self._tail.close()
                self._tail = None
            super().close()
            self._lock.release()

    # writing ---------------------------------------------------------------------------------------------

    def _write(self, statements: Statements) -> None:
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        for statement, rows in statements:
            connection.executemany(statement, rows)
        connection.execute("COMMIT")

    def fold(self) -> None:
        """Bring the tables of records and of the trail to where the journal is."""
        last = self._last.sequence
        if last == self._numbered.folded:
            return
        try:
            self._write(self._numbered.folding(last))
        except sqlite3.Error as error:
            raise self._given_up(error) from error
        self._numbered.fold(last)

    def _given_up(self, error: sqlite3.Error) -> StoreError:
        """Undo what was begun, and say why in one sentence."""
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except sqlite3.Error as second:
            self._broken = f"{self.path} could not be rolled back: {second}; restart the service"
        failure = said(error, self.path)
        if isinstance(failure, BrokenStoreError):
            self._broken = str(failure)
        return failure

    def _append(self, commit: Commit) -> None:
        """The tail follows the store; if it cannot, the store goes on and the next snapshot makes good."""
        if self._tail is None:
            return
        try:
            self._tail.append(commit)
        except OSError as error:
            self.trouble = f"the tail of {self.path} could not be written: {error.strerror or error}"
            self._tail = None
            self._snapshot_due = self._last.sequence

    # snapshots and retention -----------------------------------------------------------------------------

    def snapshot(self) -> Mark:
        """Write all records beside the store, begin a new tail, and let retention go on from here."""
        self.fold()
        standing = self.standing()
        waiting = [Numbered(*row) for row in self.query("SELECT number, messages, checksum FROM outbox")]
        head = Head(SCHEMA_VERSION, *self._last, len(standing), waiting)
        rows = (Kept(*name, thing, record) for name, (thing, record) in standing.items())
        backup.write_snapshot(self.path, head, rows)
        self.begin_tail(is_new=True)
        self.trouble = ""
        until = disposable(self.keeping.retention, self, self._last.at_s)
        self._forget_until = max(self._forget_until, until)
        backup.discard_old(self.path)
        return self._last

    def begin_tail(self, *, is_new: bool) -> None:
        """Let commits be appended after the newest snapshot, and the next snapshot wait for its time."""
        if self._tail is not None:
            self._tail.close()
            self._tail = None
        newest = backup.numbered(self.path, "snapshot")[-1]
        records = self.keeping.snapshot_records * self._numbered.standing_count()
        self._snapshot_due = newest + max(self.keeping.snapshot_entries, records)
        self._tail = Tail(self.path, newest, is_new=is_new)

    def _tend_snapshot(self) -> None:
        try:
            self.snapshot()
        except OSError as error:
            self.trouble = f"no snapshot of {self.path} could be written: {error.strerror or error}"
            self._snapshot_due = self._last.sequence + RETRY_ENTRIES

    def _forget(self) -> None:
        first = self.bounds().first
        until = min(self._forget_until, first + FORGET_AT_ONCE - 1, self._last.sequence - 1)
        if until < first:
            self._forget_until = 0
            return
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            gone = connection.execute(
                "SELECT DISTINCT subject FROM journal WHERE sequence <= ?", (until,)
            ).fetchall()
            connection.execute("DELETE FROM journal WHERE sequence <= ?", (until,))
            for (run,) in connection.execute("SELECT number FROM run WHERE number <= ?", (until,)).fetchall():
                connection.execute("DELETE FROM trail WHERE run = ?", (run,))
                connection.execute("DELETE FROM run WHERE number = ?", (run,))
            named = [number for (number,) in gone if not self._numbered.stands(number)]
            free = [(number,) for number in named if not self._is_in_journal(number)]
            connection.executemany("DELETE FROM subject WHERE number = ?", free)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._given_up(error)
            self._forget_until = 0
            return
        self._numbered.drop({number for (number,) in free})

    def _is_in_journal(self, subject: int) -> bool:
        if subject in self._numbered.pending:
            return True
        found = self.connection.execute(
            "SELECT 1 FROM run r CROSS JOIN trail t ON t.run = r.number JOIN journal j"
            " ON j.sequence = t.sequence WHERE t.subject = ? LIMIT 1",
            (subject,),
        )
        return found.fetchone() is not None


def writable(path: Path) -> sqlite3.Connection:
    """A connection to write with; an empty file gets the tables."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2.0)
    try:
        for setting in SETTINGS:
            connection.execute(setting).fetchall()
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            connection.executescript(
                f"BEGIN; {TABLES.format(**COLUMN_TYPES)} PRAGMA application_id = {APPLICATION_ID};"
                f" PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
        identify(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise said(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def said(error: sqlite3.Error, path: Path) -> StoreError:
    """What has happened, in one sentence."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    match code:
        case sqlite3.SQLITE_FULL:
            return StoreError(
                f"the disk of {path} is full, so nothing was accepted; free some space and it goes on"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StoreError(
                f"{path} cannot be written, so nothing was accepted; make the file and its folder writable"
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreError(f"{path} is locked by another process, so nothing was accepted; try again")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return BrokenStoreError(
                f"{path} is damaged ({error}); start again, and it is restored from its snapshot"
            )
        case sqlite3.SQLITE_IOERR:
            return BrokenStoreError(
                f"{path} could not be read or written ({error}); look at the disk, then start again"
            )
    return BrokenStoreError(f"{path} does not work: {error}")
