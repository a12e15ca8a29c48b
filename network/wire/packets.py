"""Real IP packets over modelled links, between two network namespaces of Linux.

    clients  10.77.0.0/16 -- tun -- [modelled links] -- tun -- 10.78.0.1  server

The kernel's own TCP runs at both ends: it retransmits and backs off by itself, so a lost packet is simply
lost here. Each client node has an address of its own. Needs a user and a network namespace, and no root.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from network.carrier import Network
from network.wire.losses import Losses
from network.wire.refusal import is_opening, refused
from network.wire.timeline import WallTimeline
from twin.errors import MissingEnvironmentError
from twin.kernel.flight import Flight
from twin.message import Message

CLIENT_NET, SERVER_NET = "10.77.0.0/16", "10.78.0.0/16"
CLIENT_ADDRESS, SERVER_ADDRESS = "10.77.0.1", "10.78.0.1"
MOST_CLIENTS: Final = 60_000
PACKET_BYTES: Final = 65_536
PACKETS_A_TURN: Final = 64
LONGEST_WAIT_S: Final = 0.5
SPUN_S: Final = 0.001
"""The last stretch before an event is spun: a sleeping processor may wake up later than that."""
CLONE_NEWNET: Final = 0x40000000
TUNSETIFF: Final = 0x400454CA
TUN_NO_PI: Final = 0x1001
COMMANDS_S: Final = 10.0
SETTINGS: Final = Path("/proc/sys/net/ipv4")
TCP_SETTINGS: Final = {
    # each connection begins without what others have learned
    "tcp_no_metrics_save": "1",
    # what the model has, and every Linux; BBR, for one, does not take losses for a sign of congestion
    "tcp_congestion_control": "reno",
}
FORBIDDEN: Final = "this machine forbids packets on the wire ({}); use --links proxy"


def client_address(number: int) -> str:
    """The address of client `number` (from 0)."""
    return f"10.77.{(number + 2) // 256}.{(number + 2) % 256}"


class Namespaces:
    """The clients' network namespace, which is the process's own, and a second one for the server.

    Raises MissingEnvironmentError where the machine forbids it.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.clients = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._check(self._libc.unshare(CLONE_NEWNET))
        self.server = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.enter(self.clients)

    def enter(self, namespace: int) -> None:
        """Move the calling thread; what it starts and opens from now on is there."""
        self._check(self._libc.setns(namespace, CLONE_NEWNET))

    def tuns(self) -> tuple[int, int]:
        """A device in each namespace; the files give and take their packets."""
        route = f"route add local {CLIENT_NET} dev lo"
        clients = self._tun(self.clients, CLIENT_ADDRESS, SERVER_NET, route)
        server = self._tun(self.server, SERVER_ADDRESS, CLIENT_NET)
        self.enter(self.clients)
        return clients, server

    def close(self) -> None:
        """Let go of both."""
        os.close(self.clients)
        os.close(self.server)

    def _tun(self, namespace: int, address: str, beyond: str, *further: str) -> int:
        self.enter(namespace)
        try:
            file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", b"wt0", TUN_NO_PI))
        except OSError as error:
            raise MissingEnvironmentError(FORBIDDEN.format(error.strerror)) from None
        commands = ("link set lo up", f"addr add {address}/32 dev wt0", "link set wt0 up")
        for name, value in TCP_SETTINGS.items():
            (SETTINGS / name).write_text(value, encoding="ascii")
        for command in (*commands, f"route add {beyond} dev wt0 src {address}", *further):
            _ip(command)
        return file

    def _check(self, code: int) -> None:
        if code:
            reason = os.strerror(ctypes.get_errno())
            raise MissingEnvironmentError(FORBIDDEN.format(reason))


def _ip(command: str) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        subprocess.run(  # noqa: S603  (its arguments are ours)
            ["ip", *command.split()],  # noqa: S607
            check=True,
            capture_output=True,
            timeout=COMMANDS_S,
            env={**os.environ, "PATH": path},
        )
    except FileNotFoundError:
        raise MissingEnvironmentError("packets on the wire need: sudo apt-get install -y iproute2") from None
    except subprocess.CalledProcessError as error:
        raise MissingEnvironmentError(FORBIDDEN.format(error.stderr.decode().strip())) from None


class PacketLink:
    """Moves packets between the two devices over the links between client nodes and a server node.

    `nodes` says which client node has an address; packets of others are dropped. Runs until `stop`.
    """

    def __init__(
        self,
        network: Network,
        files: tuple[int, int],
        nodes: Mapping[str, str],
        server: str,
        losses: Losses,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.network = network
        self.timeline = WallTimeline(clock, self)
        self.losses = losses
        self.count = 0
        self._clients, self._server = files
        self._nodes = {socket.inet_aton(address): node for address, node in nodes.items()}
        self._name = server
        self._is_stopping = False

    def call_at(self, at_s: float, action: Callable[[], None]) -> None:
        """Let `action` be called at this time of the clock."""
        self.timeline.schedule(at_s, None, (lambda _: action(),))

    def stop(self) -> None:
        """End `run`; from a signal handler, or an action."""
        self._is_stopping = True

    def run(self, orders: Any = None, order: Callable[[], None] | None = None) -> None:
        """Move packets; call `order` when the file `orders` can be read."""
        files = [self._clients, self._server, *([] if orders is None else [orders])]
        while not self._is_stopping:
            self.timeline.work()
            wait_s = min(self.timeline.next_s - self.timeline.catch_up(), LONGEST_WAIT_S)
            ready, _, _ = select.select(files, [], [], max(0.0, wait_s - SPUN_S))
            self.timeline.catch_up()
            for file in ready:
                if file == self._clients:
                    self._take(file, source_at=12)
                elif file == self._server:
                    self._take(file, source_at=16)
                elif order is not None:
                    order()

    def _take(self, file: int, source_at: int) -> None:
        """Read packets; the client's address is their source (byte 12) or their destination (byte 16)."""
        for _ in range(PACKETS_A_TURN):
            try:
                packet = os.read(file, PACKET_BYTES)
            except BlockingIOError:
                return
            node = self._nodes.get(packet[source_at : source_at + 4]) if packet[0] >> 4 == 4 else None
            if node is None:
                continue
            self.count += 1
            ends = (node, self._name) if source_at == 12 else (self._name, node)
            if source_at == 12 and is_opening(packet) and (cause := self.network.refused(*ends)):
                self._refuse(file, packet, node, cause)
                continue
            flight = Flight(*ends, Message("", packet, kind="datagram"), self.timeline.now, 0)
            self.network.carry_datagram(flight, self.timeline, header_bytes=0)

    def _refuse(self, file: int, opening: bytes, node: str, cause: str) -> None:
        """The client learns at once that it does not get a connection."""
        self.losses.add(node, cause)
        with suppress(OSError):
            os.write(file, refused(opening))

    def arrive(self, flight: Flight) -> None:
        """A packet has crossed the links."""
        file = self._server if flight.to == self._name else self._clients
        try:
            os.write(file, flight.message.payload)
        except OSError:
            self.losses.add(flight.to, "device full")

    def lose(self, flight: Flight, where: str, cause: str) -> None:
        """A packet never gets there; whoever sent it notices by itself."""
        del flight
        self.losses.add(where, cause)
