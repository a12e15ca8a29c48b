"""Faults that are begun and ended by hand while a run goes on, and the timeline they leave.

Played in virtual time, from the same seed, the timeline does the same to the bit: orders fall on times that
no event has (`twin.kernel`), and faults are numbered on from the scenario's own, so that they draw alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol

import yaml

from network.faults import Fault
from scenarios.format import schema
from scenarios.format.fault_vocabulary import OF_WORLD
from scenarios.format.issues import suggestion
from scenarios.format.loading import Variant
from scenarios.proxying import checked_entry
from scenarios.wiring.assembly import Assembly
from scenarios.wiring.timeline import INSTANT, Aim, fault_of
from twin.errors import InputError
from twin.kernel.behaviour import NodeId

MOST_BY_HAND: Final = 1_000
LEAST_S: Final = 2.0**-30
"""So long what ended when it began is said to have lasted: shorter than anything that happens in a run."""

Told = Callable[[float, str], None]
"""Who is told what happens, and when (seconds since the start)."""


class Ground(Protocol):
    """Where a fault acts besides the kernel's own network and nodes: on links that are elsewhere."""

    def placed(self, number: int, entry: schema.TimelineEntry, fault: Fault) -> Fault:
        """The fault of the kernel's network, and with it what it is elsewhere; `number` names its streams.

        Raises InputError for a fault that cannot be there.
        """
        ...


class Here:
    """Everything is simulated: the kernel's network carries all."""

    def placed(self, number: int, entry: schema.TimelineEntry, fault: Fault) -> Fault:
        """As it is."""
        del number, entry
        return fault


@dataclass(slots=True)
class Standing:
    """A fault that was begun by hand and has not ended: how to end it, and where it stands in the record."""

    end: Callable[[float], None]
    record: dict[str, Any]
    began_s: float

    def over(self, now_s: float) -> None:
        """Record that it ends now, but never that it ended at once: no timeline may say so."""
        self.record["for"] = seconds(max(now_s - self.began_s, LEAST_S))


@dataclass(slots=True)
class ByHand:
    """Begins and ends faults now, and remembers them. Every method is called on the run's own thread.

    `standing` holds what has not ended, by the name it was begun under. Raises InputError for what cannot be.
    """

    assembly: Assembly
    fleets: Mapping[str, Sequence[NodeId]]
    ground: Ground
    told: Told
    standing: dict[str, Standing] = field(init=False, default_factory=dict)
    happened: list[dict[str, Any]] = field(init=False, default_factory=list)

    @property
    def now_s(self) -> float:
        """Seconds since the start of the run."""
        return self.assembly.kernel.now

    @property
    def timeline_text(self) -> str:
        """What happened, as the `timeline` of a scenario."""
        return yaml.safe_dump({"timeline": self.happened}, sort_keys=False, default_flow_style=None)

    def begin(self, written: Mapping[str, Any], name: str = "", said: str = "") -> str:
        """Let a fault begin, in the words of a timeline entry without `at`; `name` (its own) ends it."""
        entry = checked_entry({"at": "0 s", **written})
        _check_target(entry)
        name = name or entry.fault
        if name in self.standing:
            raise InputError(f"{said or name!r} has begun already; end it first")
        fault = self._fault(entry)
        fault.begin(self.now_s)
        record = self.record(written)
        if entry.for_s is not None:
            at_s = self.now_s + entry.for_s
            self.assembly.kernel.call_at(at_s, partial(self._end_by_itself, name, fault))
        elif entry.fault not in INSTANT:
            self.standing[name] = Standing(fault.end, record, self.now_s)
        self.told(self.now_s, said or f"{name} begins")
        return entry.fault

    def end(self, name: str, said: str = "") -> None:
        """End a fault that was begun by hand."""
        standing = self.standing.pop(name, None)
        if standing is None:
            near = suggestion(name, self.standing) or f"standing: {', '.join(self.standing) or 'none'}"
            raise InputError(f"no fault {name!r} was begun here; {near}")
        standing.end(self.now_s)
        standing.over(self.now_s)
        self.told(self.now_s, said or f"{name} ends")

    def record(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """Remember that this begins now; the record may be added to."""
        if len(self.happened) >= MOST_BY_HAND:
            raise InputError(f"{MOST_BY_HAND} faults were begun by hand; a run takes no more")
        record = {"at": seconds(self.now_s), **written}
        self.happened.append(record)
        return record

    def _fault(self, entry: schema.TimelineEntry) -> Fault:
        scenario = self.assembly.scenario
        number = len(scenario.timeline) + len(self.happened) + 1
        streams = self.assembly.kernel.streams
        choice = streams.stream(f"timeline {number}", "choice")
        aim = Aim(entry, scenario, self.assembly.network, self.fleets, choice)
        return self.ground.placed(number, entry, fault_of(number, entry, aim, streams, self.assembly.hosts))

    def _end_by_itself(self, name: str, fault: Fault) -> None:
        fault.end(self.now_s)
        self.told(self.now_s, f"{name} ends")


def _check_target(entry: schema.TimelineEntry) -> None:
    """As a scenario's own timeline: or what happened could not be played again."""
    targets = [key for key in schema.FAULT_TARGETS if getattr(entry, key) is not None]
    is_shaped = entry.shape is not None and not targets
    if entry.fault not in OF_WORLD and len(targets) != 1 and not is_shaped:
        told = ", ".join(targets) or "none"
        known = ", ".join(schema.FAULT_TARGETS)
        raise InputError(f"fault {entry.fault!r} needs exactly one target of {known}; it has {told}")


def with_timeline(variant: Variant, happened: Sequence[Mapping[str, Any]]) -> Variant:
    """The variant with what happened by hand as part of its timeline: what a watched run did, to run again.

    Raises InputError for an entry that cannot be.
    """
    if not happened:
        return variant
    timeline = [*variant.scenario.timeline, *map(checked_entry, happened)]
    return replace(
        variant,
        scenario=variant.scenario.model_copy(update={"timeline": timeline}),
        data={**variant.data, "timeline": [*(variant.data.get("timeline") or []), *happened]},
    )


def shortened(variant: Variant, duration_s: float) -> Variant:
    """The variant, ending earlier than it says."""
    run = variant.scenario.run
    if duration_s >= run.duration_s:
        return variant
    return replace(
        variant,
        scenario=variant.scenario.model_copy(
            update={"run": run.model_copy(update={"duration_s": duration_s})}
        ),
        data={**variant.data, "run": {**(variant.data.get("run") or {}), "duration": seconds(duration_s)}},
    )


def without_fire(variant: Variant) -> Variant:
    """The variant with a building in which nothing burns yet."""
    world = {key: value for key, value in variant.scenario.world.items() if key != "fire"}
    if world == variant.scenario.world:
        return variant
    return replace(
        variant,
        scenario=variant.scenario.model_copy(update={"world": world}),
        data={**variant.data, "world": world},
    )


def seconds(value_s: float) -> str:
    """A time as the format has it, to the bit."""
    return f"{value_s!r} s"
