"""Real UDP datagrams over modelled links: each is delayed, lost, copied or overtaken by itself.

Behind the proxy every client has a socket of its own, so that the server's answers find their way, as
behind a NAT; one that was silent for `IDLE_S` is forgotten.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from network.topology import PORT_MARK

DATAGRAM_BYTES: Final = 65_535
IDLE_S: Final = 120.0  # RFC 4787, REQ-5: at least two minutes
CLIENT_LIMIT: Final = 4_096
DATAGRAMS_A_TURN: Final = 64


class Arrived(NamedTuple):
    """A datagram that a socket got: from which end, to which, and its bytes."""

    source: str
    to: str
    data: bytes


@dataclass(slots=True, eq=False)
class Client:
    """A client's address, its socket towards the server, and when it was heard last (seconds)."""

    address: tuple[str, int]
    number: int
    outward: socket.socket
    heard_s: float


@dataclass(slots=True, eq=False)
class Datagrams:
    """One address at which datagrams are taken, and the clients behind it.

    `watch` and `unwatch` tell the proxy's selector about sockets.
    """

    inward: socket.socket
    to: tuple[str, int]
    source: str
    target: str
    watch: Callable[[socket.socket, Callable[[], list[Arrived]]], None]
    unwatch: Callable[[socket.socket], object]
    clients: OrderedDict[tuple[str, int], Client] = field(default_factory=OrderedDict)
    by_number: dict[str, Client] = field(default_factory=dict)
    count: int = 0

    def take(self, now: float) -> list[Arrived]:
        """What clients have sent."""
        found = []
        for _ in range(DATAGRAMS_A_TURN):
            try:
                data, address = self.inward.recvfrom(DATAGRAM_BYTES)
            except OSError:  # nothing more, or an ICMP answer to an earlier one
                break
            client = self._client(address[:2], now)
            found.append(Arrived(self._name(self.source, client), self._name(self.target, client), data))
        return found

    def deliver(self, to: str, data: bytes) -> None:
        """Send out what has crossed the links; a socket that has no room loses it, as networks do."""
        node, _, number = to.partition(PORT_MARK)
        client = self.by_number.get(number)
        if client is None:
            return
        with suppress(OSError):
            if node == self.target:
                client.outward.send(data)
            else:
                self.inward.sendto(data, client.address)

    def close(self) -> None:
        """Close all sockets."""
        for client in list(self.clients.values()):
            self._drop(client)
        self.unwatch(self.inward)
        self.inward.close()

    def _client(self, address: tuple[str, int], now: float) -> Client:
        self._forget_silent(now)
        client = self.clients.get(address)
        if client is None:
            self.count += 1
            outward = socket.socket(self.inward.family, socket.SOCK_DGRAM)
            outward.setblocking(False)
            outward.connect(self.to)
            client = Client(address, self.count, outward, now)
            self.clients[address] = self.by_number[f"d{client.number}"] = client
            self.watch(outward, lambda: self._answers(client))
        client.heard_s = now
        self.clients.move_to_end(address)
        return client

    def _answers(self, client: Client) -> list[Arrived]:
        found = []
        for _ in range(DATAGRAMS_A_TURN):
            try:
                data = client.outward.recv(DATAGRAM_BYTES)
            except OSError:
                break
            found.append(Arrived(self._name(self.target, client), self._name(self.source, client), data))
        return found

    def _forget_silent(self, now: float) -> None:
        while self.clients:
            oldest = next(iter(self.clients.values()))
            if len(self.clients) < CLIENT_LIMIT and now - oldest.heard_s < IDLE_S:
                return
            self._drop(oldest)

    def _drop(self, client: Client) -> None:
        del self.clients[client.address]
        del self.by_number[f"d{client.number}"]
        self.unwatch(client.outward)
        client.outward.close()

    def _name(self, node: str, client: Client) -> str:
        return f"{node}{PORT_MARK}d{client.number}"
