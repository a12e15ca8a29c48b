"""The broker to check: one that is given, or one of our own with every way in that it has."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from twin.errors import MissingEnvironmentError
from twin.live.conformance.bench import Door, Subject
from twin.live.embedded import EmbeddedBroker, Listener
from twin.live.endpoint import Endpoint
from twin.live.folders import temporary_folder
from twin.live.ports import held_ports
from twin.service.brokers import (
    ANY,
    EMBEDDED,
    LARGEST_MESSAGE_BYTES,
    MOSQUITTO,
    OURS,
    at_url,
    has_mosquitto,
)
from twin.service.mosquitto import BrokerSettings, Mosquitto

USER: Final = "tester"
HASH_ROUNDS: Final = 101  # what mosquitto_passwd writes
HERE: Final = "127.0.0.1"


class Papers(NamedTuple):
    """Certificates for a check, in files."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


@contextmanager
def subject(
    asked: str, prepared: Callable[[Endpoint], Endpoint] = lambda endpoint: endpoint
) -> Iterator[Subject]:
    """The broker of a URL (`prepared` adds what options say), or one of ours, which ends with the context.

    Raises MissingEnvironmentError, with the line to install, if ours is not here.
    """
    if asked not in OURS:
        yield given(prepared(at_url(asked)))
        return
    is_mosquitto = asked == MOSQUITTO or (asked == ANY and has_mosquitto())
    with temporary_folder() as folder, _mosquitto(folder) if is_mosquitto else _embedded(folder) as found:
        yield found


def given(address: Endpoint) -> Subject:
    """A broker that is not ours: its one door, seen as every kind of door that it is."""
    doors: dict[Door, Endpoint] = {"plain": address}
    if address.user:
        doors["password"] = address
    if address.is_tls:
        doors["tls"] = address
    if address.certificate is not None:
        doors["certificate"] = address
    if address.is_websocket:
        doors["websocket"] = address
    return Subject(address.url, doors)


@contextmanager
def _mosquitto(folder: Path) -> Iterator[Subject]:
    password = secrets.token_urlsafe(12)
    (folder / "passwords").write_text(password_line(USER, password), encoding="utf-8")
    papers = papers_in(folder)
    with suppress(MissingEnvironmentError):
        with _started(folder, password, papers, has_websocket=True) as found:
            yield found
        return
    with _started(folder, password, papers, has_websocket=False) as found:
        yield found


@contextmanager
def _started(folder: Path, password: str, papers: Papers | None, *, has_websocket: bool) -> Iterator[Subject]:
    names = ["password", *(["websocket"] if has_websocket else []), *(["certificate"] if papers else [])]
    with held_ports(len(names)) as found:
        ports = dict(zip(names, found))
        child = Mosquitto(folder / "broker", _settings(folder, ports, papers))
        try:
            child.start()
            yield Subject(MOSQUITTO, doors_at(child.plain_port, ports, password, papers))
        finally:
            child.stop()


def _settings(folder: Path, ports: Mapping[str, int], papers: Papers | None) -> BrokerSettings:
    lines = [
        *(f"listener {ports['password']} {HERE}", "allow_anonymous false"),
        f"password_file {folder / 'passwords'}",
    ]
    if "websocket" in ports:
        lines += [f"listener {ports['websocket']} {HERE}", "protocol websockets", "allow_anonymous true"]
    if papers is not None:
        lines += [
            *(f"listener {ports['certificate']} {HERE}", "allow_anonymous true", "require_certificate true"),
            *(f"cafile {papers.ca}", f"certfile {papers.server}", f"keyfile {papers.server_key}"),
        ]
    return BrokerSettings(
        plain_port=0,
        is_durable=False,
        largest_message_bytes=LARGEST_MESSAGE_BYTES,
        further_lines=tuple(lines),
    )


@contextmanager
def _embedded(folder: Path) -> Iterator[Subject]:
    password, papers = secrets.token_urlsafe(12), papers_in(folder)
    further = {"password": Listener(user=USER, password=password), "websocket": Listener(is_websocket=True)}
    if papers is not None:
        further["certificate"] = Listener(ca=papers.ca, certificate=papers.server, key=papers.server_key)
    child = EmbeddedBroker(further)
    child.start()
    try:
        ports = {name: child.ports[name] for name in further}
        doors = doors_at(child.port, ports, password, papers)
        yield Subject(_embedded_name(), {name: child.known(each) for name, each in doors.items()})
    finally:
        child.stop()


def doors_at(plain: int, ports: dict[str, int], password: str, papers: Papers | None) -> dict[Door, Endpoint]:
    """The doors of a broker of ours, by its ports on loopback.

    The door `certificate` asks for one and is the door `tls` too.
    """
    doors: dict[Door, Endpoint] = {"plain": Endpoint("mqtt", HERE, plain)}
    if "password" in ports:
        secret = password.encode()
        doors["password"] = Endpoint("mqtt", HERE, ports["password"], user=USER, password=secret)
    if "websocket" in ports:
        doors["websocket"] = Endpoint("ws", HERE, ports["websocket"])
    if papers is not None and "certificate" in ports:
        doors["certificate"] = doors["tls"] = Endpoint(
            "mqtts",
            HERE,
            ports["certificate"],
            ca=papers.ca,
            certificate=papers.client,
            key=papers.client_key,
        )
    return doors


def papers_in(folder: Path) -> Papers | None:
    """Certificates made for the occasion; None where nothing can make them."""
    if find_spec("cryptography") is None:
        return None
    from twin.service.authority import Authority, write

    authority = Authority.ensure(folder / "authority")
    papers = Papers(
        *(folder / name for name in ("ca.pem", "server.pem", "server.key", "client.pem", "client.key"))
    )
    papers.ca.write_text(authority.certificate_pem, encoding="utf-8")
    write(authority.server_certificate([HERE, "localhost"]), papers.server, papers.server_key)
    write(authority.client_certificate(USER), papers.client, papers.client_key)
    return papers


def password_line(user: str, password: str) -> str:
    """A line of mosquitto's password file (PBKDF2 with SHA-512)."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, HASH_ROUNDS)
    parts = [base64.b64encode(part).decode() for part in (salt, digest)]
    return f"{user}:$7${HASH_ROUNDS}${parts[0]}${parts[1]}\n"


def _embedded_name() -> str:
    with suppress(PackageNotFoundError):
        return f"embedded (rumqttd, iotcore {version('iotcore')})"
    return EMBEDDED
