"""What the stores in SQLite and PostgreSQL have in common: tables, what a commit writes, how it is read.

A subject is a kind and key that ever had a record or a note; the journal names it by its number. A commit
writes the journal, where every new record stands whole, and the outbox. The tables of records and of the
entries of each subject are folded from the journal, many entries at a time and in order of their pages,
because a synced page for each changed record costs more than all the rest. Whoever reads adds to them what
the journal has since.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias
from zlib import crc32

import msgspec

from twin.message import Message
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
    walk,
)
from twin.state.records import Transaction

SCHEMA_VERSION: Final = 1

_encode = msgspec.msgpack.Encoder().encode
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
FORGET: Final = "DELETE FROM record WHERE subject = ?"
MAKE: Final = "INSERT INTO record (subject, made, sequence, record, checksum) VALUES (?, ?, ?, ?, ?)"
CHANGE: Final = "UPDATE record SET sequence = ?, record = ?, checksum = ? WHERE subject = ?"
NAME: Final = "INSERT INTO subject (number, kind, key, thing) VALUES (?, ?, ?, ?)"
WRITE: Final = (
    "INSERT INTO journal (sequence, last, at_s, what, subject, record, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
QUEUE: Final = "INSERT INTO outbox (number, messages, checksum) VALUES (?, ?, ?)"
SETTLE: Final = "DELETE FROM outbox WHERE number = ?"
FOLLOW: Final = (
    "INSERT INTO trail (run, subject, sequence) SELECT ?, subject, sequence FROM journal"
    " WHERE sequence > ? AND sequence <= ? ORDER BY subject, sequence"
)
COUNT_RUN: Final = "INSERT INTO run (number) VALUES (?)"
FOLDED: Final = "UPDATE about SET value = ? WHERE name = 'folded'"


class Numbered(NamedTuple):
    """A row of the outbox: the messages of a commit, encoded, and their checksum."""

    number: int
    messages: bytes
    checksum: int


class Standing(NamedTuple):
    """A record that stands: since which sequence there is one, and its newest form."""

    made: int
    sequence: int
    record: bytes
    checksum: int


Statements: TypeAlias = list[tuple[str, Sequence[tuple[Any, ...]]]]


@dataclass(slots=True)
class Plan:
    """The rows that one commit writes, table by table, and where the records stand after it."""

    name: list[tuple[int, str, str, str]] = field(default_factory=list)
    write: list[tuple[int, int, float, str, int, bytes, int]] = field(default_factory=list)
    queue: list[Numbered] = field(default_factory=list)
    settle: list[tuple[int]] = field(default_factory=list)
    ends: dict[int, Standing | None] = field(default_factory=dict)

    def statements(self) -> Statements:
        """What to execute, in an order that holds."""
        rows: Statements = [
            (NAME, self.name),
            (WRITE, self.write),
            (SETTLE, self.settle),
            (QUEUE, self.queue),
        ]
        return [(statement, each) for statement, each in rows if each]


@dataclass(slots=True)
class Subjects:
    """The numbers of all subjects, when the record of each was made, and what is not folded yet.

    `stored` is what the table of records has; `pending` are the records that differ from it.
    """

    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    stored: dict[int, int] = field(default_factory=dict)
    pending: dict[int, Standing | None] = field(default_factory=dict)
    highest: int = 0
    folded: int = 0

    def plan(self, entries: Iterable[Entry]) -> Plan:
        """What a commit of these entries writes; nothing changes here until `adopt`."""
        plan = Plan()
        fresh: dict[tuple[str, str], int] = {}
        numbers, ends, write = self.numbers, plan.ends, plan.write
        for sequence, last, at_s, what, kind, key, thing, record, checksum in entries:
            subject = numbers.get((kind, key)) or fresh.get((kind, key))
            if subject is None:
                subject = fresh[kind, key] = self.highest + len(fresh) + 1
                plan.name.append((subject, kind, key, thing))
            write.append((sequence, last, at_s, what, subject, record, checksum))
            if what == "put":
                made = self._made(subject, ends) or sequence
                ends[subject] = Standing(made, sequence, record, checksum)
            elif what == "remove":
                ends[subject] = None
        return plan

    def _made(self, subject: int, ends: Mapping[int, Standing | None]) -> int | None:
        """Since when its record stands, None if it has none; `ends` are newer than what is here."""
        for newer in (ends, self.pending):
            if subject in newer:
                standing = newer[subject]
                return None if standing is None else standing.made
        return self.stored.get(subject)

    def adopt(self, plan: Plan) -> None:
        """The plan was carried out."""
        for number, kind, key, _ in plan.name:
            self.numbers[kind, key] = number
            self.highest = number
        self.pending |= plan.ends

    def standing_count(self) -> int:
        """How many records stand, at most."""
        return len(self.stored) + len(self.pending)

    def stands(self, subject: int) -> bool:
        """Whether there is a record of it."""
        return self._made(subject, {}) is not None

    def folding(self, last: int) -> Statements:
        """What to execute so that the other tables hold what the journal has up to `last`."""
        forget: list[tuple[Any, ...]] = []
        make: list[tuple[Any, ...]] = []
        change: list[tuple[Any, ...]] = []
        for subject, end in sorted(self.pending.items(), key=_first):
            made = self.stored.get(subject)
            if end is not None and end.made == made:
                change.append((end.sequence, end.record, end.checksum, subject))
                continue
            if made is not None:
                forget.append((subject,))
            if end is not None:
                make.append((subject, *end))
        return [
            (FORGET, forget),
            (MAKE, make),
            (CHANGE, change),
            (FOLLOW, [(last, self.folded, last)]),
            (COUNT_RUN, [(last,)]),
            (FOLDED, [(last,)]),
        ]

    def fold(self, last: int) -> None:
        """The folding was carried out."""
        for subject, end in self.pending.items():
            if end is None:
                self.stored.pop(subject, None)
            else:
                self.stored[subject] = end.made
        self.pending, self.folded = {}, last

    def drop(self, numbers: Container[int]) -> None:
        """Nothing names these subjects any more."""
        self.numbers = {each: number for each, number in self.numbers.items() if number not in numbers}


def _first(item: tuple[int, Any]) -> int:
    return item[0]


def outbox_row(number: int, transactions: Iterable[Transaction]) -> list[Numbered]:
    """The row that holds all messages of a commit, if there are any."""
    messages = [message for transaction in transactions for message in transaction.messages]
    if not messages:
        return []
    written = _encode(messages)
    return [Numbered(number, written, crc32(written))]


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
        numbers = {
            (kind, key): number for number, kind, key in self.scan("SELECT number, kind, key FROM subject")
        }
        stored = dict(self.query("SELECT subject, made FROM record"))
        folded = int(self.about("folded") or 0)
        subjects = Subjects(numbers, stored, {}, max(numbers.values(), default=0), folded)
        for entry in walk(self, Wanted(after=folded)):
            subjects.adopt(subjects.plan([entry]))
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
