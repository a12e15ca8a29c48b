"""One connection to a broker, blocking: TCP, TLS or WebSocket, by what the endpoint says."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from typing import Final

from twin.live.endpoint import Endpoint
from twin.live.websocket import WebSocket
from twin.live.wires import LEAVE_S, tls_of
from twin.mqtt.codec import CodecError

RECEIVE_BYTES: Final = 65_536
SEND_S: Final = 10.0


class Stream:
    """MQTT bytes there and back. Opening raises OSError, TimeoutError or CodecError after `limit_s`."""

    def __init__(self, endpoint: Endpoint, limit_s: float) -> None:
        plain = socket.create_connection((endpoint.host, endpoint.port), limit_s)
        self._sock: socket.socket | ssl.SSLSocket = plain
        self._web: WebSocket | None = None
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if endpoint.is_tls:
                self._sock = tls_of(endpoint).wrap_socket(plain, server_hostname=endpoint.host)
            self._early = b""
            if endpoint.is_websocket:
                self._open_websocket(endpoint, time.monotonic() + limit_s)
        except BaseException:
            self._sock.close()
            raise

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._sock.settimeout(SEND_S)
        self._sock.sendall(data if self._web is None else self._web.wrap(data))

    def receive(self, wait_s: float) -> bytes | None:
        """What has come; b"" when the broker has closed, None when nothing came in time."""
        early, self._early = self._early, b""
        if early:
            return early
        until_s = time.monotonic() + wait_s
        while (rest_s := until_s - time.monotonic()) > 0:
            self._sock.settimeout(rest_s)
            try:
                data = self._sock.recv(RECEIVE_BYTES)
            except (TimeoutError, ssl.SSLWantReadError):
                return None
            found = data if self._web is None else self._unwrapped(self._web, data)
            if found or not data or (self._web is not None and self._web.is_closed):
                return found
        return None

    def leave(self, goodbye: bytes) -> None:
        """Send the DISCONNECT, and close when the broker has; never raises, and takes `LEAVE_S` at most.

        Why wait: see `twin.live.wires.LEAVE_S`.
        """
        until_s = time.monotonic() + LEAVE_S
        with suppress(OSError, CodecError):
            self.send(goodbye)
            while self.receive(until_s - time.monotonic()):
                pass
        self.close()

    def close(self) -> None:
        """Close without a word of MQTT."""
        self._sock.close()

    def _open_websocket(self, endpoint: Endpoint, until_s: float) -> None:
        web = WebSocket(endpoint.authority, endpoint.path)
        self._sock.sendall(web.opening())
        while not web.is_open:
            self._sock.settimeout(max(0.001, until_s - time.monotonic()))
            data = self._sock.recv(RECEIVE_BYTES)
            if not data:
                raise OSError("it closes the connection instead of opening a WebSocket")
            self._early += web.feed(data)
        self._web = web

    def _unwrapped(self, web: WebSocket, data: bytes) -> bytes:
        found = web.feed(data) if data else b""
        answers = web.answers()
        if answers:
            with suppress(OSError):
                self._sock.sendall(answers)
        return found
