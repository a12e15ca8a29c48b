"""Runs a scenario: replications of every variant on a process pool, judged by a sequential test.

Replication r of every variant has the seed `seed + r`, so variants share their random numbers. Results are
taken in the order of the seeds whatever the order they come in, and replications past the decision are left
out, so the study is the same to the bit in one process and in many.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, ParamSpec, Protocol, TypeVar

import msgspec

from scenarios.format.loading import ScenarioFile, Variant
from scenarios.judging.outcome import Outcome, Record, Reporters, ending, outcome_of
from scenarios.judging.statistics import MOST_REPLICATIONS, SequentialTest, Verdict
from scenarios.results import Sensitivity
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.members import scenes_of
from scenarios.wiring.start import Start
from scenarios.wiring.vocabulary import reporters

P = ParamSpec("P")
T = TypeVar("T")

SWING_RUNS: Final = 3
MARGIN: Final = "people_margin"
AHEAD: Final = 2
"""Replications submitted beyond those needed, for each worker."""


class Watcher(Protocol):
    """Who is told how far the work is."""

    def advance(self, label: str, done: int, planned: int) -> None:
        """So many of at most `planned` replications are done."""
        ...

    def judged(self, run: VariantRun) -> None:
        """One more replication of a variant is judged."""
        ...


@dataclass(slots=True)
class Plan:
    """How to run: which variants, how many replications (None: as many as decide), seed and processes."""

    variants: Sequence[str] | None = None
    replications: int | None = None
    seed: int | None = None
    workers: int | None = None


@dataclass(slots=True)
class VariantRun:
    """The replications of one variant as they were judged, in the order of their seeds."""

    variant: Variant
    tests: dict[str, SequentialTest]
    outcomes: list[Outcome] = field(default_factory=list)
    traced: dict[str, Outcome] = field(default_factory=dict)

    @property
    def wall_s(self) -> float:
        """How long its replications took, one after the other."""
        return sum(outcome.wall_s for outcome in self.outcomes)

    @property
    def is_decided(self) -> bool:
        """Whether every requirement has its verdict."""
        return all(test.verdict is not None for test in self.tests.values())

    def take(self, outcome: Outcome) -> None:
        """Judge one more replication."""
        self.outcomes.append(outcome)
        for name, test in self.tests.items():
            test.add(outcome.judgements[name].is_met)

    def worst(self, name: str) -> Outcome:
        """The replication that missed the requirement first, or the first one."""
        return next((each for each in self.outcomes if not each.judgements[name].is_met), self.outcomes[0])


@dataclass(slots=True)
class Findings:
    """What was found: the variants with their replications, and which input moves the margin."""

    runs: list[VariantRun]
    sensitivities: list[Sensitivity] = field(default_factory=list)


# one replication -----------------------------------------------------------------------------------------


def replicate(variant: Variant, seed: int, *, is_traced: bool = False, has_series: bool = False) -> Outcome:
    """Run one replication of a variant and judge it."""
    started_s = time.monotonic()
    blueprint, nodes_of = blueprint_of(variant)
    with uncollected():
        assembly = blueprint.assemble(seed, is_traced=is_traced)
        assembly.run(ending(variant.scenario.run.stop_when, Record(assembly, nodes_of)))
        outcome = outcome_of(assembly, seed, nodes_of, variant.requirements, has_series=has_series)
    return msgspec.structs.replace(outcome, wall_s=time.monotonic() - started_s)


def replicate_from(variant: Variant, seed: int, start: Start) -> Outcome:
    """Run one replication that starts from what twins knew, and judge it."""
    started_s = time.monotonic()
    blueprint, nodes_of = blueprint_of(variant)
    with uncollected():
        assembly = blueprint.assemble(seed, start=start)
        assembly.run(ending(variant.scenario.run.stop_when, Record(assembly, nodes_of)))
        outcome = outcome_of(assembly, seed, nodes_of, variant.requirements, has_series=False)
    return msgspec.structs.replace(outcome, wall_s=time.monotonic() - started_s)


@contextmanager
def uncollected() -> Iterator[None]:
    """No cyclic garbage collection meanwhile: it finds nothing and takes a third of a replication's time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


