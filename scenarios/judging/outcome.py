"""What one replication says: judgements, metrics, the time budget, and where every message is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from network.wan import metro
from scenarios.format.expression import Expression, Latency, Measure, Name, parse
from scenarios.format.schema import Requirement
from scenarios.judging.chains import message_chains
from scenarios.judging.judgement import Judgement, Sample, evaluate, samples_of
from scenarios.results import Hop
from scenarios.wiring import timeline
from scenarios.wiring.assembly import Assembly

WORLD: Final = "world"
MOST_LATENCIES: Final = 2_000
ALARM, COMMAND, OPEN, SOUNDING, FIRED = "alarm", "gate_command", "gate_open", "sounding", "rule_fired"


Reporters: TypeAlias = Mapping[str, Sequence[str]]
"""The nodes that report each measure."""


class Tally(msgspec.Struct, frozen=True):
    """The message ledger of one replication."""

    sent: int
    delivered: int
    lost: dict[str, int]
    given_up: dict[str, int]
    in_flight: int


class Outcome(msgspec.Struct, frozen=True):
    """One replication, judged; everything in it but `wall_s` follows from scenario, variant and seed."""

    seed: int
    duration_s: float
    judgements: dict[str, Judgement]
    metrics: dict[str, float]
    budget: dict[str, float]
    latencies: dict[str, list[float]]
    tally: Tally
    border_bytes: dict[str, int]
    series: dict[str, list[tuple[float, float]]]
    chains: dict[str, list[Hop]]
    wall_s: float = 0.0


class Record:
    """The observations of a finished replication, as requirements ask for them."""

    def __init__(self, assembly: Assembly, nodes_of: Reporters) -> None:
        self._assembly = assembly
        self._nodes_of = nodes_of
        self.warm_up_s = assembly.scenario.run.warm_up_s

    @property
    def duration_s(self) -> float:
        """How long it has lasted: `stop_when` asks while it still runs."""
        return self._assembly.kernel.now

    def samples(self, measure: str) -> Sequence[Sample]:
        """All samples of a measure after the warm-up, oldest first."""
        samples = self._assembly.kernel.observations.samples(measure)
        return [sample for sample in samples if sample.at_s >= self.warm_up_s] if self.warm_up_s else samples

    def nodes_of(self, measure: str) -> Sequence[str]:
        """The nodes that report this measure, also those that never did."""
        return self._nodes_of.get(measure, ())

    def bytes(self, kind: str, scope: str) -> int:
        """Bytes that left a site, metro or country: personal payload bytes, or all bytes on the wire."""
        inside = self.nodes_in(scope)
        links = self._assembly.network.topology.links.values()
        leaving = [link for link in links if link.source in inside and link.to not in inside]
        return sum(link.personal_byte_count if kind == "personal" else link.byte_count for link in leaving)

    def nodes_in(self, scope: str) -> frozenset[str]:
        """The nodes in a site, a metro or a country."""
        scenario, topology = self._assembly.scenario, self._assembly.network.topology
        if scope in scenario.sites:
            return topology.group(scope)
        country = metro(scope).country if not _is_country(scope) else scope.upper()
        return frozenset(node for node in topology.graph if topology.country(node) == country)

    def fault_windows(self, fault: str) -> Sequence[tuple[float, float]]:
        """When a fault was at work (seconds)."""
        scenario = self._assembly.scenario
        return [
            (at_s, at_s + (math.inf if entry.for_s is None else entry.for_s))
            for entry in scenario.timeline
            if entry.fault == fault
            for at_s in timeline.occurrences(entry, scenario.run.duration_s)
        ]


def _is_country(scope: str) -> bool:
    return len(scope) == 2 and scope.isalpha()


def ending(stop_when: str | None, record: Record) -> Callable[[], bool] | None:
    """Whether a run may end now, as a scenario says it; None if it says nothing."""
    if stop_when is None:
        return None
    expression = parse(stop_when)
    return lambda: evaluate(expression, record).is_met


def outcome_of(
    assembly: Assembly,
    seed: int,
    nodes_of: Reporters,
    requirements: Sequence[Requirement],
    *,
    has_series: bool,
) -> Outcome:
    """Judge a finished replication by the requirements of its variant."""
    record = Record(assembly, nodes_of)
    expressions = {each.name: parse(each.expect) for each in requirements}
    return Outcome(
        seed=seed,
        duration_s=record.duration_s,
        judgements={name: evaluate(expression, record) for name, expression in expressions.items()},
        metrics=_metrics(record, expressions.values(), assembly),
        budget=_budget(record, assembly),
        latencies=_latencies(record, expressions.values()),
        tally=_tally(assembly),
        border_bytes={" -> ".join(border): n for border, n in assembly.network.border_bytes().items()},
        series=_series(assembly) if has_series else {},
        chains=message_chains(record, assembly.kernel.transfers, expressions),
    )


def _metrics(record: Record, expressions: Iterable[Expression], assembly: Assembly) -> dict[str, float]:
    """Latencies named after their ends, the world's outcome, and the traffic."""
    metrics: dict[str, float] = {}
    asked = {
        (metric.start.text, metric.end.text)
        for expression in expressions
        for metric in expression.metrics
        if isinstance(metric, Latency)
    }
    for start, end in sorted(asked | {(ALARM, COMMAND), (ALARM, OPEN), (ALARM, SOUNDING)}):
        samples = samples_of(Latency(Name(start, 0), Name(end, 0)), record)
        if samples:
            metrics[f"{start}_to_{end}"] = max(samples)
    for measure in assembly.kernel.observations.measures():
        samples_seen = record.samples(measure)
        if samples_seen and samples_seen[-1][1] == WORLD:
            metrics[measure] = samples_seen[-1][2]
    for node, station in assembly.kernel.stations().items() if record.duration_s else ():
        metrics[f"utilisation {node}"] = station.busy_s / (station.servers * record.duration_s)
        metrics[f"waiting {node}"] = station.waited_s / max(1, station.served_count)
    metrics["messages_sent"] = float(assembly.kernel.ledger.sent)
    return metrics


