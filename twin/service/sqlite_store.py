"""The store in one SQLite file: write-ahead log, synced at every commit, one writer, many readers."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from twin.errors import InputError
from twin.service import backup
from twin.service.backup import Head, Kept, Tail
from twin.service.planning import Numbered, Plan, Statements
from twin.service.sql import SCHEMA_VERSION, TABLES, SqlHistory, of_another_version
from twin.service.sql_store import Keeping, SqlStore
from twin.state.journal import BrokenStoreError, Mark, Row, StoreError

APPLICATION_ID: Final = 0x57544E4C  # "WTNL"
SETTINGS: Final = (
    "PRAGMA page_size = 16384",  # fewer pages for the messages of a commit; folding makes up for the records
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -65536",
    "PRAGMA wal_autocheckpoint = 2500",
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
        raise InputError(f"{path} has {of_another_version(version)}")


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


class SqliteStore(SqlStore, SqliteHistory):
    """Keeps transactions in a file; made by `opening.open_store`, which checks and restores it first."""

    def __init__(self, path: Path, lock: Lock, keeping: Keeping) -> None:
        SqliteHistory.__init__(self, path, writable(path))
        self._lock = lock
        self._tail: Tail | None = None
        self.begin(keeping)

    def reader(self) -> SqliteHistory:
        """A history of its own for another thread; whoever asks closes it."""
        return SqliteHistory(self.path)

    def close(self) -> None:
        """Keep what is settled and let go of the store."""
        try:
            self.finish()
        finally:
            if self._tail is not None:
                self._tail.close()
                self._tail = None
            SqliteHistory.close(self)
            self._lock.release()

    # writing ---------------------------------------------------------------------------------------------

    def write(self, statements: Statements) -> None:
        """Carry out all statements durably, or none of them and raise StoreError."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            for statement, rows in statements:
                self.connection.executemany(statement, rows)
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._given_up(error) from error

    def _given_up(self, error: sqlite3.Error) -> StoreError:
        """Undo what was begun, and say why in one sentence."""
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except sqlite3.Error as second:
            return BrokenStoreError(f"{self.path} could not be rolled back: {second}; restart the service")
        return said(error, self.path)

    def follow(self, plan: Plan) -> None:
        """The tail follows the store; if it cannot, the store goes on and the next snapshot makes good."""
        if self._tail is None:
            return
        try:
            self._tail.append(plan)
        except OSError as error:
            self.trouble = f"the tail of {self.path} could not be written: {error.strerror or error}"
            self._tail.abandon()
            self._tail = None
            self.snapshot_due = self.last.sequence

    # snapshots -------------------------------------------------------------------------------------------

    def take_snapshot(self) -> None:
        """Write all records beside the store, and begin a new tail."""
        standing = self.standing()
        waiting = [Numbered(*row) for row in self.query("SELECT number, messages, checksum FROM outbox")]
        head = Head(SCHEMA_VERSION, *self.last, len(standing), waiting)
        rows = (Kept(*name, thing, record) for name, (thing, record) in standing.items())
        try:
            backup.write_snapshot(self.path, head, rows)
            self.begin_tail(is_new=True)
            backup.discard_old(self.path)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreError(f"no snapshot of {self.path} could be written: {reason}") from error

    def begin_tail(self, *, is_new: bool) -> None:
        """Let commits be appended after the newest snapshot, and the next snapshot wait for its time."""
        if self._tail is not None:
            self._tail.close()
            self._tail = None
        newest = backup.numbered(self.path, "snapshot")[-1]
        self.wait_from(newest)
        self._tail = Tail(self.path, newest, is_new=is_new)


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
