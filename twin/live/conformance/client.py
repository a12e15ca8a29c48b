"""A client for checks: it does what it is told, also what no client should, and waits no longer than it may.

Unlike a session of `twin.mqtt.client` it repairs nothing and can be told to leave publications
unacknowledged.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import Final

from twin.live.conformance.verdicts import Failed, NotSupported
from twin.live.endpoint import Endpoint
from twin.live.stream import Stream
from twin.live.wires import encode_connect
from twin.message import Message, Properties
from twin.mqtt.codec import CodecError, Decoder, encode
from twin.mqtt.packets import ACCEPTED, Connack, Connect, Will, connect_message, read_connack, spoken
from twin.mqtt.trouble import why

ANSWER_S: Final = 5.0
QUIET_S: Final = 0.4
KEEP_ALIVE_S: Final = 60.0
FIRST_REFUSAL: Final = 0x80
UNSUPPORTED: Final = {
    0x9A: "retained messages",
    0x9B: "this QoS",
    0x9E: "shared subscriptions",
    0xA1: "subscription identifiers",
    0xA2: "wildcard subscriptions",
}
"""Reason codes by which an MQTT 5 broker may say that it does not offer something (table 2-6)."""


class Client:
    """One client id with one connection at a time; `until_s` is when its check must be over (monotonic)."""

    def __init__(self, endpoint: Endpoint, client_id: str, until_s: float) -> None:
        self.endpoint, self.client_id = endpoint, client_id
        self.version = endpoint.version
        self.is_acknowledging = True
        self.is_closed = True
        self.inbox: deque[Message] = deque()
        self.received = bytearray()
        self.goodbye_code = 0
        self._answers: deque[Message] = deque()
        self._received_ids: set[int] = set()
        self._packet_id = 0
        self._until_s = until_s
        self._stream: Stream | None = None
        self._decoder = Decoder(self.version)

    # connecting ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the connection and say nothing."""
        self.cut()
        self._decoder = Decoder(self.version)
        self._answers.clear()
        try:
            self._stream = Stream(self.endpoint, self._within(ANSWER_S))
        except TimeoutError:
            raise Failed(f"no connection within {ANSWER_S:g} s") from None
        except (OSError, CodecError) as error:
            raise Failed(f"no connection: {why(error)}") from None
        self.is_closed = False

    def ask(
        self,
        *,
        is_clean: bool = True,
        will: Will | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
        expiry_s: int | None = None,
        receive_maximum: int = 65_535,
        maximum_packet_bytes: int = 268_435_460,
    ) -> Connack | None:
        """Connect and return the answer, None if the broker closes instead.

        A session that is not clean lives for five minutes in MQTT 5 unless `expiry_s` says otherwise.
        """
        self.open()
        connect = Connect(
            self.client_id,
            keep_alive_s,
            is_clean,
            will,
            version=self.version,
            session_expiry_s=(0 if is_clean else 300) if expiry_s is None else expiry_s,
            receive_maximum=receive_maximum,
            maximum_packet_bytes=maximum_packet_bytes,
        )
        self.send_bytes(encode_connect(connect_message(connect), self.endpoint))
        answer = self.answer("connack")
        return None if answer is None else read_connack(answer)

    def connect(
        self,
        *,
        is_clean: bool = True,
        will: Will | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
        expiry_s: int | None = None,
        receive_maximum: int = 65_535,
        maximum_packet_bytes: int = 268_435_460,
    ) -> Connack:
        """Connect; raise Failed if the broker does not accept."""
        connack = self.ask(
            is_clean=is_clean,
            will=will,
            keep_alive_s=keep_alive_s,
            expiry_s=expiry_s,
            receive_maximum=receive_maximum,
            maximum_packet_bytes=maximum_packet_bytes,
        )
        if connack is None:
            raise Failed("CONNECT: the broker closes the connection without CONNACK")
        if connack.return_code != ACCEPTED:
            raise Failed(f"CONNECT is refused with code {connack.return_code:#04x}")
        return connack

    def disconnect(self, reason_code: int = 0, session_expiry_s: int | None = None) -> None:
        """Leave in order."""
        said = spoken(self.version)
        if said is not None:
            said = Properties(reason_code, session_expiry_s=session_expiry_s)
        if self._stream is not None:
            self._stream.leave(encode(Message("", kind="disconnect", properties=said)))
        self.cut()

    def cut(self) -> None:
        """Close the connection without DISCONNECT."""
        if self._stream is not None:
            self._stream.close()
        self._stream = None
        self.is_closed = True

    # requests --------------------------------------------------------------------------------------------

    def subscribe(self, topic_filter: str, qos: int = 1, options: Properties | None = None) -> int:
        """Subscribe and return the granted QoS; raise NotSupported or Failed if it is refused."""
        granted = self.ask_subscribe(topic_filter, qos, options)
        if granted in UNSUPPORTED:
            raise NotSupported(f"SUBACK says {granted:#04x}: no {UNSUPPORTED[granted]}")
        if granted >= FIRST_REFUSAL:
            raise Failed(f"SUBSCRIBE to {topic_filter!r} is refused with code {granted:#04x}")
        return granted

    def ask_subscribe(self, topic_filter: str, qos: int = 1, options: Properties | None = None) -> int:
        """Subscribe and return the code of the SUBACK."""
        number = self.send_subscribe(topic_filter, qos, options)
        return self.needed("suback", number).qos

    def send_subscribe(self, topic_filter: str, qos: int = 1, options: Properties | None = None) -> int:
        """Send the SUBSCRIBE only; return its packet id."""
        said = None if self.version == "3.1.1" else options or Properties()
        number = self.next_id()
        self.send(Message(topic_filter, qos=qos, kind="subscribe", packet_id=number, properties=said))
        return number

    def unsubscribe(self, topic_filter: str) -> int:
        """Unsubscribe and return the reason code (0 in MQTT 3.1.1)."""
        number = self.next_id()
        said = spoken(self.version)
        self.send(Message(topic_filter, kind="unsubscribe", packet_id=number, properties=said))
        answer = self.needed("unsuback", number)
        return answer.properties.reason_code if answer.properties is not None else 0

    def publish(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 1,
        *,
        is_retained: bool = False,
        said: Properties | None = None,
    ) -> None:
        """Publish and carry the exchange of this QoS through to its end."""
        number = self.send_publish(topic, payload, qos, is_retained=is_retained, said=said)
        if qos == 1:
            self._accepted(self.needed("puback", number))
        if qos == 2:
            self._accepted(self.needed("pubrec", number))
            self.release(number)

    def send_publish(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 1,
        *,
        is_retained: bool = False,
        said: Properties | None = None,
        again: int = 0,
    ) -> int:
        """Send the PUBLISH only; `again` is the packet id of one that is sent once more. Return its id."""
        number = again or (self.next_id() if qos else 0)
        said = (said or spoken(self.version)) if self.version == "5" else None
        self.send(Message(topic, payload, qos, is_retained, "publish", number, bool(again), 0, said))
        return number

    def release(self, number: int) -> None:
        """The second half of QoS 2."""
        self.send(Message("", kind="pubrel", packet_id=number, properties=spoken(self.version)))
        self.needed("pubcomp", number)

    def ping(self) -> None:
        """Ask for a sign of life; raise Failed without one."""
        self.send(Message("", kind="pingreq", properties=spoken(self.version)))
        self.needed("pingresp")

    def next_id(self) -> int:
        """A packet id that is not in use."""
        self._packet_id = self._packet_id % 65_535 + 1
        return self._packet_id

    # what comes ------------------------------------------------------------------------------------------

    def needed(self, kind: str, packet_id: int = 0) -> Message:
        """The next packet of this kind and id; raise Failed if it does not come."""
        found = self.answer(kind, packet_id)
        if found is None:
            raise Failed(f"the broker closes the connection instead of sending {kind.upper()}")
        return found

    def answer(self, kind: str, packet_id: int = 0) -> Message | None:
        """The same; None if the broker closes instead."""
        end_s = time.monotonic() + self._within(ANSWER_S)
        while True:
            for message in self._answers:
                if message.kind == kind and packet_id in (0, message.packet_id):
                    self._answers.remove(message)
                    return message
            if self.is_closed:
                return None
            if time.monotonic() >= end_s:
                raise Failed(f"no {kind.upper()} within {ANSWER_S:g} s")
            self._read(end_s)

    def messages(self, count: int, within_s: float = ANSWER_S, extra_s: float = 0.0) -> list[Message]:
        """`count` publications, and those that come within `extra_s` after; raise Failed for fewer."""
        end_s = time.monotonic() + self._within(within_s)
        while len(self.inbox) < count and not self.is_closed and time.monotonic() < end_s:
            self._read(end_s)
        if len(self.inbox) < count:
            closing = ", then the broker closes" if self.is_closed else ""
            raise Failed(f"{len(self.inbox)} of {count} messages within {within_s:g} s{closing}")
        if extra_s:
            self.listen(extra_s)
        found = list(self.inbox)
        self.inbox.clear()
        return found

    def listen(self, wait_s: float = QUIET_S) -> list[Message]:
        """What has come and comes within this time; it stays in the inbox."""
        end_s = time.monotonic() + self._within(wait_s)
        while not self.is_closed and time.monotonic() < end_s:
            self._read(end_s)
        return list(self.inbox)

    def is_quiet(self, wait_s: float = QUIET_S) -> bool:
        """Whether no publication comes within this time."""
        return not self.listen(wait_s)

    def closes(self, within_s: float = ANSWER_S) -> bool:
        """Whether the broker closes the connection within this time."""
        self.listen(within_s)
        return self.is_closed

    # bytes -----------------------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Send a packet."""
        self.send_bytes(encode(message))

    def send_bytes(self, data: bytes) -> None:
        """Send bytes that need be no packet; raise Failed if the connection is gone."""
        if self._stream is None or self.is_closed:
            raise Failed("the broker has closed the connection")
        try:
            self._stream.send(data)
        except OSError as error:
            self.is_closed = True
            raise Failed(f"the connection broke: {why(error)}") from None

    def _read(self, end_s: float) -> None:
        if self._stream is None:
            self.is_closed = True
            return
        try:
            data = self._stream.receive(max(0.0, end_s - time.monotonic()))
        except OSError:
            data = b""
        except CodecError as error:
            raise Failed(f"what it sends is no WebSocket: {error}") from None
        if data is None:
            return
        if not data:
            self.is_closed = True
            return
        self.received += data
        try:
            for message in self._decoder.feed(data):
                self._take(message)
        except CodecError as error:
            raise Failed(f"what it sends breaks the standard: {error}") from None

    def _take(self, message: Message) -> None:
        match message.kind:
            case "publish":
                self._publication(message)
            case "pubrel":
                self._received_ids.discard(message.packet_id)
                self._reply("pubcomp", message.packet_id)
            case "disconnect":
                self.goodbye_code = message.properties.reason_code if message.properties else 0
            case _:
                self._answers.append(message)

    def _publication(self, message: Message) -> None:
        is_known = message.qos == 2 and message.packet_id in self._received_ids
        if self.is_acknowledging and message.qos:
            self._reply("puback" if message.qos == 1 else "pubrec", message.packet_id)
            if message.qos == 2:
                self._received_ids.add(message.packet_id)
        if not is_known:
            self.inbox.append(message)

    def acknowledge(self, message: Message) -> None:
        """Acknowledge a publication of QoS 1 by hand."""
        self._reply("puback", message.packet_id)

    def _reply(self, kind: str, packet_id: int) -> None:
        with suppress(Failed):
            self.send(Message("", kind=kind, packet_id=packet_id, properties=spoken(self.version)))

    def _accepted(self, message: Message) -> None:
        code = message.properties.reason_code if message.properties is not None else 0
        if code in UNSUPPORTED:
            raise NotSupported(f"{message.kind.upper()} says {code:#04x}: no {UNSUPPORTED[code]}")
        if code >= FIRST_REFUSAL:
            raise Failed(f"PUBLISH is refused with code {code:#04x}")

    def _within(self, wait_s: float) -> float:
        """No wait goes beyond the end of the check."""
        return max(0.0, min(wait_s, self._until_s - time.monotonic()))
