"""A file of JSON lines; needs nothing. What a kill tore off is cut away at the next start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

import msgspec

from twin.errors import InputError
from twin.live.sinks.address import Address
from twin.live.sinks.port import Record
from twin.state.rules.sinks import SinkError

BLOCK_BYTES: Final = 65_536


@dataclass(slots=True)
class LinesSink:
    """One write and one fsync a batch. A batch that fails is taken back, so it can be written again."""

    address: Address
    _file: BinaryIO | None = field(init=False, default=None)

    def open(self) -> None:
        """Open the file at its end, after the last whole line."""
        path = self.address.path
        if not path:
            raise InputError("a file sink needs a file, as in file:records.jsonl")
        try:
            file = open(path, "ab+", buffering=0)  # noqa: SIM115, PTH123  (kept open)
        except OSError as error:
            raise InputError(f"the file {path} cannot be used: {error.strerror}") from None
        file.truncate(_end_of_lines(file))
        self._file = file

    def write(self, records: Sequence[Record]) -> None:
        """Append, and return when it is on disk."""
        if self._file is None:
            raise SinkError(f"{self.address.shown} is not open")
        before = os.fstat(self._file.fileno()).st_size
        data = memoryview(b"".join(line_of(each) for each in records))
        try:
            while data:
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(before)
            raise SinkError(f"{self.address.shown}: {error.strerror}") from None

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


def line_of(record: Record) -> bytes:
    """The record as one line of JSON: its document as it is, or other bytes in base64."""
    try:
        document = msgspec.json.format(msgspec.Raw(record.payload), indent=-1)
        msgspec.json.decode(document)
        body: dict[str, object] = {"document": msgspec.Raw(document)}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = {"payload": record.payload}
    head = {"key": record.key, "topic": record.topic, "thing": record.thing, "at_s": record.at_s}
    return msgspec.json.encode({**head, **body}) + b"\n"


def _end_of_lines(file: object) -> int:
    """Where the last whole line ends."""
    assert hasattr(file, "fileno")  # noqa: S101
    descriptor = file.fileno()
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - BLOCK_BYTES)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
