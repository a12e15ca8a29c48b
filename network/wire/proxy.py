"""The link proxy: one thread that carries the bytes of thousands of connections over modelled links.

Each accepted connection becomes a connection of the network model, which is the simulation's own: handshake,
retransmission, order and black holes come from there, on the wall clock. Faults act on the same network.
The kernel completes a handshake before the proxy sees it, so a client believes to be connected a round trip
early; its first bytes make up for it. While the path is a black hole it is connected to nobody.
"""

from __future__ import annotations

import errno
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from network.carrier import Network
from network.faults import RESET as RESET_FAULT
from network.topology import PORT_MARK, node_of
from network.wire.datagrams import Arrived, Datagrams
from network.wire.losses import Losses
from network.wire.rules import StreamTcp
from network.wire.stream import End, pair, tune
from network.wire.timeline import WallTimeline
from twin.errors import InputError, MissingEnvironmentError
from twin.kernel.flight import Flight
from twin.kernel.waiting import wait_for
from twin.message import Message

BUFFER_BYTES: Final = 1_048_576
CONNECTION_LIMIT: Final = 9_000
BACKLOG: Final = 1_024
ACCEPTS_A_TURN: Final = 64
LONGEST_WAIT_S: Final = 1.0
TLS_HELLO: Final = b"\x16\x03"
CONNECT, DATA, FIN, RESET, DATAGRAM = "connect", "data", "fin", "reset", "datagram"

Address = tuple[str, int]


class Route(NamedTuple):
    """Where connections are taken and where they go: real addresses, and nodes of the network."""

    listener: socket.socket
    to: Address
    source: str
    target: str


@dataclass(slots=True)
class Tally:
    """What the proxy has done so far: `broken` connections and `lost` datagrams by cause."""

    connection_count: int = 0
    refused_count: int = 0
    chunk_count: int = 0
    byte_count: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


