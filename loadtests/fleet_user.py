"""A Locust user that is a whole fleet: its engine's own poller, watched by gevent.

The engine uses sockets and an epoll that gevent has not patched, so that a message costs no switch of
greenlets; gevent waits on the epoll itself, so that Locust's own greenlets (heartbeats, web) live.
"""

from __future__ import annotations

import time
from typing import Any, Final

import gevent
from gevent.hub import Waiter
from gevent.monkey import get_original
from locust import User, task
from locust.user.task import LOCUST_STATE_STOPPING

from loadtests.fleet_load import FleetLoad, Stage
from loadtests.reporting import Reporter, reporter_of
from twin.mqtt.fleet.poller import Poller, SelectorPoller

TURN_S: Final = 0.01
"""How long the engine may keep the thread before others have their turn."""
LONGEST_WAIT_S: Final = 0.2
COARSE_S: Final = 0.002
"""Gevent's timers know whole milliseconds: what is shorter is waited for in the system's own select."""
SELECT_LIMIT: Final = 1_024
READABLE: Final = 1
SELECT: Any = get_original("select", "select")


def unpatched_poller() -> Poller:
    """The system's own epoll, which gevent hides; a selector where there is none."""
    try:
        poller: Poller = get_original("select", "epoll")()
    except AttributeError:
        poller = SelectorPoller()
    return poller


class Bell:
    """Wakes whoever waits when a file becomes readable; one watcher for the whole life of a fleet."""

    def __init__(self, descriptor: int) -> None:
        self._loop = gevent.get_hub().loop
        self._watcher = self._loop.io(descriptor, READABLE)

    def wait(self, timeout_s: float) -> None:
        """Let others work until the file is readable or the time is over."""
        waiter = Waiter()
        timer = self._loop.timer(timeout_s)
        try:
            self._watcher.start(waiter.switch, None)
            timer.start(waiter.switch, None)
            waiter.get()
        finally:
            self._watcher.stop()
            timer.stop()
            timer.close()

    def close(self) -> None:
        """Watch no more; to be called before the file is closed."""
        self._watcher.close()


class FleetUser(User):
    """One user, one fleet: the devices of the scenario, connected and publishing until it is stopped."""

    abstract = True
    load: FleetLoad | None = None
    bell: Bell

    @task
    def carry(self) -> None:
        """Connect, publish, and stay until somebody stops the user."""
        reporter = reporter_of(self.environment)
        if self.load is None:
            number = reporter.seats.take()
            self.load = FleetLoad(reporter.plan, reporter.roster, number, unpatched_poller())
            self.bell = Bell(self.load.engine.fileno())
            reporter.join(self.load)
            self.load.begin()
        self._run(self.load, is_draining=False)
        reporter.finished(self.load)
        while self._state != LOCUST_STATE_STOPPING:
            gevent.sleep(LONGEST_WAIT_S)

    def on_stop(self) -> None:
        """Wait for what is under way, disconnect, and hand over what was measured."""
        if self.load is None:
            return
        reporter: Reporter = reporter_of(self.environment)
        self.load.drain()
        self._run(self.load, is_draining=True)
        self.bell.close()
        self.load.close()
        reporter.leave(self.load)
        self.load = None

    def _run(self, load: FleetLoad, *, is_draining: bool) -> None:
        """Step until the load is done, or somebody stops the user."""
        turn_ends_s = time.monotonic() + TURN_S
        while load.stage is not Stage.DONE and (is_draining or self._state != LOCUST_STATE_STOPPING):
            count = load.step()
            wait_s = 0.0 if count else min(load.wait_s(), LONGEST_WAIT_S)
            if wait_s > COARSE_S:
                self.bell.wait(wait_s - COARSE_S / 2)
                turn_ends_s = time.monotonic() + TURN_S
                continue
            if time.monotonic() > turn_ends_s:
                gevent.sleep(0)
                turn_ends_s = time.monotonic() + TURN_S
            elif wait_s > 0.0 and load.engine.fileno() < SELECT_LIMIT:
                SELECT([load.engine.fileno()], [], [], wait_s)
