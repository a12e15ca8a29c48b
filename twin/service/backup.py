"""What lies beside a store so that it can be restored: snapshots, and the tail of commits after each.

`STORE.snapshot-N` has every record and what waited in the outbox after sequence N; it is written under
another name, synced and renamed, so it is there whole or not at all. `STORE.tail-N` has every commit after
it, appended when the store has kept it. Both are frames: a head with length and checksum, then msgpack. In
a tail the pieces of the journal and the messages follow as they are in the store, with the checksums that
they have there.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, TypeVar
from zlib import crc32

import msgspec

from twin.service.batches import Batch
from twin.service.planning import Numbered, Plan
from twin.state.journal import Mark, Row, StoreError

T = TypeVar("T")

HEAD: Final = struct.Struct("<4sIII")
MAGIC: Final = b"wtF2"
ROWS_A_FRAME: Final = 1_000
LONGEST_FRAME_BYTES: Final = 1 << 30
KEPT_SNAPSHOTS: Final = 4
"""Snapshots that are kept for reading the past; the tail is kept from the last but one on."""


class Kept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record of a snapshot."""

    kind: str
    key: str
    thing: str
    record: bytes


class Head(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first frame of a snapshot: where it stands, how many records follow, what waits to be published."""

    schema: int
    sequence: int
    at_s: float
    count: int
    outbox: list[Numbered]


class Commit(NamedTuple):
    """What a commit wrote."""

    pieces: list[Batch]
    outbox: list[Numbered]
    settled: list[int]

    @property
    def last(self) -> int | None:
        """The sequence of its last entry, if it has any."""
        return self.pieces[-1].last if self.pieces else None


class _Written(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What comes first in a frame of a tail: where each piece of the journal and the messages of each number
    belong, their length, and their checksum.
    """

    pieces: list[tuple[int, int, int, int]]
    outbox: list[tuple[int, int, int]]
    settled: list[int]


_encode = msgspec.msgpack.Encoder().encode
_head = msgspec.msgpack.Decoder(Head)
_rows = msgspec.msgpack.Decoder(list[Kept])
_written = msgspec.msgpack.Decoder(_Written)


class Frame(NamedTuple):
    """What a frame holds: a value, and what follows it."""

    value: bytes
    rest: bytes


def framed(value: object, rest: Sequence[bytes] = ()) -> list[bytes]:
    """A value with its head, and what follows it as it is."""
    written = _encode(value)
    length = len(written) + sum(map(len, rest))
    return [HEAD.pack(MAGIC, length, len(written), crc32(written)), written, *rest]


class TornError(StoreError):
    """A file ends in the middle of a frame, as it does when whoever wrote it was killed."""


def frames(file: BinaryIO) -> Iterator[Frame]:
    """The frames of a file up to its end; raise StoreError at the first that is damaged or torn."""
    while head := file.read(HEAD.size):
        if len(head) < HEAD.size:
            raise TornError(f"{file.name} is torn at its end")
        magic, length, covered, checksum = HEAD.unpack(head)
        if magic != MAGIC or not covered <= length <= LONGEST_FRAME_BYTES:
            raise StoreError(f"{file.name} is damaged before byte {file.tell()}")
        written = file.read(length)
        if len(written) < length:
            raise TornError(f"{file.name} is torn at its end")
        if crc32(written[:covered]) != checksum:
            raise StoreError(f"{file.name} is damaged before byte {file.tell()}")
        yield Frame(written[:covered], written[covered:])


# snapshots -----------------------------------------------------------------------------------------------


def snapshot_path(store: Path, sequence: int) -> Path:
    """Where the snapshot after a sequence lies."""
    return store.with_name(f"{store.name}.snapshot-{sequence:012}")


def tail_path(store: Path, sequence: int) -> Path:
    """Where the commits after a snapshot lie."""
    return store.with_name(f"{store.name}.tail-{sequence:012}")


def numbered(store: Path, what: str) -> list[int]:
    """The sequences of the snapshots or tails beside a store, oldest first."""
    beginning = f"{store.name}.{what}-"
    endings = [each.name.removeprefix(beginning) for each in store.parent.glob(f"{store.name}.{what}-*")]
    return sorted(int(ending) for ending in endings if ending.isascii() and ending.isdigit())


def write_snapshot(store: Path, head: Head, rows: Iterable[Kept]) -> None:
    """Write a snapshot that is there whole or not at all."""
    path = snapshot_path(store, head.sequence)
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.writelines(framed(head))
            part: list[Kept] = []
            for row in rows:
                part.append(row)
                if len(part) == ROWS_A_FRAME:
                    file.writelines(framed(part))
                    part = []
            file.writelines(framed(part))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder last, where the system lets a folder be synced."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_head(path: Path) -> Head:
    """Where a snapshot stands; raise StoreError if it is damaged there."""
    with path.open("rb") as file:
        for frame in frames(file):
            return _decoded(_head, frame.value, path)
    raise StoreError(f"{path} is empty")


def read_snapshot(path: Path) -> tuple[Head, list[Kept]]:
    """A whole snapshot; raise StoreError if any of it is damaged or missing."""
    with path.open("rb") as file:
        whole = list(frames(file))
    if not whole:
        raise StoreError(f"{path} is empty")
    head = _decoded(_head, whole[0].value, path)
    rows = [row for frame in whole[1:] for row in _decoded(_rows, frame.value, path)]
    if len(rows) != head.count:
        raise StoreError(f"{path} ends early: {len(rows)} of {head.count} records")
    return head, rows


def snapshot_rows(path: Path) -> Iterator[Row]:
    """The records of a snapshot."""
    return (Row(each.kind, each.key, each.record) for each in read_snapshot(path)[1])


def heads(store: Path) -> list[Head]:
    """Of the readable snapshots beside a store, oldest first."""
    found = []
    for sequence in numbered(store, "snapshot"):
        try:
            found.append(read_head(snapshot_path(store, sequence)))
        except (StoreError, OSError):
            continue
    return found


def marks(store: Path) -> list[Mark]:
    """The readable snapshots beside a store, oldest first."""
    return [Mark(head.sequence, head.at_s) for head in heads(store)]


def _decoded(decoder: msgspec.msgpack.Decoder[T], written: bytes, path: Path) -> T:
    try:
        return decoder.decode(written)
    except msgspec.MsgspecError as error:
        raise StoreError(f"{path} has another form than expected: {error}") from None


# tails ---------------------------------------------------------------------------------------------------


def read_tail(path: Path) -> tuple[list[Commit], str]:
    """The commits of a tail up to where it is damaged, and what is wrong there; empty if nothing is."""
    commits: list[Commit] = []
    try:
        with path.open("rb") as file:
            commits.extend(_commit(frame, path) for frame in frames(file))
    except (StoreError, OSError) as error:
        return commits, str(error)
    return commits, ""


def _commit(frame: Frame, path: Path) -> Commit:
    written = _decoded(_written, frame.value, path)
    commit, begin = Commit([], [], written.settled), 0
    for first, last, length, checksum in written.pieces:
        piece = Batch(first, last, frame.rest[begin : begin + length], checksum)
        piece.check()
        commit.pieces.append(piece)
        begin += length
    for number, length, checksum in written.outbox:
        messages = frame.rest[begin : begin + length]
        if crc32(messages) != checksum:
            raise StoreError(f"{path} has damaged messages under number {number}")
        commit.outbox.append(Numbered(number, messages, checksum))
        begin += length
    return commit


class TailEnd(NamedTuple):
    """The last entry of a tail as far as it can be read, and what is wrong there, if anything is."""

    sequence: int
    is_torn: bool = False
    is_damaged: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it can be gone on with."""
        return not self.is_torn and not self.is_damaged


def tail_end(store: Path, snapshot: int) -> TailEnd:
    """Where the tail after a snapshot ends; one that is not there ends with the snapshot, and is torn."""
    path = tail_path(store, snapshot)
    if not path.exists():
        return TailEnd(snapshot, is_torn=True)
    sequence = snapshot
    try:
        with path.open("rb") as file:
            for frame in frames(file):
                sequence = _commit(frame, path).last or sequence
    except TornError:
        return TailEnd(sequence, is_torn=True)
    except StoreError:
        return TailEnd(sequence, is_damaged=True)
    return TailEnd(sequence)


class Tail:
    """The tail that is being written.

    It guards against a damaged store, not against a power failure, so it is not synced at each commit.
    """

    def __init__(self, store: Path, sequence: int, *, is_new: bool) -> None:
        self._file = tail_path(store, sequence).open("wb" if is_new else "ab", buffering=0)

    def append(self, plan: Plan) -> None:
        """Hand one commit to the operating system, which has it also if this process ends."""
        batches = [piece.batch for piece in plan.pieces]
        pieces = [(first, last, len(entries), checksum) for first, last, entries, checksum in batches]
        queued = [(number, len(messages), checksum) for number, messages, checksum in plan.queue]
        settled = [number for (number,) in plan.settle]
        rest = [each.entries for each in batches] + [each.messages for each in plan.queue]
        parts = framed((pieces, queued, settled), rest)
        if _write(self._file, parts) != sum(map(len, parts)):
            raise OSError(f"{self._file.name} could not be written whole")

    def abandon(self) -> None:
        """Close a tail that could not be written."""
        self._file.close()

    def close(self) -> None:
        """Sync and close."""
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


def _write(file: FileIO, parts: list[bytes]) -> int:
    """Write in one call, without making one piece of it where that can be avoided."""
    if hasattr(os, "writev"):
        return os.writev(file.fileno(), parts)
    return file.write(b"".join(parts))


def discard_old(store: Path) -> None:
    """Remove the snapshots and tails that nobody needs any more."""
    kept = numbered(store, "snapshot")[-KEPT_SNAPSHOTS:]
    for sequence in numbered(store, "snapshot"):
        if sequence not in kept:
            snapshot_path(store, sequence).unlink(missing_ok=True)
    for sequence in numbered(store, "tail"):
        if sequence < min(kept[-2:], default=0):
            tail_path(store, sequence).unlink(missing_ok=True)
