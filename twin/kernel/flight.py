"""What stands in the event queue: a message on its way, and a node's timer.

Both are used as SimPy events (which asks an event for `callbacks` and `_ok` only) and are put back
into the queue for each hop or wake, so that a hop allocates nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twin.message import Message

if TYPE_CHECKING:
    from twin.kernel.behaviour import Woken


class Flight:
    """One message between two nodes, from the moment its sender hands it over (`sent_s`, seconds).

    `trace` is shared by all messages of one causal chain, `parent` is the `identity` of the flight whose
    arrival caused this one (0: none). `arrived_s` is when it reached a node with a
    station, else negative. `path`, `hop` and `size_bytes` belong to the carrier.
    """

    __slots__ = (
        "arrived_s",
        "callbacks",
        "hop",
        "identity",
        "message",
        "parent",
        "path",
        "sent_s",
        "size_bytes",
        "source",
        "to",
        "trace",
    )
    _ok = True

    path: Any
    hop: int
    size_bytes: int

    def __init__(
        self,
        source: str,
        to: str,
        message: Message,
        sent_s: float,
        trace: int,
        identity: int = 0,
        parent: int = 0,
    ) -> None:
        self.source = source
        self.to = to
        self.message = message
        self.sent_s = sent_s
        self.trace = trace
        self.identity = identity
        self.parent = parent
        self.arrived_s = -1.0
        self.callbacks: tuple[Callable[[Flight], None], ...] | None = None


class Timer:
    """A node's pending or spent wake under one tag; it remembers the chain that asked for it."""

    __slots__ = ("callbacks", "event", "node", "parent", "trace")
    _ok = True

    def __init__(self, node: str, event: Woken) -> None:
        self.node = node
        self.event = event
        self.trace = 0
        self.parent = 0
        self.callbacks: tuple[Callable[[Timer], None], ...] | None = None

    @property
    def is_pending(self) -> bool:
        """Whether it stands in the event queue."""
        return bool(self.callbacks)
