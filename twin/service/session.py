"""One MQTT session with a real broker: opened with one clear sentence if it cannot be."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final, Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from twin.live.endpoint import Endpoint
from twin.live.mistaken import speaks
from twin.service.target import Target, UnreachableError

KEEP_ALIVE_S: Final = 15
ANSWER_S: Final = 5.0


def client_for(target: Target, client_id: str, *, is_kept: bool, **options: Any) -> Client:
    """A paho client that is not connected; `is_kept` asks the broker to keep the session."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=not is_kept,
        protocol=MQTTProtocolVersion.MQTTv311,
        transport="unix" if target.path else "tcp",
        **options,
    )
    if target.user:
        client.username_pw_set(target.user, target.password or None)
    context = target.context()
    if context is not None:
        client.tls_set_context(context)
    client.connect_timeout = ANSWER_S
    client.on_socket_open = _without_delay
    return client


def _without_delay(_client: Client, _data: Any, opened: Any) -> None:
    """Small packets go at once; paho leaves Nagle's algorithm on, which delays TLS by 40 ms."""
    if opened.family != getattr(socket, "AF_UNIX", None):
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def address(target: Target) -> tuple[str, int]:
    """Host and port as paho wants them."""
    return (target.path, 1) if target.path else (target.host, target.port)


@dataclass(slots=True)
class Probe:
    """A short session of its own thread for finding out what a broker does; `with` opens and ends it.

    Entering raises UnreachableError with the reason if the broker takes no session.
    """

    target: Target
    client_id: str
    heard: list[tuple[str, bytes]] = field(init=False, default_factory=list)
    _client: Client = field(init=False)
    _event: threading.Event = field(init=False, default_factory=threading.Event)
    _code: ReasonCode | None = field(init=False, default=None)
    _granted: list[ReasonCode] = field(init=False, default_factory=list)

    def __enter__(self) -> Self:
        self._client = client_for(self.target, self.client_id, is_kept=False, reconnect_on_failure=False)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        try:
            self._client.connect(*address(self.target), keepalive=KEEP_ALIVE_S)
        except (OSError, ValueError) as error:
            is_open = not isinstance(
                error, (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError)
            )
            said = (self._other() if is_open else "") or reason(error)
            raise UnreachableError(f"no MQTT broker at {self.target}: {said}") from None
        self._client.loop_start()
        is_answered = self._event.wait(ANSWER_S)
        if self._code is None or self._code.is_failure:
            self._client.loop_stop()
            raise UnreachableError(self._refusal(is_answered=is_answered))
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def is_connected(self) -> bool:
        """Whether the session lasts."""
        return self._client.is_connected()

    def subscribe(self, topic_filter: str) -> bool:
        """Whether the broker grants a subscription; False too if it ends the connection."""
        self._event.clear()
        self._granted = []
        self._client.subscribe(topic_filter, 1)
        return (
            self._event.wait(ANSWER_S)
            and bool(self._granted)
            and not any(code.is_failure for code in self._granted)
        )

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish and wait until the broker has it, or for a while."""
        until_s = time.monotonic() + ANSWER_S
        sent = self._client.publish(topic, payload, 1)
        while self.is_connected and not sent.is_published() and time.monotonic() < until_s:
            time.sleep(0.005)

    def _refusal(self, *, is_answered: bool) -> str:
        if self._code is not None:
            return f"the broker {self.target} refuses us: {self._code}; check user, password and certificate"
        if other := self._other():
            return f"no MQTT broker at {self.target}: {other}"
        if is_answered:
            return (
                f"{self.target} ended the connection without an answer: it speaks no MQTT,"
                " or it wants TLS (mqtts://), or it refuses our certificate"
            )
        return f"{self.target} takes connections and does not answer: is it an MQTT broker?"

    def _other(self) -> str:
        """What is spoken there instead, another protocol or MQTT with or without TLS, if it lets us ask."""
        if self.target.path:
            return ""
        scheme = "mqtts" if self.target.is_tls else "mqtt"
        return speaks(Endpoint(scheme, self.target.host, self.target.port))

    def _on_connect(
        self, _client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _: Properties | None
    ) -> None:
        self._code = code
        self._event.set()

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, _code: ReasonCode, _: Properties | None
    ) -> None:
        self._event.set()

    def _on_subscribe(
        self, _client: Client, _data: Any, _id: int, codes: list[ReasonCode], _: Properties | None
    ) -> None:
        self._granted = codes
        self._event.set()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload)))


def reason(error: Exception) -> str:
    """Why a connection failed, in words."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message}); name its CA with --broker-ca"
        case ssl.SSLError():
            return f"no TLS there ({error.reason or error}); is it mqtt:// instead of mqtts://?"
        case socket.gaierror():
            return "no such host"
        case ConnectionRefusedError():
            return "connection refused; does the broker run there?"
        case TimeoutError():
            return f"no answer within {ANSWER_S:g} s"
        case OSError():
            return error.strerror or str(error)
    return str(error)