class LinkProxy:
    """Carries real TCP connections over the links of a network.

    Times are seconds since it was made. `run` works until `stop`; every other method but `call` and `stop`
    belongs to the thread that runs, or is called before. `buffer_bytes` bounds what one direction of a
    connection holds: then the proxy reads no further, and the sender's own TCP waits. Connections past
    `connection_limit` are reset; `full` is told of the first.
    """

    def __init__(
        self,
        network: Network,
        *,
        clock: Callable[[], float] = time.monotonic,
        buffer_bytes: int = BUFFER_BYTES,
        connection_limit: int = CONNECTION_LIMIT,
        losses: Losses | None = None,
        full: Callable[[], None] = lambda: None,
    ) -> None:
        self.network = network
        self.losses = losses or Losses()
        origin_s = clock()
        self.timeline = WallTimeline(lambda: clock() - origin_s, self)
        self.tally = Tally()
        self._buffer_bytes = buffer_bytes
        self._connection_limit = connection_limit
        self._full = full
        self._is_full = False
        self._selector = selectors.DefaultSelector()
        self._routes: list[Route] = []
        self._datagrams: list[Datagrams] = []
        self._ends: dict[str, End] = {}
        self._to: dict[str, Address] = {}
        self._count = 0
        self._calls: deque[Callable[[], None]] = deque()
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._take_calls)
        self._is_stopping = threading.Event()
        network.on_link_changed(self._link_changed)

    # the outside -----------------------------------------------------------------------------------------

    def listen(self, at: Address, to: Address, source: str, target: str) -> Address:
        """Take connections at an address (port 0: any free one) and carry them from node to node.

        Return the address. Raise InputError for one that cannot be listened at.
        """
        listener = _bound(at, socket.SOCK_STREAM)
        listener.listen(BACKLOG)
        route = Route(listener, to, source, target)
        self._routes.append(route)
        self._selector.register(listener, selectors.EVENT_READ, partial(self._accept, route))
        return _address(listener)

    def listen_datagrams(self, at: Address, to: Address, source: str, target: str) -> Address:
        """The same for UDP; each datagram fares by itself, whatever transport the links have."""
        inward = _bound(at, socket.SOCK_DGRAM)
        served = Datagrams(inward, to, source, target, self._watch_datagrams, self._selector.unregister)
        self._datagrams.append(served)
        self._watch_datagrams(inward, lambda: served.take(self.timeline.now))
        return _address(inward)

    def call(self, action: Callable[[], None]) -> None:
        """Let the running thread call `action` soon; from any thread."""
        self._calls.append(action)
        with suppress(BlockingIOError, OSError):
            self._waker.send(b"!")

    def call_at(self, at_s: float, action: Callable[[], None]) -> None:
        """Let the running thread call `action` at this time."""
        self.timeline.schedule(at_s, None, (lambda _: action(),))

    def stop(self) -> None:
        """End `run`; from any thread, or a signal handler."""
        self._is_stopping.set()
        self.call(lambda: None)

    def run(self) -> None:
        """Carry bytes until `stop`, then close everything."""
        try:
            while not self._is_stopping.is_set():
                self._turn()
        finally:
            self.close()

    @property
    def open_count(self) -> int:
        """Connections that are open now."""
        return len(self._ends) // 2

    # one turn --------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        self.timeline.work()
        wait_s = min(self.timeline.next_s - self.timeline.catch_up(), LONGEST_WAIT_S)
        for key, mask in wait_for(self._selector, wait_s):
            self.timeline.catch_up()
            key.data(mask)

    def _take_calls(self, _mask: int) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(4096)
        while self._calls:
            self._calls.popleft()()

    # connections -----------------------------------------------------------------------------------------

    def _accept(self, route: Route, _mask: int) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                client, _ = route.listener.accept()
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE}:
                    self.tally.refused_count += 1
                return
            self._open(route, client)

    def _open(self, route: Route, client: socket.socket) -> None:
        """Begin the modelled handshake; the server is dialled when it is through."""
        tune(client)
        self._count += 1
        first, second = pair(
            f"{route.source}{PORT_MARK}{self._count}", f"{route.target}{PORT_MARK}{self._count}"
        )
        first.sock = client
        if self.open_count >= self._connection_limit:
            self.tally.refused_count += 1
            first.close(is_reset=True)
            if not self._is_full:
                self._full()
            self._is_full = True
            return
        self.tally.connection_count += 1
        self._ends[first.name], self._ends[second.name] = first, second
        self._to[second.name] = route.to
        second.is_connecting = True
        self._send(first, CONNECT)
        self._watch(first)

    def _dial(self, end: End) -> None:
        """Connect to the server, without waiting for it."""
        address = self._to.pop(end.name)
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        tune(sock)
        end.sock = sock
        code = sock.connect_ex(address)
        if code not in {0, errno.EINPROGRESS, errno.EWOULDBLOCK}:
            self._break(end, _reason(OSError(code, "")))
            return
        self._watch(end)

    def _on_socket(self, end: End, mask: int) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                self._flush(end)
            if mask & selectors.EVENT_READ and not end.is_connecting:
                self._read(end)
        except OSError as error:
            self._broken(end, error)

    def _flush(self, end: End) -> None:
        if end.is_connecting and end.sock is not None:
            code = end.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, "")
            end.is_connecting = False
        end.write()
        self._watch(end)
        self._relieve(end.peer)
        self._finish(end)

    def _read(self, end: End) -> None:
        data = end.read()
        if data is None:
            return
        if not data:
            end.has_read_all = True
            self._send(end, FIN)
            self._watch(end)
            return
        if not end.has_spoken:
            end.has_spoken = True
            if data.startswith(TLS_HELLO) and (cause := self._refused_tls(end)):
                self.losses.add(node_of(end.name), cause)
                self._break(end, cause)
                return
        end.underway_bytes += len(data)
        self.tally.chunk_count += 1
        self.tally.byte_count += len(data)
        self._send(end, DATA, data)
        if end.underway_bytes + len(end.peer.unwritten) > self._buffer_bytes:
            end.is_paused = True
            self._watch(end)

    def _refused_tls(self, end: End) -> str | None:
        """Why the handshake of TLS that begins here fails."""
        return self.network.refused(end.name, end.peer.name, StreamTcp(has_tls=True))

    def _send(self, end: End, kind: str, data: bytes = b"") -> None:
        flight = Flight(
            end.name, end.peer.name, Message("", data, kind=kind), self.timeline.now, 0, self._count
        )
        self.network.carry(flight, self.timeline)

    def _watch_datagrams(self, sock: socket.socket, take: Callable[[], list[Arrived]]) -> None:
        def on_socket(_mask: int) -> None:
            for source, to, data in take():
                self.tally.chunk_count += 1
                self.tally.byte_count += len(data)
                flight = Flight(source, to, Message("", data, kind=DATAGRAM), self.timeline.now, 0)
                self.network.carry_datagram(flight, self.timeline)

        self._selector.register(sock, selectors.EVENT_READ, on_socket)

    # what the network model says -------------------------------------------------------------------------

    def arrive(self, flight: Flight) -> None:
        """What has crossed the links goes out at the other end."""
        if flight.message.kind == DATAGRAM:
            nodes = {node_of(flight.source), node_of(flight.to)}
            for served in self._datagrams:
                if nodes == {served.source, served.target}:
                    served.deliver(flight.to, flight.message.payload)
            return
        end = self._ends.get(flight.to)
        if end is None:
            return
        try:
            self._deliver(end, flight.message)
        except OSError as error:
            self._broken(end, error)

    def _deliver(self, end: End, message: Message) -> None:
        match message.kind:
            case "connect":
                self._dial(end)
            case "data":
                end.peer.underway_bytes -= len(message.payload)
                end.write(message.payload)
                if end.unwritten:
                    self._watch(end)
                self._relieve(end.peer)
            case "fin":
                end.is_to_shut = True
                end.write()
                self._finish(end)
            case "reset":
                self._end(end, is_reset=True)

    def lose(self, flight: Flight, where: str, cause: str) -> None:
        """A chunk will never get through, so its connection is over."""
        if flight.message.kind == DATAGRAM:
            self.losses.add(where, cause)
            self.tally.lost[cause] += 1
            return
        end = self._ends.get(flight.source)
        if end is not None and cause != RESET_FAULT:  # of that each end is told when it learns it
            self.losses.add(node_of(where), cause)
            self._break(end, cause)

    def _link_changed(self, node: str, peer: str, is_up: bool) -> None:
        """An end learns that its connection is gone, or a node that its interface went down."""
        del peer
        if is_up:
            return
        ends = [self._ends[node]] if node in self._ends else []
        if PORT_MARK not in node:
            ends = [end for name, end in self._ends.items() if node_of(name) == node]
        for end in ends:
            self._unwatch(end)
            end.close(is_reset=True)
            self._finish(end)

    # ends ------------------------------------------------------------------------------------------------

    def _broken(self, end: End, error: OSError) -> None:
        """The socket's other side is gone: the far end learns it over the links."""
        self.tally.broken[_reason(error)] += 1
        self._unwatch(end)
        end.close()
        if end.name in self._ends:
            self._send(end, RESET)

    def _break(self, end: End, cause: str) -> None:
        """The connection is over, at both ends at once."""
        self.tally.broken[cause] += 1
        self._end(end, is_reset=True)

    def _finish(self, end: End) -> None:
        """Close the stream when both of its ends are done."""
        if end.name in self._ends and end.is_over and end.peer.is_over:
            self._end(end, is_reset=False)

    def _end(self, end: End, *, is_reset: bool) -> None:
        for each in (end, end.peer):
            self._unwatch(each)
            each.close(is_reset=is_reset)
            self._ends.pop(each.name, None)
            self._to.pop(each.name, None)
        self.network.forget(end.name, end.peer.name)

    def _relieve(self, end: End) -> None:
        """Read on when half of the buffer is free again."""
        if end.is_paused and 2 * (end.underway_bytes + len(end.peer.unwritten)) < self._buffer_bytes:
            end.is_paused = False
            self._watch(end)

    def _watch(self, end: End) -> None:
        """Watch the end's socket for what matters now."""
        if end.sock is None:
            return
        mask = 0
        if not (end.has_read_all or end.is_paused or end.is_connecting):
            mask |= selectors.EVENT_READ
        if end.wants_to_write:
            mask |= selectors.EVENT_WRITE
        known = self._selector.get_map().get(end.sock)
        if known is None:
            if mask:
                self._selector.register(end.sock, mask, partial(self._on_socket, end))
        elif not mask:
            self._selector.unregister(end.sock)
        elif known.events != mask:
            self._selector.modify(end.sock, mask, known.data)

    def _unwatch(self, end: End) -> None:
        if end.sock is not None and end.sock in self._selector.get_map():
            self._selector.unregister(end.sock)

    def close(self) -> None:
        """Close everything; `run` does it at its end."""
        for end in list(self._ends.values()):
            self._unwatch(end)
            end.close(is_reset=True)
        self._ends.clear()
        for served in self._datagrams:
            served.close()
        for route in self._routes:
            route.listener.close()
        self._selector.close()
        self._waker.close()
        self._woken.close()


def _bound(at: Address, kind: socket.SocketKind) -> socket.socket:
    """A socket of this address; raise InputError if it cannot be had."""
    sock = socket.socket(socket.AF_INET6 if ":" in at[0] else socket.AF_INET, kind)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind(at)
    except (OSError, OverflowError) as error:
        sock.close()
        kind_of_error = MissingEnvironmentError if _is_taken(error) else InputError
        raise kind_of_error(f"cannot listen at {at[0]}:{at[1]}: {_reason(error)}") from None
    return sock


def _address(sock: socket.socket) -> Address:
    host, port = sock.getsockname()[:2]
    return host, port


def _is_taken(error: Exception) -> bool:
    return getattr(error, "errno", None) == errno.EADDRINUSE


def _reason(error: Any) -> str:
    code = getattr(error, "errno", None) or 0
    names = {
        errno.ECONNREFUSED: "connection refused",
        errno.ECONNRESET: "connection reset",
        errno.EPIPE: "connection reset",
        errno.EADDRINUSE: "the port is taken",
        errno.EACCES: "not allowed to",
        errno.EADDRNOTAVAIL: "this machine has no such address",
    }
    return names.get(code, "") or getattr(error, "strerror", "") or str(error)
