"""What mosquitto says in its log about clients: read as it is written, so that refusals can be audited.

Held against mosquitto 2.0.11 by the tests. It checks topics and client names for control characters before it
writes them, so a client cannot forge a line. What each refusal looks like there:

    publish    "Denied PUBLISH from NAME (...)" at log type debug; an MQTT 5 client gets reason code 135, an
               older one an ordinary PUBACK, because MQTT 3.1.1 has no other
    subscribe  nothing: the SUBACK grants it and no message is ever delivered. The subscription itself is
               logged, so whoever knows the policies can tell
    will       nothing: it is dropped when it falls due. It is logged when the client connects
    connect    "certificate verify failed" for an expired, revoked or foreign certificate
"""

from __future__ import annotations

import os
import re
import select
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

READ_BYTES: Final = 1 << 20
WAIT_S: Final = 0.5
LAST_LINES: Final = 40
MOST_WILLS: Final = 10_000
SERVICE_TOPICS: Final = "$aws/"

_DENIED = re.compile(r"Denied PUBLISH from (.*) \(d\d, q\d, r\d, m\d+, '(.*)', \.\.\. \(\d+ bytes\)\)$")
_CONNECTED = re.compile(r"New client connected from (\S+) as (.*) \(p\d, c\d, k\d+(?:, u'(.*)')?\)\.$")
_SERVICE_MESSAGE = re.compile(r"m(\d+), '(\$aws/.*)', \.\.\. \((\d+) bytes\)\)$")
_RECEIVED = "Received PUBLISH from "
_SUBSCRIBING = "Received SUBSCRIBE from "
_WILL = re.compile(r"Will message specified \((\d+) bytes\)")
_FILTER = re.compile(r"\t(.*) \(QoS \d\)$")
_GONE = re.compile(r"Client (.*?)(?: disconnected| closed its connection| has exceeded timeout)")
_REFUSED = re.compile(r"error:.*(certificate verify failed|peer did not return a certificate)")


class Arrived(NamedTuple):
    """A client connected; `will` is the topic of its last will, or empty."""

    client: str
    user: str
    address: str
    will: str


class Subscribed(NamedTuple):
    """A client asked for a topic filter."""

    client: str
    topic_filter: str


class Denied(NamedTuple):
    """A client's message was not taken."""

    client: str
    topic: str


class NotVerified(NamedTuple):
    """A client's certificate was refused: expired, revoked, foreign or missing."""

    reason: str


class Left(NamedTuple):
    """A client's connection ended."""

    client: str


Event: TypeAlias = Arrived | Subscribed | Denied | NotVerified | Left


