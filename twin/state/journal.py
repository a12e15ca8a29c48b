"""The journal: every change of the twins in order, how it is kept, and how the past is read from it.

A store keeps transactions; a history reads what was kept. Both are ports: in memory here, SQLite and
PostgreSQL in the service. Records are JSON in the journal and are read with the types of `Twins.kinds`; a
kind that is not known here (a newer version wrote it) is left as it is and never lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol
from zlib import crc32

import msgspec

from twin.errors import InputError, WindtunnelError
from twin.message import Message
from twin.state.records import Record, Records, Transaction

PAGE: Final = 1_000
"""Entries that are read at once where more are walked through."""
MOST_ENTRIES: Final = 10_000
"""Entries of one answer."""


class StoreError(WindtunnelError):
    """Nothing of what was to be kept was kept; a later attempt may succeed."""


class BrokenStoreError(StoreError):
    """The store cannot tell any more what it holds; nothing is kept until it is opened anew."""


class Entry(NamedTuple):
    """One change as it stands in the journal.

    `record` is the JSON of the new record or of the note, empty for a removal. `last` is the sequence of
    the last entry of the same transaction; `thing` is the thing that it is about.
    """

    sequence: int
    last: int
    at_s: float
    what: Literal["put", "remove", "note"]
    kind: str
    key: str
    thing: str
    record: bytes


class Row(NamedTuple):
    """One record as it is kept."""

    kind: str
    key: str
    record: bytes


class Outgoing(NamedTuple):
    """Messages of one commit that wait to be published, under the number that settles them."""

    number: int
    messages: list[Message]


class Mark(NamedTuple):
    """A point in the journal: all up to this sequence, at this time (seconds)."""

    sequence: int
    at_s: float


class Bounds(NamedTuple):
    """The oldest entry that is kept, and the newest there is; `first` is `last + 1` if none is kept."""

    first: int
    last: int
    last_s: float


class Wanted(NamedTuple):
    """Which entries: after one sequence, up to another, of a kind, key or thing; oldest first."""

    after: int = 0
    until: int | None = None
    kind: str | None = None
    key: str | None = None
    thing: str | None = None
    limit: int = PAGE
    is_newest_first: bool = False


class Retention(NamedTuple):
    """How much of the journal is kept at least: so many entries, and those younger than this (seconds).

    Without both everything is kept. What a snapshot does not hold yet is kept in any case.
    """

    entries: int | None = None
    age_s: float | None = None


EVERYTHING: Final = Retention()


class Store(Protocol):
    """Keeps what transactions changed. One writer calls it."""

    def prepare(self, transactions: Sequence[Transaction]) -> None:
        """Do now what the next commit would have to do for these, as it costs less while they are fresh.

        Nobody has to call it; transactions are committed in the order in which they were prepared, or not.
        """
        ...

    def commit(self, transactions: Sequence[Transaction]) -> int:
        """Keep all of them, durably when this returns, or raise StoreError and keep none.

        Returns the number under which their messages wait in the outbox, 0 if there are none.
        """
        ...

    def settle(self, numbers: Iterable[int]) -> None:
        """The messages under these numbers were published; they are forgotten with the next commit."""
        ...

    def tend(self) -> None:
        """Do what can wait, a part at a time: called between two commits."""
        ...

    def close(self) -> None:
        """Keep what is settled and let go of the store."""
        ...


class History(Protocol):
    """Reads what was kept, also while a writer is at work."""

    def bounds(self) -> Bounds:
        """From where to where the journal reaches."""
        ...

    def entries(self, wanted: Wanted) -> list[Entry]:
        """At most `limit` entries."""
        ...

    def rows(self, snapshot: int | None = None) -> Iterator[Row]:
        """Every record as it stands now, or as a snapshot has it; oldest first within a kind."""
        ...

    def snapshots(self) -> list[Mark]:
        """The snapshots, oldest first."""
        ...

    def outbox(self) -> list[Outgoing]:
        """What has not been settled, oldest first."""
        ...


# writing -------------------------------------------------------------------------------------------------

_encode = msgspec.json.Encoder().encode


def entries_of(transactions: Iterable[Transaction], after: int) -> list[Entry]:
    """The journal entries of transactions; the first has the sequence `after + 1`."""
    entries: list[Entry] = []
    sequence = after
    for transaction in transactions:
        last = sequence + len(transaction.changes)
        at_s = transaction.now_s
        for change in transaction.changes:
            sequence += 1
            what, kind, key = change.what, change.kind, change.key
            record = change.record if change.record is not None else change.before
            written = b"" if what == "remove" else written_of(change.record, change.entry)
            thing = thing_of(key, record)
            entries.append(Entry(sequence, last, at_s, what, kind, key, thing, written))
    return entries


def written_of(record: Record | None, entry: Any) -> bytes:
    """The JSON of a record, or of a note."""
    if record is None:
        return _encode(entry)
    if record.due_s == math.inf and record.due_s is not math.inf:  # a default is known by identity
        record = msgspec.structs.replace(record, due_s=math.inf)
    return _encode(record)


def thing_of(key: str, record: Any = None) -> str:
    """The thing that a record is about: its own field, or the first level of its key."""
    named = getattr(record, "thing", None)
    return named if isinstance(named, str) and named else key.partition("/")[0]


def checksum_of(kind: str, key: str, record: bytes) -> int:
    """What tells a record from one with a flipped bit."""
    return crc32(record, name_checksum(kind, key))


def name_checksum(kind: str, key: str) -> int:
    """What the checksum of a record begins with."""
    return crc32(f"{kind} {key}".encode())


# reading -------------------------------------------------------------------------------------------------


class RecordReader:
    """Reads records of known kinds from their JSON."""

    def __init__(self, kinds: Mapping[str, type[Record]]) -> None:
        self.kinds = kinds
        self._decoders = {kind: msgspec.json.Decoder(form) for kind, form in kinds.items()}

    def read(self, kind: str, key: str, record: bytes) -> Record | None:
        """The record, or None if its kind is not known here."""
        decoder = self._decoders.get(kind)
        if decoder is None:
            return None
        try:
            return decoder.decode(record)
        except msgspec.ValidationError:
            return self._with_infinities(kind, key, record)
        except msgspec.DecodeError as error:
            raise StoreError(f"the {kind} {key!r} in the store is no JSON: {error}") from None

    def _with_infinities(self, kind: str, key: str, record: bytes) -> Record:
        """JSON has null for an infinity; where null does not fit, the field's default stands."""
        form = self.kinds[kind]
        tree = msgspec.json.decode(record)
        numbers = {each.encode_name for each in msgspec.structs.fields(form) if each.default == math.inf}
        try:
            return msgspec.convert({k: v for k, v in tree.items() if v is not None or k not in numbers}, form)
        except (msgspec.ValidationError, AttributeError) as error:
            raise StoreError(
                f"the {kind} {key!r} in the store does not fit this version: {error};"
                " it may come from a newer version of windtunnel"
            ) from None


