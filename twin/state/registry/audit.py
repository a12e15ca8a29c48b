"""The audit log: who was refused what, and who changed whom; notes of the kind "audit" in the journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import msgspec

from twin.state.records import Transaction

AUDIT: Final = "audit"
MOST_ENTRIES: Final = 10_000
LONGEST_TEXT: Final = 400

Decision: TypeAlias = Literal["allowed", "refused"]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of the audit log; `what` is a topic, a filter, or what was administered."""

    at_s: float
    who: str
    verb: str
    what: str
    decision: Decision
    reason: str = ""


def audit(transaction: Transaction, entry: Entry) -> None:
    """Write an entry into the journal with the transaction."""
    transaction.note(AUDIT, entry.who[:LONGEST_TEXT], msgspec.to_builtins(entry))


def administered(transaction: Transaction, who: str, verb: str, what: str, reason: str = "") -> None:
    """Write into the journal that somebody changed something."""
    audit(transaction, Entry(transaction.now_s, who, verb, what, "allowed", reason))


@dataclass(slots=True)
class AuditLog:
    """The newest entries, to be asked; what the journal has of them is not lost when they go from here."""

    limit: int = MOST_ENTRIES

    entries: deque[Entry] = field(init=False)
    refused_count: int = field(init=False, default=0)
    dropped_count: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.entries = deque(maxlen=self.limit)

    def add(self, entry: Entry) -> None:
        """Keep an entry; the oldest goes when the log is full."""
        self.dropped_count += len(self.entries) == self.limit
        self.refused_count += entry.decision == "refused"
        self.entries.append(entry)

    def take(self, transaction: Transaction) -> None:
        """Keep the audit notes of a transaction that was committed."""
        for change in transaction.changes:
            if change.what == "note" and change.kind == AUDIT:
                self.add(msgspec.convert(change.entry, Entry))

    def find(
        self, *, who: str = "", verb: str = "", decision: str = "", since_s: float = 0.0, limit: int = 100
    ) -> list[Entry]:
        """The newest entries that fit, newest first."""
        found: list[Entry] = []
        for entry in reversed(self.entries):
            if len(found) >= limit or entry.at_s < since_s:
                break
            if who in ("", entry.who) and verb in ("", entry.verb) and decision in ("", entry.decision):
                found.append(entry)
        return found

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)
