"""TCP's rules for streams whose bytes are real: what they carry is not looked into."""

from __future__ import annotations

from network.transport import Tcp, segment_bytes
from twin.message import Message


class StreamTcp(Tcp, frozen=True):
    """TCP by Linux's timers for a stream of bytes; TLS, if any, is in the bytes already.

    `has_tls` says that it is there, for faults that concern it.
    """

    has_tls: bool = False

    @property
    def is_secured(self) -> bool:
        """Whether there is TLS in the bytes."""
        return self.has_tls

    def framing(self, message: Message) -> int:
        """Bytes on the wire: the chunk and one TCP/IP header a segment."""
        return segment_bytes(max(1, len(message.payload)))
