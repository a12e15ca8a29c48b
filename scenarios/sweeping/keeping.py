"""Keeps a sweep: a run folder with its task, every replication as it comes, and the document at the end.

    sweep.task.json   what was asked          replications.jsonl   a line a replication, in any order
    sweep.json        what was found          report.html          the same as a page

A folder with a task and without an end can be gone on with.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from scenarios.archive import PRODUCT, PROGRESS, REPORT, RESOLVED, new_manifest, package_version
from scenarios.format.loading import ScenarioFile
from scenarios.results import decode, encode
from scenarios.store import Manifest, State, Store, is_alive, write
from scenarios.sweeping.page import page
from scenarios.sweeping.points import Row
from scenarios.sweeping.results import SWEEP, Sweep
from scenarios.sweeping.running import Course, Task
from scenarios.sweeping.summary import boundaries_of, knees_of, point_of, requirements_of, shown_of
from twin.errors import InputError

TASK: Final = "sweep.task.json"
ROWS: Final = "replications.jsonl"


def sweep_of(course: Course) -> Sweep:
    """The document of what has been measured so far."""
    task, measured = course.task, course.measured
    requirements = requirements_of(course.variant)
    rows = {place.labels: course.rows[place.labels] for place in measured}
    return Sweep(
        scenario_title=course.scenario.title,
        scenario_file=course.scenario.source.name,
        scenario_hash=course.scenario.hash,
        product_version=package_version(PRODUCT),
        variant=task.variant,
        seed=task.seed,
        replications=task.replications,
        inputs=task.inputs,
        requirements=requirements,
        shown=shown_of(task.shown, requirements, rows),
        points=[point_of(place, rows[place.labels]) for place in measured],
        planned=course.planned,
        knees=knees_of(task.inputs, measured, rows),
        boundaries=boundaries_of(task.inputs, requirements, measured, rows),
    )


@dataclass(slots=True)
class SweepArchive:
    """A sweep that is being kept: opened before the first replication, closed after the last."""

    store: Store
    manifest: Manifest
    folder: Path
    began_s: float

    @classmethod
    def open(cls, root: Path, scenario: ScenarioFile, task: Task) -> SweepArchive:
        """Make the folder, which says that the sweep is going on."""
        store = Store(root)
        title = f"{scenario.title}: {' and '.join(each.key for each in task.inputs)}"
        manifest = new_manifest(title, str(scenario.path), scenario.hash, task.seed, [task.variant])
        folder = store.begin(manifest)
        write(folder / TASK, msgspec.json.format(encode(task)))
        variant = scenario.variant(task.variant)
        write(folder / RESOLVED, f"# variant {variant.name}, sha256 {variant.hash}\n{variant.resolved.text}")
        return cls(store, manifest, folder, time.monotonic())

    @classmethod
    def reopen(cls, root: Path, run: str) -> tuple[SweepArchive, Task]:
        """Go on with a sweep that was interrupted or has crashed. Raises InputError if it is none."""
        store = Store(root)
        folder, manifest = store.find(run)
        task = read_task(folder)
        if manifest.state == "running" and is_alive(manifest.process):
            raise InputError(f"{manifest.run} is still going on, in process {manifest.process}")
        rows = folder / ROWS
        if rows.exists() and not rows.read_bytes().endswith(b"\n"):  # a line that a crash has cut off
            rows.write_bytes(rows.read_bytes() + b"\n")
        manifest.state, manifest.process = "running", os.getpid()
        store.save(manifest)
        return cls(store, manifest, folder, time.monotonic() - manifest.wall_s), task

    def keep(self, row: Row) -> None:
        """Add one replication, so that it outlives whatever happens next."""
        with (self.folder / ROWS).open("ab") as file:
            file.write(encode(row))

    def close(self, course: Course, state: State) -> Sweep | None:
        """Write document and report; None, and no folder left, if not one replication was finished."""
        if not course.rows:
            self.discard()
            return None
        found = sweep_of(course)
        self.manifest.wall_s = time.monotonic() - self.began_s
        write(self.folder / SWEEP, encode(found))
        write(self.folder / REPORT, page(found, created=self.manifest.started, host=self.manifest.host))
        self.manifest.verdicts = {
            f"{', '.join(point.labels)}: {name}": each.verdict
            for point in found.points
            for name, each in point.verdicts.items()
        }
        self.manifest.state = state
        self.store.save(self.manifest)
        (self.folder / PROGRESS).unlink(missing_ok=True)
        return found

    def discard(self) -> None:
        """Leave nothing of a sweep that could not begin."""
        self.store.remove(self.manifest.run)


def read_task(folder: Path) -> Task:
    """What a stored sweep was asked. Raises InputError if the run is no sweep."""
    try:
        return decode((folder / TASK).read_bytes(), Task)
    except FileNotFoundError:
        raise InputError(f"run {folder.name} is no sweep") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"{folder / TASK} cannot be read: {error}") from error


def read_rows(folder: Path) -> Iterator[Row]:
    """The replications of a stored sweep; a last line that was cut off is left out."""
    path = folder / ROWS
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            yield decode(line, Row)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue


def read_sweep(folder: Path) -> Sweep:
    """The document of a stored sweep. Raises InputError if there is none, or it cannot be read."""
    path = folder / SWEEP
    if not path.exists():
        raise InputError(f"run {folder.name} is no sweep, or one that was not finished")
    try:
        return decode(path.read_bytes(), Sweep)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a sweep: {error}") from error
