"""The same variant with the same seed, in virtual time and in wall time, compared."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec

from scenarios.archive import PRODUCT, package_version
from scenarios.fidelity.comparison import Comparison, Tolerance, compare
from scenarios.fidelity.recording import Recording, record
from scenarios.format.loading import Variant
from scenarios.judging.outcome import Record, ending, outcome_of
from scenarios.live import Level, LiveRun, Running, run_live
from scenarios.wiring.assembly import Assembly, Blueprint
from scenarios.wiring.members import scenes_of
from scenarios.wiring.packet_level import PacketGround
from scenarios.wiring.vocabulary import reporters
from twin.errors import MissingEnvironmentError
from twin.kernel.behaviour import NodeId
from twin.live.conventions import Convention
from twin.live.endpoint import Endpoint


class Fidelity(msgspec.Struct, frozen=True):
    """How far a live run was from the simulation, and under what circumstances."""

    title: str
    scenario: str
    variant: str
    seed: int
    duration_s: float
    broker: str
    level: str
    created: str
    host: str
    product_version: str
    tolerance: Tolerance
    late_p50_s: float
    late_p99_s: float
    late_most_s: float
    comparison: Comparison
    schema_version: int = 1


def lasting(variant: Variant, duration_s: float | None) -> Variant:
    """The variant with a run of this length, if one is given."""
    if duration_s is None:
        return variant
    scenario = variant.scenario
    run = scenario.run.model_copy(update={"duration_s": duration_s})
    return replace(variant, scenario=scenario.model_copy(update={"run": run}))


def record_virtual(variant: Variant, seed: int) -> Recording:
    """Simulate once, with every transfer kept."""
    scenario = variant.scenario
    blueprint = Blueprint.of(scenario, scenes_of(scenario, variant.folder), variant.folder)
    nodes_of = reporters(scenario, blueprint.members)
    assembly = blueprint.assemble(seed, is_traced=True)
    assembly.run(ending(scenario.run.stop_when, Record(assembly, nodes_of)))
    outcome = outcome_of(assembly, seed, nodes_of, variant.requirements, has_series=False)
    return record(assembly, outcome, nodes_of, variant.requirements)


def record_live(
    variant: Variant,
    bindings: Mapping[NodeId, Endpoint],
    seed: int,
    *,
    links: Level = "in-driver",
    convention: Convention | None = None,
    on_start: Callable[[Running], None] | None = None,
    ground: PacketGround | None = None,
) -> tuple[Recording, LiveRun]:
    """Run once in wall time, with every transfer kept."""
    kept: list[Assembly] = []

    def started(running: Running) -> None:
        kept.append(running.assembly)
        if on_start is not None:
            on_start(running)

    found = run_live(
        variant,
        bindings,
        seed=seed,
        links=links,
        convention=convention,
        on_start=started,
        ground=ground,
    )
    nodes_of = reporters(variant.scenario, kept[0].members)
    return record(kept[0], found.outcome, nodes_of, variant.requirements), found


def compared(virtual: Recording, live: Recording, run: LiveRun, tolerance: Tolerance) -> Comparison:
    """Compare, unless the live run was none in real time or lost its broker (MissingEnvironmentError)."""
    for reason in run.gone_brokers.values():
        raise MissingEnvironmentError(f"the live run is not compared: at its end there was {reason}")
    late = run.timeliness
    if not late.is_real_time:
        times = "once" if late.slip_count == 1 else f"{late.slip_count} times"
        raise MissingEnvironmentError(
            f"the live run was not in real time, so it is not compared: its clock slipped {times},"
            f" {late.slipped_s:.2f} s in all; try again on a machine that is less busy, or with fewer devices"
        )
    return compare(virtual, live, tolerance)


def circumstances(
    variant: Variant,
    scenario: str,
    brokers: str,
    run: LiveRun,
    tolerance: Tolerance,
    comparison: Comparison,
) -> Fidelity:
    """The comparison with what has to be known to judge and to repeat it."""
    late = run.timeliness
    return Fidelity(
        title=variant.scenario.title or scenario,
        scenario=scenario,
        variant=variant.name,
        seed=run.outcome.seed,
        duration_s=run.outcome.duration_s,
        broker=brokers,
        level=run.links,
        created=f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
        host=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        product_version=package_version(PRODUCT),
        tolerance=tolerance,
        late_p50_s=late.late_p50_s,
        late_p99_s=late.late_p99_s,
        late_most_s=late.late_most_s,
        comparison=comparison,
    )
