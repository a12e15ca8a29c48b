"""Whether a broker is there and takes us: asked before a run, so that a wrong address is one sentence."""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from twin.errors import MissingEnvironmentError
from twin.live.endpoint import Endpoint
from twin.live.mistaken import protocol, speaks
from twin.live.stream import Stream
from twin.live.wires import encode_connect
from twin.message import Message
from twin.mqtt.codec import CodecError, Decoder, encode
from twin.mqtt.packets import ACCEPTED, Connack, Connect, Version, connect_message, read_connack, spoken
from twin.mqtt.trouble import why

TIMEOUT_S: Final = 5.0
OTHER_S: Final = 2.0
NAMED: Final = 3
"""So many of those who speak a version are named."""
CONNACK: Final = 0x20
"""The first byte of every CONNACK."""
NOT_LET_IN: Final = "it does not let us in: user name or password is wrong or missing"
REFUSALS: Final = {
    1: "it does not speak this version of MQTT",
    2: "it refuses the client id",
    3: "it is not available",
    4: "user name or password is wrong",
    5: NOT_LET_IN,
    0x84: "it does not speak MQTT 5",
    0x86: "user name or password is wrong",
    0x87: NOT_LET_IN,
}


class AnotherProtocolError(CodecError):
    """The answer is in another protocol; `answer` is how it begins."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(f"its answer to CONNECT begins with {answer[:8]!r}")
        self.answer = answer


def probe(
    endpoint: Endpoint,
    client_id: str = "",
    timeout_s: float = TIMEOUT_S,
    *,
    is_new: bool = True,
) -> Connack:
    """Connect and disconnect; raise MissingEnvironmentError with one sentence if that cannot be done.

    Without a client id it has a new one each time, so that nobody else who probes takes the session over.
    What listens there without speaking MQTT is asked what else it speaks, if we do not know it (`is_new`).
    """
    limit_s = time.monotonic() + timeout_s
    try:
        stream = Stream(endpoint.speaking(endpoint.version), timeout_s)
        try:
            return _ask(endpoint, stream, client_id or f"wtprobe{secrets.token_hex(4)}", limit_s)
        finally:
            stream.close()
    except (OSError, CodecError) as error:
        spoken_there = _other(endpoint, error) if is_new else ""
        silence = f"it does not answer within {timeout_s:g} s"
        raise _failed(
            endpoint, spoken_there or (silence if isinstance(error, TimeoutError) else why(error))
        ) from None


def _other(endpoint: Endpoint, error: Exception) -> str:
    """What is spoken there instead, if the error leaves that open."""
    match error:
        case AnotherProtocolError():
            return speaks(endpoint, error.answer) if protocol(error.answer) else ""
        case ConnectionRefusedError() | socket.gaierror() | ssl.SSLCertVerificationError():
            return ""
    return speaks(endpoint.speaking(endpoint.version))


def probe_each(endpoint: Endpoint, speakers: Mapping[str, Version], *, is_new: bool = True) -> None:
    """Connect in every version that somebody speaks.

    Raise MissingEnvironmentError with one sentence: if it is the version, which, and who would speak it.
    """
    for version in dict.fromkeys(speakers.values()) or [endpoint.version]:
        try:
            probe(replace(endpoint, version=version), is_new=is_new)
        except MissingEnvironmentError as error:
            other: Version = "5" if version == "3.1.1" else "3.1.1"
            try:
                probe(replace(endpoint, version=other), timeout_s=OTHER_S, is_new=False)
            except MissingEnvironmentError:
                raise error from None
            names = [name for name, each in speakers.items() if each == version]
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            raise MissingEnvironmentError(
                f"the broker at {endpoint.url} speaks MQTT {other} and not {version}, which"
                f" {', '.join(names[:NAMED])}{more} would speak with it; bind another"
            ) from None


def trouble(endpoint: Endpoint, speakers: Mapping[str, Version]) -> str:
    """Why the broker cannot be used any more; "" if it can."""
    try:
        probe_each(endpoint, speakers, is_new=False)
    except MissingEnvironmentError as error:
        return str(error)
    return ""


def _ask(endpoint: Endpoint, stream: Stream, client_id: str, limit_s: float) -> Connack:
    connect = Connect(client_id, 10.0, clean_session=True, version=endpoint.version)
    stream.send(encode_connect(connect_message(connect), endpoint))
    connack = read_connack(_packet(stream, Decoder(endpoint.version), limit_s))
    if connack.return_code != ACCEPTED:
        said = REFUSALS.get(connack.return_code, f"it answers with code {connack.return_code}")
        raise _failed(endpoint, said)
    stream.leave(encode(Message("", kind="disconnect", properties=spoken(endpoint.version))))
    return connack


def _packet(stream: Stream, decoder: Decoder, limit_s: float) -> Message:
    while (rest_s := limit_s - time.monotonic()) > 0:
        data = stream.receive(rest_s)
        if data is None:
            break
        if not data:
            raise OSError("it closes the connection instead of answering CONNECT")
        if not decoder.rest and data[0] != CONNACK:
            raise AnotherProtocolError(data)
        for message in decoder.feed(data):
            return message
    raise TimeoutError


def _failed(endpoint: Endpoint, reason: str) -> MissingEnvironmentError:
    return MissingEnvironmentError(f"no broker at {endpoint.url}: {reason}")
