"""What a client's session tells whoever keeps account of its messages."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from twin.message import Message

Moment: TypeAlias = Literal[
    "acknowledged",  # the broker has the publication
    "given up",  # the session has dropped it, or the broker refused it
    "started",  # a new session object: what the one before held is gone
    "connected",  # the broker kept the session
    "connected anew",  # the broker knew nothing of it, or may have known nothing
    "disconnected",
    "subscribe",
    "subscribed",  # the broker's answer, by packet id
    "unsubscribe",
]


class Journal(Protocol):
    """Keeps account of the application messages of sessions; it may mark each on its way."""

    def published(self, client: str, message: Message) -> Message:
        """The client hands a publication to its session: the message as it is to be sent."""
        ...

    def received(self, client: str, message: Message) -> Message:
        """A publication reached the client: the message as the client is to see it."""
        ...

    def note(self, client: str, moment: Moment, message: Message | None = None, why: str = "") -> None:
        """Something else happened to a session, or to one of its messages."""
        ...
