"""Opening a store: is it whole, and if not, set it aside and make it anew from its snapshot and tail.

Nothing is ever deleted here. A damaged store is renamed to `STORE.damaged-N`, and whoever opens it is told.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from twin.errors import InputError
from twin.service import backup
from twin.service.backup import Commit, Head, Kept
from twin.service.planning import FOLDED, SETTLE
from twin.service.sql import SCHEMA_VERSION
from twin.service.sql_store import Keeping
from twin.service.sqlite_store import (
    Lock,
    SqliteHistory,
    SqliteStore,
    read_only,
    writable,
)
from twin.state.journal import StoreError, checksum_of

SIDE_FILES: Final = ("", "-wal", "-shm")
OnDamage: TypeAlias = Literal["restore", "stop"]
DEFAULT_KEEPING: Final = Keeping()


class DamagedStoreError(InputError):
    """The store is damaged and was left as it is: restoring was not asked for, or is impossible."""


class Opened(NamedTuple):
    """An open store, and what was found wrong on the way: one sentence each, to be shown."""

    store: SqliteStore
    findings: list[str]


def open_store(path: Path, keeping: Keeping = DEFAULT_KEEPING, *, on_damage: OnDamage = "restore") -> Opened:
    """Open a store to write it, or make a new one.

    A damaged one is set aside and restored, which is a finding; with "stop" it is left alone. Raises
    InputError if another process has it, if it is no store or one of a newer version, if it cannot be
    written, and DamagedStoreError if it is damaged and not restored.
    """
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent} for the store {path.name}")
    lock = Lock(path)
    findings: list[str] = []
    try:
        problem = diagnosis(path)
        if problem:
            findings.append(_restored(path, problem, is_allowed=on_damage == "restore"))
        store = _opened(path, lock, keeping)
    except BaseException:
        lock.release()
        raise
    findings += _tail_continued(store)
    return Opened(store, findings)


def _opened(path: Path, lock: Lock, keeping: Keeping) -> SqliteStore:
    try:
        if not path.exists() or not path.stat().st_size:
            _create(path)
        return SqliteStore(path, lock, keeping)
    except StoreError as error:
        raise InputError(str(error)) from None


def _create(path: Path) -> None:
    """Make an empty store under another name first: a store is there whole or not at all."""
    fresh = _unfinished(path)
    with closing(writable(fresh)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    fresh.replace(path)
    backup.sync_folder(path.parent)


def _unfinished(path: Path) -> Path:
    """The name of a store that is being made; what an earlier attempt left there is removed."""
    fresh = path.with_name(f"{path.name}.unfinished")
    for ending in SIDE_FILES:
        fresh.with_name(fresh.name + ending).unlink(missing_ok=True)
    return fresh


def _tail_continued(store: SqliteStore) -> list[str]:
    """Go on with the tail if it ends where the store ends; else begin anew with a snapshot.

    After a crash the tail may be torn or lack the last commit, which is in the store: nothing to tell of.
    """
    path = store.path
    marks = backup.numbered(path, "snapshot")
    end = backup.tail_end(path, marks[-1]) if marks else None
    try:
        if end is not None and end.is_whole and end.sequence == store.bounds().last:
            store.begin_tail(is_new=False)
            return []
        store.snapshot()
    except StoreError as error:
        store.trouble = str(error)
        return [store.trouble]
    if end is None or not end.is_damaged:
        return []
    return [f"the tail of {path} was damaged; a new snapshot takes its place"]


# is it whole? --------------------------------------------------------------------------------------------


def diagnosis(path: Path) -> str:
    """What is wrong with a store that no service has open; empty if nothing is. Changes nothing."""
    has_backup = bool(backup.numbered(path, "snapshot"))
    if not path.exists():
        return "it is gone, but its snapshots are there" if has_backup else ""
    if not path.stat().st_size:
        return "it is empty, but its snapshots are there" if has_backup else ""
    try:
        with closing(read_only(path)) as connection:
            return _content_problem(connection, path)
    except sqlite3.Error as error:
        return str(error)
    except InputError as error:
        if not has_backup or _is_backup_of_another_version(path):
            raise
        return str(error).removeprefix(f"{path} ")


def _is_backup_of_another_version(path: Path) -> bool:
    """Whether another version of windtunnel has written the snapshots too: then the store is not damaged."""
    return any(head.schema != SCHEMA_VERSION for head in backup.heads(path))


def _content_problem(connection: sqlite3.Connection, path: Path) -> str:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        return str(found).replace("\n", " ")
    history = SqliteHistory(path, connection)
    try:
        return _record_problem(history) or _length_problem(history)
    except StoreError as error:
        return str(error)


def _record_problem(history: SqliteHistory) -> str:
    """A record, or a row of the outbox, whose checksum is another."""
    for _ in history.rows():
        pass
    history.outbox()
    return ""


def _length_problem(history: SqliteHistory) -> str:
    """Entries that are missing, inside or at the end."""
    bounds = history.bounds()
    (count,) = history.query("SELECT COALESCE(sum(last - first + 1), 0) FROM journal")[0]
    if count != bounds.last - bounds.first + 1:
        return f"its journal has {count} entries between {bounds.first} and {bounds.last}"
    marks = backup.numbered(history.path, "snapshot")
    end = backup.tail_end(history.path, marks[-1]).sequence if marks else 0
    if end > bounds.last:
        return (
            f"it ends at entry {bounds.last}, but entry {end} was accepted"
            " (its write-ahead log is missing or cut)"
        )
    return ""


# restoring -----------------------------------------------------------------------------------------------


class _Source(NamedTuple):
    """A whole snapshot, and the commits after it."""

    head: Head
    rows: list[Kept]
    commits: list[Commit]
    problem: str


def _restored(path: Path, problem: str, *, is_allowed: bool) -> str:
    if not is_allowed:
        raise DamagedStoreError(f"{path} is damaged: {problem}; it was left as it is")
    source = _source(path)
    if source is None:
        raise DamagedStoreError(
            f"{path} is damaged: {problem}; it was left as it is, as there is no whole snapshot beside it"
            " to restore it from"
        )
    fresh = _unfinished(path)
    last = _rebuilt(fresh, source)
    aside = _set_aside(path)
    fresh.replace(path)
    backup.sync_folder(path.parent)
    rest = f"; after entry {last} the tail is damaged too: {source.problem}" if source.problem else ""
    return (
        f"{path} was damaged ({problem}); it was set aside as {aside.name} and restored to entry {last}"
        f" from the snapshot at {source.head.sequence} and its tail{rest}"
    )


def _source(path: Path) -> _Source | None:
    """The newest whole snapshot and the commits of its tail and those after it."""
    for sequence in reversed(backup.numbered(path, "snapshot")):
        try:
            head, rows = backup.read_snapshot(backup.snapshot_path(path, sequence))
        except (StoreError, OSError):
            continue
        return _Source(head, rows, *_commits_after(path, sequence))
    return None


def _commits_after(path: Path, snapshot: int) -> tuple[list[Commit], str]:
    commits: list[Commit] = []
    reached = snapshot
    for sequence in backup.numbered(path, "tail"):
        if sequence < snapshot:
            continue
        if sequence != reached:
            return commits, f"entries {reached + 1} to {sequence} are missing"
        found, problem = backup.read_tail(backup.tail_path(path, sequence))
        for commit in found:
            if commit.pieces and commit.pieces[0].first != reached + 1:
                return commits, f"entry {reached + 1} is missing"
            commits.append(commit)
            reached = commit.last or reached
        if problem:
            return commits, problem
    return commits, ""


def _rebuilt(path: Path, source: _Source) -> int:
    """Make a store of a snapshot and the commits after it; returns its last sequence."""
    head = source.head
    with closing(writable(path)) as connection:
        history = SqliteHistory(path, connection)
        connection.execute("BEGIN IMMEDIATE")
        base = {"base_sequence": float(head.sequence), "base_s": head.at_s}
        connection.executemany("INSERT INTO about (name, value) VALUES (?, ?)", base.items())
        connection.executemany(
            "INSERT INTO subject (number, kind, key, thing) VALUES (?, ?, ?, ?)",
            ((number, row.kind, row.key, row.thing) for number, row in enumerate(source.rows, 1)),
        )
        connection.executemany(
            "INSERT INTO record (subject, made, sequence, record, checksum) VALUES (?, ?, ?, ?, ?)",
            _record_rows(source),
        )
        connection.executemany("INSERT INTO outbox VALUES (?, ?, ?)", head.outbox)
        connection.execute(FOLDED, (head.sequence,))
        connection.execute("COMMIT")
        subjects = history.subjects()
        connection.execute("BEGIN IMMEDIATE")
        for commit in source.commits:
            plan = subjects.replan(commit.pieces)
            for statement, rows in plan.statements():
                connection.executemany(statement, rows)
            connection.executemany(SETTLE, [(number,) for number in commit.settled])
            connection.executemany("INSERT OR REPLACE INTO outbox VALUES (?, ?, ?)", commit.outbox)
            subjects.adopt(plan)
        connection.execute("COMMIT")
        last = history.bounds().last
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return last


def _record_rows(source: _Source) -> Iterator[tuple[int, int, int, bytes, int]]:
    """The order of the snapshot stands for when each record was made, which is before the journal."""
    first = source.head.sequence - len(source.rows)
    for number, row in enumerate(source.rows, 1):
        checksum = checksum_of(row.kind, row.key, row.record)
        yield number, first + number, source.head.sequence, row.record, checksum


def _set_aside(path: Path) -> Path:
    """Rename a store with its side files; the name is the next free one."""
    number = 1
    while path.with_name(f"{path.name}.damaged-{number}").exists():
        number += 1
    aside = path.with_name(f"{path.name}.damaged-{number}")
    if not path.exists():
        aside.touch()
    for ending in SIDE_FILES:
        old = path.with_name(path.name + ending)
        if old.exists():
            old.rename(aside.with_name(aside.name + ending))
    return aside