def load(history: History, kinds: Mapping[str, type[Record]]) -> Records:
    """All records of known kinds as they stand now."""
    return _filled(history.rows(), RecordReader(kinds))


def _filled(rows: Iterable[Row], reader: RecordReader) -> Records:
    records = Records()
    for kind, key, written in rows:
        record = reader.read(kind, key, written)
        if record is not None:
            records.put(kind, key, record)
    return records


def walk(history: History, wanted: Wanted) -> Iterator[Entry]:
    """Every wanted entry, oldest first, page by page."""
    after = wanted.after
    while page := history.entries(wanted._replace(after=after, limit=PAGE, is_newest_first=False)):
        yield from page
        after = page[-1].sequence


def state_at(history: History, kinds: Mapping[str, type[Record]], sequence: int) -> Records:
    """The records after the last transaction that ended at this sequence or before it.

    Raises InputError for a sequence that lies before what is kept, or that has not been reached.
    """
    base = _base(history, sequence)
    reader = RecordReader(kinds)
    records = _filled(history.rows(base) if base else (), reader)
    for entry in walk(history, Wanted(after=base, until=sequence)):
        if entry.last <= sequence:
            apply(entry, records, reader)
    return records


def apply(entry: Entry, records: Records, reader: RecordReader) -> None:
    """Change the records as the entry says."""
    if entry.what == "remove":
        records.remove(entry.kind, entry.key)
    elif entry.what == "put":
        record = reader.read(entry.kind, entry.key, entry.record)
        if record is not None:
            records.put(entry.kind, entry.key, record)


def _base(history: History, sequence: int) -> int:
    """The snapshot to start from, 0 for none."""
    bounds = history.bounds()
    if sequence > bounds.last:
        raise InputError(f"the journal has not reached sequence {sequence}; its last is {bounds.last}")
    usable = [mark.sequence for mark in history.snapshots() if mark.sequence >= bounds.first - 1]
    if bounds.first == 1:
        usable.append(0)
    before = [each for each in usable if each <= sequence]
    if sequence < 0 or not before:
        oldest = min(usable, default=bounds.last)
        raise InputError(f"sequence {sequence} lies before what is kept; the oldest state is at {oldest}")
    return max(before)


def sequence_at(history: History, at_s: float) -> int:
    """The sequence of the last entry that was written at this time (seconds) or before it.

    Times never go back along the journal, so this takes a few reads.
    """
    bounds = history.bounds()
    low, high = bounds.first - 1, bounds.last
    while low < high:
        middle = (low + high + 1) // 2
        found = history.entries(Wanted(after=middle - 1, limit=1))
        if found and found[0].at_s <= at_s:
            low = middle
        else:
            high = middle - 1
    return low


def disposable(retention: Retention, history: History, now_s: float) -> int:
    """Up to which sequence the journal may go: what neither retention nor the newest snapshot needs."""
    marks, bounds = history.snapshots(), history.bounds()
    if not marks or (retention.entries is None and retention.age_s is None):
        return 0
    limits = [marks[-1].sequence]
    if retention.entries is not None:
        limits.append(bounds.last - retention.entries)
    if retention.age_s is not None:
        limits.append(sequence_at(history, now_s - retention.age_s))
    return max(0, min(limits))
