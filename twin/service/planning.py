"""What a commit writes: subjects by their numbers, pieces of the journal, the outbox, and the folding."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import is_
from typing import Any, Final, NamedTuple, TypeAlias
from zlib import crc32

import msgspec

from twin.message import Message
from twin.service.batches import ROW_ENTRIES, Batch, LineFields, batch, packed
from twin.state.journal import name_checksum, thing_of, written_of
from twin.state.records import Transaction

FORGET: Final = "DELETE FROM record WHERE subject = ?"
MAKE: Final = "INSERT INTO record (subject, made, sequence, record, checksum) VALUES (?, ?, ?, ?, ?)"
CHANGE: Final = "UPDATE record SET sequence = ?, record = ?, checksum = ? WHERE subject = ?"
NAME: Final = "INSERT INTO subject (number, kind, key, thing) VALUES (?, ?, ?, ?)"
WRITE: Final = (
    "INSERT INTO journal (last, first, at_s, checksum, kinds, subjects, entries) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
QUEUE: Final = "INSERT INTO outbox (number, messages, checksum) VALUES (?, ?, ?)"
SETTLE: Final = "DELETE FROM outbox WHERE number = ?"
FOLLOW: Final = "INSERT INTO trail (run, subject, sequences) VALUES (?, ?, ?)"
COUNT_RUN: Final = "INSERT INTO run (number) VALUES (?)"
FOLDED: Final = "UPDATE about SET value = ? WHERE name = 'folded'"


class Numbered(NamedTuple):
    """A row of the outbox: the messages of a commit, encoded, and their checksum."""

    number: int
    messages: bytes
    checksum: int


Statements: TypeAlias = list[tuple[str, Sequence[tuple[Any, ...]]]]
Standing: TypeAlias = tuple[int, int, bytes, int]
"""A record that stands: the sequence at which it appeared, that of its newest form, this, and what the
checksum of its name is."""


_encode = msgspec.msgpack.Encoder().encode


class Subject(msgspec.Struct, gc=False):
    """A kind and key that ever had a record or a note.

    `checksum` is of its name, `made` the sequence at which its record appeared: None if there is none.
    """

    number: int
    thing: str
    checksum: int
    made: int | None = None


NOBODY: Final[Mapping[str, Subject]] = {}
Known: TypeAlias = dict[str, dict[str, Subject]]
"""Subjects by kind and key."""


@dataclass(slots=True)
class Plan:
    """The rows that one commit writes, table by table, and where the records stand after it.

    `numbers` has the subjects of the entries of each piece of the journal; `last` is the sequence of the last
    entry, `transactions` are those that it is made of, and `made` are the records that appear or go.
    """

    last: int = 0
    transactions: list[Transaction] = field(default_factory=list)
    name: list[tuple[int, str, str, str]] = field(default_factory=list)
    write: list[tuple[int, int, float, int, str, bytes, bytes]] = field(default_factory=list)
    queue: list[Numbered] = field(default_factory=list)
    settle: list[tuple[int]] = field(default_factory=list)
    ends: dict[int, Standing | None] = field(default_factory=dict)
    fresh: Known = field(default_factory=dict)
    made: list[tuple[Subject, int | None]] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    numbers: list[list[int]] = field(default_factory=list)
    lines: list[LineFields] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    subjects: list[int] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)

    def statements(self) -> Statements:
        """What to execute, in an order that holds."""
        rows: Statements = [
            (NAME, self.name),
            (WRITE, self.write),
            (SETTLE, self.settle),
            (QUEUE, self.queue),
        ]
        return [(statement, each) for statement, each in rows if each]

    def add(self, piece: Batch, numbers: list[int], kinds: set[str], at_s: float) -> None:
        """Write a piece of the journal that ends at a time (seconds)."""
        first, last, entries, checksum = piece
        named = f"/{'/'.join(sorted(kinds))}/"
        self.batches.append(piece)
        self.numbers.append(numbers)
        self.write.append((last, first, at_s, checksum, named, packed(numbers), entries))

    def cut(self, at_s: float) -> None:
        """Close the piece of the journal that is open, if there is one, at a time (seconds)."""
        if self.subjects:
            piece = batch(self.last - len(self.lines) + 1, self.lines)
            self.add(piece, self.subjects, self.kinds, at_s)
            self.lines, self.subjects, self.kinds = [], [], set()

    def close(self, number: int) -> None:
        """All transactions are in: close the last piece, and let the messages wait in one row."""
        if self.transactions:
            self.cut(self.transactions[-1].now_s)
        if self.messages:
            written = _encode(self.messages)
            self.queue = [Numbered(number, written, crc32(written))]

    def is_of(self, transactions: Sequence[Transaction]) -> bool:
        """Whether it is made of the first of these."""
        return len(self.transactions) <= len(transactions) and all(map(is_, self.transactions, transactions))


@dataclass(slots=True)
class Subjects:
    """All subjects, when the record of each was made, and what is not folded yet.

    `stored` is what the table of records has; `pending` are the records that differ from it; `unfolded` are
    the first sequence, and the subjects, of each piece of the journal that is not folded.
    """

    known: Known = field(default_factory=dict)
    stored: dict[int, int] = field(default_factory=dict)
    pending: dict[int, Standing | None] = field(default_factory=dict)
    unfolded: list[tuple[int, list[int]]] = field(default_factory=list)
    highest: int = 0
    folded: int = 0

    # planning: nothing changes here until `adopt` --------------------------------------------------------

    def extend(self, plan: Plan, transactions: Sequence[Transaction]) -> None:
        """Add what transactions write to what a commit will write."""
        known, ends, messages = self.known, plan.ends, plan.messages
        for transaction in transactions:
            at_s, rest = transaction.now_s, len(transaction.changes)
            for change in transaction.changes:
                plan.last = sequence = plan.last + 1
                rest -= 1
                what, kind, key, record = change.what, change.kind, change.key, change.record
                try:
                    subject = known[kind][key]
                except KeyError:
                    thing = thing_of(key, change.before if record is None else record)
                    subject = self._named(kind, key, thing, plan)
                number = subject.number
                written = b"" if what == "remove" else written_of(record, change.entry)
                plan.lines.append((rest, at_s, what, kind, key, subject.thing, written))
                plan.subjects.append(number)
                plan.kinds.add(kind)
                if what == "put":
                    made = _made(subject, number, ends)
                    if made is None:
                        made = sequence
                        plan.made.append((subject, made))
                    ends[number] = (made, sequence, written, subject.checksum)
                elif what == "remove":
                    ends[number] = None
                    plan.made.append((subject, None))
                if len(plan.subjects) == ROW_ENTRIES:
                    plan.cut(at_s)
            messages += transaction.messages
        plan.transactions += transactions

    def replan(self, pieces: Iterable[Batch]) -> Plan:
        """What commits have written, made again from their pieces of the journal."""
        plan = Plan()
        for piece in pieces:
            entries, numbers = piece.read(), []
            for sequence, _, _, what, kind, key, thing, written in entries:
                subject = self.known.get(kind, NOBODY).get(key) or self._named(kind, key, thing, plan)
                number = subject.number
                numbers.append(number)
                if what == "put":
                    made = _made(subject, number, plan.ends)
                    if made is None:
                        made = sequence
                        plan.made.append((subject, made))
                    plan.ends[number] = (made, sequence, written, subject.checksum)
                elif what == "remove":
                    plan.ends[number] = None
                    plan.made.append((subject, None))
            plan.add(piece, numbers, {each.kind for each in entries}, entries[-1].at_s)
        return plan

    def _named(self, kind: str, key: str, thing: str, plan: Plan) -> Subject:
        """A subject that is new with this plan."""
        of_kind = plan.fresh.setdefault(kind, {})
        subject = of_kind.get(key)
        if subject is None:
            number = self.highest + len(plan.name) + 1
            subject = of_kind[key] = Subject(number, thing, name_checksum(kind, key))
            plan.name.append((number, kind, key, thing))
        return subject

    def adopt(self, plan: Plan) -> None:
        """The plan was carried out."""
        for kind, fresh in plan.fresh.items():
            self.known.setdefault(kind, {}).update(fresh)
        self.highest += len(plan.name)
        for subject, made in plan.made:
            subject.made = made
        self.pending |= plan.ends
        self.unfolded += [(piece.first, numbers) for piece, numbers in zip(plan.batches, plan.numbers)]

    def standing_count(self) -> int:
        """How many records stand, at most."""
        return len(self.stored) + len(self.pending)

    def stands(self, number: int) -> bool:
        """Whether there is a record of it."""
        return self.pending[number] is not None if number in self.pending else number in self.stored

    # folding ---------------------------------------------------------------------------------------------

    def folding(self, last: int) -> Statements:
        """What to execute so that the other tables hold what the journal has up to `last`."""
        forget: list[tuple[Any, ...]] = []
        make: list[tuple[Any, ...]] = []
        change: list[tuple[Any, ...]] = []
        for number, end in sorted(self.pending.items(), key=_first):
            made = self.stored.get(number)
            if end is not None:
                since, sequence, record, name_sum = end
                if since == made:
                    change.append((sequence, record, crc32(record, name_sum), number))
                    continue
                make.append((number, since, sequence, record, crc32(record, name_sum)))
            if made is not None:
                forget.append((number,))
        return [
            (FORGET, forget),
            (MAKE, make),
            (CHANGE, change),
            (FOLLOW, self._followed(last)),
            (COUNT_RUN, [(last,)]),
            (FOLDED, [(last,)]),
        ]

    def _followed(self, run: int) -> list[tuple[int, int, bytes]]:
        """The sequences of each subject in what is not folded, in the order of the subjects."""
        trail: dict[int, list[int]] = {}
        for first, numbers in self.unfolded:
            for sequence, number in enumerate(numbers, first):
                if number in trail:
                    trail[number].append(sequence)
                else:
                    trail[number] = [sequence]
        return [(run, number, packed(trail[number])) for number in sorted(trail)]

    def fold(self, last: int) -> None:
        """The folding was carried out."""
        for number, end in self.pending.items():
            if end is None:
                self.stored.pop(number, None)
            else:
                self.stored[number] = end[0]
        self.pending, self.unfolded, self.folded = {}, [], last

    def unfolded_subjects(self) -> set[int]:
        """The subjects of entries that are not folded."""
        return {number for _, numbers in self.unfolded for number in numbers}

    def drop(self, numbers: Container[int]) -> None:
        """Nothing names these subjects any more."""
        for kind, known in self.known.items():
            kept = {key: subject for key, subject in known.items() if subject.number not in numbers}
            self.known[kind] = kept


def _made(subject: Subject, number: int, ends: Mapping[int, Standing | None]) -> int | None:
    """Since when its record stands, None if it has none; `ends` are newer than the subject."""
    if number in ends:
        standing = ends[number]
        return None if standing is None else standing[0]
    return subject.made


def _first(item: tuple[int, Any]) -> int:
    return item[0]
