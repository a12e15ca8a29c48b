"""Sinks: where forwarded documents go, one after the other, behind a queue that has an end.

A forwarded document waits in the outbox like any message, under the topic `$sink/{name}`; whoever publishes
the outbox hands it to `take` instead, and calls `drain` where waiting does no harm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from twin.message import Message

SINK_TOPIC: Final = "$sink/"
QUEUE_LIMIT: Final = 10_000


class SinkError(Exception):
    """A sink could not write; the document is tried again, as often as `attempts` says."""


class Sink(Protocol):
    """A database, a stream, an object store or a function."""

    def write(self, document: Mapping[str, Any]) -> None:
        """Keep one document. Raises SinkError if that is not possible now."""
        ...


@dataclass(slots=True)
class Sinks:
    """The sinks by name. What finds the queue full, or no sink of its name, is dropped and counted."""

    sinks: Mapping[str, Sink]
    limit: int = QUEUE_LIMIT
    attempts: int = 3

    sent_count: int = field(init=False, default=0)
    failed_count: int = field(init=False, default=0)
    dropped_count: int = field(init=False, default=0)
    waiting: deque[tuple[str, bytes, int]] = field(init=False, default_factory=deque)

    def take(self, message: Message) -> bool:
        """Whether the message is for a sink; it then waits for its turn."""
        if not message.topic.startswith(SINK_TOPIC):
            return False
        name = message.topic.removeprefix(SINK_TOPIC)
        if name not in self.sinks or len(self.waiting) >= self.limit:
            self.dropped_count += 1
        else:
            self.waiting.append((name, message.payload, 1))
        return True

    def drain(self, most: int = 100) -> int:
        """Write at most so many of those that wait, and return how many still do."""
        for _ in range(min(most, len(self.waiting))):
            name, payload, attempt = self.waiting.popleft()
            try:
                self.sinks[name].write(msgspec.json.decode(payload))
            except SinkError:
                if attempt < self.attempts:
                    self.waiting.append((name, payload, attempt + 1))
                else:
                    self.failed_count += 1
            else:
                self.sent_count += 1
        return len(self.waiting)
