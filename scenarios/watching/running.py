"""Runs one replication in wall time, tells how it goes, and takes orders meanwhile."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from scenarios.archive import Archive
from scenarios.by_hand import Told
from scenarios.control import Desk
from scenarios.format.loading import ScenarioFile, Variant
from scenarios.judging.forming import Forming
from scenarios.judging.runner import Findings, Plan, VariantRun, tests_of
from scenarios.live import LiveRun, Running, run_live
from scenarios.replaying.recorder import Recorder
from scenarios.replaying.running import REPLAYS, keep, replay_name
from scenarios.store import State, write
from scenarios.watching.control import WatchControl
from scenarios.watching.desk import WATCH, socket_path
from scenarios.watching.noticeboard import EVERY_S, TRAJECTORY, Noticeboard

TIMELINE: Final = "timeline.yaml"
MOST_DEVICES: Final = 2_000
LAST_LOOK_S: Final = 0.5
"""For whoever reads along: so long after the end the frames are still there."""


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """What to watch and how; without a seed, that of the file."""

    variant: Variant
    seed: int | None = None
    speed: float = 1.0
    is_paused: bool = False

    @property
    def used_seed(self) -> int:
        """The seed of the replication."""
        return self.variant.scenario.run.seed if self.seed is None else self.seed


@dataclass(frozen=True, slots=True)
class Watched:
    """A watched run that is over: its folder, what was found, how requirements stand, what was ordered."""

    folder: Path
    found: LiveRun
    formed: Mapping[str, Forming]
    happened: list[Mapping[str, Any]]


class Watching:
    """One watched run. `stop` ends it from a signal handler or another thread; what was measured is kept."""

    def __init__(self, root: Path, scenario: ScenarioFile, plan: WatchPlan, told: Told) -> None:
        self.plan = plan
        self.told = told
        self._is_stopping = False
        self._parts: _Parts | None = None
        self._archive = Archive.open(root, scenario, Plan([plan.variant.name], 1, plan.used_seed, 1))
        self._archive.keep_scenario([plan.variant])
        self.folder = self._archive.folder

    def stop(self) -> None:
        """End the run between two events, now or as soon as it begins."""
        self._is_stopping = True
        if self._parts is not None:
            self._parts.control.pacer.stop()

    def run(self) -> Watched:
        """Run to the end of the scenario, or until it is stopped."""
        plan = self.plan
        try:
            with ExitStack() as desks:
                found = run_live(
                    plan.variant,
                    {},
                    seed=plan.used_seed,
                    on_start=lambda running: self._begin(running, desks),
                )
        except BaseException:
            self._archive.discard()
            raise
        assert self._parts is not None  # noqa: S101  # the run has begun
        return self._end(found, self._parts)

    def _begin(self, running: Running, desks: ExitStack) -> None:
        plan, pacer = self.plan, running.pacer
        recorder = Recorder(running.assembly, plan.variant, plan.used_seed)

        def tell(at_s: float, what: str) -> None:
            recorder.note("order", what)
            self.told(at_s, what)

        control = WatchControl(running, tell)
        board = Noticeboard(self.folder, plan.variant, control, recorder)
        self._parts = _Parts(control, recorder, board)
        path = desks.enter_context(socket_path(self.folder))
        desks.callback(Desk(path, pacer.call, control.actions).close)
        pacer.speed = plan.speed
        if plan.is_paused:
            pacer.call(pacer.pause)
        if self._is_stopping:
            pacer.stop()
        self._show()
        write(self.folder / WATCH, msgspec.json.encode(about(plan, running, path)))

    def _show(self) -> None:
        """Show how it goes, now and in a moment."""
        if self._parts is not None:
            self._parts.board.show()
            self._parts.control.pacer.call_after(EVERY_S, self._show)

    def _end(self, found: LiveRun, parts: _Parts) -> Watched:
        """Write the results, the replay and the last notice."""
        state: State = "done" if found.is_whole else "interrupted"
        parts.board.show()  # the last frames, before the recorder begins again for the whole
        run = VariantRun(self.plan.variant, tests_of(self.plan.variant))
        run.take(found.outcome)
        happened = list(parts.control.happened)
        if happened:
            write(self.folder / TIMELINE, parts.control.timeline_text)
        document = parts.recorder.document("whole" if found.is_whole else "stopped")
        document = msgspec.structs.replace(document, metrics=found.outcome.metrics)
        place = self.folder / REPLAYS / replay_name(self.plan.variant.name, self.plan.used_seed)
        keep(place, document, parts.recorder.trajectory())
        self._archive.close(Findings([run]), state)
        parts.board.show(state)
        parts.board.close()
        time.sleep(LAST_LOOK_S)
        (self.folder / TRAJECTORY).unlink(missing_ok=True)
        return Watched(self.folder, found, parts.board.formed, happened)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What belongs to a run that has begun."""

    control: WatchControl
    recorder: Recorder
    board: Noticeboard


def about(plan: WatchPlan, running: Running, desk: Path) -> dict[str, Any]:
    """What whoever wants to give orders needs to know: where, and which names there are."""
    scenario, building = running.assembly.scenario, running.assembly.building
    members = running.assembly.members
    return {
        "control": str(desk),
        "title": scenario.title,
        "variant": plan.variant.name,
        "seed": plan.used_seed,
        "links": [link.title for link in scenario.links],
        "fleets": {name: len(devices) for name, devices in running.fleets.items()},
        "nodes": [member.node for member in members if not member.fleet],
        "devices": [member.node for member in members if member.fleet][:MOST_DEVICES],
        "bays": [] if building is None else [bay.id for bay in building.scene.of_kind("bay")],
        "requirements": [
            {"name": each.name, "expect": each.expect, "why": each.why} for each in plan.variant.requirements
        ],
    }
