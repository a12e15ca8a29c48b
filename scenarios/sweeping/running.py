"""Runs a sweep: every point with the same seeds, on the process pool of ordinary runs.

What is measured follows from scenario, inputs and seeds alone: results are taken in the order in which they
were asked for, and points that are added to find a boundary depend on results only. A sweep that was
interrupted goes on with the replications that are missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import product
from typing import Final

import msgspec

from scenarios.format.issues import listed, suggestion
from scenarios.format.loading import ScenarioFile, Variant
from scenarios.judging.runner import Watcher, clean_runs, pool, replicate, tests_of
from scenarios.sweeping.points import Place, Row, place_at, row_of
from scenarios.sweeping.ranges import between, precision_in
from scenarios.sweeping.results import Boundary, SweptInput
from scenarios.sweeping.summary import boundaries_of, requirements_of
from twin.errors import InputError

MOST_POINTS: Final = 400
MOST_REPLICATIONS: Final = 200
MOST_ROUNDS: Final = 24
USUAL_REPLICATIONS: Final = 10


class Task(msgspec.Struct, frozen=True):
    """What is asked: all that a sweep follows from, besides the scenario.

    `replications` 0: as many as decide a requirement if all goes well; `seed` None: the scenario's.
    `refine` is the precision of boundaries, such as `10 ms`; '' adds no points.
    """

    scenario: str
    scenario_hash: str
    variant: str
    inputs: list[SweptInput]
    replications: int
    seed: int
    shown: list[str]
    refine: str = ""


@dataclass(slots=True)
class Course:
    """A sweep under way: its places, and the rows of each in the order of the seeds."""

    task: Task
    scenario: ScenarioFile
    variant: Variant
    places: list[Place]
    rows: dict[tuple[str, ...], list[Row]] = field(default_factory=dict)
    planned: int = 0

    @property
    def seeds(self) -> range:
        """The seeds of every point."""
        return range(self.task.seed, self.task.seed + self.task.replications)

    def is_measured(self, place: Place) -> bool:
        """Whether all replications of a point are done."""
        return len(self.rows.get(place.labels, ())) == self.task.replications

    @property
    def measured(self) -> list[Place]:
        """The points that are done: along one input in its order, otherwise in the order of the inputs."""
        done = [place for place in self.places if self.is_measured(place)]
        is_line = len(self.task.inputs) == 1
        return sorted(done, key=lambda place: place.numbers) if is_line else done


def task_of(
    scenario: ScenarioFile,
    inputs: Sequence[SweptInput],
    *,
    variant: str | None = None,
    replications: int | None = None,
    seed: int | None = None,
    shown: Sequence[str] = (),
    refine: str = "",
) -> Task:
    """A checked task. Raises InputError for what cannot be swept, ScenarioError for an unknown variant."""
    chosen = scenario.variant(variant) if variant else scenario.variants[0]
    if not 1 <= len(inputs) <= 2:
        raise InputError(f"a sweep has one or two inputs (--set); not {len(inputs)}")
    if len({each.key for each in inputs}) < len(inputs):
        raise InputError(f"--set {inputs[0].key} stands there twice")
    count = math.prod(len(each.values) for each in inputs)
    if count > MOST_POINTS:
        raise InputError(f"that makes {count} points; a sweep has at most {MOST_POINTS}: take fewer values")
    if refine:
        if len(inputs) != 1 or not inputs[0].is_numeric:
            raise InputError("--refine looks for boundaries along one input that has numbers")
        precision_in(inputs[0], refine)
    asked = chosen.scenario.run.replications
    needed = max((clean_runs(test) for test in tests_of(chosen).values()), default=USUAL_REPLICATIONS)
    runs = replications or (asked if isinstance(asked, int) else min(needed, MOST_REPLICATIONS))
    if runs > MOST_REPLICATIONS:
        raise InputError(f"--replications: a point has at most {MOST_REPLICATIONS}; not {runs}")
    return Task(
        scenario=str(scenario.path),
        scenario_hash=scenario.hash,
        variant=chosen.name,
        inputs=list(inputs),
        replications=runs,
        seed=chosen.scenario.run.seed if seed is None else seed,
        shown=list(shown),
        refine=refine,
    )


def course_of(task: Task, scenario: ScenarioFile) -> Course:
    """The points of a task, each checked like a variant.

    Raises InputError naming the point that is wrong, or saying that the scenario is another one by now.
    """
    if scenario.hash != task.scenario_hash:
        raise InputError(f"{task.scenario} has changed since; begin a new sweep")
    variant = scenario.variant(task.variant)
    places = []
    for indices in product(*(range(len(each.values)) for each in task.inputs)):
        chosen = list(zip(task.inputs, indices))
        places.append(
            place_at(
                scenario,
                variant,
                task.inputs,
                [each.values[i] for each, i in chosen],
                [each.labels[i] for each, i in chosen],
                [each.numbers[i] for each, i in chosen],
            )
        )
    return Course(task, scenario, variant, places, planned=len(places))


def run(
    course: Course,
    *,
    workers: int | None = None,
    known: Iterable[Row] = (),
    keep: Callable[[Row], None] | None = None,
    watcher: Watcher | None = None,
) -> bool:
    """Measure what is missing; whether nothing is missing in the end: False after Ctrl-C.

    `known` are rows of an earlier attempt, `keep` is told each new one as it comes.
    Raises InputError if a metric that is to be shown does not exist.
    """
    earlier = {(tuple(row.at), row.seed): row for row in known}
    try:
        with pool(workers) as executor:
            _measure(course, course.places, executor, earlier, keep, watcher)
            for _ in range(MOST_ROUNDS if course.task.refine else 0):
                added = _refined(course)
                if not added:
                    break
                course.places += added
                course.planned += len(added)
                _measure(course, added, executor, earlier, keep, watcher)
    except KeyboardInterrupt:
        return False
    return True


def _measure(
    course: Course,
    places: Sequence[Place],
    executor: Executor,
    earlier: Mapping[tuple[tuple[str, ...], int], Row],
    keep: Callable[[Row], None] | None,
    watcher: Watcher | None,
) -> None:
    asked = [(place, seed) for place in places for seed in course.seeds]
    known = [earlier.get((place.labels, seed)) for place, seed in asked]
    futures = [
        None if row else executor.submit(replicate, place.variant, seed)
        for (place, seed), row in zip(asked, known)
    ]
    done = sum(map(len, course.rows.values()))
    planned = course.planned * course.task.replications
    for (place, seed), found, future in zip(asked, known, futures):
        row = found or row_of(place, seed, future.result())  # type: ignore[union-attr]  # one of the two is
        if not course.rows:
            _require_shown(course.task.shown, row)
        course.rows.setdefault(place.labels, []).append(row)
        if keep and found is None:
            keep(row)
        done += 1
        if watcher:
            watcher.advance(", ".join(place.labels), done, planned)


def _require_shown(shown: Sequence[str], row: Row) -> None:
    for name in shown:
        if name not in row.metrics:
            near = suggestion(name, row.metrics)
            raise InputError(
                f"--metric: nothing is measured that is called {name!r}"
                + (f"; {near}" if near else "")
                + f"; metrics here: {listed(row.metrics, 60)}"
            )


def _refined(course: Course) -> list[Place]:
    """Points half-way between where requirements hold and where they fail, while that is too far apart."""
    (swept,) = course.task.inputs
    precision = precision_in(swept, course.task.refine)
    taken = {place.numbers for place in course.places}
    found: dict[float, Place] = {}
    for boundary in _boundaries(course):
        middle = between(swept, boundary.holds, boundary.fails)
        if abs(boundary.holds - boundary.fails) <= precision or middle is None:
            continue
        value, number = middle
        if (number,) not in taken and number not in found and len(taken) + len(found) < MOST_POINTS:
            found[number] = place_at(
                course.scenario, course.variant, [swept], [value], [str(value)], [number], is_refined=True
            )
    return [found[number] for number in sorted(found)]


def _boundaries(course: Course) -> list[Boundary]:
    return boundaries_of(course.task.inputs, requirements_of(course.variant), course.measured, course.rows)
