"""What the users of all processes measured, brought together: in Locust's own statistics, and beside them.

Locust rounds to milliseconds and two digits and knows no losses. So our histograms travel with its reports
from the workers to the master, whole each time: a report that is lost or late costs nothing.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import gevent
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtests.figures import Figures, added
from loadtests.fleet_load import FleetLoad
from loadtests.locust_statistics import Poured
from loadtests.plan import LoadPlan
from loadtests.roster import Roster
from scenarios.store import write

KEY: Final = "windtunnel"
POUR_EVERY_S: Final = 1.0
WORKERS_LIMIT: Final = 100
NOT_HANDED_OVER: Final = 4
"""The exit code when there is no room for the results: that of a machine that lacks something."""


class Seats:
    """Numbers of users, none of which two users of a load have at the same time."""

    def __init__(self, environment: Environment, sharing_count: int) -> None:
        self._environment = environment
        self._sharing_count = sharing_count
        self._taken: dict[int, int] = {}

    def take(self) -> int:
        """The lowest number that is free here."""
        place = next(place for place in range(len(self._taken) + 1) if place not in self._taken)
        index = max(0, getattr(self._environment.runner, "worker_index", 0))
        number = index + place * self._sharing_count * WORKERS_LIMIT
        self._taken[place] = number
        return number

    def free(self, number: int) -> None:
        """The user is gone."""
        self._taken = {place: taken for place, taken in self._taken.items() if taken != number}


@dataclass(slots=True)
class Process:
    """What one process has told."""

    figures: Figures = field(default_factory=Figures)
    finished: int = 0
    cpu_s: float = 0.0


class Reporter:
    """The load of one Locust environment; `result` and `progress` are files to keep up to date."""

    def __init__(self, environment: Environment, plan_maker: Callable[[], tuple[LoadPlan, Roster]]) -> None:
        self.environment = environment
        self._make = plan_maker
        self._plan: LoadPlan | None = None
        self._roster: Roster | None = None
        self._active: dict[int, FleetLoad] = {}
        self._finished: set[int] = set()
        self._left = Figures()
        self._poured = Poured(environment)
        self._workers: dict[str, Process] = {}
        self._is_ending = False
        self.seats = Seats(environment, 1)
        events: Any = environment.events
        events.test_start.add_listener(self._on_start)
        events.report_to_master.add_listener(self._on_report)
        events.worker_report.add_listener(self._on_worker)
        events.quitting.add_listener(self._on_quitting)
        events.quit.add_listener(self._on_quit)
        gevent.spawn(self._watch)

    @property
    def plan(self) -> LoadPlan:
        """What is asked for."""
        if self._plan is None:
            self.prepare()
        assert self._plan is not None  # noqa: S101  (prepare has set it)
        return self._plan

    @property
    def roster(self) -> Roster:
        """Who takes part."""
        if self._roster is None:
            self.prepare()
        assert self._roster is not None  # noqa: S101  (prepare has set it)
        return self._roster

    def prepare(self) -> None:
        """Read the options anew."""
        self._plan, self._roster = self._make()
        self.seats = Seats(self.environment, self._plan.sharing_count)

    # users -----------------------------------------------------------------------------------------------

    def join(self, load: FleetLoad) -> None:
        """A user begins."""
        self._active[load.number] = load

    def finished(self, load: FleetLoad) -> None:
        """A user has published all and knows what became of it."""
        self._finished.add(load.number)

    def leave(self, load: FleetLoad) -> None:
        """A user ends."""
        self._poured.pour(load)
        self._poured.losses(load)
        self._left.merge(load.figures())
        self._active.pop(load.number, None)
        self._finished.discard(load.number)
        self.seats.free(load.number)

    # what was measured -----------------------------------------------------------------------------------

    def own(self) -> Process:
        """What the users of this process measured."""
        figures = added([self._left, *(load.figures() for load in self._active.values())])
        figures.up = sum(load.engine.up_count for load in self._active.values())
        return Process(figures, len(self._finished), time.process_time())

    def whole(self) -> Process:
        """What all processes measured, as far as we have heard."""
        own = self.own()
        processes = [own, *self._workers.values()]
        figures = added(process.figures for process in processes)
        finished = sum(process.finished for process in processes)
        return Process(figures, finished, sum(process.cpu_s for process in processes))

    @property
    def loads(self) -> list[FleetLoad]:
        """The loads of the users here."""
        return list(self._active.values())

    # Locust's events -------------------------------------------------------------------------------------

    def _on_start(self, **_: Any) -> None:
        self._left = Figures()
        self._workers.clear()
        self._is_ending = False

    def _on_report(self, data: dict[str, Any], **_: Any) -> None:
        own = self.own()
        data[KEY] = {"figures": own.figures.told(), "finished": own.finished, "cpu_s": own.cpu_s}

    def _on_worker(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        told = data.get(KEY)
        if told:
            self._workers[client_id] = Process(
                Figures.heard(told["figures"]), int(told["finished"]), float(told["cpu_s"])
            )

    def _on_quitting(self, **_: Any) -> None:
        """Let workers wait for what is under way, as quitting alone gives them half a second."""
        runner = self.environment.runner
        if isinstance(runner, MasterRunner):
            runner.stop()

    def _on_quit(self, **_: Any) -> None:
        if path := os.environ.get("WINDTUNNEL_RESULT"):
            try:
                self._write(Path(path), is_final=True)
            except OSError as error:
                print(f"no results could be handed over: {error.filename}: {error.strerror}", flush=True)
                sys.exit(NOT_HANDED_OVER)

    def _watch(self) -> None:
        """Once a second: pour into Locust's statistics, write the progress, end when all users have ended."""
        while True:
            gevent.sleep(POUR_EVERY_S)
            for load in list(self._active.values()):
                self._poured.pour(load)
            runner = self.environment.runner
            if runner is None or isinstance(runner, WorkerRunner):
                continue
            if path := os.environ.get("WINDTUNNEL_PROGRESS"):
                with suppress(OSError):  # who watches it sees less; the load goes on, and ends
                    self._write(Path(path), is_final=False)
            if not self._is_ending and 0 < runner.target_user_count <= self.whole().finished:
                self._is_ending = True
                gevent.spawn(runner.stop if self.environment.web_ui else runner.quit)

    def _write(self, path: Path, *, is_final: bool) -> None:
        whole = self.whole()
        told = {"figures": whole.figures.told(), "cpu_s": whole.cpu_s, "is_final": is_final}
        write(path, json.dumps(told))


_REPORTERS: dict[int, Reporter] = {}


def report(environment: Environment, make: Callable[[], tuple[LoadPlan, Roster]]) -> Reporter:
    """The reporter of an environment, which it has from now on."""
    reporter = _REPORTERS[id(environment)] = Reporter(environment, make)
    return reporter


def reporter_of(environment: Environment) -> Reporter:
    """The reporter that the environment was given."""
    return _REPORTERS[id(environment)]
