"""What the members of a fleet publish, when it is due."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from twin.errors import InputError
from twin.mqtt.fleet import frames
from twin.mqtt.fleet.device import Device
from twin.mqtt.fleet.schedule import Schedule
from twin.mqtt.fleet.stamp import Encoder

TOPIC_LIMIT: Final = 1_000_000


@dataclass(slots=True, eq=False)
class Feed:
    """Publications of `devices` on a schedule that starts at `start_s` of the engine's clock.

    `topic` names each device's topic; `properties` are MQTT 5's, written as they are on the wire.
    """

    devices: Sequence[Device]
    schedule: Schedule
    topic: Callable[[Device], str]
    payload: Encoder
    start_s: float
    qos: int = 0
    is_retained: bool = False
    properties: Encoder | None = None

    first: int = field(init=False)
    topics: list[bytes] = field(init=False)
    next_s: float = field(init=False, default=-math.inf)
    """When the next publication is due on the engine's clock; infinity when all are over."""
    _times: list[float] = field(init=False, default_factory=list)
    _members: list[int] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        if not 0 <= self.qos <= 2:
            raise InputError(f"QoS is 0, 1 or 2, not {self.qos}")
        if not 0 < len(self.devices) <= TOPIC_LIMIT:
            raise InputError(f"a feed has 1 to {TOPIC_LIMIT:,} devices, not {len(self.devices):,}")
        self.first = frames.PUBLISH | self.qos << 1 | self.is_retained
        self.topics = [frames.topic_field(self.topic(device)) for device in self.devices]
        self._advance()

    def take(self) -> tuple[int, float]:
        """The member that is due next, and when it was due (s of the engine's clock)."""
        member, due_s = self._members.pop(), self.next_s
        if self._times:
            self.next_s = self.start_s + self._times.pop()
        else:
            self._advance()
        return member, due_s

    def _advance(self) -> None:
        """Go on to the next block that is not empty."""
        for times_s, members in self.schedule:
            if times_s.size:
                if int(members.max()) >= len(self.devices):
                    raise InputError(
                        f"the schedule speaks of member {int(members.max())} of {len(self.devices)}"
                    )
                self._times, self._members = times_s[::-1].tolist(), members[::-1].tolist()
                self.next_s = self.start_s + self._times.pop()
                return
        self.next_s = math.inf
