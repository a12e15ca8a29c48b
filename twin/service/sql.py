"""What the stores in SQLite and PostgreSQL have in common: tables, what a commit writes, how it is read.

A subject is a kind and key that ever had a record or a note. The journal and the records name it by its
number, which keeps their rows and the journal's index small.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias
from zlib import crc32

import msgspec

from twin.message import Message
from twin.state.journal import (
    MOST_ENTRIES,
    Bounds,
    Entry,
    Outgoing,
    Row,
    StoreError,
    Wanted,
    checksum_of,
)
from twin.state.records import Transaction

SCHEMA_VERSION: Final = 1
Numbered: TypeAlias = tuple[int, bytes, int]

_encode = msgspec.msgpack.Encoder().encode
_messages = msgspec.msgpack.Decoder(list[Message])

TABLES: Final = """
CREATE TABLE about (name TEXT PRIMARY KEY, value {real} NOT NULL);
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
CREATE INDEX journal_subject ON journal ({by_subject});
CREATE TABLE outbox (number {integer} PRIMARY KEY, messages {bytes} NOT NULL, checksum {integer} NOT NULL);
"""
"""`made` is the sequence at which a record appeared: records are loaded in this order."""

COLUMNS: Final = "j.sequence, j.last, j.at_s, j.what, s.kind, s.key, s.thing, j.record, j.checksum"
FORGET: Final = "DELETE FROM record WHERE subject = ?"
MAKE: Final = "INSERT INTO record (subject, made, sequence, record, checksum) VALUES (?, ?, ?, ?, ?)"
CHANGE: Final = "UPDATE record SET sequence = ?, record = ?, checksum = ? WHERE subject = ?"
NAME: Final = "INSERT INTO subject (number, kind, key, thing) VALUES (?, ?, ?, ?)"
WRITE: Final = (
    "INSERT INTO journal (sequence, last, at_s, what, subject, record, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
QUEUE: Final = "INSERT INTO outbox (number, messages, checksum) VALUES (?, ?, ?)"
SETTLE: Final = "DELETE FROM outbox WHERE number = ?"


@dataclass(slots=True)
class Plan:
    """The rows that one commit writes, table by table."""

    forget: list[tuple[int]] = field(default_factory=list)
    make: list[tuple[int, int, int, bytes, int]] = field(default_factory=list)
    change: list[tuple[int, bytes, int, int]] = field(default_factory=list)
    name: list[tuple[int, str, str, str]] = field(default_factory=list)
    write: list[tuple[int, int, float, str, int, bytes, int]] = field(default_factory=list)
    queue: list[Numbered] = field(default_factory=list)
    settle: list[tuple[int]] = field(default_factory=list)

    def statements(self) -> Iterator[tuple[str, Sequence[tuple[Any, ...]]]]:
        """What to execute, in an order that holds."""
        rows: tuple[tuple[str, Sequence[tuple[Any, ...]]], ...] = (
            (NAME, self.name),
            (FORGET, self.forget),
            (MAKE, self.make),
            (CHANGE, self.change),
            (WRITE, self.write),
            (SETTLE, self.settle),
            (QUEUE, self.queue),
        )
        return ((statement, each) for statement, each in rows if each)


class _Standing(NamedTuple):
    made: int
    sequence: int
    record: bytes
    checksum: int


@dataclass(slots=True)
class Subjects:
    """The numbers of all subjects, and since when the record of each stands."""

    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    made: dict[int, int] = field(default_factory=dict)
    highest: int = 0

    def plan(self, entries: Iterable[Entry]) -> Plan:
        """What a commit of these entries writes; nothing changes here until `adopt`."""
        plan = Plan()
        ends: dict[int, _Standing | None] = {}
        fresh: dict[tuple[str, str], int] = {}
        numbers, made = self.numbers, self.made
        for sequence, last, at_s, what, kind, key, thing, record, checksum in entries:
            subject = numbers.get((kind, key)) or fresh.get((kind, key))
            if subject is None:
                subject = fresh[kind, key] = self.highest + len(fresh) + 1
                plan.name.append((subject, kind, key, thing))
            plan.write.append((sequence, last, at_s, what, subject, record, checksum))
            if what == "put":
                before = ends[subject] if subject in ends else made.get(subject)
                since = before if isinstance(before, int) else before.made if before else sequence
                ends[subject] = _Standing(since, sequence, record, checksum)
            elif what == "remove":
                ends[subject] = None
        self._sort(ends, plan)
        return plan

    def _sort(self, ends: dict[int, _Standing | None], plan: Plan) -> None:
        for subject, end in ends.items():
            before = self.made.get(subject)
            if end is not None and end.made == before:
                plan.change.append((end.sequence, end.record, end.checksum, subject))
                continue
            if before is not None:
                plan.forget.append((subject,))
            if end is not None:
                plan.make.append((subject, *end))

    def adopt(self, plan: Plan) -> None:
        """The plan was carried out."""
        for number, kind, key, _ in plan.name:
            self.numbers[kind, key] = number
            self.highest = number
        for (number,) in plan.forget:
            del self.made[number]
        for number, made, *_ in plan.make:
            self.made[number] = made

    def drop(self, numbers: Container[int]) -> None:
        """Nothing names these subjects any more."""
        self.numbers = {each: number for each, number in self.numbers.items() if number not in numbers}


def outbox_row(number: int, transactions: Iterable[Transaction]) -> list[Numbered]:
    """The row that holds all messages of a commit, if there are any."""
    messages = [message for transaction in transactions for message in transaction.messages]
    if not messages:
        return []
    written = _encode(messages)
    return [(number, written, crc32(written))]


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
        is_about_one = wanted.key is not None or wanted.thing is not None
        tables = (
            f"subject s {self.join} journal j ON j.subject = s.number"
            if is_about_one
            else f"journal j {self.join} subject s ON s.number = j.subject"
        )
        direction = "DESC" if wanted.is_newest_first else "ASC"
        found = self.query(
            f"SELECT {COLUMNS} FROM {tables} WHERE {' AND '.join(given)}"  # noqa: S608  (fixed texts)
            f" ORDER BY j.sequence {direction} LIMIT ?",
            (*given.values(), min(wanted.limit, MOST_ENTRIES)),
        )
        return [checked(Entry(*row)) for row in found]

    def rows(self, snapshot: int | None = None) -> Iterator[Row]:
        """Every record as it stands now, or as a snapshot has it."""
        if snapshot is not None:
            yield from self.snapshot_rows(snapshot)
            return
        for kind, key, record, _, checksum in self.scan(
            "SELECT s.kind, s.key, r.record, r.made, r.checksum FROM record r"
            " JOIN subject s ON s.number = r.subject ORDER BY r.made"
        ):
            if not _is_what_was_written(kind, key, record, checksum):
                raise StoreError(f"the {kind} {key!r} in the store is damaged: its checksum is another")
            yield Row(kind, key, record)

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
        numbers = {
            (kind, key): number for number, kind, key in self.scan("SELECT number, kind, key FROM subject")
        }
        made = dict(self.query("SELECT subject, made FROM record"))
        return Subjects(numbers, made, max(numbers.values(), default=0))


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
