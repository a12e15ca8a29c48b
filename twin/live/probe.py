"""Whether a broker is there and takes us: asked before a run, so that a wrong address is one sentence."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Final

from twin.errors import MissingEnvironmentError
from twin.live.endpoint import Endpoint
from twin.live.wires import encode_connect, tls_of
from twin.message import Message
from twin.mqtt.codec import CodecError, Decoder, encode
from twin.mqtt.packets import ACCEPTED, Connack, Connect, connect_message, read_connack
from twin.mqtt.trouble import why

TIMEOUT_S: Final = 5.0
CONNACK: Final = 0x20
"""The first byte of every CONNACK."""
REFUSALS: Final = {
    1: "it does not speak this version of MQTT",
    2: "it refuses the client id",
    3: "it is not available",
    4: "user name or password is wrong",
    5: "it does not authorise us",
    0x84: "it does not speak MQTT 5",
    0x86: "user name or password is wrong",
    0x87: "it does not authorise us",
}


def probe(endpoint: Endpoint, client_id: str = "windtunnel-probe", timeout_s: float = TIMEOUT_S) -> Connack:
    """Connect and disconnect; raise MissingEnvironmentError with one sentence if that cannot be done."""
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout_s) as plain:
            return _ask(endpoint, plain, client_id, time.monotonic() + timeout_s)
    except TimeoutError:
        raise _failed(endpoint, f"it does not answer within {timeout_s:g} s") from None
    except (OSError, CodecError) as error:
        raise _failed(endpoint, why(error)) from None


def _ask(endpoint: Endpoint, plain: socket.socket, client_id: str, limit_s: float) -> Connack:
    sock: socket.socket | ssl.SSLSocket = plain
    if endpoint.is_tls:
        sock = tls_of(endpoint).wrap_socket(plain, server_hostname=endpoint.host)
    connect = Connect(client_id, 10.0, clean_session=True, version=endpoint.version)
    sock.sendall(encode_connect(connect_message(connect), endpoint))
    connack = read_connack(_packet(sock, Decoder(endpoint.version), limit_s))
    if connack.return_code != ACCEPTED:
        said = REFUSALS.get(connack.return_code, f"it answers with code {connack.return_code}")
        raise _failed(endpoint, said)
    sock.sendall(encode(Message("", kind="disconnect")))
    return connack


def _packet(sock: socket.socket, decoder: Decoder, limit_s: float) -> Message:
    while time.monotonic() < limit_s:
        data = sock.recv(4096)
        if not data:
            raise OSError("it closes the connection instead of answering CONNECT")
        if not decoder.rest and data[0] != CONNACK:
            raise CodecError(f"its answer to CONNECT begins with {data[:8]!r}")
        for message in decoder.feed(data):
            return message
    raise TimeoutError


def _failed(endpoint: Endpoint, reason: str) -> MissingEnvironmentError:
    return MissingEnvironmentError(f"no broker at {endpoint.url}: {reason}")
