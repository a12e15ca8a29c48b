"""A message on its way from one node to another."""

from __future__ import annotations

from collections.abc import Callable

from twin.message import Message


class Flight:
    """One message between two nodes, from the moment its sender hands it over.

    It is also the entry in the event queue for each of its hops (SimPy asks an event for `callbacks`
    and `_ok` only), so a hop allocates nothing. `path` and `hop` belong to the carrier.
    """

    __slots__ = (
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

    def __init__(self, source: str, to: str, message: Message, sent_s: float, trace: int) -> None:
        self.source = source
        self.to = to
        self.message = message
        self.sent_s = sent_s
        self.trace = trace
        self.callbacks: tuple[Callable[[Flight], None], ...] | None = None