def _latencies(record: Record, expressions: Iterable[Expression]) -> dict[str, list[float]]:
    """The samples of every latency that a requirement asks about, for its distribution."""
    found: dict[str, list[float]] = {}
    for expression in expressions:
        for metric in expression.metrics:
            if not isinstance(metric, Measure) and metric.window is None:
                name = f"{metric.start.text} to {metric.end.text}"
                found[name] = samples_of(metric, record)[:MOST_LATENCIES]
    return found


def _first(record: Record, measure: str, from_s: float = 0.0) -> float:
    """When a measure was first observed, from a time on; infinite if never."""
    return next((at_s for at_s, _, value, _ in record.samples(measure) if value and at_s >= from_s), math.inf)


def _budget(record: Record, assembly: Assembly) -> dict[str, float]:
    """Where the time went from ignition to the last person out, in seconds; empty without an evacuation.

    The parts follow the alarm to the people: it is detected, confirmed where the rule sounds it, carried and
    decided; then people get ready and walk.
    """
    building = assembly.building
    started_s = _first(record, "evacuation_start")
    out_s = next((value for _, _, value, _ in reversed(record.samples("people_out"))), math.inf)
    if building is None or building.blaze is None or not math.isfinite(started_s):
        return {}
    ignition_s = building.blaze.starts_at_s
    alarm_s = min(_first(record, ALARM), started_s)
    confirm_s, rule_s = _decision(record, assembly, alarm_s, started_s)
    ready_s = min(_premovement_s(assembly), out_s - started_s)
    return {
        "detect": alarm_s - ignition_s,
        "confirm": confirm_s,
        "network": started_s - alarm_s - confirm_s - rule_s,
        "rule": rule_s,
        "pre-movement": ready_s,
        "flow": out_s - started_s - ready_s,
    }


def _decision(record: Record, assembly: Assembly, alarm_s: float, started_s: float) -> tuple[float, float]:
    """How long the rule waited for a second detector, and took itself; nothing if it did not sound the alarm.

    The alarm that made it fire belongs to the chain of `rule_fired`. What it took is the mean time at its
    station.
    """
    fired = next((sample for sample in record.samples(FIRED) if sample[0] <= started_s), None)
    if fired is None:
        return 0.0, 0.0
    trigger_s = next((at_s for at_s, _, _, trace in record.samples(ALARM) if trace == fired[3]), alarm_s)
    station = assembly.kernel.stations().get(fired[1])
    took_s = (station.busy_s + station.waited_s) / max(1, station.served_count) if station else 0.0
    confirm_s = max(0.0, trigger_s - alarm_s)
    return confirm_s, min(took_s, started_s - alarm_s - confirm_s)


def _premovement_s(assembly: Assembly) -> float:
    """The median of the lognormal pre-movement time."""
    crowd = assembly.world.crowd if assembly.world else None
    if crowd is None or not crowd.premovement_mean_s:
        return 0.0
    return crowd.premovement_mean_s / math.hypot(
        1.0, crowd.premovement_deviation_s / crowd.premovement_mean_s
    )


def _tally(assembly: Assembly) -> Tally:
    kernel = assembly.kernel
    return Tally(
        sent=kernel.ledger.sent,
        delivered=kernel.ledger.delivered,
        lost=_grouped(kernel.ledger.lost, assembly),
        given_up=_grouped(kernel.ledger.given_up, assembly),
        in_flight=kernel.in_flight(),
    )


def place_of(where: str, fleets: Mapping[str, str]) -> str:
    """A link or node in words, a fleet standing for its devices (`fleets`: by node)."""
    return " > ".join(fleets.get(end, end) for end in where.split(">"))


def _grouped(counts: Mapping[tuple[str, str], int], assembly: Assembly) -> dict[str, int]:
    """Counts by place and cause, with the devices of a fleet taken together."""
    fleets = {member.node: member.fleet for member in assembly.members if member.fleet}
    grouped: dict[str, int] = {}
    for (where, cause), count in sorted(counts.items()):
        key = f"{place_of(where, fleets)}: {cause}"
        grouped[key] = grouped.get(key, 0) + count
    return grouped


def _series(assembly: Assembly) -> dict[str, list[tuple[float, float]]]:
    if assembly.building is None:
        return {}
    columns = assembly.building.occupancy()
    times = columns.pop("time_s")
    return {name: list(zip(times, values)) for name, values in columns.items()}
