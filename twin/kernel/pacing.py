"""Pacers: how time passes until the next event."""

from __future__ import annotations

import queue
import time

import msgspec

from twin.kernel.behaviour import NodeId
from twin.message import Message

INBOX_LIMIT = 100_000


class Injected(msgspec.Struct, frozen=True):
    """A message that came from outside at `at_s` (seconds since the start of the run)."""

    at_s: float
    source: NodeId
    to: NodeId
    message: Message


class VirtualPacer:
    """Virtual time: the next event comes at once, and nothing comes from outside."""

    def wait_until(self, due_s: float) -> None:
        """Return at once."""


class WallPacer:
    """Wall time: waits for the next event, and any thread may inject a message, which ends the wait."""

    def __init__(self, inbox_limit: int = INBOX_LIMIT) -> None:
        self._origin = time.monotonic()
        self._inbox: queue.Queue[Injected] = queue.Queue(inbox_limit)
        self.refused_count = 0

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._origin

    def inject(self, source: NodeId, to: NodeId, message: Message) -> bool:
        """Hand in a message from any thread; False (and counted) when the inbox is full."""
        try:
            self._inbox.put_nowait(Injected(self._elapsed_s(), source, to, message))
        except queue.Full:
            self.refused_count += 1
            return False
        return True

    def wait_until(self, due_s: float) -> Injected | None:
        """Wait until `due_s` on the wall clock, or for the first injected message."""
        wait_s = due_s - self._elapsed_s()
        try:
            return self._inbox.get(timeout=wait_s) if wait_s > 0 else self._inbox.get_nowait()
        except queue.Empty:
            return None
