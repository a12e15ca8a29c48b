"""One fleet of devices on one engine: connected, subscribed, publishing, and every message accounted for.

    connect all --> subscribe all --> publish on schedule --> wait for what is under way --> disconnect

Nothing here knows Locust or gevent: whoever owns the loop calls `step` and `wait_s`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import numpy as np

from loadtests.figures import Figures
from loadtests.in_driver import Ways, delayed
from loadtests.ledger import Ledger
from loadtests.plan import LoadPlan
from loadtests.rehearsal import Pattern
from loadtests.roster import Enlisted, Roster
from twin.live.drive import profile_of
from twin.mqtt.fleet.connections import CONNECT_WINDOW, DISCONNECTED, EngineSettings
from twin.mqtt.fleet.device import Device, Listener
from twin.mqtt.fleet.engine import FleetEngine
from twin.mqtt.fleet.feed import Feed
from twin.mqtt.fleet.frames import Delivery
from twin.mqtt.fleet.histogram import Histogram
from twin.mqtt.fleet.poller import Poller
from twin.mqtt.fleet.schedule import Block, Schedule, periodic, poisson, until
from twin.mqtt.fleet.stamp import HEAD, Encoder, read_stamp, stamped
from twin.mqtt.packets import SUBSCRIPTION_REFUSED

NUMBERS_A_USER: Final = 100_000
CONNECT_LIMIT_S: Final = 120.0
"""After the ramp; then it begins with those that are there."""
DRAIN_S: Final = 10.0
GRACE_S: Final = 5.0
LEAD_S: Final = 0.1


class Stage(Enum):
    """Where a load is."""

    CONNECTING = "connecting"
    PUBLISHING = "publishing"
    DRAINING = "draining"
    DONE = "done"


@dataclass(slots=True)
class Row:
    """What was measured of one pattern of one fleet (s)."""

    name: str
    acknowledgement: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    delivery: Histogram = field(default_factory=Histogram)


class FleetLoad:
    """The share `number` of a load."""

    def __init__(self, plan: LoadPlan, roster: Roster, number: int, poller: Poller | None = None) -> None:
        self.plan = plan
        self.stage = Stage.CONNECTING
        self.rows: list[Row] = []
        self.number = number
        self._first = number * NUMBERS_A_USER
        listener = Listener(
            acknowledged=self._acknowledged,
            received=self._received,
            dropped=self._dropped,
            granted=self._granted,
        )
        settings = EngineSettings(
            connect_window=max(1, CONNECT_WINDOW // plan.sharing_count),  # the window is the broker's to bear
            first_number=self._first,
            seed=plan.seed * 1_000 + number,
        )
        self.engine = FleetEngine(listener, settings=settings, poller=poller)
        self._enlisted = roster.share(number % plan.sharing_count, plan.sharing_count)
        self._devices = [self._device(each) for each in self._enlisted]
        self._ledger = Ledger(len(self._devices), has_delivery=plan.has_delivery)
        self._pending: dict[tuple[int, int], tuple[Row, float, float]] = {}
        self._row_of: dict[str, Row] = {}
        self._ways = Ways(roster.blueprint, plan.seed) if plan.links == "in-driver" else None
        self._feeds = list(self._planned(roster))
        self._awaited = sum(len(device.filters or ()) for device in self._devices)
        self._refused_filters = 0
        self._most_up = 0
        self._connect_by_s = self._began_s = self._ended_s = 0.0

    # who and what ----------------------------------------------------------------------------------------

    def _device(self, each: Enlisted) -> Device:
        copy = self.number // self.plan.sharing_count
        name = f"{self.plan.prefix}{each.name}" + (f"-c{copy}" if copy else "")
        return self.engine.add(name, profile_of(self.plan.broker))

    def _topic(self, device: Device, pattern: Pattern) -> str:
        name = device.client_id.removeprefix(self.plan.prefix)
        return self.plan.spoken(pattern.topic.replace("{}", name))

    def _planned(self, roster: Roster) -> Iterator[tuple[Row, Pattern, list[Device]]]:
        """The patterns that somebody here has, each with its devices; they subscribe to what they publish."""
        by_fleet: dict[str, list[Device]] = {}
        for each, device in zip(self._enlisted, self._devices):
            by_fleet.setdefault(each.fleet, []).append(device)
        for fleet, patterns in roster.patterns.items():
            devices = by_fleet.get(fleet, [])
            for pattern in patterns if devices else ():
                row = Row(f"{fleet} {self.plan.spoken(pattern.topic.replace('{}', '+'))}")
                self.rows.append(row)
                for device in devices if pattern.is_own else devices[:1]:
                    topic = self._topic(device, pattern)
                    self._row_of[topic] = row
                    if self.plan.has_delivery:
                        self.engine.subscribe(device, topic, pattern.qos)
                yield row, pattern, devices

    # the stages ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Connect, spread over the ramp."""
        now, count = self.engine.now, len(self._devices)
        self._connect_by_s = now + self.plan.ramp_s + CONNECT_LIMIT_S
        for index, device in enumerate(self._devices):
            at_s = now + index * self.plan.ramp_s / count if self.plan.ramp_s else None
            self.engine.connect(device, at_s)

    def step(self) -> int:
        """Do what is to be done now; return how many sockets had something."""
        count = self.engine.step()
        self._most_up = max(self._most_up, self.engine.up_count)
        if self.stage is Stage.CONNECTING:
            self._publish_when_ready()
        elif self.stage is Stage.PUBLISHING and self._is_over:
            self.drain()
        elif self.stage is Stage.DRAINING and (self._is_settled or self.engine.now > self._ended_s + DRAIN_S):
            self.stage = Stage.DONE
        return count

    def wait_s(self) -> float:
        """How long there is nothing to do on our own (s)."""
        return self.engine.wait_s()

    def _publish_when_ready(self) -> None:
        is_ready = self.engine.up_count == len(self._devices) and self._awaited <= 0
        if not is_ready and self.engine.now < self._connect_by_s:
            return
        self.stage = Stage.PUBLISHING
        self._began_s = self.engine.now + LEAD_S
        for number, (row, pattern, devices) in enumerate(self._feeds):
            self.engine.feed(self._feed(number, row, pattern, devices))

    def _feed(self, number: int, row: Row, pattern: Pattern, devices: Sequence[Device]) -> Feed:
        seed = (self.plan.seed * 1_000 + self.number) * 100 + number
        count, period_s = len(devices), pattern.period_s
        schedule = (
            poisson(count, period_s, seed=seed)
            if pattern.is_random
            else periodic(count, period_s, "random", seed=seed)
        )
        if self.plan.duration_s:
            schedule = until(schedule, self.plan.duration_s)
        if pattern.burst_count > 1:
            schedule = repeated(schedule, pattern.burst_count)
        encode = stamped(max(pattern.size_bytes, HEAD.size))
        if pattern.qos:
            encode = self._noted(row, encode)
        if (ways := self._ways) is not None:
            members = [self._enlisted[device.number - self._first].member for device in devices]
            size_bytes = pattern.size_bytes
            schedule, encode = delayed(
                schedule, members, lambda member: ways.up_s(member, size_bytes), encode
            )
        return Feed(
            devices,
            schedule,
            lambda device: self._topic(device, pattern),
            encode,
            self._began_s,
            pattern.qos,
            pattern.is_retained,
        )

    def _noted(self, row: Row, stamp: Encoder) -> Encoder:
        """Note when each message was due and when it was handed over."""
        pending, first, clock = self._pending, self._first, self.engine._clock  # noqa: SLF001

        def encoded(device: Device, sequence: int, due_s: float) -> bytes:
            pending[device.number - first, sequence] = row, due_s, clock()
            return stamp(device, sequence, due_s)

        return encoded

    def drain(self) -> None:
        """Publish no more, and wait for what is under way."""
        if self.stage in {Stage.DRAINING, Stage.DONE}:
            return
        self.stage = Stage.DRAINING
        self._ended_s = self.engine.now
        self.engine.feeds.clear()

    @property
    def _is_over(self) -> bool:
        """Whether all was published that was to be, and its time is over."""
        duration_s = self.plan.duration_s
        return bool(duration_s) and not self.engine.feeds and self.engine.now >= self._began_s + duration_s

    @property
    def _is_settled(self) -> bool:
        """Whether all that was published has been acknowledged and has come."""
        account = self._ledger.account
        if self.engine.tally.waiting_count:
            return False
        sent = self.engine.tally.sent
        return not self.plan.has_delivery or account.delivered >= sent

    def close(self) -> None:
        """Disconnect all and release everything."""
        self.drain()
        self.stage = Stage.DONE
        self.engine.close(GRACE_S)

    # what comes ------------------------------------------------------------------------------------------

    def _acknowledged(self, device: Device, sequence: int) -> None:
        number = device.number - self._first
        self._ledger.acknowledge(number, sequence)
        found = self._pending.pop((number, sequence), None)
        if found is not None:
            row, due_s, handed_s = found
            now = self.engine.now
            down_s = self._down_s(number)
            row.acknowledgement.add(now - due_s + down_s)
            row.service.add(now - handed_s + down_s)

    def _received(self, _device: Device, delivery: Delivery) -> None:
        stamp = read_stamp(delivery.payload)
        number = -1 if stamp is None else stamp.device - self._first
        if stamp is None or not 0 <= number < len(self._devices) or stamp.due_s < self._began_s - LEAD_S:
            return  # somebody else's
        if self._ledger.deliver(number, stamp.sequence):
            row = self._row_of.get(delivery.topic)
            if row is not None:
                row.delivery.add(self.engine.now - stamp.due_s + self._down_s(number))

    def _down_s(self, number: int) -> float:
        """What the links add on the way back (s)."""
        return 0.0 if self._ways is None else self._ways.down_s(self._enlisted[number].member)

    def _dropped(self, device: Device, sequence: int, _cause: str) -> None:
        number = device.number - self._first
        self._pending.pop((number, sequence), None)
        self._ledger.drop(number, sequence)

    def _granted(self, _device: Device, _topic_filter: str, code: int) -> None:
        self._awaited -= 1
        if code >= SUBSCRIPTION_REFUSED:
            self._refused_filters += 1

    # what was measured -----------------------------------------------------------------------------------

    def figures(self) -> Figures:
        """What was measured so far."""
        tally = self.engine.tally
        found = Figures(
            devices=len(self._devices),
            up=self.engine.up_count,
            most_up=self._most_up,
            connected=tally.connected,
            published_s=self._published_s,
            account=self._ledger.close(self._devices, self._pending),
            connect=tally.connect,
            lateness=tally.lateness,
        )
        for row in self.rows:
            found.acknowledgement.merge(row.acknowledgement)
            found.service.merge(row.service)
            found.delivery.merge(row.delivery)
        for name in ("refused", "dropped", "syn_retries"):
            found.trouble[name].update(getattr(tally, name))
        found.trouble["ended"].update(
            {reason: count for reason, count in tally.ended.items() if reason != DISCONNECTED}
        )
        if self._refused_filters:
            found.trouble["refused"]["subscription"] += self._refused_filters
        return found

    @property
    def _published_s(self) -> float:
        if not self._began_s:
            return 0.0
        now = self._ended_s or self.engine.now
        return max(0.0, min(now - self._began_s, self.plan.duration_s or math.inf))


def repeated(schedule: Schedule, count: int) -> Schedule:
    """Each publication so many times at once."""
    for times_s, members in schedule:
        yield Block(np.repeat(times_s, count), np.repeat(members, count))
