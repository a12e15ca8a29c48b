"""Store and forward: what waits at the gateway for the way up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from twin.message import Message

BUFFER_LIMIT: Final = 10_000
BUFFER_FULL: Final = "buffer full"
PRIORITIES: Final = 3

BufferDrop: TypeAlias = Literal["oldest", "newest", "priority"]


class Held(NamedTuple):
    """A message that waits, its number in the order of arrival, and its causal chain."""

    number: int
    message: Message
    trace: int


def priority(message: Message) -> int:
    """Events and shadows 2, reports 1, everything else 0."""
    if message.topic.startswith("$") or "/event/" in message.topic:
        return 2
    return 1 if message.topic.endswith("/report") else 0


@dataclass(slots=True)
class Buffer:
    """A bounded queue, first in, first out.

    When it is full `drop` says what goes: the newest message, the oldest one, or (priority) the oldest
    among the least important.
    """

    limit: int = BUFFER_LIMIT
    drop: BufferDrop = "oldest"
    queues: tuple[deque[Held], ...] = field(init=False)
    count: int = field(init=False, default=0)
    next_number: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.queues = tuple(deque() for _ in range(PRIORITIES))

    def put(self, message: Message, trace: int) -> Message | None:
        """Hold the message; return the one that had to go for it, if any."""
        held = Held(self.next_number, message, trace)
        self.next_number += 1
        level = priority(message) if self.drop == "priority" else 0
        self.queues[level].append(held)
        self.count += 1
        return self._evict() if self.count > self.limit else None

    def take(self) -> Held | None:
        """The message that has waited longest; None if none waits."""
        waiting = [queue for queue in self.queues if queue]
        if not waiting:
            return None
        self.count -= 1
        return min(waiting, key=lambda queue: queue[0].number).popleft()

    def _evict(self) -> Message:
        self.count -= 1
        if self.drop == "newest":
            return self.queues[0].pop().message
        return next(queue for queue in self.queues if queue).popleft().message
