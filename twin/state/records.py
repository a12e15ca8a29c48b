"""What the twins consist of: records by kind and key, changed in transactions.

A record is immutable and a new one takes the place of the old, so a fork of everything costs a copy of the
dicts. Whoever changes records does it through a transaction, which remembers what the journal has to keep
and what is to be published once that is done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec

from twin.message import Message

T = TypeVar("T")
Tree: TypeAlias = dict[str, Any]
_encode = msgspec.json.Encoder().encode
STALE_DEADLINES: Final = 64
"""So many passed-over deadlines, and as many as there are records, before the heap is made anew."""


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One immutable record. Something falls due at `due_s` (seconds, absolute; infinite: nothing does).

    As JSON it leaves out what equals its default: JSON has no infinity, and a field that came later is
    read from an older journal as its default.
    """

    due_s: float = math.inf


class Deadline(NamedTuple):
    """When something falls due for a record."""

    due_s: float
    kind: str
    key: str


class Records:
    """All records of the twins, by kind and key, and the deadlines that they carry."""

    __slots__ = ("_deadlines", "_dependents", "_derived", "_kinds")

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, Any]] = {}
        self._deadlines: list[Deadline] = []
        self._derived: dict[str, Any] = {}
        self._dependents: dict[str, set[str]] = {}

    def of(self, kind: str) -> dict[str, Any]:
        """The records of a kind by key, oldest first; to be read only."""
        kept = self._kinds.get(kind)
        if kept is None:
            kept = self._kinds[kind] = {}
        return kept

    def get(self, kind: str, key: str) -> Any:
        """One record, or None."""
        kept = self._kinds.get(kind)
        return None if kept is None else kept.get(key)

    def __iter__(self) -> Iterator[tuple[str, str, Any]]:
        """Every (kind, key, record)."""
        for kind, kept in self._kinds.items():
            for key, record in kept.items():
                yield kind, key, record

    def put(self, kind: str, key: str, record: Record) -> Any:
        """Keep a record in place of an older one, which is returned, or None.

        Transactions and stores call this, nobody else.
        """
        kept = self._kinds.get(kind)
        if kept is None:
            kept = self._kinds[kind] = {}
        before = kept.get(key)
        kept[key] = record
        if kind in self._dependents:
            self._forget_derived(kind)
        if record.due_s != math.inf:
            heappush(self._deadlines, Deadline(record.due_s, kind, key))
            if len(self._deadlines) > STALE_DEADLINES + 2 * sum(map(len, self._kinds.values())):
                self._forget_passed_over()
        return before

    def remove(self, kind: str, key: str) -> None:
        """Forget a record; transactions and stores call this, nobody else."""
        self.of(kind).pop(key, None)
        if kind in self._dependents:
            self._forget_derived(kind)

    def derived(self, name: str, kinds: tuple[str, ...], make: Callable[[Records], T]) -> T:
        """What `make` makes of the records of these kinds, kept under the name until one of them changes."""
        if name not in self._derived:
            for kind in kinds:
                self._dependents.setdefault(kind, set()).add(name)
            self._derived[name] = make(self)
        made: T = self._derived[name]
        return made

    def next_due_s(self) -> float:
        """When something falls due next (seconds), infinite if nothing does."""
        while self._deadlines and not self._stands(self._deadlines[0]):
            heappop(self._deadlines)
        return self._deadlines[0].due_s if self._deadlines else math.inf

    def take_due(self, now_s: float) -> Deadline | None:
        """The oldest deadline that has come, taken off; whoever takes it gives the record a new one."""
        due_s = self.next_due_s()
        if not due_s <= now_s or due_s == math.inf:
            return None
        return heappop(self._deadlines)

    def give_back(self, deadlines: Iterable[Deadline]) -> None:
        """Deadlines that were taken and not dealt with come again."""
        for deadline in deadlines:
            heappush(self._deadlines, deadline)

    def fork(self) -> Records:
        """The same records, free to go another way from here."""
        branch = Records()
        branch._kinds = {kind: dict(kept) for kind, kept in self._kinds.items()}
        branch._deadlines = self._deadlines.copy()
        return branch

    def _forget_derived(self, kind: str) -> None:
        for name in self._dependents.pop(kind):
            self._derived.pop(name, None)

    def _stands(self, deadline: Deadline) -> bool:
        record = self.get(deadline.kind, deadline.key)
        return record is not None and record.due_s == deadline.due_s

    def _forget_passed_over(self) -> None:
        standing = {deadline for deadline in self._deadlines if self._stands(deadline)}
        self._deadlines = list(standing)
        heapify(self._deadlines)


class Change(msgspec.Struct, frozen=True, gc=False):
    """One change, as the journal keeps it: the new record, or None if it was removed.

    A "note" changes no record: its `entry`, shaped as JSON, stands in the journal only. `before` is the
    record that stood in its place.
    """

    what: Literal["put", "remove", "note"]
    kind: str
    key: str
    record: Record | None = None
    entry: Any = None
    before: Record | None = None


class Transaction(msgspec.Struct, gc=False):
    """What one request changes and publishes, at `now_s`: kept whole or not at all, published when kept.

    `observations` are measured values by name, for metrics.
    """

    records: Records
    now_s: float
    changes: list[Change] = []
    messages: list[Message] = []
    observations: list[tuple[str, float]] = []

    def put(self, kind: str, key: str, record: Record) -> None:
        """Keep a record in place of an older one."""
        before = self.records.put(kind, key, record)
        self.changes.append(Change("put", kind, key, record, None, before))

    def remove(self, kind: str, key: str) -> None:
        """Forget a record."""
        before = self.records.get(kind, key)
        self.records.remove(kind, key)
        self.changes.append(Change("remove", kind, key, None, None, before))

    def note(self, kind: str, key: str, entry: Any) -> None:
        """Write into the journal without changing a record."""
        self.changes.append(Change("note", kind, key, None, entry))

    def publish(self, topic: str, document: Any, *, qos: int = 1, retain: bool = False) -> None:
        """Publish a document as JSON, or bytes as they are."""
        payload = document if type(document) is bytes else _encode(document)
        self.messages.append(Message(topic, payload, qos, retain))

    def observe(self, measure: str, value: float = 1.0) -> None:
        """Record a measured value."""
        self.observations.append((measure, value))

    def undo(self) -> None:
        """Put back what stood before, because this was not kept; of several the last is undone first."""
        for change in reversed(self.changes):
            if change.before is not None:
                self.records.put(change.kind, change.key, change.before)
            elif change.what == "put":
                self.records.remove(change.kind, change.key)
        self.changes.clear()
        self.messages.clear()


class Component(Protocol):
    """One part of the twin service. It has no state but settings: everything it knows is in records."""

    @property
    def filters(self) -> Sequence[str]:
        """The topic filters of the messages that it takes."""
        ...

    @property
    def kinds(self) -> Mapping[str, type[Record]]:
        """The kinds of records that are its own."""
        ...

    def handle(self, message: Message, transaction: Transaction) -> None:
        """Take a message: change records, publish answers. A bad message is answered, never raised."""
        ...

    def expire(self, kind: str, key: str, transaction: Transaction) -> None:
        """The deadline of a record of its own has come; the record needs a later one, or none."""
        ...
