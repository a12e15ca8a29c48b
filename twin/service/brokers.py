"""Which real broker a live run uses: the one asked for, mosquitto on this machine, or the embedded one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from twin.errors import InputError, MissingEnvironmentError
from twin.live.embedded import INSTALL as EMBEDDED_INSTALL
from twin.live.embedded import EmbeddedBroker, is_installed
from twin.live.endpoint import Endpoint, endpoint
from twin.live.folders import new_folder
from twin.service.mosquitto import INSTALL, BrokerSettings, Mosquitto, find_mosquitto

LOOPBACK: Final = "127.0.0.1"
MOSQUITTO, EMBEDDED, ANY = "mosquitto", "embedded", "any"
LARGEST_MESSAGE_BYTES: Final = 1_048_576
OURS: Final = (ANY, MOSQUITTO, EMBEDDED)
"""What may be asked for besides a URL."""


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """A broker that can be used now; `child` is its process if it is ours."""

    endpoint: Endpoint
    name: str
    child: Mosquitto | EmbeddedBroker | None = None

    @property
    def pid(self) -> int:
        """The process id of our child; 0 if it does not run, or the broker is not ours."""
        return 0 if self.child is None else self.child.pid


def has_mosquitto() -> bool:
    """Whether mosquitto is on this machine."""
    try:
        find_mosquitto()
    except MissingEnvironmentError:
        return False
    return True


def at_url(asked: str) -> Endpoint:
    """The broker of a URL. Raises InputError for what is none, with the name that may have been meant."""
    near = difflib.get_close_matches(asked, OURS, n=1)
    if near:
        raise InputError(f"there is no broker {asked!r}; did you mean {near[0]!r}?")
    return endpoint(asked)


@contextmanager
def broker(asked: str = ANY, host: str = LOOPBACK) -> Iterator[RunningBroker]:
    """The broker of a URL, `mosquitto`, `embedded`, or `any` of the two; what we start ends with the context,
    and listens at `host`.

    Raises InputError for what is none of them, and MissingEnvironmentError, with the line to install, if
    there is none.
    """
    if asked not in OURS:
        yield RunningBroker(at_url(asked), "given")
    elif asked == MOSQUITTO or (asked == ANY and has_mosquitto()):
        with _mosquitto(host) as running:
            yield running
    elif asked == EMBEDDED or is_installed():
        with _embedded(host) as running:
            yield running
    else:
        raise MissingEnvironmentError(
            f"there is no broker: install one ({INSTALL}), or the embedded one ({EMBEDDED_INSTALL}),"
            " or name one: mqtt://host"
        )


@contextmanager
def _mosquitto(host: str) -> Iterator[RunningBroker]:
    folder = new_folder()
    child = Mosquitto(
        folder.path,
        BrokerSettings(plain_port=0, plain_host=host, largest_message_bytes=LARGEST_MESSAGE_BYTES),
    )
    try:
        child.start()
        yield RunningBroker(endpoint(f"mqtt://{host}:{child.plain_port}"), MOSQUITTO, child)
    finally:
        child.stop()
        folder.remove()


@contextmanager
def _embedded(host: str) -> Iterator[RunningBroker]:
    child = EmbeddedBroker(host=host)
    child.start()
    try:
        yield RunningBroker(child.endpoint, EMBEDDED, child)
    finally:
        child.stop()
