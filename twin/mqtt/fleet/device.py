"""A device of a fleet: how its kind speaks MQTT, and what is known of this one."""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple

from twin.mqtt.codec import Credentials
from twin.mqtt.fleet.frames import Delivery
from twin.mqtt.outbox import INFLIGHT_LIMIT, QUEUE_LIMIT
from twin.mqtt.packets import PACKET_LIMIT_BYTES, Version, Will

LARGEST_PACKET_BYTES: Final = 16_777_216


class Phase(Enum):
    """Where a device is on its way to the broker.

    idle --connect--> queued --window--> connecting --TCP--> (securing --TLS-->) greeting --CONNACK--> up
                        ^                   `------ lost, refused, timeout ------> waiting     |
                        `------------------------- back-off ----------------------'            v
    idle <-------------------------------------------------------------- leaving <--disconnect-'
    """

    IDLE = "idle"
    WAITING = "waiting"
    QUEUED = "queued"
    CONNECTING = "connecting"
    SECURING = "securing"
    GREETING = "greeting"
    UP = "up"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Which broker a kind of device speaks to, and how; shared by all devices of the kind.

    Durations are in seconds; keep-alive 0 means off. `session_expiry_s` is MQTT 5's. `window` publications at
    QoS 1 and 2 are under way at once, and `queue_limit` more wait; what comes then is dropped and counted.
    """

    host: str
    port: int
    version: Version = "3.1.1"
    keep_alive_s: float = 60.0
    clean_session: bool = True
    session_expiry_s: int = 0
    will: Will | None = None
    credentials: Credentials | None = None
    tls: ssl.SSLContext | None = None
    tls_name: str = ""
    window: int = INFLIGHT_LIMIT
    queue_limit: int = QUEUE_LIMIT
    is_reconnecting: bool = True
    connect_timeout_s: float = 10.0
    reconnect_min_s: float = 1.0
    reconnect_max_s: float = 30.0
    largest_packet_bytes: int = LARGEST_PACKET_BYTES


class Publication(NamedTuple):
    """A message on its way out: the first byte of its packet, and what it stands for.

    At QoS 2 `first` becomes that of PUBREL as soon as the broker has the message.
    """

    first: int
    topic: bytes
    payload: bytes
    properties: bytes
    sequence: int
    due_s: float


class Device:
    """One client. `session` counts the broker's sessions with it, `sequence` its publications."""

    __slots__ = (
        "asked",
        "began_s",
        "client_id",
        "descriptor",
        "failures",
        "filters",
        "granted",
        "inflight",
        "is_pinging",
        "is_wanted",
        "keep_alive_s",
        "largest_bytes",
        "last_packet_id",
        "last_received_s",
        "last_sent_s",
        "needed_bytes",
        "number",
        "phase",
        "profile",
        "queue",
        "received_ids",
        "rest",
        "sequence",
        "session",
        "socket",
        "source",
        "tls",
        "unsent",
        "wake_tick",
        "window",
    )

    def __init__(self, number: int, client_id: str, profile: Profile, source: str = "") -> None:
        self.number = number
        self.client_id = client_id
        self.profile = profile
        self.source = source
        self.phase = Phase.IDLE
        self.is_wanted = False
        self.session = 0
        self.sequence = 0
        self.failures = 0
        self.inflight: dict[int, Publication] = {}
        self.last_packet_id = 0
        self.window = profile.window
        self.largest_bytes = PACKET_LIMIT_BYTES
        self.keep_alive_s = profile.keep_alive_s
        # made when first needed: most devices of a fleet neither queue nor subscribe
        self.queue: deque[Publication] | None = None
        self.filters: dict[str, int] | None = None
        self.granted: set[str] | None = None
        self.asked: dict[int, tuple[str, bool]] | None = None
        self.received_ids: set[int] | None = None
        # the connection
        self.socket: Any = None
        self.descriptor = -1
        self.tls: Any = None
        self.unsent: bytearray | None = None
        self.rest: bytearray | None = None
        self.needed_bytes = 0
        self.is_pinging = False
        self.began_s = self.last_sent_s = self.last_received_s = 0.0
        self.wake_tick = -1

    @property
    def is_up(self) -> bool:
        """Whether the broker has accepted the connection, as far as we know."""
        return self.phase is Phase.UP

    @property
    def waiting_count(self) -> int:
        """Publications that are queued, or sent and not known to have arrived."""
        return len(self.inflight) + (len(self.queue) if self.queue else 0)

    def __repr__(self) -> str:
        return f"<Device {self.client_id} {self.phase.value}>"


def _ignore(*_: Any) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class Listener:
    """Whom an engine tells what happens, in the middle of its step; errors of these functions end the run.

    `connected(device, is_session_present)`; `refused(device, return_code)`; `closed(device, reason)`;
    `received(device, delivery)`; `acknowledged(device, sequence)` when the broker has a message;
    `dropped(device, sequence, cause)`; `granted(device, topic_filter, qos)`, 128 and more for refused;
    `released(device, topic_filter)` when a subscription has ended.
    """

    connected: Callable[[Device, bool], None] = _ignore
    refused: Callable[[Device, int], None] = _ignore
    closed: Callable[[Device, str], None] = _ignore
    received: Callable[[Device, Delivery], None] = _ignore
    acknowledged: Callable[[Device, int], None] = _ignore
    dropped: Callable[[Device, int, str], None] = _ignore
    granted: Callable[[Device, str, int], None] = _ignore
    released: Callable[[Device, str], None] = _ignore
