"""What a commit writes: subjects by their numbers, rows of the journal and the outbox, and the folding."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias
from zlib import crc32

import msgspec

from twin.state.journal import Entry, EntryFields, name_checksum, thing_of, written_of
from twin.state.records import Transaction

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


Statements: TypeAlias = list[tuple[str, Sequence[tuple[Any, ...]]]]
Standing: TypeAlias = tuple[int, int, bytes, int]
"""A record that stands: the sequence at which it appeared, that of its newest form, this, its checksum."""

_encode = msgspec.msgpack.Encoder().encode


class Subject(NamedTuple):
    """A kind and key that ever had a record or a note; `checksum` is of its name."""

    number: int
    thing: str
    checksum: int


@dataclass(slots=True)
class Plan:
    """The rows that one commit writes, table by table, and where the records stand after it."""

    name: list[tuple[int, str, str, str]] = field(default_factory=list)
    write: list[tuple[int, int, float, str, int, bytes, int]] = field(default_factory=list)
    queue: list[Numbered] = field(default_factory=list)
    settle: list[tuple[int]] = field(default_factory=list)
    ends: dict[int, Standing | None] = field(default_factory=dict)
    fresh: dict[tuple[str, str], Subject] = field(default_factory=dict)
    entries: list[EntryFields] = field(default_factory=list)

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
    """All subjects, when the record of each was made, and what is not folded yet.

    `stored` is what the table of records has; `pending` are the records that differ from it.
    """

    known: dict[tuple[str, str], Subject] = field(default_factory=dict)
    stored: dict[int, int] = field(default_factory=dict)
    pending: dict[int, Standing | None] = field(default_factory=dict)
    highest: int = 0
    folded: int = 0

    # planning: nothing changes here until `adopt` --------------------------------------------------------

    def plan(self, transactions: Iterable[Transaction], after: int) -> Plan:
        """What a commit of these transactions writes; the first entry has the sequence `after + 1`."""
        plan, sequence = Plan(), after
        known, ends, write, entries = self.known, plan.ends, plan.write, plan.entries
        for transaction in transactions:
            at_s = transaction.now_s
            last = sequence + len(transaction.changes)
            for change in transaction.changes:
                sequence += 1
                what, kind, key, record = change.what, change.kind, change.key, change.record
                subject = known.get((kind, key))
                if subject is None:
                    thing = thing_of(key, change.before if record is None else record)
                    subject = self._named(kind, key, thing, plan)
                number, thing, name_sum = subject
                written = b"" if what == "remove" else written_of(record, change.entry)
                checksum = crc32(written, name_sum)
                write.append((sequence, last, at_s, what, number, written, checksum))
                entries.append((sequence, last, at_s, what, kind, key, thing, written, checksum))
                if what == "put":
                    ends[number] = (self._made(number, ends) or sequence, sequence, written, checksum)
                elif what == "remove":
                    ends[number] = None
        return plan

    def replan(self, entries: Iterable[Entry]) -> Plan:
        """What a commit has written, made again from its entries."""
        plan = Plan()
        for sequence, last, at_s, what, kind, key, thing, written, checksum in entries:
            subject = self.known.get((kind, key)) or self._named(kind, key, thing, plan)
            plan.write.append((sequence, last, at_s, what, subject.number, written, checksum))
            if what == "put":
                made = self._made(subject.number, plan.ends) or sequence
                plan.ends[subject.number] = (made, sequence, written, checksum)
            elif what == "remove":
                plan.ends[subject.number] = None
        return plan

    def _named(self, kind: str, key: str, thing: str, plan: Plan) -> Subject:
        """A subject that is new with this plan."""
        subject = plan.fresh.get((kind, key))
        if subject is None:
            number = self.highest + len(plan.fresh) + 1
            subject = plan.fresh[kind, key] = Subject(number, thing, name_checksum(kind, key))
            plan.name.append((number, kind, key, thing))
        return subject

    def _made(self, number: int, ends: dict[int, Standing | None]) -> int | None:
        """Since when its record stands, None if it has none; `ends` are newer than what is here."""
        if number in ends:
            standing = ends[number]
        elif number in self.pending:
            standing = self.pending[number]
        else:
            return self.stored.get(number)
        return None if standing is None else standing[0]

    def adopt(self, plan: Plan) -> None:
        """The plan was carried out."""
        if plan.fresh:
            self.known |= plan.fresh
            self.highest += len(plan.fresh)
        self.pending |= plan.ends

    def standing_count(self) -> int:
        """How many records stand, at most."""
        return len(self.stored) + len(self.pending)

    def stands(self, number: int) -> bool:
        """Whether there is a record of it."""
        return self._made(number, {}) is not None

    # folding ---------------------------------------------------------------------------------------------

    def folding(self, last: int) -> Statements:
        """What to execute so that the other tables hold what the journal has up to `last`."""
        forget: list[tuple[Any, ...]] = []
        make: list[tuple[Any, ...]] = []
        change: list[tuple[Any, ...]] = []
        for number, end in sorted(self.pending.items(), key=_first):
            made = self.stored.get(number)
            if end is not None and end[0] == made:
                change.append((*end[1:], number))
                continue
            if made is not None:
                forget.append((number,))
            if end is not None:
                make.append((number, *end))
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
        for number, end in self.pending.items():
            if end is None:
                self.stored.pop(number, None)
            else:
                self.stored[number] = end[0]
        self.pending, self.folded = {}, last

    def drop(self, numbers: Container[int]) -> None:
        """Nothing names these subjects any more."""
        self.known = {each: subject for each, subject in self.known.items() if subject.number not in numbers}


def _first(item: tuple[int, Any]) -> int:
    return item[0]


def outbox_row(number: int, transactions: Iterable[Transaction]) -> list[Numbered]:
    """The row that holds all messages of a commit, if there are any."""
    messages = [message for transaction in transactions for message in transaction.messages]
    if not messages:
        return []
    written = _encode(messages)
    return [Numbered(number, written, crc32(written))]
