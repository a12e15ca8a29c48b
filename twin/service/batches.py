"""How entries of the journal lie in a store: those of one commit in one piece, under one checksum."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from zlib import crc32

import msgspec
import numpy as np

from twin.state.journal import Entry, StoreError

ROW_ENTRIES: Final = 256
"""Entries in one piece at most: whoever reads one entry reads all of its piece."""

_encode: Final = msgspec.msgpack.Encoder().encode
_HEAD: Final = struct.Struct(">BI")
PACKED: Final = np.dtype("<u8")
"""How numbers are packed."""
_MANY: Final = 0xDD
"""How an array with four bytes for its length begins in msgpack."""


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An entry without its sequence; `rest` entries of the same transaction come after it."""

    rest: int
    at_s: float
    what: Literal["put", "remove", "note"]
    kind: str
    key: str
    thing: str
    record: bytes

    def entry(self, sequence: int) -> Entry:
        """The entry with its sequence."""
        return Entry(
            sequence,
            sequence + self.rest,
            self.at_s,
            self.what,
            self.kind,
            self.key,
            self.thing,
            self.record,
        )


LineFields: TypeAlias = tuple[int, float, str, str, str, str, bytes]
"""The fields of a line, as they are written."""
_lines = msgspec.msgpack.Decoder(list[Line])
_raw_lines = msgspec.msgpack.Decoder(list[msgspec.Raw])
_line = msgspec.msgpack.Decoder(Line)


class Batch(NamedTuple):
    """A piece of the journal: the entries from `first` to `last`."""

    first: int
    last: int
    entries: bytes
    checksum: int

    def read(self) -> list[Entry]:
        """All entries; raise StoreError if they are not what was written."""
        self.check()
        try:
            lines = _lines.decode(self.entries)
        except msgspec.MsgspecError as error:
            raise StoreError(f"{self} cannot be read: {error}") from None
        self._check_length(len(lines))
        return [each.entry(sequence) for sequence, each in enumerate(lines, self.first)]

    def pick(self, sequences: Iterable[int]) -> list[Entry]:
        """Some of the entries; raise StoreError if they are not what was written."""
        self.check()
        try:
            lines = _raw_lines.decode(self.entries)
            self._check_length(len(lines))
            return [_line.decode(lines[each - self.first]).entry(each) for each in sequences]
        except msgspec.MsgspecError as error:
            raise StoreError(f"{self} cannot be read: {error}") from None

    def records(self, sequences: Iterable[int]) -> list[bytes]:
        """The records of some entries of a piece that is known to be whole."""
        lines = _raw_lines.decode(self.entries)
        return [_line.decode(lines[each - self.first]).record for each in sequences]

    def check(self) -> None:
        """Raise StoreError if the piece is not what was written."""
        if not isinstance(self.entries, bytes) or checksum_of(self.first, self.entries) != self.checksum:
            raise StoreError(
                f"{self} are damaged: their checksum is another;"
                " 'windtunnel twin check' looks through the whole store"
            )

    def _check_length(self, count: int) -> None:
        if count != self.last - self.first + 1:
            raise StoreError(f"{self} are damaged: there are {count}")

    def __str__(self) -> str:
        return f"entries {self.first} to {self.last} of the journal"


@dataclass(slots=True)
class Values:
    """An array in msgpack that is written a few values at a time, while the processor has them at hand."""

    parts: list[memoryview] = field(default_factory=list)
    count: int = 0

    def add(self, values: Sequence[Any]) -> None:
        """Write down some values more."""
        count = len(values)
        head_bytes = 1 if count < 16 else 3 if count < 65_536 else 5
        self.parts.append(memoryview(_encode(values))[head_bytes:])
        self.count += count

    def whole(self) -> bytes:
        """The array with all of them."""
        return b"".join((_HEAD.pack(_MANY, self.count), *self.parts))


def batch(first: int, lines: Values) -> Batch:
    """A piece of these lines."""
    entries = lines.whole()
    return Batch(first, first + lines.count - 1, entries, checksum_of(first, entries))


def checksum_of(first: int, entries: bytes) -> int:
    """What tells a piece from one with a flipped bit, or in another place."""
    return crc32(entries, first & 0xFFFF_FFFF)


def packed(numbers: Iterable[int]) -> bytes:
    """Numbers as eight bytes each, the lowest first."""
    return _little(array("Q", numbers)).tobytes()


def unpacked(written: bytes) -> array[int]:
    """The numbers again; raise StoreError if something is missing."""
    numbers = array("Q")
    try:
        numbers.frombytes(written)
    except (TypeError, ValueError) as error:
        raise StoreError(f"numbers in the store cannot be read: {error}") from None
    return _little(numbers)


def _little(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
