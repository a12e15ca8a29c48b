"""Checks of the ways in: user name and password, TLS, certificates, WebSocket."""

from __future__ import annotations

from dataclasses import replace

from twin.live.conformance.bench import Bench, Door, check, need
from twin.live.conformance.client import Client
from twin.live.conformance.verdicts import Failed, NotSupported
from twin.live.endpoint import Endpoint
from twin.mqtt.packets import ACCEPTED

WRONG_PASSWORD = b"not-the-password"


def _exchange(bench: Bench, door: Door) -> None:
    """A message there and back."""
    client = bench.connected("a", door)
    client.subscribe(bench.topic())
    client.publish(bench.topic(), b"x" * 300)
    client.messages(1)


def _refusal(client: Client) -> str:
    """How a client is refused; empty if it is not."""
    try:
        connack = client.ask()
    except Failed as error:
        return str(error)
    if connack is None:
        return "closes without CONNACK"
    return "" if connack.return_code == ACCEPTED else f"CONNACK {connack.return_code:#04x}"


@check("password", "3.1.3.5", is_quick=True)
def password(bench: Bench) -> None:
    """The right user name and password let in."""
    _exchange(bench, "password")


@check("password-wrong", "3.1.3.5", is_quick=True)
def password_wrong(bench: Bench) -> str:
    """A wrong password and no password do not."""
    door = bench.door("password")
    wrong = replace(door, password=WRONG_PASSWORD)
    nobody = replace(door, user="", password=b"")
    said = [_refusal(bench.client(name, endpoint=each)) for name, each in (("w", wrong), ("n", nobody))]
    need(said[0], "a wrong password lets in")
    need(said[1], "nobody needs a password")
    return said[0]


@check("tls", "5.4", is_quick=True)
def tls(bench: Bench) -> None:
    """The broker's certificate is of the authority given, and a message comes through TLS."""
    _exchange(bench, "tls")


@check("tls-only", "5.4", is_quick=True)
def tls_only(bench: Bench) -> None:
    """Without TLS its port lets nobody in."""
    door = bench.door("tls")
    scheme = "ws" if door.is_websocket else "mqtt"
    need(_refusal(bench.client(endpoint=replace(door, scheme=scheme))), "it speaks plain MQTT there")


@check("certificate", "5.4.1", is_quick=True)
def certificate(bench: Bench) -> str:
    """Without a certificate of the right authority nobody gets in."""
    door = bench.door("certificate")
    _exchange(bench, "certificate")
    without: Endpoint = replace(door, certificate=None, key=None)
    said = _refusal(bench.client("n", endpoint=without))
    need(said, "a client without certificate gets in")
    return said


@check("websocket", "6", is_quick=True)
def websocket(bench: Bench) -> None:
    """MQTT comes through WebSocket."""
    old = bench.door("websocket").speaking("3.1.1")
    if (
        bench.version == "5"
        and _refusal(bench.client("n", "websocket"))
        and not _refusal(bench.client("o", endpoint=old))
    ):
        raise NotSupported("its WebSocket speaks MQTT 3.1.1 only")
    _exchange(bench, "websocket")
