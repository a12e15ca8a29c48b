"""What the stores in SQLite and PostgreSQL have in common: tables, what a commit writes, how it is read.

A subject is a kind and key that ever had a record or a note; the journal names it by its number. A commit
writes the journal, where every new record stands whole, and the outbox. The tables of records and of the
entries of each subject are folded from the journal, many entries at a time and in order of their pages,
because a synced page for each changed record costs more than all the rest. Whoever reads adds to them what
the journal has since.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final
from zlib import crc32

import msgspec

from twin.message import Message
from twin.service.planning import Subject, Subjects
from twin.state.journal import (
    MOST_ENTRIES,
    Bounds,
    Entry,
    Mark,
    Outgoing,
    Row,
    StoreError,
    Wanted,
    checksum_of,
    name_checksum,
    walk,
)

SCHEMA_VERSION: Final = 1

_messages = msgspec.msgpack.Decoder(list[Message])

TABLES: Final = """
CREATE TABLE about (name TEXT PRIMARY KEY, value {real} NOT NULL);
INSERT INTO about (name, value) VALUES ('folded', 0);
CREATE TABLE subject (
    number {integer} PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, thing TEXT NOT NULL,
    UNIQUE (kind, key)
);
CREATE INDEX subject_thing ON subject (thing);
CREATE TABLE record (
    subject {integer} PRIMARY KEY, made {integer} NOT NULL, sequence {integer} NOT NULL,
    record {bytes} NOT NULL, checksum {integer} NOT NULL
);
CREATE TABLE journal (
    sequence {integer} PRIMARY KEY, last {integer} NOT NULL, at_s {real} NOT NULL, what TEXT NOT NULL,
    subject {integer} NOT NULL, record {bytes} NOT NULL, checksum {integer} NOT NULL
);
CREATE TABLE run (number {integer} PRIMARY KEY);
CREATE TABLE trail (
    run {integer} NOT NULL, subject {integer} NOT NULL, sequence {integer} NOT NULL,
    PRIMARY KEY (run, subject, sequence)
) {clustered};
CREATE TABLE outbox (number {integer} PRIMARY KEY, messages {bytes} NOT NULL, checksum {integer} NOT NULL);
"""
"""`made` is the sequence at which a record appeared: records are loaded in this order. A run is what one
folding added to the trail, numbered by its last sequence; as a run is written in order, no page of an
older one changes.
"""
FOLD_ENTRIES: Final = 50_000
"""So many entries of the journal are folded into the other tables at once."""

COLUMNS: Final = "j.sequence, j.last, j.at_s, j.what, s.kind, s.key, s.thing, j.record, j.checksum"


class SqlHistory:
    """Reads a store through SQL; a subclass says how a query is put."""

    join: str
    """Joins a table to the one named before it, which the database is to look into first."""

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of an answer."""
        raise NotImplementedError

    def scan(self, statement: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a long answer, a part at a time."""
        raise NotImplementedError

    def about(self, name: str) -> float | None:
        """A figure of the store as a whole."""
        found = self.query("SELECT value FROM about WHERE name = ?", (name,))
        return float(found[0][0]) if found else None

    def bounds(self) -> Bounds:
        """From where to where the journal reaches."""
        first = self.query("SELECT sequence FROM journal ORDER BY sequence LIMIT 1")
        last = self.query("SELECT sequence, at_s FROM journal ORDER BY sequence DESC LIMIT 1")
        if first and last:
            return Bounds(first[0][0], *last[0])
        base = int(self.about("base_sequence") or 0)
        return Bounds(base + 1, base, self.about("base_s") or 0.0)

    def entries(self, wanted: Wanted) -> list[Entry]:
        """At most `limit` entries."""
        conditions = {
            "j.sequence > ?": wanted.after,
            "j.sequence <= ?": wanted.until,
            "s.kind = ?": wanted.kind,
            "s.key = ?": wanted.key,
            "s.thing = ?": wanted.thing,
        }
        given = {condition: value for condition, value in conditions.items() if value is not None}
        where, values = " AND ".join(given), list(given.values())
        if wanted.key is not None or wanted.thing is not None:
            along, more = self._trail(wanted)
            where, values = f"{where} AND j.sequence IN ({along})", [*values, *more]
        direction = "DESC" if wanted.is_newest_first else "ASC"
        found = self.query(
            f"SELECT {COLUMNS} FROM journal j {self.join} subject s ON s.number = j.subject"  # noqa: S608
            f" WHERE {where} ORDER BY j.sequence {direction} LIMIT ?",
            (*values, min(wanted.limit, MOST_ENTRIES)),
        )
        return [checked(Entry(*row)) for row in found]

    def unchecked(self, first: int, last: int) -> Iterator[Entry]:
        """The entries from one sequence to another as they lie there, whatever their checksums say."""
        for row in self.scan(
            f"SELECT {COLUMNS} FROM journal j {self.join} subject s ON s.number = j.subject"  # noqa: S608
            " WHERE j.sequence >= ? AND j.sequence <= ? ORDER BY j.sequence",
            (first, last),
        ):
            yield Entry(*row)

    def _trail(self, wanted: Wanted) -> tuple[str, list[Any]]:
        """The sequences of the entries of a key or thing: from the trail, and of what is not folded yet."""
        which, name = ("key", wanted.key) if wanted.key is not None else ("thing", wanted.thing)
        numbers = [number for (number,) in self.query(_NUMBERED[which], (name,))]
        marks = ", ".join("?" * len(numbers)) or "NULL"
        along = (
            f"SELECT t.sequence FROM run r {self.join} trail t ON t.run = r.number"  # noqa: S608
            f" WHERE t.subject IN ({marks}) AND t.sequence > ?"
            " UNION ALL SELECT n.sequence FROM journal n WHERE n.sequence >"
            f" (SELECT CAST(value AS BIGINT) FROM about WHERE name = 'folded') AND n.subject IN ({marks})"
        )
        return along, [*numbers, wanted.after, *numbers]

    def rows(self, snapshot: int | None = None) -> Iterator[Row]:
        """Every record as it stands now, or as a snapshot has it; oldest first within a kind."""
        if snapshot is not None:
            return self.snapshot_rows(snapshot)
        return (Row(kind, key, record) for (kind, key), (_, record) in self.standing().items())

    def standing(self) -> dict[tuple[str, str], tuple[str, bytes]]:
        """Thing and JSON of every record by kind and key, oldest first; all as of one moment."""
        with self.one_moment():
            standing: dict[tuple[str, str], tuple[str, bytes]] = {}
            for kind, key, thing, record, _, checksum in self.scan(
                "SELECT s.kind, s.key, s.thing, r.record, r.made, r.checksum FROM record r"
                " JOIN subject s ON s.number = r.subject ORDER BY r.made"
            ):
                if not _is_what_was_written(kind, key, record, checksum):
                    raise StoreError(f"the {kind} {key!r} in the store is damaged: its checksum is another")
                standing[kind, key] = thing, record
            for entry in walk(self, Wanted(after=int(self.about("folded") or 0))):
                if entry.what == "put":
                    standing[entry.kind, entry.key] = entry.thing, entry.record
                elif entry.what == "remove":
                    standing.pop((entry.kind, entry.key), None)
        return standing

    def one_moment(self) -> AbstractContextManager[None]:
        """Several queries that see the store as it is at one moment."""
        raise NotImplementedError

    def snapshots(self) -> list[Mark]:
        """The snapshots, oldest first."""
        raise NotImplementedError

    def snapshot_rows(self, snapshot: int) -> Iterator[Row]:
        """Every record as a snapshot has it."""
        raise NotImplementedError

    def outbox(self) -> list[Outgoing]:
        """What has not been settled, oldest first."""
        return [
            Outgoing(number, messages_of(number, written, checksum))
            for number, written, checksum in self.query(
                "SELECT number, messages, checksum FROM outbox ORDER BY number"
            )
        ]

    def subjects(self) -> Subjects:
        """All subjects, for whoever is to write."""
        known = {
            (kind, key): Subject(number, thing, name_checksum(kind, key))
            for number, kind, key, thing in self.scan("SELECT number, kind, key, thing FROM subject")
        }
        stored = dict(self.query("SELECT subject, made FROM record"))
        folded = int(self.about("folded") or 0)
        highest = max((subject.number for subject in known.values()), default=0)
        subjects = Subjects(known, stored, {}, highest, folded)
        for entry in walk(self, Wanted(after=folded)):
            subjects.adopt(subjects.replan([entry]))
        return subjects


_NUMBERED: Final = {
    "key": "SELECT number FROM subject WHERE key = ?",
    "thing": "SELECT number FROM subject WHERE thing = ?",
}


def checked(entry: Entry) -> Entry:
    """The entry, if it is what was written."""
    if not _is_what_was_written(entry.kind, entry.key, entry.record, entry.checksum):
        raise StoreError(
            f"entry {entry.sequence} of the journal ({entry.kind} {entry.key!r}) is damaged:"
            " its checksum is another; 'windtunnel twin check' looks through the whole store"
        )
    return entry


def _is_what_was_written(kind: str, key: str, record: bytes, checksum: int) -> bool:
    return isinstance(record, bytes) and checksum_of(kind, key, record) == checksum


def messages_of(number: int, written: bytes, checksum: int) -> list[Message]:
    """The messages of a row of the outbox."""
    if crc32(written) != checksum:
        raise StoreError(f"row {number} of the outbox is damaged: its checksum is another")
    return _messages.decode(written)
