"""What a sink is, and what it keeps."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, Protocol, runtime_checkable

import msgspec

from twin.state.rules.sinks import SinkError

CALL_S: Final = 5.0
"""A call to a backend that takes longer has failed; whether it kept the records is then unknown."""


class RejectedError(SinkError):
    """The backend is there and will never take these records; the message says why."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One document for a backend. The same record has the same `key` whenever it is sent again."""

    key: str
    topic: str
    thing: str
    at_s: float
    payload: bytes


class RecordSink(Protocol):
    """A backend. All calls come from one thread, and none may take much longer than CALL_S."""

    def open(self) -> None:
        """Connect and make what is absent; called again after any SinkError.

        Raises SinkError if the backend is away, InputError if it will not have us as we are written,
        MissingEnvironmentError if a package is missing.
        """
        ...

    def write(self, records: Sequence[Record]) -> None:
        """Keep all of them; returning says that the backend has acknowledged it.

        Raises SinkError if that is not possible now, RejectedError if it never will be.
        """
        ...

    def close(self) -> None:
        """Let go."""
        ...


@runtime_checkable
class Answering(Protocol):
    """A backend that can be asked, too."""

    def latest(self, topic: str) -> bytes | None:
        """The payload kept last under a topic. Raises SinkError."""
        ...


def thing_of(topic: str) -> str:
    """The thing that publishes under a topic: the last level but one, as in `site/s/sensor/s-1/smoke`."""
    levels = topic.split("/")
    return levels[-2] if len(levels) > 1 else topic


def document_of(payload: bytes) -> str | None:
    """The payload as JSON text, None if it is none."""
    try:
        msgspec.json.decode(payload)
        return payload.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


@contextmanager
def cut_off(descriptor: int, after_s: float = CALL_S) -> Iterator[None]:
    """Shut the socket of a call that does not return: some clients wait for ever for a frozen server."""
    timer = threading.Timer(after_s, _shut, (descriptor,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
        copy.shutdown(socket.SHUT_RDWR)
