"""What the stores in SQLite and PostgreSQL have in common: tables, what a commit writes, how it is read.

A subject is a kind and key that ever had a record or a note. A commit writes its entries, where every new
record stands whole, as one row of the journal, and its messages as one of the outbox, because rows cost more
than bytes. The tables of records and of the entries of each subject are folded from the journal, many entries
at a time and in order of their pages, because a synced page for each changed record costs more than all the
rest. Whoever reads adds to them what the journal has since.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final
from zlib import crc32

import msgspec

from twin.message import Message
from twin.service.batches import Batch, unpacked
from twin.service.planning import Known, Subject, Subjects
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

SCHEMA_VERSION: Final = 2

EVERY: Final = Wanted()
LAST_OF_ALL: Final = 2**63 - 1
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
    last {integer} PRIMARY KEY, first {integer} NOT NULL, at_s {real} NOT NULL, checksum {integer} NOT NULL,
    kinds TEXT NOT NULL, subjects {bytes} NOT NULL, entries {bytes} NOT NULL
);
CREATE TABLE run (number {integer} PRIMARY KEY);
CREATE TABLE trail (
    run {integer} NOT NULL, subject {integer} NOT NULL, sequences {bytes} NOT NULL,
    PRIMARY KEY (run, subject)
) {clustered};
CREATE TABLE outbox (number {integer} PRIMARY KEY, messages {bytes} NOT NULL, checksum {integer} NOT NULL);
"""
"""`made` is the sequence at which a record appeared: records are loaded in this order. A row of the journal
has the entries from `first` to `last`, their kinds between slashes, and the subject of each. A run is what
one folding added to the trail, numbered by its last sequence; as a run is written in order, no page of an
older one changes.
"""
FOLD_ENTRIES: Final = 50_000
"""So many entries of the journal are folded into the other tables at once."""

FOLD_BYTES: Final = 64 << 20
"""Or fewer if they are long, as they are held in memory until then."""

FEWEST_PIECES: Final = 4
MOST_PIECES: Final = 256
"""Pieces of the journal that are read at once: few at first, as they may be long."""


