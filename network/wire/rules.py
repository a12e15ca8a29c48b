"""TCP's rules for streams whose bytes are real: what they carry is not looked into."""

from __future__ import annotations

from network.transport import Tcp, segment_bytes
from twin.message import Message


class StreamTcp(Tcp, frozen=True):
    """TCP by Linux's timers for a stream of bytes; TLS, if any, is in the bytes already."""

    def framing(self, message: Message) -> int:
        """Bytes on the wire: the chunk and one TCP/IP header a segment."""
        return segment_bytes(max(1, len(message.payload)))
