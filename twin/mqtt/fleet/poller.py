"""What the engine needs of the operating system: a poller, sockets that do not wait, and TLS over bytes.

The sockets are the interpreter's own (`_socket`), which gevent's monkey patching does not touch, and TLS
works on buffers, so the engine runs the same in every kind of loop.
"""

from __future__ import annotations

import errno
import select
import selectors
import socket
import ssl
import struct
import sys
from _socket import socket as RawSocket  # noqa: N812  (it is a class)
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from twin.errors import MissingEnvironmentError

IN: Final = 1
OUT: Final = 4
BROKEN: Final = 8 | 16
"""EPOLLERR and EPOLLHUP."""
BIND_ADDRESS_NO_PORT: Final = 24  # linux/in.h: choose the port on connect, so that ports can be shared
TOTAL_RETRANSMISSIONS: Final = struct.Struct("@I")
TOTAL_RETRANSMISSIONS_AT: Final = 100  # tcpi_total_retrans in struct tcp_info, linux/tcp.h
TLS_CHUNK_BYTES: Final = 65_536


class Poller(Protocol):
    """What `select.epoll` does; its masks are epoll's."""

    def register(self, fd: int, eventmask: int, /) -> None:
        """Watch a file."""

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Watch it for something else."""

    def unregister(self, fd: int, /) -> None:
        """Watch it no more."""

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """What is ready; wait at most so long (s)."""

    def fileno(self) -> int:
        """A file that is readable when something is ready."""

    def close(self) -> None:
        """Watch nothing any more."""


def new_poller() -> Poller:
    """The best that this system has."""
    epoll = getattr(select, "epoll", None)
    return SelectorPoller() if epoll is None else epoll()


class SelectorPoller:
    """The poller of a system without epoll."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, fd: int, eventmask: int, /) -> None:
        """Watch a file."""
        self._selector.register(fd, _events(eventmask))

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Watch it for something else."""
        self._selector.modify(fd, _events(eventmask))

    def unregister(self, fd: int, /) -> None:
        """Watch it no more."""
        with suppress(KeyError):
            self._selector.unregister(fd)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """What is ready."""
        ready = self._selector.select(timeout)
        found = [
            (
                key.fd,
                (IN if mask & selectors.EVENT_READ else 0) | (OUT if mask & selectors.EVENT_WRITE else 0),
            )
            for key, mask in ready
        ]
        return found[:maxevents] if maxevents > 0 else found

    def fileno(self) -> int:
        """A file that is readable when something is ready; raise MissingEnvironmentError if there is none."""
        fileno: Callable[[], int] | None = getattr(self._selector, "fileno", None)
        if fileno is None:
            raise MissingEnvironmentError(
                "this system has no poller that another loop could watch; use run()"
            )
        return fileno()

    def close(self) -> None:
        """Watch nothing any more."""
        self._selector.close()


def _events(mask: int) -> int:
    return (selectors.EVENT_READ if mask & IN else 0) | (selectors.EVENT_WRITE if mask & OUT else 0)


class Address(NamedTuple):
    """A resolved address."""

    family: int
    place: tuple[Any, ...]


def resolve(host: str, port: int) -> Address:
    """Where this is; raise MissingEnvironmentError if nobody knows the name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise MissingEnvironmentError(
            f"no broker at {host}:{port}: its name is not known ({error})"
        ) from None
    return Address(int(found[0][0]), found[0][4])


def dial(address: Address, source: str) -> tuple[RawSocket, int]:
    """A socket that is connecting, and the error number if it failed at once. Raise OSError for no socket."""
    sock = RawSocket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            if sys.platform == "linux":
                sock.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        code = sock.connect_ex(address.place)
    except OSError:
        sock.close()
        raise
    return sock, 0 if code in {errno.EINPROGRESS, errno.EWOULDBLOCK} else code


def was_retransmitted(sock: RawSocket) -> bool:
    """Whether the system had to send something again; True where it does not say."""
    if sys.platform != "linux":
        return True
    with suppress(OSError, struct.error):
        said = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
        return bool(TOTAL_RETRANSMISSIONS.unpack_from(said, TOTAL_RETRANSMISSIONS_AT)[0])
    return True


class TlsPipe:
    """TLS of one connection, over bytes: what comes out of `open` and `seal` goes up and down."""

    __slots__ = ("_incoming", "_outgoing", "_tls", "is_closed")

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self.is_closed = False

    def shake_hands(self, data: bytes) -> bool:
        """Go on with the handshake; whether it is over. Raise ssl.SSLError."""
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def seal(self, data: bytes) -> bytes:
        """The bytes to send for these."""
        self._tls.write(data)
        return self._outgoing.read()

    def open(self, data: bytes) -> bytes:
        """What was said with these bytes. Raise ssl.SSLError."""
        self._incoming.write(data)
        said = []
        try:
            while part := self._tls.read(TLS_CHUNK_BYTES):
                said.append(part)
            self.is_closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.is_closed = True
        return b"".join(said)

    def outgoing(self) -> bytes:
        """What TLS itself has to say."""
        return self._outgoing.read() if self._outgoing.pending else b""
