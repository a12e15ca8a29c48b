"""The sockets of a run to one real broker: one for each node that speaks with it.

    node's session --packets--> Wires --bytes--> broker
                   <-packets--        <-bytes--

Packets go in and come out as the messages of `twin.mqtt`; what a session means by them is its own business.
"""

from __future__ import annotations

import errno
import selectors
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from msgspec.structs import replace

from twin.kernel.behaviour import NodeId
from twin.live.dialect import inward, outward
from twin.live.endpoint import Endpoint
from twin.live.pacer import SocketPacer
from twin.live.websocket import WebSocket
from twin.message import Message
from twin.mqtt.codec import CodecError, Decoder, encode
from twin.mqtt.packets import Version, connect_message, read_connect
from twin.mqtt.trouble import why

RECEIVE_BYTES: Final = 65_536
UNSENT_LIMIT_BYTES: Final = 4_194_304
CONNECT_WINDOW: Final = 80
"""Connections that are being made at once: more overrun a broker's backlog, and a SYN is sent again after
one second (measured with mosquitto: 200 stall, 80 do not)."""
IP_BIND_ADDRESS_NO_PORT: Final = 24  # Linux; the port is chosen at connect, so that it can be shared
QUICK_ACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
"""Acknowledge at once: a broker that leaves Nagle's algorithm on holds a packet until we do, and Linux takes
40 ms for it (the embedded broker: 21 ms a message on average). To be set again after each read."""
LEAVE_S: Final = 1.0
"""So long a connection stays at most after its DISCONNECT until the broker closes it. It is neither closed
nor shut for writing before: the embedded broker that reads the end beside a DISCONNECT sees its client off
twice, and the second time drops who has come meanwhile by another of its ports (measured: 1 of 10)."""
CLOSED: Final = "closed"
AGAIN: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Way(NamedTuple):
    """How a node reaches the broker: another address than the broker's own, an address of the node's own, and
    what its socket is to be made within, if there are any.
    """

    to: tuple[str, int] | None = None
    source: str | None = None
    within: Callable[[], AbstractContextManager[object]] = nullcontext


STRAIGHT: Final = Way()


@dataclass(slots=True, eq=False)
class Wire:
    """One node's connection."""

    node: NodeId
    sock: socket.socket | ssl.SSLSocket
    decoder: Decoder
    unsent: bytearray = field(default_factory=bytearray)
    is_connecting: bool = True
    is_shaking_hands: bool = False
    is_last_packet: bool = False
    is_quick: bool = False
    web: WebSocket | None = None
    held: bytearray = field(default_factory=bytearray)
    """Packets that wait for the WebSocket to open."""