_BLUEPRINTS: dict[str, tuple[Blueprint, Reporters]] = {}
_MOST_BLUEPRINTS: Final = 64


def blueprint_of(variant: Variant) -> tuple[Blueprint, Reporters]:
    """What all replications of the variant share, made once a process."""
    key = f"{variant.folder}:{variant.hash}"
    if key not in _BLUEPRINTS:
        while len(_BLUEPRINTS) >= _MOST_BLUEPRINTS:
            _BLUEPRINTS.pop(next(iter(_BLUEPRINTS)))
        scenes = scenes_of(variant.scenario, variant.folder)
        blueprint = Blueprint.of(variant.scenario, scenes, variant.folder)
        _BLUEPRINTS[key] = blueprint, reporters(variant.scenario, blueprint.members)
    return _BLUEPRINTS[key]


# all variants --------------------------------------------------------------------------------------------


def simulate(scenario: ScenarioFile, plan: Plan, watcher: Watcher | None = None) -> Findings:
    """Run the planned variants until every requirement is decided, then the inputs of `sensitivity`.

    Inputs are left out when only some variants are planned. Raises Interrupted on Ctrl-C.
    """
    runs = [VariantRun(variant, tests_of(variant)) for variant in chosen(scenario, plan.variants)]
    with pool(plan.workers) as executor:
        try:
            _run_all(runs, plan, executor, watcher)
            inputs = _swings(scenario, plan, executor, watcher) if plan.variants is None else []
        except KeyboardInterrupt as interrupt:
            raise Interrupted([run for run in runs if run.outcomes]) from interrupt
    return Findings(runs, inputs)