@dataclass(slots=True)
class BrokerLog:
    """Reads the log from a pipe on a thread of its own and tells `tell` of each event, in order.

    The broker waits when its log is not read, so `tell` must not wait for anything. `listener` is the client
    id of whoever takes the messages on `$aws` topics and wants to know which are last wills.
    """

    pipe: int
    tell: Callable[[Event], None]
    listener: str = ""

    last_lines: deque[str] = field(init=False, default_factory=lambda: deque(maxlen=LAST_LINES))
    is_running: threading.Event = field(init=False, default_factory=threading.Event)
    is_serving: threading.Event = field(init=False, default_factory=threading.Event)
    is_reloading: threading.Event = field(init=False, default_factory=threading.Event)
    is_over: threading.Event = field(init=False, default_factory=threading.Event)
    _lock: threading.RLock = field(init=False, default_factory=threading.RLock)
    _rest: str = field(init=False, default="")
    _arriving: Arrived | None = field(init=False, default=None)
    _subscriber: str = field(init=False, default="")
    _sending: str = field(init=False)
    _will_bytes: int = field(init=False, default=0)
    _wills: dict[str, tuple[str, int]] = field(init=False, default_factory=dict)
    _published: dict[str, deque[int]] = field(init=False, default_factory=dict)
    _delivered_wills: deque[tuple[int, str]] = field(
        init=False, default_factory=lambda: deque(maxlen=MOST_WILLS)
    )

    def __post_init__(self) -> None:
        self._sending = f"Sending PUBLISH to {self.listener} (d0,"

    def start(self) -> None:
        """Read from now on, until the broker closes its end."""
        os.set_blocking(self.pipe, False)
        threading.Thread(target=self._read, name="broker-log", daemon=True).start()

    def drain(self) -> None:
        """Take what the broker has written so far."""
        with self._lock:
            while not self.is_over.is_set():
                try:
                    read = os.read(self.pipe, READ_BYTES)
                except BlockingIOError:
                    return
                if read:
                    self._take(read.decode(errors="replace"))
                else:
                    os.close(self.pipe)
                    self.is_over.set()

    def is_will(self, packet_id: int, topic: str) -> bool:
        """Whether the message that the listener just got is a client's last will on a `$aws` topic."""
        with self._lock:
            self.drain()
            delivered = (packet_id, topic)
            if delivered not in self._delivered_wills:
                return False
            self._delivered_wills.remove(delivered)
            return True

    def _read(self) -> None:
        while not self.is_over.is_set():
            select.select([self.pipe], [], [], WAIT_S)
            self.drain()

    def _take(self, text: str) -> None:
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        for line in lines:
            self._understand(line)

    def _understand(self, line: str) -> None:
        if line.startswith((_RECEIVED, self._sending)):
            self._count(line)
        elif line.startswith("\t"):
            self._indented(line)
        elif line.startswith(_SUBSCRIBING):
            self._subscriber = line.removeprefix(_SUBSCRIBING)
        elif line.startswith("No will"):
            self._arrive("")
        elif found := _WILL.match(line):
            self._will_bytes = int(found[1])
        elif found := _DENIED.match(line):
            self.tell(Denied(found[1], found[2]))
        elif found := _CONNECTED.match(line):
            self._arriving = Arrived(found[2], found[3] or "", found[1], "")
        elif found := _GONE.match(line):
            self.tell(Left(found[1]))
        elif found := _REFUSED.search(line):
            self.tell(NotVerified(found[1]))
        elif line.startswith(("Error", "Warning", "mosquitto")):
            self.last_lines.append(line)
            if line.endswith(" running"):
                self.is_running.set()
        elif line.startswith("New connection"):
            self.is_serving.set()
        elif line.startswith("Reloading"):
            self.is_reloading.set()

    def _count(self, line: str) -> None:
        """A message on a topic of the service was published, or is handed to the listener.

        A publish is logged before it is handed on, a will not at all: a message that is handed on and was not
        published before is a will. The size tells them apart where both wait in a queue of the broker.
        """
        found = _SERVICE_MESSAGE.search(line)
        if found is None:
            return
        packet_id, topic, size = int(found[1]), found[2], int(found[3])
        if line.startswith(_RECEIVED):
            self._published.setdefault(topic, deque()).append(size)
            return
        sizes = self._published.get(topic)
        if (topic, size) in self._wills.values() and (not sizes or sizes[0] != size):
            self._delivered_wills.append((packet_id, topic))
        elif sizes:
            sizes.popleft()
            if not sizes:
                del self._published[topic]

    def _indented(self, line: str) -> None:
        """The topic of the will of a client that arrives, or a filter that is subscribed to."""
        if self._arriving is not None:
            self._arrive(line[1:])
        elif found := _FILTER.match(line):
            self.tell(Subscribed(self._subscriber, found[1]))

    def _arrive(self, will: str) -> None:
        if self._arriving is None:
            return
        arrived, self._arriving = self._arriving._replace(will=will), None
        self._wills.pop(arrived.client, None)
        if will.startswith(SERVICE_TOPICS):
            self._wills[arrived.client] = (will, self._will_bytes)
        self.tell(arrived)
