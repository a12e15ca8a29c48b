"""Spatial queues: links with storage, travel time and an exit server, and gates at the end of links.

As in MATSim, a link takes a traveller in while it has room; the traveller crosses it at the speed of the
density found, waits for the exit server (first come, first served, one each headway) and for room on the
next link. A full link therefore spills back. Times follow from "free at": no resource objects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import simpy

from devices_models.world.settings import GateMode

CAR_SPACING_M = 6.5
"""Road that a queueing car takes."""
FLOW_DENSITY = 1.9
"""Most people per m2 that a link takes in: the density of maximum flow. More would gridlock stairs."""


class Traveller:
    """A person or a car on its way: links still to cross, own top speed (m/s), and whom to tell."""

    __slots__ = ("finished", "first_m", "hop", "number", "path", "speed_m_s", "started")

    def __init__(
        self,
        number: int,
        path: Sequence[Link],
        speed_m_s: float,
        finished: Callable[[Traveller], None],
        started: Callable[[Traveller], None] | None = None,
        first_m: float | None = None,
    ) -> None:
        self.number = number
        self.path = path
        self.speed_m_s = speed_m_s
        self.finished = finished
        self.started = started
        self.first_m = first_m
        self.hop = -1

    def set_out(self, _: object = None) -> None:
        """Ask for room on the first link."""
        self.path[0].request(self)


class Link:
    """A way of `length_m` with a speed (m/s) for each number of travellers already on it.

    It holds as many travellers as `pace` has entries; one leaves each `headway_s`. Whoever listens at
    `entered` is told of each traveller that comes in, and how long it will take to cross (s).
    """

    __slots__ = (
        "_env",
        "_free_at",
        "_is_serving",
        "_queue",
        "_waiting",
        "count",
        "entered",
        "gap_s",
        "gate",
        "headway_s",
        "left",
        "length_m",
        "name",
        "pace",
        "passed_count",
    )

    def __init__(
        self, env: simpy.Environment, name: str, length_m: float, pace: Sequence[float], headway_s: float
    ) -> None:
        self._env = env
        self.name = name
        self.length_m = length_m
        self.pace = pace
        self.headway_s = self.gap_s = headway_s
        self.gate: Gate | None = None
        self.left: Callable[[Link], None] | None = None
        self.entered: Callable[[Link, Traveller, float], None] | None = None
        self.count = self.passed_count = 0
        self._free_at = 0.0
        self._is_serving = False
        self._queue: deque[Traveller] = deque()
        self._waiting: deque[Traveller] = deque()

    @property
    def waiting_count(self) -> int:
        """Travellers that stand before a full link."""
        return len(self._waiting)

    @property
    def queue_count(self) -> int:
        """Travellers that have crossed the link and stand at its end."""
        return len(self._queue) + self._is_serving

    def request(self, traveller: Traveller) -> None:
        """Let the traveller in as soon as there is room."""
        if self.count < len(self.pace) and not self._waiting:
            self._enter(traveller)
        else:
            self._waiting.append(traveller)

    def release(self, traveller: Traveller) -> None:
        """The exit server is done with the traveller: on to the next link, or out."""
        hop = traveller.hop + 1
        if hop < len(traveller.path):
            traveller.path[hop].request(traveller)
        else:
            self.depart()
            traveller.finished(traveller)

    def _enter(self, traveller: Traveller) -> None:
        speed_m_s = min(traveller.speed_m_s, self.pace[self.count])
        self.count += 1
        hop = traveller.hop = traveller.hop + 1
        way_m = self.length_m if hop or traveller.first_m is None else traveller.first_m
        self._after(way_m / speed_m_s, traveller, self._arrived)
        if self.entered is not None:
            self.entered(self, traveller, way_m / speed_m_s)
        if hop:
            traveller.path[hop - 1].depart()
        elif traveller.started is not None:
            traveller.started(traveller)

    def _after(self, delay_s: float, traveller: Traveller, then: Callable[[Any], None]) -> None:
        timeout = self._env.timeout(delay_s, traveller)
        timeout.callbacks.append(then)

    def depart(self) -> None:
        """A traveller is gone: there is room for the next to come in, and the next may go."""
        self.count -= 1
        self.passed_count += 1
        self._free_at = self._env.now + self.gap_s
        self.gap_s = self.headway_s
        self._is_serving = False
        if self._queue:
            self._serve(self._queue.popleft())
        if self._waiting:
            self._enter(self._waiting.popleft())
        if self.left is not None:
            self.left(self)

    def _arrived(self, event: Any) -> None:
        if self._is_serving:
            self._queue.append(event.value)
        else:
            self._serve(event.value)

    def _serve(self, traveller: Traveller) -> None:
        self._is_serving = True
        wait_s = self._free_at - self._env.now
        if wait_s > 0:
            self._after(wait_s, traveller, self._served)
        else:
            self._pass(traveller)

    def _served(self, event: Any) -> None:
        self._pass(event.value)

    def _pass(self, traveller: Traveller) -> None:
        if self.gate is None:
            self.release(traveller)
        else:
            self.gate.meet(traveller)


class Gate:
    """The boom at the end of a lane: closed, a ticket for each car, free, or authorised one by one.

    After a stop at the gate the next car needs `move_up_s` instead of the lane's headway.
    `changed(quantity, value)` is told of car_waiting (0 or 1) and cars_passed; it must not act on the gate.
    """

    def __init__(
        self,
        env: simpy.Environment,
        lane: Link,
        mode: GateMode,
        service_s: float,
        move_up_s: float,
        changed: Callable[[str, float], None],
    ) -> None:
        self._env = env
        self.lane = lane
        self._service_s = service_s
        self._move_up_s = move_up_s
        self._changed = changed
        self.mode = mode
        self.car: Traveller | None = None
        self.passed_count = 0
        self._service = 0
        lane.gate = self

    def meet(self, car: Traveller) -> None:
        """A car stands at the boom."""
        self.car = car
        self._changed("car_waiting", 1.0)
        self._handle(car)

    def set_mode(self, mode: GateMode) -> None:
        """From now on the gate works so, also for the car that stands at it."""
        if mode != self.mode:
            self.mode = mode
            if self.car is not None:
                self._handle(self.car)

    def admit(self, number: int | None = None) -> None:
        """Let the waiting car pass; if `number` is given, only the car of this number."""
        if self.car is not None and (number is None or number == self.car.number):
            self._let_go(self.car, self._move_up_s)

    def _handle(self, car: Traveller) -> None:
        """Begin anew with the car: each beginning has its own number, so older timers do nothing."""
        self._service += 1
        if self.mode == "free":
            self._let_go(car, self.lane.headway_s)
        elif self.mode == "ticket":
            service = self._env.timeout(self._service_s, self._service)
            service.callbacks.append(self._paid)

    def _paid(self, event: Any) -> None:
        if self.car is not None and event.value == self._service:
            self._let_go(self.car, self._move_up_s)

    def _let_go(self, car: Traveller, gap_s: float) -> None:
        self.car = None
        self.passed_count += 1
        self._changed("car_waiting", 0.0)
        self._changed("cars_passed", float(self.passed_count))
        self.lane.gap_s = gap_s
        self.lane.release(car)
