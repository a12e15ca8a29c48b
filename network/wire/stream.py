"""One real TCP connection that crosses a modelled path, and its two ends.

    client --socket--> End ~~~ modelled links ~~~> End --socket--> server

Nothing that was read is ever changed, dropped or reordered: a lost segment comes late, as TCP repairs it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import Final

CHUNK_BYTES: Final = 65_536
ABORT: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, no time: close sends a reset


@dataclass(slots=True, eq=False)
class End:
    """One end of a stream: its socket, what waits to be written to it, and what it has sent on.

    `name` is that of the end in the network model (`node#number`); `underway_bytes` were read here and have
    not reached the other end.
    """

    name: str
    peer: End = field(init=False, repr=False)
    sock: socket.socket | None = None
    unwritten: bytearray = field(default_factory=bytearray)
    underway_bytes: int = 0
    is_connecting: bool = False
    is_paused: bool = False
    has_read_all: bool = False
    has_spoken: bool = False
    is_to_shut: bool = False
    has_shut: bool = False

    @property
    def wants_to_write(self) -> bool:
        """Whether the socket is to be watched for room."""
        return self.is_connecting or bool(self.unwritten)

    @property
    def is_over(self) -> bool:
        """Whether both directions have ended here, or the socket is gone."""
        return self.sock is None or (self.has_read_all and self.has_shut)

    def read(self) -> bytes | None:
        """What the socket has; empty at its end, None if there is nothing now. Raises OSError on a reset."""
        if self.sock is None:
            return None
        try:
            return self.sock.recv(CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return None

    def write(self, data: bytes = b"") -> None:
        """Write what fits, keep the rest, and end the direction when asked to and all is out.

        Raises OSError if the socket's other side is gone.
        """
        if self.sock is None:
            return
        if data and (self.unwritten or self.is_connecting):
            self.unwritten += data
            data = b""
        if self.is_connecting:
            return
        if data:
            sent = self._send(data)
            self.unwritten += data[sent:]
        elif self.unwritten:
            del self.unwritten[: self._send(self.unwritten)]
        if self.is_to_shut and not self.unwritten and not self.has_shut:
            self.has_shut = True
            self.sock.shutdown(socket.SHUT_WR)

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self.sock.send(data) if self.sock else 0
        except (BlockingIOError, InterruptedError):
            return 0

    def close(self, *, is_reset: bool = False) -> None:
        """Close the socket, with a reset if asked."""
        sock, self.sock = self.sock, None
        if sock is None:
            return
        with contextlib.suppress(OSError):
            if is_reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        sock.close()


def pair(source: str, to: str) -> tuple[End, End]:
    """The two ends of a new stream."""
    first, second = End(source), End(to)
    first.peer, second.peer = second, first
    return first, second


def tune(sock: socket.socket) -> None:
    """Let the modelled links be what delays, and nothing else."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
