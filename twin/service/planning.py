"""What a commit writes: subjects by their numbers, pieces of the journal, the outbox, and the folding."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import is_
from typing import Any, Final, NamedTuple, TypeAlias
from zlib import crc32

import msgspec
import numpy as np

from twin.service.batches import PACKED, ROW_ENTRIES, Batch, LineFields, Values, batch, packed, unpacked
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


class Piece(NamedTuple):
    """A piece of the journal, and the subjects of its entries, packed."""

    batch: Batch
    numbers: bytes


@dataclass(slots=True)
class Draft:
    """A piece of the journal that is being written: its lines, the numbers of their subjects, their kinds."""

    lines: Values = field(default_factory=Values)
    numbers: list[int] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Plan:
    """The rows that one commit writes, table by table.

    `pieces` are those of the journal, `made` the records that appear or go, `notes` the sequences of entries
    that change no record. `last` is the sequence of the last entry, and `transactions` are those that the
    plan is made of.
    """

    last: int = 0
    transactions: list[Transaction] = field(default_factory=list)
    name: list[tuple[int, str, str, str]] = field(default_factory=list)
    write: list[tuple[int, int, float, int, str, bytes, bytes]] = field(default_factory=list)
    queue: list[Numbered] = field(default_factory=list)
    settle: list[tuple[int]] = field(default_factory=list)
    fresh: Known = field(default_factory=dict)
    made: dict[int, tuple[Subject, int | None]] = field(default_factory=dict)
    notes: list[int] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    draft: Draft = field(default_factory=Draft)
    messages: Values = field(default_factory=Values)

    def statements(self) -> Statements:
        """What to execute, in an order that holds."""
        rows: Statements = [
            (NAME, self.name),
            (WRITE, self.write),
            (SETTLE, self.settle),
            (QUEUE, self.queue),
        ]
        return [(statement, each) for statement, each in rows if each]

    def add(self, piece: Piece, kinds: set[str], at_s: float) -> None:
        """Write a piece of the journal that ends at a time (seconds)."""
        first, last, entries, checksum = piece.batch
        named = f"/{'/'.join(sorted(kinds))}/"
        self.pieces.append(piece)
        self.write.append((last, first, at_s, checksum, named, piece.numbers, entries))

    def take(self, what: str, subject: Subject, sequence: int) -> None:
        """Remember what an entry does to the record of its subject, if it does more than to change it."""
        if what == "note":
            self.notes.append(sequence)
        elif what == "remove":
            self.made[subject.number] = subject, None
        elif self.made.get(subject.number, (subject, subject.made))[1] is None:
            self.made[subject.number] = subject, sequence

    def cut(self, at_s: float) -> Draft:
        """Close the piece of the journal that is open at a time (seconds), and begin the next."""
        draft, self.draft = self.draft, Draft()
        if draft.numbers:
            written = batch(self.last - draft.lines.count + 1, draft.lines)
            self.add(Piece(written, packed(draft.numbers)), draft.kinds, at_s)
        return self.draft

    def close(self, number: int) -> None:
        """All transactions are in: close the last piece, and let the messages wait in one row."""
        if self.transactions:
            self.cut(self.transactions[-1].now_s)
        if self.messages.count:
            written = self.messages.whole()
            self.queue = [Numbered(number, written, crc32(written))]

    def is_of(self, transactions: Sequence[Transaction]) -> bool:
        """Whether it is made of the first of these."""
        return len(self.transactions) <= len(transactions) and all(map(is_, self.transactions, transactions))


@dataclass(slots=True)
class Subjects:
    """All subjects, since when the record of each stands, and what is not folded yet.

    `stored` is what the table of records has; `unfolded` are the pieces of the journal that are not folded
    into it, and `notes` those of their entries that change no record.
    """

    known: Known = field(default_factory=dict)
    stored: dict[int, int] = field(default_factory=dict)
    highest: int = 0
    folded: int = 0
    standing_count: int = 0
    unfolded: list[Piece] = field(default_factory=list)
    unfolded_bytes: int = 0
    notes: set[int] = field(default_factory=set)

    # planning: nothing changes here until `adopt` --------------------------------------------------------

    def extend(self, plan: Plan, transactions: Sequence[Transaction]) -> None:
        """Add what transactions write to what a commit will write."""
        known, draft = self.known, plan.draft
        lines: list[LineFields] = []
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
                written = b"" if what == "remove" else written_of(record, change.entry)
                lines.append((rest, at_s, what, kind, key, subject.thing, written))
                draft.numbers.append(subject.number)
                draft.kinds.add(kind)
                if what != "put" or subject.made is None or plan.made:
                    plan.take(what, subject, sequence)
                if len(draft.numbers) == ROW_ENTRIES:
                    draft.lines.add(lines)
                    draft, lines = plan.cut(at_s), []
        draft.lines.add(lines)
        plan.messages.add([message for transaction in transactions for message in transaction.messages])
        plan.transactions += transactions

    def replan(self, batches: Iterable[Batch]) -> Plan:
        """What commits have written, made again from their pieces of the journal."""
        plan = Plan()
        for written in batches:
            entries, numbers = written.read(), []
            for sequence, _, _, what, kind, key, thing, _ in entries:
                subject = self.known.get(kind, NOBODY).get(key) or self._named(kind, key, thing, plan)
                numbers.append(subject.number)
                plan.take(what, subject, sequence)
            piece = Piece(written, packed(numbers))
            plan.add(piece, {each.kind for each in entries}, entries[-1].at_s)
        return plan

    def _named(self, kind: str, key: str, thing: str, plan: Plan) -> Subject:
        """A subject that is new with this plan."""
        of_kind = plan.fresh.setdefault(kind, {})
        subject = of_kind.get(key)
        if subject is None:
            number = self.highest + len(plan.name) + 1
            named = key if thing == key else thing  # one text less for each
            subject = of_kind[key] = Subject(number, named, name_checksum(kind, key))
            plan.name.append((number, kind, key, thing))
        return subject

    def adopt(self, plan: Plan) -> None:
        """The plan was carried out."""
        for kind, fresh in plan.fresh.items():
            self.known.setdefault(kind, {}).update(fresh)
        self.highest += len(plan.name)
        for subject, made in plan.made.values():
            self.standing_count += (made is not None) - (subject.made is not None)
            subject.made = made
        self.unfolded += plan.pieces
        self.unfolded_bytes += sum(len(piece.batch.entries) for piece in plan.pieces)
        self.notes.update(plan.notes)

    # folding ---------------------------------------------------------------------------------------------

    def folding(self, last: int) -> Folding:
        """What to execute so that the other tables hold what the journal has up to `last`."""
        trail = self._trail()
        subjects = self._numbered({each.subject for each in trail})
        records = self._records(
            [each.newest for each in trail if each.newest and subjects[each.subject].made is not None]
        )
        forget: list[tuple[Any, ...]] = []
        make: list[tuple[Any, ...]] = []
        change: list[tuple[Any, ...]] = []
        ends: dict[int, int | None] = {}
        for number, newest, _ in trail:
            if not newest:
                continue
            subject, made = subjects[number], self.stored.get(number)
            ends[number] = since = subject.made
            if since is not None:
                record = records[newest]
                checksum = crc32(record, subject.checksum)
                if since == made:
                    change.append((newest, record, checksum, number))
                    continue
                make.append((number, since, newest, record, checksum))
            if made is not None:
                forget.append((number,))
        statements: Statements = [
            (FORGET, forget),
            (MAKE, make),
            (CHANGE, change),
            (FOLLOW, [(last, each.subject, each.sequences) for each in trail]),
            (COUNT_RUN, [(last,)]),
            (FOLDED, [(last,)]),
        ]
        return Folding(last, statements, ends)

    def _trail(self) -> list[_Trail]:
        """The entries of each subject in what is not folded, in the order of the subjects."""
        if not self.unfolded:
            return []
        numbers = np.concatenate([np.frombuffer(piece.numbers, PACKED) for piece in self.unfolded])
        sequences = np.concatenate(
            [np.arange(piece.batch.first, piece.batch.last + 1, dtype=PACKED) for piece in self.unfolded]
        )
        order = np.argsort(numbers, kind="stable")
        numbers, sequences = numbers[order], sequences[order]
        begins = np.flatnonzero(np.diff(numbers, prepend=numbers[0] + 1))
        is_note = np.isin(sequences, np.fromiter(self.notes, PACKED, len(self.notes)))
        newest = np.maximum.reduceat(np.where(is_note, 0, sequences), begins)
        written, width = sequences.tobytes(), PACKED.itemsize
        places = [*(begins * width).tolist(), len(written)]
        return [
            _Trail(number, last, written[begin:end])
            for number, last, begin, end in zip(numbers[begins].tolist(), newest.tolist(), places, places[1:])
        ]

    def _numbered(self, numbers: Container[int]) -> dict[int, Subject]:
        """Subjects by their numbers."""
        return {
            subject.number: subject
            for known in self.known.values()
            for subject in known.values()
            if subject.number in numbers
        }

    def _records(self, sequences: Iterable[int]) -> dict[int, bytes]:
        """The records that some entries hold which are not folded."""
        wanted, found = sorted(sequences), dict[int, bytes]()
        begin = 0
        for piece, _ in self.unfolded:
            end = bisect_right(wanted, piece.last, begin)
            some = wanted[begin:end]
            found.update(zip(some, piece.records(some)))
            begin = end
        return found

    def fold(self, folding: Folding) -> None:
        """The folding was carried out."""
        for number, made in folding.ends.items():
            if made is None:
                self.stored.pop(number, None)
            else:
                self.stored[number] = made
        self.unfolded, self.unfolded_bytes, self.notes, self.folded = [], 0, set(), folding.last

    def unfolded_subjects(self) -> set[int]:
        """The subjects of entries that are not folded."""
        return {number for piece in self.unfolded for number in unpacked(piece.numbers)}

    def drop(self, numbers: Container[int]) -> None:
        """Nothing names these subjects any more."""
        for kind, known in self.known.items():
            kept = {key: subject for key, subject in known.items() if subject.number not in numbers}
            self.known[kind] = kept


class _Trail(NamedTuple):
    """The entries of a subject, packed, and the newest that is no note: 0 if all are."""

    subject: int
    newest: int
    sequences: bytes


class Folding(NamedTuple):
    """What folding up to an entry executes, and since when the records stand that it has changed."""

    last: int
    statements: Statements
    ends: dict[int, int | None]