def simulate_variant(variant: Variant, plan: Plan) -> VariantRun:
    """Run one variant until every requirement is decided."""
    run = VariantRun(variant, tests_of(variant))
    with pool(plan.workers) as executor:
        _run_all([run], plan, executor, None)
    return run


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with the variants that have at least one finished replication."""

    def __init__(self, runs: list[VariantRun]) -> None:
        super().__init__()
        self.runs = runs


def chosen(scenario: ScenarioFile, names: Sequence[str] | None) -> list[Variant]:
    """The variants of these names, or all; raise ScenarioError for an unknown one."""
    return list(scenario.variants) if names is None else [scenario.variant(name) for name in names]


def _swings(
    scenario: ScenarioFile, plan: Plan, executor: Executor, watcher: Watcher | None
) -> list[Sensitivity]:
    """Mean margin of the people at the low and the high value of each input, widest swing first."""
    count = plan.replications or SWING_RUNS
    ends = [end for each in scenario.inputs for end in (each.low, each.high)]
    submitted = [[_submit(end, plan, i, executor) for i in range(count)] for end in ends]
    margins = []
    for number, futures in enumerate(submitted, 1):
        values = [future.result().metrics[MARGIN] for future in futures]
        margins.append(sum(values) / count)
        if watcher:
            watcher.advance("sensitivity", number * count, len(ends) * count)
    rows = [
        Sensitivity(each.key, _value_of(each.low), _value_of(each.high), low_s, high_s)
        for each, low_s, high_s in zip(scenario.inputs, margins[::2], margins[1::2])
    ]
    return sorted(rows, key=lambda row: -abs(row.margin_high_s - row.margin_low_s))


def _value_of(end: Variant) -> str:
    return end.name.partition("=")[2]


def tests_of(variant: Variant) -> dict[str, SequentialTest]:
    """A sequential test for each requirement of the variant."""
    return {each.name: SequentialTest(each.probability, each.indifference) for each in variant.requirements}


def _run_all(runs: list[VariantRun], plan: Plan, executor: Executor, watcher: Watcher | None) -> None:
    """First what every variant needs at least, all at once; then more for what is still undecided."""
    first = {id(run): _least(run, plan) for run in runs}
    planned = sum(first.values())
    waiting = [
        (run, [_submit(run.variant, plan, i, executor) for i in range(first[id(run)])]) for run in runs
    ]
    done = 0
    for run, futures in waiting:
        for future in futures:
            _take(run, future, watcher)
            done += 1
            if watcher:
                watcher.advance(run.variant.name, done, planned)
        while not _is_enough(run, plan):
            batch = range(len(run.outcomes), min(len(run.outcomes) + AHEAD * _cores(), MOST_REPLICATIONS))
            for future in [_submit(run.variant, plan, i, executor) for i in batch]:
                if _is_enough(run, plan):
                    future.cancel()
                else:
                    _take(run, future, watcher)
            if watcher:
                watcher.advance(run.variant.name, done, max(planned, done))
        _explain(run, executor)


def _take(run: VariantRun, future: Future[Outcome], watcher: Watcher | None) -> None:
    run.take(future.result())
    if watcher:
        watcher.judged(run)


def _least(run: VariantRun, plan: Plan) -> int:
    """Replications that are needed even if all go well."""
    fixed = _fixed(run, plan)
    if fixed is not None:
        return fixed
    return max((clean_runs(test) for test in run.tests.values()), default=1)


def clean_runs(test: SequentialTest) -> int:
    """How many replications decide the test if each is met."""
    trial = SequentialTest(test.probability, test.indifference)
    while trial.verdict is None:
        trial.add(is_met=True)
    return trial.run_count


def _fixed(run: VariantRun, plan: Plan) -> int | None:
    asked = run.variant.scenario.run.replications
    return plan.replications or (asked if isinstance(asked, int) else None)


def _is_enough(run: VariantRun, plan: Plan) -> bool:
    return _fixed(run, plan) is not None or run.is_decided or len(run.outcomes) >= MOST_REPLICATIONS


def _submit(variant: Variant, plan: Plan, index: int, executor: Executor) -> Future[Outcome]:
    seed = (variant.scenario.run.seed if plan.seed is None else plan.seed) + index
    return executor.submit(replicate, variant, seed, has_series=index == 0)


def _explain(run: VariantRun, executor: Executor) -> None:
    """Run the worst replication of each failed requirement again, traced, for its message chain."""
    failed = [name for name, test in run.tests.items() if test.verdict is Verdict.FAIL]
    seeds = {name: run.worst(name).seed for name in failed}
    again = {
        seed: executor.submit(replicate, run.variant, seed, is_traced=True) for seed in set(seeds.values())
    }
    run.traced = {name: again[seed].result() for name, seed in seeds.items()}


# processes -----------------------------------------------------------------------------------------------


class _Here(Executor):
    """Runs in this process, each call when its result is wanted."""

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run later."""
        return _Later(partial(function, *args, **kwargs))


class _Later(Future[T]):
    """A call that nobody else makes."""

    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__()
        self._call = call

    def result(self, timeout: float | None = None) -> T:
        """Run now, unless it ran before."""
        if not self.done():
            self.set_result(self._call())
        return super().result(timeout)


@contextmanager
def pool(workers: int | None) -> Iterator[Executor]:
    """A process pool of so many workers (default: one a core), or this process for one."""
    count = workers or _cores()
    if count == 1:
        yield _Here()
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(count, mp_context=context)
    try:
        with (
            uninterrupted()
        ):  # who is started meanwhile ignores Ctrl-C for life: it is the parent's to handle
            for _ in range(count):
                executor.submit(os.getpid)
        yield executor
    except BaseException:
        with uninterrupted():
            _end(executor)
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _end(executor: ProcessPoolExecutor) -> None:
    """End the workers at once: nobody waits for what they are at."""
    for process in list((executor._processes or {}).values()):  # noqa: SLF001  (no public way before 3.14)
        process.terminate()
    executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def uninterrupted(*signals: int) -> Iterator[None]:
    """Ignore Ctrl-C, or these signals, for a moment; outside the main thread, which gets them, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {each: signal.signal(each, signal.SIG_IGN) for each in signals or (signal.SIGINT,)}
    try:
        yield
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
