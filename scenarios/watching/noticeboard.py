"""What a watched run tells while it goes on: files in its folder that anybody may read.

watch.json       what can be ordered, and where; written once
scene.json       the replay document as it is at the start: the building, devices and links
progress.json    how far it is, its figures, and how each requirement stands; written whole, again and again
events.jsonl     what has happened, a line each
trajectory.part  where everybody is, frame by frame
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from scenarios.format.expression import Expression, parse
from scenarios.format.loading import Variant
from scenarios.judging.forming import Forming, standing
from scenarios.replaying.recorder import Recorder
from scenarios.results import encode
from scenarios.store import write
from scenarios.watching.control import WatchControl
from scenarios.watching.figures import Course, figures_of, rounded, states_of

SCENE, PROGRESS = "scene.json", "progress.json"
EVENTS, TRAJECTORY = "events.jsonl", "trajectory.part"
EVERY_S: Final = 0.125
"""Between two looks at the run, in seconds of the wall."""
MOST_EVENTS: Final = 5_000
MOST_FRAME_BYTES: Final = 200_000_000
JUDGED_SHARE: Final = 0.1
"""Of the wall's time that may go into judging what is not over."""


@dataclass(slots=True)
class Noticeboard:
    """Writes the files of one watched run. `show` is called on the run's own thread, between two events."""

    folder: Path
    variant: Variant
    control: WatchControl
    recorder: Recorder
    clock: Callable[[], float] = time.monotonic
    state: str = "running"
    _course: Course = field(init=False, default_factory=Course)
    _expressions: dict[str, Expression] = field(init=False)
    formed: dict[str, Forming] = field(init=False, default_factory=dict)
    _judge_again_s: float = field(init=False, default=-math.inf)
    _events: IO[bytes] = field(init=False)
    _frames: IO[bytes] | None = field(init=False, default=None)
    _left_events: int = field(init=False, default=MOST_EVENTS)
    _left_bytes: int = field(init=False, default=MOST_FRAME_BYTES)

    def __post_init__(self) -> None:
        self._expressions = {each.name: parse(each.expect) for each in self.variant.requirements}
        self._events = (self.folder / EVENTS).open("ab", buffering=0)
        if self.recorder.has_scene:
            self._frames = (self.folder / TRAJECTORY).open("ab", buffering=0)
            self._frames.write(self.recorder.header())
        write(self.folder / SCENE, msgspec.json.encode(self.recorder.document("running")))

    def show(self, state: str = "running") -> None:
        """Bring the files up to date."""
        self.state = state
        self._append_frames()
        self._append_events()
        write(self.folder / PROGRESS, encode(self._progress()))

    def close(self) -> None:
        """Write no more."""
        self._events.close()
        if self._frames is not None:
            self._frames.close()

    def _append_frames(self) -> None:
        if self._frames is not None:
            fresh = self.recorder.frames(self._now_s)
            if len(fresh) <= self._left_bytes:
                self._left_bytes -= self._frames.write(fresh) or 0
            else:
                self._left_bytes = 0

    def _append_events(self) -> None:
        fresh = self.recorder.new_events()[: self._left_events]
        self._left_events -= len(fresh)
        if fresh:
            self._events.write(b"".join(msgspec.json.encode(each) + b"\n" for each in fresh))

    @property
    def _now_s(self) -> float:
        return self.control.assembly.kernel.now

    def _progress(self) -> dict[str, Any]:
        assembly, pacer = self.control.assembly, self.control.pacer
        figures = figures_of(assembly)
        self._course.add(self._now_s, figures)
        self._judge()
        return {
            "mode": "watch",
            "state": self.state,
            "is_over": self.state != "running",
            "at_s": self._now_s,
            "duration_s": assembly.scenario.run.duration_s,
            "speed": pacer.speed,
            "is_paused": pacer.is_paused,
            "slips": len(pacer.slips),
            "kpis": rounded(figures),
            "course": {"at_s": self._course.at_s, "values": self._course.values},
            "requirements": [
                {"name": each.name, "expect": each.expect, **self.formed[each.name]._asdict()}
                for each in self.variant.requirements
            ],
            "standing": sorted(self.control.hand.standing),
            **states_of(assembly),
            "since": self.recorder.since(),
        }

    def _judge(self) -> None:
        """How each requirement stands: as often as it costs little, and always at the end."""
        began_s = self.clock()
        if self.state == "running" and began_s < self._judge_again_s:
            return
        is_over = self.state == "done"
        for name, expression in self._expressions.items():
            self.formed[name] = standing(expression, self.recorder.record, is_over=is_over)
        took_s = self.clock() - began_s
        self._judge_again_s = began_s + max(2 * EVERY_S, took_s / JUDGED_SHARE)