class Wires:
    """All connections of a run to one broker. `received` and `closed` are told on the pacer's thread.

    `way_of` may send a node elsewhere than to the broker itself, to a link's proxy, and may give it an
    address of its own. `heard_s` is when the broker last sent anything.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        pacer: SocketPacer,
        received: Callable[[NodeId, Message], None],
        closed: Callable[[NodeId, str], None],
        way_of: Callable[[NodeId, Version], Way] = lambda *_: STRAIGHT,
    ) -> None:
        self.endpoint = endpoint
        self.ended: Counter[str] = Counter()
        self.heard_s = 0.0
        self._pacer = pacer
        self._received = received
        self._closed = closed
        self._way_of = way_of
        self._wires: dict[NodeId, Wire] = {}
        self._waiting: dict[NodeId, bytearray] = {}
        self._leaving: set[Wire] = set()
        self._versions: dict[NodeId, Version] = {}
        self._connecting_count = 0
        self._tls = tls_of(endpoint) if endpoint.is_tls else None

    @property
    def now(self) -> float:
        """Seconds of the run that have passed on the wall."""
        return self._pacer.now

    @property
    def open_count(self) -> int:
        """Connections that are open or being made."""
        return len(self._wires) + len(self._waiting)

    def is_open(self, node: NodeId) -> bool:
        """Whether the node has a connection, or is getting one."""
        return node in self._wires or node in self._waiting

    def send(self, node: NodeId, message: Message) -> bool:
        """Send a packet; a CONNECT opens the connection anew. False if there is none."""
        message = outward(message, self.endpoint)
        if message.kind == "connect":
            self.drop(node)
            self._versions[node] = read_connect(message).version
            self._waiting[node] = bytearray(encode_connect(message, self.endpoint))
            self._open_waiting()
            return True
        data = encode(message)
        if node in self._waiting:
            self._waiting[node] += data
            return True
        wire = self._wires.get(node)
        if wire is None:
            return False
        wire.is_last_packet = message.kind == "disconnect"
        self._write(wire, data)
        return True

    def drop(self, node: NodeId) -> None:
        """Close the node's connection without a word."""
        self._waiting.pop(node, None)
        wire = self._wires.get(node)
        if wire is not None:
            self._forget(wire)

    def close(self) -> None:
        """Close everything."""
        for node in [*self._wires, *self._waiting]:
            self.drop(node)
        for wire in [*self._leaving]:
            self._left(wire)

    # opening ---------------------------------------------------------------------------------------------

    def _open_waiting(self) -> None:
        while self._waiting and self._connecting_count < CONNECT_WINDOW:
            node = next(iter(self._waiting))
            self._open(node, self._waiting.pop(node))

    def _open(self, node: NodeId, unsent: bytearray) -> None:
        endpoint = self.endpoint.speaking(self._versions[node])
        to, source, within = self._way_of(node, endpoint.version)
        host, port = to or (endpoint.host, endpoint.port)
        try:
            with within():
                sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:  # no more files may be opened; the node may try again later
            self.ended[why(error)] += 1
            self._closed(node, why(error))
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = self._wires[node] = Wire(node, sock, Decoder(self._versions[node]), unsent)
        wire.is_quick = QUICK_ACK is not None and source is None  # a real link has its own acknowledgements
        if endpoint.is_websocket:
            wire.web = WebSocket(endpoint.authority, endpoint.path)
            wire.held, wire.unsent = unsent, bytearray(wire.web.opening())
        self._connecting_count += 1
        if source is not None:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        code = sock.connect_ex((host, port))
        if code not in {0, errno.EINPROGRESS, errno.EWOULDBLOCK}:
            self._end(wire, OSError(code, errno.errorcode.get(code, "")))
            return
        self._watch(wire)

    def _connected(self, wire: Wire) -> None:
        code = wire.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, errno.errorcode.get(code, ""))
        if self._tls is not None and not wire.is_shaking_hands:
            self._pacer.watch(wire.sock, 0, lambda _: None)
            wire.sock = self._tls.wrap_socket(
                wire.sock, server_hostname=self.endpoint.host, do_handshake_on_connect=False
            )
            wire.is_shaking_hands = True
        if wire.is_shaking_hands and isinstance(wire.sock, ssl.SSLSocket):
            wire.sock.do_handshake()
        wire.is_connecting = wire.is_shaking_hands = False
        self._connecting_count -= 1
        self._open_waiting()

    # one socket ------------------------------------------------------------------------------------------

    def _on_socket(self, wire: Wire, mask: int) -> None:
        try:
            if wire.is_connecting:
                self._connected(wire)
            if wire.unsent:
                self._flush(wire)
            if mask & selectors.EVENT_READ and self._is_current(wire):
                self._read(wire)
        except AGAIN:
            pass
        except (OSError, CodecError) as error:
            self._end(wire, error)
            return
        if self._is_current(wire):
            self._watch(wire)

    def _read(self, wire: Wire) -> None:
        while True:
            data = wire.sock.recv(RECEIVE_BYTES)
            if wire.is_quick:
                wire.sock.setsockopt(socket.IPPROTO_TCP, QUICK_ACK or 0, 1)
            if not data:
                self._end(wire, None)
                return
            self.heard_s = self._pacer.now
            for message in wire.decoder.feed(
                data if wire.web is None else self._unwrapped(wire, wire.web, data)
            ):
                self._received(wire.node, inward(message, self.endpoint))
            if not self._is_current(wire):
                return
            if not (isinstance(wire.sock, ssl.SSLSocket) and wire.sock.pending()):
                return

    def _unwrapped(self, wire: Wire, web: WebSocket, data: bytes) -> bytes:
        """The MQTT bytes in what came over a WebSocket; what waited for it goes out."""
        found = web.feed(data)
        answers = web.answers()
        if answers:
            self._push(wire, answers)
        if web.is_open and wire.held:
            held, wire.held = bytes(wire.held), bytearray()
            self._push(wire, web.wrap(held))
        if web.is_closed:
            self._end(wire, None)
        return found

    def _write(self, wire: Wire, data: bytes) -> None:
        """Send MQTT bytes, now or when the WebSocket is open."""
        if wire.web is None:
            self._push(wire, data)
        elif wire.web.is_open:
            self._push(wire, wire.web.wrap(data))
        else:
            wire.held += data
            if len(wire.held) > UNSENT_LIMIT_BYTES:
                self._end(wire, OSError(errno.ENOBUFS, "the broker opens no WebSocket"))

    def _push(self, wire: Wire, data: bytes) -> None:
        if not wire.unsent and not wire.is_connecting:
            try:
                data = data[wire.sock.send(data) :]
            except AGAIN:
                pass
            except OSError as error:
                self._end(wire, error)
                return
        wire.unsent += data
        if len(wire.unsent) > UNSENT_LIMIT_BYTES:
            self._end(wire, OSError(errno.ENOBUFS, "the broker reads too slowly"))
        elif wire.unsent:
            self._watch(wire)
        else:
            self._end_after_last(wire)

    def _flush(self, wire: Wire) -> None:
        sent = wire.sock.send(wire.unsent)
        del wire.unsent[:sent]
        self._end_after_last(wire)

    def _end_after_last(self, wire: Wire) -> None:
        """The connection is over when DISCONNECT has gone out; its socket stays until the broker closes."""
        if not wire.is_last_packet or wire.unsent or wire.held or not self._is_current(wire):
            return
        del self._wires[wire.node]
        self._leaving.add(wire)
        self._pacer.watch(wire.sock, selectors.EVENT_READ, lambda _: self._see_off(wire))
        self._pacer.call_after(LEAVE_S, partial(self._left, wire))
        self._tell(wire, CLOSED)

    def _see_off(self, wire: Wire) -> None:
        try:
            data = wire.sock.recv(RECEIVE_BYTES)
        except AGAIN:
            return
        except OSError:
            data = b""
        if not data:
            self._left(wire)

    def _left(self, wire: Wire) -> None:
        if wire in self._leaving:
            self._leaving.discard(wire)
            self._release(wire)

    def _watch(self, wire: Wire) -> None:
        mask = selectors.EVENT_READ
        if wire.unsent or wire.is_connecting:
            mask |= selectors.EVENT_WRITE
        if wire.is_shaking_hands:
            mask = selectors.EVENT_READ
        self._pacer.watch(wire.sock, mask, partial(self._on_socket, wire))

    def _end(self, wire: Wire, error: Exception | None) -> None:
        """The connection is over: the node is told."""
        if self._is_current(wire):
            self._forget(wire)
            self._tell(wire, CLOSED if error is None else why(error))

    def _is_current(self, wire: Wire) -> bool:
        """Whether it is still the connection of its node."""
        return self._wires.get(wire.node) is wire

    def _tell(self, wire: Wire, reason: str) -> None:
        self.ended[reason] += 1
        self._closed(wire.node, reason)

    def _forget(self, wire: Wire) -> None:
        del self._wires[wire.node]
        self._release(wire)
        if wire.is_connecting:
            self._connecting_count -= 1
            self._open_waiting()

    def _release(self, wire: Wire) -> None:
        with suppress(KeyError, ValueError):
            self._pacer.watch(wire.sock, 0, lambda _: None)
        wire.sock.close()


def encode_connect(message: Message, endpoint: Endpoint) -> bytes:
    """A CONNECT on the wire, with the user name and password of the endpoint."""
    credentials = endpoint.credentials
    if credentials is None:
        return encode(message)
    user_bytes = len(credentials.user.encode())
    connect = replace(read_connect(message), user_bytes=user_bytes, password_bytes=len(credentials.password))
    return encode(connect_message(connect), credentials)


def tls_of(endpoint: Endpoint) -> ssl.SSLContext:
    """TLS as the endpoint asks for it: its authority, and our certificate if it wants one."""
    context = ssl.create_default_context(cafile=None if endpoint.ca is None else str(endpoint.ca))
    if endpoint.certificate is not None:
        context.load_cert_chain(endpoint.certificate, endpoint.key)
    return context
