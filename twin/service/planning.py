"""What a commit writes: subjects by their numbers, pieces of the journal, the outbox, and the folding."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias
from zlib import crc32

import msgspec

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


class Subject(NamedTuple):
    """A kind and key that ever had a record or a note; `checksum` is of its name."""

    number: int
    thing: str
    checksum: int


@dataclass(slots=True)
class Plan:
    """The rows that one commit writes, table by table, and where the records stand after it.

    `numbers` has the subjects of the entries of each piece of the journal.
    """

    name: list[tuple[int, str, str, str]] = field(default_factory=list)
    write: list[tuple[int, int, float, int, str, bytes, bytes]] = field(default_factory=list)
    queue: list[Numbered] = field(default_factory=list)
    settle: list[tuple[int]] = field(default_factory=list)
    ends: dict[int, Standing | None] = field(default_factory=dict)
    fresh: dict[tuple[str, str], Subject] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    numbers: list[list[int]] = field(default_factory=list)

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

    def queue_as(self, number: int, transactions: Iterable[Transaction]) -> None:
        """Let the messages wait in one row of the outbox, if there are any."""
        messages = [message for transaction in transactions for message in transaction.messages]
        if messages:
            written = _encode(messages)
            self.queue = [Numbered(number, written, crc32(written))]


@dataclass(slots=True)
class Subjects:
    """All subjects, when the record of each was made, and what is not folded yet.

    `stored` is what the table of records has; `pending` are the records that differ from it; `unfolded` are
    the first sequence, and the subjects, of each piece of the journal that is not folded.
    """

    known: dict[tuple[str, str], Subject] = field(default_factory=dict)
    stored: dict[int, int] = field(default_factory=dict)
    pending: dict[int, Standing | None] = field(default_factory=dict)
    unfolded: list[tuple[int, list[int]]] = field(default_factory=list)
    highest: int = 0
    folded: int = 0

    # planning: nothing changes here until `adopt` --------------------------------------------------------

    def plan(self, transactions: Iterable[Transaction], after: int) -> Plan:
        """What a commit of these transactions writes; the first entry has the sequence `after + 1`."""
        plan, sequence = Plan(), after
        known, ends, pending = self.known, plan.ends, self.pending
        lines: list[LineFields] = []
        numbers: list[int] = []
        for transaction in transactions:
            at_s, rest = transaction.now_s, len(transaction.changes)
            for change in transaction.changes:
                sequence += 1
                rest -= 1
                what, kind, key, record = change.what, change.kind, change.key, change.record
                subject = known.get((kind, key))
                if subject is None:
                    thing = thing_of(key, change.before if record is None else record)
                    subject = self._named(kind, key, thing, plan)
                number, thing, name_sum = subject
                written = b"" if what == "remove" else written_of(record, change.entry)
                lines.append((rest, at_s, what, kind, key, thing, written))
                numbers.append(number)
                if what == "put":
                    standing = ends[number] if number in ends else pending.get(number)
                    made = self._made(number, ends) if standing is None else standing[0]
                    ends[number] = (made or sequence, sequence, written, name_sum)
                elif what == "remove":
                    ends[number] = None
        for start in range(0, len(lines), ROW_ENTRIES):
            part = lines[start : start + ROW_ENTRIES]
            kinds = {each[3] for each in part}
            plan.add(batch(after + start + 1, part), numbers[start : start + ROW_ENTRIES], kinds, part[-1][1])
        return plan

    def replan(self, pieces: Iterable[Batch]) -> Plan:
        """What commits have written, made again from their pieces of the journal."""
        plan = Plan()
        for piece in pieces:
            entries, numbers = piece.read(), []
            for sequence, _, _, what, kind, key, thing, written in entries:
                subject = self.known.get((kind, key)) or self._named(kind, key, thing, plan)
                numbers.append(subject.number)
                if what == "put":
                    made = self._made(subject.number, plan.ends) or sequence
                    plan.ends[subject.number] = (made, sequence, written, subject.checksum)
                elif what == "remove":
                    plan.ends[subject.number] = None
            plan.add(piece, numbers, {each.kind for each in entries}, entries[-1].at_s)
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
        self.unfolded += [(piece.first, numbers) for piece, numbers in zip(plan.batches, plan.numbers)]

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
        self.known = {each: subject for each, subject in self.known.items() if subject.number not in numbers}


def _first(item: tuple[int, Any]) -> int:
    return item[0]
