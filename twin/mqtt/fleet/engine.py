"""Tens of thousands of MQTT clients in one thread: one poller, one wheel of timers, no object a message.

    schedule --due--> encoder --> window --> socket ~~~> broker
    listener <-- sessions <-- socket <~~~

Whoever owns the thread calls `step`. An engine runs in a loop of its own (`run`), or inside another: watch
`fileno()` for reading, and step when it is readable or `wait_s()` has passed.
"""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable, Sequence
from typing import Final

from twin.errors import InputError
from twin.mqtt.fleet import frames
from twin.mqtt.fleet.connections import Connections, EngineSettings
from twin.mqtt.fleet.device import Device, Listener, Profile, Publication
from twin.mqtt.fleet.feed import Feed
from twin.mqtt.fleet.poller import Poller, new_poller
from twin.mqtt.fleet.sessions import ReadDue, properties_field

MOST_READY: Final = 512
MOST_DUE: Final = 256
LONGEST_WAIT_S: Final = 1.0
COARSE_S: Final = 0.002
SELECT_LIMIT: Final = 1_024
DEVICE_LIMIT: Final = 1_000_000


class FleetEngine:
    """The devices of one process. `read_due` says when a delivery was due, so that its latency is counted.

    `tally` says what happened. `clock` is in seconds and never goes back.
    """

    def __init__(
        self,
        listener: Listener | None = None,
        *,
        settings: EngineSettings | None = None,
        read_due: ReadDue | None = None,
        clock: Callable[[], float] = time.monotonic,
        poller: Poller | None = None,
    ) -> None:
        self.devices: list[Device] = []
        self.feeds: list[Feed] = []
        self._clock = clock
        self._poller = new_poller() if poller is None else poller
        settings = settings or EngineSettings()
        self._first_number = settings.first_number
        self._connections = Connections(self._poller, settings, clock, listener or Listener(), read_due)
        self._sessions = self._connections.sessions
        self.tally = self._connections.tally
        self.asked: Callable[[], None] = lambda: None
        """Called when somebody asks for something that `wait_s` did not know of."""
        self._is_closed = False

    # devices ---------------------------------------------------------------------------------------------

    @property
    def listener(self) -> Listener:
        """Whom the engine tells."""
        return self._sessions.listener

    @property
    def now(self) -> float:
        """The time on the engine's clock (s)."""
        return self._clock()

    @property
    def open_count(self) -> int:
        """Connections that are open or being made."""
        return self._connections.open_count

    @property
    def up_count(self) -> int:
        """Devices that the broker has accepted."""
        return self._connections.up_count

    def add(self, client_id: str, profile: Profile, source: str = "") -> Device:
        """A device, which does not connect yet; `source` is the address it is to connect from."""
        if len(self.devices) >= DEVICE_LIMIT:
            raise InputError(f"an engine has at most {DEVICE_LIMIT:,} devices; use more processes")
        self._connections.know(profile.host, profile.port)
        device = Device(self._first_number + len(self.devices), client_id, profile, source)
        self.devices.append(device)
        return device

    def connect(self, device: Device, at_s: float | None = None) -> None:
        """Connect as soon as the window has room, but not before `at_s` of the clock; and stay connected."""
        self._connections.ask(device, at_s)
        self.asked()

    def publish(
        self,
        device: Device,
        topic: str,
        payload: bytes,
        qos: int = 0,
        *,
        is_retained: bool = False,
        due_s: float | None = None,
        properties: bytes = b"",
    ) -> int:
        """Publish, or hold it until the device is connected; return its sequence number.

        `due_s` is when it was due on the engine's clock, now if it is not given.
        """
        if not 0 <= qos <= 2:
            raise InputError(f"topic {topic!r}: QoS is 0, 1 or 2, not {qos}")
        self._sessions.now = now = self._clock()
        device.sequence += 1
        first = frames.PUBLISH | qos << 1 | is_retained
        said = properties_field(device, properties)
        due_s = now if due_s is None else due_s
        publication = Publication(first, frames.topic_field(topic), payload, said, device.sequence, due_s)
        self._sessions.offer(device, publication)
        return device.sequence

    def feed(self, feed: Feed) -> None:
        """Publish on a schedule from now on."""
        self.feeds.append(feed)
        self.asked()

    def subscribe(self, device: Device, topic_filter: str, qos: int = 0) -> None:
        """Subscribe now or as soon as connected, and again whenever the broker has lost the session."""
        self._sessions.now = self._clock()
        self._sessions.subscribe(device, topic_filter, qos)

    def unsubscribe(self, device: Device, topic_filter: str) -> None:
        """End a subscription, now or as soon as connected."""
        self._sessions.now = self._clock()
        self._sessions.unsubscribe(device, topic_filter)

    def disconnect(self, device: Device) -> None:
        """Leave in good order; the broker discards the will. What waits stays for the next connection."""
        self._connections.leave(device)

    def cut(self, device: Device) -> None:
        """Close the connection without a word; the device comes back if it is one that does."""
        if device.descriptor >= 0:
            self._connections.end(device, "cut")

    # the loop --------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """A file that is readable when a connection has something for the engine."""
        return self._poller.fileno()

    def wait_s(self) -> float:
        """How long the engine has nothing to do on its own (s); sockets may have something before."""
        if self._connections.has_room:
            return 0.0
        due_s = self._connections.timers.next_s
        for feed in self.feeds:
            due_s = min(due_s, feed.next_s)
        return min(max(0.0, due_s - self._clock()), LONGEST_WAIT_S)

    def step(self, timeout_s: float = 0.0) -> int:
        """Wait until something is to be done, at most `timeout_s`, and do it; return how many sockets had
        something. A step is bounded, so that others have their turn.
        """
        ready = self._ready(min(timeout_s, self.wait_s()))
        connections = self._connections
        connections.ready(ready)
        now = self._sessions.now = self._clock()
        if connections.timers.next_s <= now:
            connections.wake(now)
        if self.feeds:
            self._publish_due()
        if connections.has_room:
            connections.open_queued()
        return len(ready)

    def run(self, until: Callable[[], bool], limit_s: float) -> bool:
        """Step until it is so; False when that took longer than `limit_s`."""
        end_s = self._clock() + limit_s
        while not until():
            left_s = end_s - self._clock()
            if left_s <= 0.0:
                return False
            self.step(left_s)
        return True

    def close(self, grace_s: float = 2.0) -> None:
        """Disconnect every device, wait at most `grace_s` for it, and release everything."""
        if self._is_closed:
            return
        self.feeds.clear()
        for device in self.devices:
            self.disconnect(device)
        self.run(lambda: not self._connections.open_count, grace_s)
        self._connections.end_all()
        self._poller.close()
        self._is_closed = True

    def _ready(self, wait_s: float) -> list[tuple[int, int]]:
        """Wait for sockets, finer than the whole milliseconds that epoll knows."""
        if wait_s > COARSE_S:
            wait_s -= COARSE_S / 2
        elif wait_s > 0.0 and (descriptor := self._poller.fileno()) < SELECT_LIMIT:
            select.select([descriptor], [], [], wait_s)
            wait_s = 0.0
        return self._poller.poll(wait_s, MOST_READY)

    def _publish_due(self) -> None:
        """Publish what is due, no matter how late, and note how late it is."""
        clock, lateness = self._clock, self.tally.lateness
        offer = self._sessions.offer
        for feed in self.feeds:
            for _ in range(MOST_DUE):
                now = clock()
                if feed.next_s > now:
                    break
                self._sessions.now = now
                member, due_s = feed.take()
                lateness.add(now - due_s)
                device = feed.devices[member]
                device.sequence = sequence = device.sequence + 1
                said = b"" if feed.properties is None else feed.properties(device, sequence, due_s)
                if said or device.profile.version == "5":
                    said = properties_field(device, said)
                payload = feed.payload(device, sequence, due_s)
                topic = feed.topics[member]
                offer(device, Publication(feed.first, topic, payload, said, sequence, due_s))
        if any(feed.next_s == math.inf for feed in self.feeds):
            self.feeds[:] = [feed for feed in self.feeds if feed.next_s < math.inf]


def devices_of(engine: FleetEngine, prefix: str, count: int, profile: Profile) -> Sequence[Device]:
    """`count` devices of one kind, named by prefix and number."""
    return [engine.add(f"{prefix}{number}", profile) for number in range(count)]
