"""Ports for servers of ours: found free, and kept so until the server listens there."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def held_ports(count: int, host: str = "127.0.0.1") -> Iterator[list[int]]:
    """So many different ports of `host` that nobody has. While the context lasts nobody else is given one of
    them, as a port for a connection either; a server that reuses addresses, as servers do, can listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket(family)) for _ in range(count)]
        for probe in probes:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, 0))
        found = [int(probe.getsockname()[1]) for probe in probes]
        if sys.platform != "linux":  # elsewhere two sockets never share a port
            stack.close()
        yield found
