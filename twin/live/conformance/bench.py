"""Where a check stands: its broker's doors, clients and topics of its own, and order after it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from twin.live.conformance.client import Client
from twin.live.conformance.verdicts import BOTH, Failed, NotSupported, NotTried
from twin.live.endpoint import Endpoint
from twin.mqtt.packets import Version

Door: TypeAlias = Literal["plain", "password", "tls", "certificate", "websocket"]

LONGEST_S: Final = 20.0
TIDYING_S: Final = 5.0
ROOT: Final = "windtunnel-check"
NEEDS: Final[dict[Door, str]] = {
    "plain": "an address",
    "password": "a user name and a password: mqtt://USER@host and --password-file",
    "tls": "an address with TLS: mqtts://host and --ca",
    "certificate": "a certificate of ours: --cert and --key",
    "websocket": "an address with WebSocket: ws://host/path",
}


class Subject(NamedTuple):
    """The broker that is checked, and how to get in by each door that it has.

    The door `plain` is where every check goes that asks for no other.
    """

    name: str
    doors: Mapping[Door, Endpoint]


@dataclass(slots=True)
class Bench:
    """One check of one version."""

    subject: Subject
    version: Version
    name: str
    until_s: float = field(default_factory=lambda: time.monotonic() + LONGEST_S)
    mark: str = field(init=False, default_factory=lambda: secrets.token_hex(4))
    _clients: list[Client] = field(init=False, default_factory=list)
    _retained: set[str] = field(init=False, default_factory=set)
    _persistent: dict[str, Client] = field(init=False, default_factory=dict)

    def topic(self, *levels: str) -> str:
        """A topic that nobody else uses."""
        return "/".join([ROOT, self.mark, self.name, *levels])

    def retained_topic(self, *levels: str) -> str:
        """The same; what is retained there is cleared in the end."""
        topic = self.topic(*levels)
        self._retained.add(topic)
        return topic

    def door(self, door: Door) -> Endpoint:
        """The way in; raise NotTried if the broker has, or we were given, none."""
        found = self.subject.doors.get(door)
        if found is None:
            raise NotTried(f"needs {NEEDS[door]}")
        return found.speaking(self.version)

    def client(self, name: str = "a", door: Door = "plain", endpoint: Endpoint | None = None) -> Client:
        """A client that is not connected. Its id has at most 23 letters and digits, which all must take."""
        client_id = f"wt{self.mark}{name}"[:23]
        client = Client(endpoint or self.door(door), client_id, self.until_s)
        self._clients.append(client)
        return client

    def connected(self, name: str = "a", door: Door = "plain") -> Client:
        """A client with a clean session, connected."""
        client = self.client(name, door)
        client.connect()
        return client

    def lasting(self, name: str = "s") -> Client:
        """A client whose session is to be kept; it is not connected. The session is ended afterwards."""
        client = self.client(name)
        self._persistent[client.client_id] = client
        return client

    def watcher(self, topic_filter: str, name: str = "w", qos: int = 1) -> Client:
        """A connected client that has subscribed."""
        client = self.connected(name)
        client.subscribe(topic_filter, qos)
        return client

    def tidy(self) -> None:
        """Close what is open, end sessions and clear what was retained, whatever the check came to."""
        for client in self._clients:
            client.cut()
        until_s = time.monotonic() + TIDYING_S
        if self._retained:
            self._last_word(
                Client(self.door("plain"), f"wt{self.mark}clear", until_s), sorted(self._retained)
            )
        for client in self._persistent.values():
            self._last_word(Client(client.endpoint, client.client_id, until_s))

    @staticmethod
    def _last_word(client: Client, retained: Sequence[str] = ()) -> None:
        """Begin a clean session, clear these topics, and leave."""
        with suppress(Failed, NotSupported):
            client.connect()
            for topic in retained:
                client.publish(topic, b"", is_retained=True)
            client.disconnect()
        client.cut()


class Check(NamedTuple):
    """One thing that the standard says, and how to see whether a broker does it.

    `is_quick` marks those that take no time worth waiting for, `is_alone` those that see what others publish;
    `clause` is the section of the standard.
    """

    name: str
    clause: str
    says: str
    versions: tuple[Version, ...]
    is_quick: bool
    is_alone: bool
    run: Callable[[Bench], str | None]


CHECKS: Final[list[Check]] = []
"""Every check, in the order of the table."""


def check(
    name: str,
    clause: str,
    *,
    versions: tuple[Version, ...] = BOTH,
    is_quick: bool = False,
    is_alone: bool = False,
) -> Callable[[Callable[[Bench], str | None]], Callable[[Bench], str | None]]:
    """Register a check; its docstring is what the standard says. It may return what it measured."""

    def register(run: Callable[[Bench], str | None]) -> Callable[[Bench], str | None]:
        says = " ".join((run.__doc__ or "").split()).rstrip(".")
        CHECKS.append(Check(name, clause, says, versions, is_quick, is_alone, run))
        return run

    return register


def need(is_so: object, otherwise: str) -> None:
    """Raise Failed unless it is so."""
    if not is_so:
        raise Failed(otherwise)
