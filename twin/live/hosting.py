"""MQTT clients inside a loop that is not theirs: the pacer of a live run, or asyncio.

loop --"readable"--> step --> how long until the next step --> loop's timer
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from twin.live.pacer import SocketPacer

SOONER_S: Final = 0.0005


class Clients(Protocol):
    """What `FleetEngine` and `PahoClients` have in common for whoever runs them."""

    asked: Callable[[], None]

    @property
    def now(self) -> float:
        """The time on their clock (s)."""

    def fileno(self) -> int:
        """A file that is readable when a connection has something for them."""

    def wait_s(self) -> float:
        """How long they have nothing to do on their own (s)."""

    def step(self, timeout_s: float = 0.0) -> int:
        """Do what is to be done."""


class Host:
    """Steps the clients when the loop says so, and asks the loop for the next time."""

    def __init__(self, clients: Clients, call_after: Callable[[float, Callable[[], None]], object]) -> None:
        self._clients = clients
        self._call_after = call_after
        self._armed_s = math.inf
        self._is_over = False
        clients.asked = self._arm

    def step(self) -> None:
        """A connection has something."""
        if not self._is_over:
            self._clients.step(0.0)
            self._arm()

    def end(self) -> None:
        """Step no more."""
        self._is_over = True
        self._clients.asked = lambda: None

    def _arm(self) -> None:
        wait_s = self._clients.wait_s()
        due_s = self._clients.now + wait_s
        if due_s < self._armed_s - SOONER_S:
            self._armed_s = due_s
            self._call_after(wait_s, partial(self._on_time, due_s))

    def _on_time(self, due_s: float) -> None:
        if due_s == self._armed_s:  # else an earlier one has come since
            self._armed_s = math.inf
            self.step()


def in_pacer(clients: Clients, pacer: SocketPacer) -> Callable[[], None]:
    """Let the pacer of a live run carry the clients; return what ends that."""
    host, descriptor = Host(clients, pacer.call_after), clients.fileno()
    pacer.watch(descriptor, selectors.EVENT_READ, lambda _: host.step())
    host.step()

    def end() -> None:
        host.end()
        pacer.watch(descriptor, 0, lambda _: None)

    return end


def in_asyncio(clients: Clients, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Let an asyncio loop carry the clients; return what ends that."""
    host, descriptor = Host(clients, loop.call_later), clients.fileno()
    loop.add_reader(descriptor, host.step)
    host.step()

    def end() -> None:
        host.end()
        loop.remove_reader(descriptor)

    return end
