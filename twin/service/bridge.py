"""Between the twins and a broker: requests in, answers out, nothing lost in between.

A request is acknowledged to the broker after what it changed is kept, so what was not kept comes again. The
session is kept by the broker while we are away. An answer is settled when the broker has acknowledged it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from twin.message import Message
from twin.mqtt.coverage import covers
from twin.service.session import KEEP_ALIVE_S, address, client_for
from twin.service.target import Target

IN_FLIGHT: Final = 1_000
"""Messages that the broker has not acknowledged yet."""
QUEUE_LIMIT: Final = 100_000
STOP_S: Final = 2.0
FIRST_PAUSE_S: Final = 1
LONGEST_PAUSE_S: Final = 15
FILTERS_AT_ONCE: Final = 50


class Backlog(Exception):  # noqa: N818  (it is a state, told to the writer)
    """Too many messages wait for the broker; these stay in the outbox."""


@dataclass(slots=True)
class _Commit:
    """How many messages of one commit are not with the broker yet."""

    number: int
    left: int


@dataclass(slots=True)
class Counts:
    """What went through the bridge since it was made."""

    received: int = 0
    acknowledged: int = 0
    published: int = 0
    wills_ignored: int = 0
    connections: int = 0


@dataclass(slots=True)
class Bridge:
    """A session with the broker on a thread of its own, made anew whenever it breaks.

    `take(message, done)` is told of each message and calls `done` once it is kept; it may wait for a moment
    but not for ever. `settled(number)` hears which commit was published. `is_will` tells last wills on topics
    of the service, which are not requests.
    """

    target: Target
    client_id: str
    filters: Sequence[str]
    take: Callable[[Message, Callable[[], None]], None]
    settled: Callable[[int], None]
    is_will: Callable[[int, str], bool] = lambda _id, _topic: False

    counts: Counts = field(init=False, default_factory=Counts)
    refused_filters: list[str] = field(init=False, default_factory=list)
    trouble: str = field(init=False, default="not connected yet")
    since_s: float = field(init=False, default_factory=time.time)
    _client: Client = field(init=False)
    _ready: threading.Event = field(init=False, default_factory=threading.Event)
    _pending: dict[int, list[str]] = field(init=False, default_factory=dict)
    _queue: deque[tuple[_Commit, Message]] = field(init=False, default_factory=deque)
    _owners: dict[int, _Commit] = field(init=False, default_factory=dict)
    _early: set[int] = field(init=False, default_factory=set)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _pumping: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.filters = least(self.filters)
        client = client_for(self.target, self.client_id, is_kept=True, manual_ack=True)
        client.max_inflight_messages_set(IN_FLIGHT)
        client.reconnect_delay_set(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        self._client = client

    # for every thread ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, and go on trying for as long as it takes."""
        self._client.connect_async(*address(self.target), keepalive=KEEP_ALIVE_S)
        self._client.loop_start()

    def stop(self) -> None:
        """End the session; the broker keeps what comes meanwhile."""
        self._client.disconnect()
        ending = threading.Thread(target=self._client.loop_stop, name="bridge-end", daemon=True)
        ending.start()
        ending.join(STOP_S)  # paho sleeps between attempts to connect

    @property
    def is_ready(self) -> bool:
        """Whether requests reach the twins and answers the broker."""
        return self._ready.is_set()

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Wait for the session and its subscriptions."""
        return self._ready.wait(timeout_s)

    @property
    def waiting(self) -> int:
        """Messages that wait for the broker or for its acknowledgement."""
        return len(self._queue) + len(self._owners)

    def publish(self, number: int, messages: Sequence[Message]) -> None:
        """Publish the messages of a commit in order; raises Backlog if too many wait already."""
        if len(self._queue) + len(messages) > QUEUE_LIMIT:
            raise Backlog(f"{len(self._queue)} messages wait for the broker already")
        commit = _Commit(number, len(messages))
        self._queue.extend((commit, message) for message in messages)
        self._pump()

    def interrupt(self) -> None:
        """Break the connection, so that the broker sends again what was not acknowledged."""
        opened: Any = self._client.socket()
        if opened is not None:
            with contextlib.suppress(OSError):  # it may break by itself
                opened.shutdown(socket.SHUT_RDWR)

    # answers out -----------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Hand on what waits while there is room. One thread does it, so the order is kept; another that
        comes meanwhile leaves its part to that one, which looks again when it is done.
        """
        while self._queue and len(self._owners) < IN_FLIGHT:
            if not self._pumping.acquire(blocking=False):
                return
            try:
                while self._queue and len(self._owners) < IN_FLIGHT:
                    self._hand_on(*self._queue.popleft())
            finally:
                self._pumping.release()

    def _hand_on(self, commit: _Commit, message: Message) -> None:
        packet_id = self._client.publish(message.topic, message.payload, message.qos, message.retain).mid
        with self._lock:  # never held while paho is called, which has locks of its own
            is_acknowledged = packet_id in self._early
            if is_acknowledged:
                self._early.discard(packet_id)
            else:
                self._owners[packet_id] = commit
        if is_acknowledged:
            self._done(commit)

    def _on_publish(
        self, _client: Client, _data: Any, packet_id: int, _code: ReasonCode, _properties: Properties | None
    ) -> None:
        with self._lock:
            commit = self._owners.pop(packet_id, None)
            if commit is None:
                self._early.add(packet_id)
        if commit is not None:
            self._done(commit)
        self._pump()

    def _done(self, commit: _Commit) -> None:
        self.counts.published += 1
        with self._lock:
            commit.left -= 1
            is_over = not commit.left
        if is_over:
            self.settled(commit.number)

    # requests in -----------------------------------------------------------------------------------------

    def _on_message(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        self.counts.received += 1
        packet_id, topic = message.mid, message.topic
        if topic.startswith("$aws/") and not message.dup and self.is_will(packet_id, topic):
            self.counts.wills_ignored += 1
            client.ack(packet_id, message.qos)
            return
        connection = self.counts.connections

        def done() -> None:
            if connection == self.counts.connections:  # on another one the number is another message's
                self.counts.acknowledged += 1
                client.ack(packet_id, message.qos)

        taken = Message(topic, bytes(message.payload), message.qos, message.retain, dup=message.dup)

        self.take(taken, done)

    # the session -----------------------------------------------------------------------------------------

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _: Properties | None
    ) -> None:
        if code.is_failure:
            self._lost(f"the broker refuses us: {code}")
            return
        self.counts.connections += 1
        self.refused_filters.clear()
        self._pending.clear()
        for start in range(0, len(self.filters), FILTERS_AT_ONCE):
            part = list(self.filters[start : start + FILTERS_AT_ONCE])
            packet_id = client.subscribe([(each, 1) for each in part])[1]
            if packet_id is not None:
                self._pending[packet_id] = part
        if not self._pending:
            self._is_up()

    def _on_subscribe(
        self, _client: Client, _data: Any, packet_id: int, codes: list[ReasonCode], _: Properties | None
    ) -> None:
        part = self._pending.pop(packet_id, [])
        self.refused_filters += [each for each, code in zip(part, codes) if code.is_failure]
        if not self._pending:
            self._is_up()

    def _is_up(self) -> None:
        self.trouble = ""
        self.since_s = time.time()
        self._ready.set()

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        self._lost(f"no broker at {self.target}")

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, code: ReasonCode, _: Properties | None
    ) -> None:
        self._lost(f"the connection to the broker broke: {code}")

    def _lost(self, why: str) -> None:
        if self._ready.is_set():
            self.since_s = time.time()
        self._ready.clear()
        self.trouble = why


def least(filters: Sequence[str]) -> list[str]:
    """The filters without those that others cover: brokers may deliver once for each that fits."""
    wanted = list(dict.fromkeys(filters))
    return [each for each in wanted if not any(other != each and covers(other, each) for other in wanted)]
