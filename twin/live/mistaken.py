"""What listens at a port that does not answer as its URL says: another protocol, TLS, or no TLS."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from dataclasses import replace
from typing import Final

from twin.live.endpoint import Endpoint
from twin.live.stream import Stream
from twin.live.wires import encode_connect
from twin.mqtt.codec import CodecError
from twin.mqtt.packets import Connect, connect_message

ASK_S: Final = 1.0
"""So long is an answer to each question waited for."""
CONNACK: Final = b"\x20"
LINES: Final = (b"GET / HTTP/1.1\r\n", b"Host: localhost\r\n\r\n")
"""An HTTP request in two parts: Redis answers the first, and would hang up on the second."""
LONGEST_BYTES: Final = 64
BEGINNINGS: Final = {
    b"HTTP/": "HTTP",
    b"<!DOCTYPE": "HTTP",
    b"-ERR": "the protocol of Redis",
    b"-NOAUTH": "the protocol of Redis",
    b"-DENIED": "the protocol of Redis",
    b"\x15\x03": "TLS",
    b"INFO {": "the protocol of NATS",
    b"SSH-": "SSH",
    b"AMQP": "AMQP",
    b"220 ": "SMTP or FTP",
    b"220-": "SMTP or FTP",
}
"""How the first answer begins, by protocol."""
SECURE: Final = {"mqtt": "mqtts", "ws": "wss"}


def protocol(answer: bytes) -> str:
    """The protocol that an answer is in, as far as its first bytes tell; "" if they do not."""
    return next((name for begin, name in BEGINNINGS.items() if answer.startswith(begin)), "")


def speaks(endpoint: Endpoint, answer: bytes = b"") -> str:
    """What the port speaks instead, and the URL to write, as a clause; "" if that cannot be found out.

    `answer` is what it said to us, if anything. Asks at most three questions of `ASK_S` each.
    """
    found = protocol(answer)
    if not found and not endpoint.is_tls and _takes_tls(endpoint):
        found = "TLS"
    if not found and endpoint.scheme != "mqtt":
        answered = _answered(endpoint)
        found = "MQTT" if answered.startswith(CONNACK) else protocol(answered)
    if not found:
        found = protocol(_said(endpoint))
    if not found or (found == "HTTP" and endpoint.scheme == "ws"):
        return ""
    advice = _advice(endpoint, found)
    return f"what listens there speaks {found}" + (f"; write {advice}" if advice else ", not MQTT")


def _advice(endpoint: Endpoint, found: str) -> str:
    match found, endpoint.scheme:
        case "TLS", "mqtt" | "ws":
            return replace(endpoint, scheme=SECURE[endpoint.scheme]).url
        case "MQTT", _:
            return f"{replace(endpoint, scheme='mqtt').url} (no TLS, no WebSocket)"
        case "HTTP", "wss":
            return f"{replace(endpoint, scheme='ws').url} (no TLS)"
        case "HTTP", _:
            return f"{replace(endpoint, scheme='ws').url} if it has MQTT over WebSocket"
    return ""


def _takes_tls(endpoint: Endpoint) -> bool:
    """Whether it answers a TLS hello; whom it is from does not matter here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((endpoint.host, endpoint.port), ASK_S) as plain,
            context.wrap_socket(plain, server_hostname=endpoint.host),
        ):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except OSError:
        return False


def _answered(endpoint: Endpoint) -> bytes:
    """The beginning of what it says to a CONNECT that comes without TLS and WebSocket."""
    bare = replace(endpoint, scheme="mqtt", user="", password=b"")
    connect = Connect("windtunnel-hint", 10.0, clean_session=True, version=endpoint.version)
    with suppress(OSError, CodecError):
        stream = Stream(bare, ASK_S)
        try:
            stream.send(encode_connect(connect_message(connect), bare))
            return stream.receive(ASK_S) or b""
        finally:
            stream.close()
    return b""


def _said(endpoint: Endpoint) -> bytes:
    """The beginning of what it says by itself, or to a request of HTTP."""
    with (
        suppress(OSError),
        socket.create_connection((endpoint.host, endpoint.port), ASK_S) as plain,
    ):
        plain.settimeout(ASK_S / len(LINES))
        for line in LINES:
            plain.sendall(line)
            with suppress(TimeoutError):
                return plain.recv(LONGEST_BYTES)
    return b""