class SqlHistory(ABC):
    """Reads a store through SQL; a subclass says how a query is put."""

    join: str
    """Joins a table to the one named before it, which the database is to look into first."""

    @abstractmethod
    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of an answer."""

    @abstractmethod
    def scan(self, statement: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a long answer, a part at a time."""

    def about(self, name: str) -> float | None:
        """A figure of the store as a whole."""
        found = self.query("SELECT value FROM about WHERE name = ?", (name,))
        return float(found[0][0]) if found else None

    def bounds(self) -> Bounds:
        """From where to where the journal reaches."""
        first = self.query("SELECT first FROM journal ORDER BY last LIMIT 1")
        last = self.query("SELECT last, at_s FROM journal ORDER BY last DESC LIMIT 1")
        if first and last:
            return Bounds(first[0][0], *last[0])
        base = int(self.about("base_sequence") or 0)
        return Bounds(base + 1, base, self.about("base_s") or 0.0)

    def entries(self, wanted: Wanted) -> list[Entry]:
        """At most `limit` entries."""
        limit = min(wanted.limit, MOST_ENTRIES)
        if wanted.key is not None or wanted.thing is not None:
            with self.one_moment():
                return self._picked(self._trail(wanted), limit, is_newest_first=wanted.is_newest_first)
        found: list[Entry] = []
        for piece in self.pieces(wanted):
            entries = piece.read()
            for entry in reversed(entries) if wanted.is_newest_first else entries:
                if entry.sequence <= wanted.after or wanted.kind not in (None, entry.kind):
                    continue
                if wanted.until is None or entry.sequence <= wanted.until:
                    found.append(entry)
                    if len(found) >= limit:
                        return found
        return found

    def pieces(self, wanted: Wanted = EVERY) -> Iterator[Batch]:
        """The pieces of the journal that have wanted entries, by sequence and kind; unchecked."""
        after, until, count = wanted.after, wanted.until, FEWEST_PIECES
        direction = "DESC" if wanted.is_newest_first else "ASC"
        kinds = "" if wanted.kind is None else " AND kinds LIKE ?"
        named = [] if wanted.kind is None else [f"%/{wanted.kind}/%"]
        while True:
            rows = self.query(
                "SELECT first, last, entries, checksum FROM journal WHERE last > ? AND first <= ?"  # noqa: S608
                f"{kinds} ORDER BY last {direction} LIMIT ?",
                (after, LAST_OF_ALL if until is None else until, *named, count),
            )
            for row in rows:
                yield Batch(*row)
            if len(rows) < count:
                return
            if wanted.is_newest_first:
                until = rows[-1][0] - 1
            else:
                after = rows[-1][1]
            count = min(2 * count, MOST_PIECES)

    def _trail(self, wanted: Wanted) -> list[int]:
        """The sequences of the entries of a key or thing: from the trail, and of what is not folded yet."""
        conditions = {"kind = ?": wanted.kind, "key = ?": wanted.key, "thing = ?": wanted.thing}
        given = {condition: value for condition, value in conditions.items() if value is not None}
        numbers = [
            number
            for (number,) in self.query(
                f"SELECT number FROM subject WHERE {' AND '.join(given)}",  # noqa: S608  (fixed texts)
                list(given.values()),
            )
        ]
        marks = ", ".join("?" * len(numbers)) or "NULL"
        along = [
            sequence
            for (written,) in self.query(
                f"SELECT t.sequences FROM run r {self.join} trail t ON t.run = r.number"  # noqa: S608
                f" WHERE r.number > ? AND t.subject IN ({marks})",
                (wanted.after, *numbers),
            )
            for sequence in unpacked(written)
        ]
        folded, sought = int(self.about("folded") or 0), set(numbers)
        for first, written in self.query("SELECT first, subjects FROM journal WHERE last > ?", (folded,)):
            subjects = enumerate(unpacked(written), first)
            along += [sequence for sequence, number in subjects if number in sought]
        until = LAST_OF_ALL if wanted.until is None else wanted.until
        return sorted(each for each in along if wanted.after < each <= until)

    def _picked(self, sequences: list[int], limit: int, *, is_newest_first: bool) -> list[Entry]:
        """The first or last of these entries that are kept still."""
        found: list[Entry] = []
        while sequences and len(found) < limit:
            sought = sequences[-1] if is_newest_first else sequences[0]
            rows = self.query(
                "SELECT first, last, entries, checksum FROM journal WHERE last >= ? ORDER BY last LIMIT 1",
                (sought,),
            )
            if not rows:
                return found
            piece = Batch(*rows[0])
            begin, end = bisect_left(sequences, piece.first), bisect_right(sequences, piece.last)
            there = piece.pick(sequences[begin:end]) if begin < end else []
            if is_newest_first:
                found += reversed(there)
                del sequences[min(begin, len(sequences) - 1) :]
            else:
                found += there
                del sequences[: max(end, 1)]
        return found[:limit]

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
                if not isinstance(record, bytes) or checksum_of(kind, key, record) != checksum:
                    raise StoreError(f"the {kind} {key!r} in the store is damaged: its checksum is another")
                standing[kind, key] = thing, record
            for entry in walk(self, Wanted(after=int(self.about("folded") or 0))):
                if entry.what == "put":
                    standing[entry.kind, entry.key] = entry.thing, entry.record
                elif entry.what == "remove":
                    standing.pop((entry.kind, entry.key), None)
        return standing

    @abstractmethod
    def one_moment(self) -> AbstractContextManager[None]:
        """Several queries that see the store as it is at one moment."""

    @abstractmethod
    def snapshots(self) -> list[Mark]:
        """The snapshots, oldest first."""

    @abstractmethod
    def snapshot_rows(self, snapshot: int) -> Iterator[Row]:
        """Every record as a snapshot has it."""

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
        stored: dict[int, int] = dict(self.query("SELECT subject, made FROM record"))
        known: Known = {}
        highest = 0
        for number, kind, key, thing in self.scan("SELECT number, kind, key, thing FROM subject"):
            subject = Subject(number, thing, name_checksum(kind, key), stored.get(number))
            known.setdefault(kind, {})[key] = subject
            highest = max(highest, number)
        folded = int(self.about("folded") or 0)
        subjects = Subjects(known, stored, highest, folded, len(stored))
        for piece in self.pieces(Wanted(after=folded)):
            subjects.adopt(subjects.replan([piece]))
        return subjects


def of_another_version(version: int) -> str:
    """What a store of another version has, and what to do."""
    advice = (
        "upgrade windtunnel"
        if version > SCHEMA_VERSION
        else "it cannot be migrated; use the windtunnel that wrote it, or begin a new store"
    )
    return f"schema version {version}; this windtunnel reads version {SCHEMA_VERSION}: {advice}"


def messages_of(number: int, written: bytes, checksum: int) -> list[Message]:
    """The messages of a row of the outbox."""
    if crc32(written) != checksum:
        raise StoreError(f"row {number} of the outbox is damaged: its checksum is another")
    return _messages.decode(written)
