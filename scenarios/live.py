"""One replication in wall time, with real brokers in the place of simulated ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from network.wire.proxy import CONNECTION_LIMIT
from scenarios.format.loading import Variant
from scenarios.format.schema import Scenario
from scenarios.judging.outcome import Outcome, Record, ending, outcome_of, place_of
from scenarios.judging.runner import uncollected
from scenarios.live_databases import DatabaseFigures, Databases
from scenarios.wiring.assembly import Assembly, Blueprint
from scenarios.wiring.members import scenes_of
from scenarios.wiring.packet_level import PacketGround, PacketLevel
from scenarios.wiring.vocabulary import reporters
from scenarios.wiring.wire_level import InDriver, LinkLevel, Nothing, WireLevel
from twin.errors import InputError
from twin.kernel.behaviour import Behaviour, NodeId
from twin.live.conventions import Convention, Field, Places
from twin.live.endpoint import Endpoint
from twin.live.history import History
from twin.live.interpreter import Interpreter
from twin.live.pacer import SocketPacer, Stopped
from twin.live.probe import probe_each, trouble
from twin.live.real_broker import OUTSIDE, RealBroker, Times
from twin.live.shards import check_room
from twin.live.wires import Wires
from twin.message import Message

BROKER = "mqtt_broker"

Level: TypeAlias = Literal["none", "in-driver", "proxy", "tun"]
"""What stands for the links to a real broker."""

FILES_EACH: Final = {"none": 1, "in-driver": 1, "proxy": 3, "tun": 1}
"""Sockets of this process for each connection: a proxy has two more."""


class Timeliness(msgspec.Struct, frozen=True):
    """How well the run kept to the wall clock (seconds); with slips it was not in real time."""

    late_p50_s: float
    late_p99_s: float
    late_most_s: float
    slip_count: int
    slipped_s: float

    @property
    def is_real_time(self) -> bool:
        """Whether the clock never had to slip."""
        return not self.slip_count


class LostOnLink(msgspec.Struct, frozen=True):
    """What the wire has lost: packets of `tun`, connections of `proxy`; `window` is what faults stood."""

    link: str
    window: str
    cause: str
    count: int


class LiveRun(msgspec.Struct, frozen=True):
    """What a live replication found: the outcome as in virtual time, and what is only true of live runs.

    `gone_brokers` says of each broker that could not be used any more at the end why not.
    """

    outcome: Outcome
    timeliness: Timeliness
    brokers: dict[str, str]
    ended_connections: dict[str, int]
    is_whole: bool = True
    links: str = "in-driver"
    times: dict[str, Times] = {}
    databases: dict[str, DatabaseFigures] = {}
    gone_brokers: dict[str, str] = {}
    lost_on_links: list[LostOnLink] = []


@dataclass(frozen=True, slots=True)
class Running:
    """A live run that is about to start, for whoever wants to change it while it runs."""

    assembly: Assembly
    pacer: SocketPacer
    level: LinkLevel
    fleets: Mapping[str, list[NodeId]]


@dataclass(slots=True)
class LiveBroker:
    """A bound node: its behaviour, and the sockets behind it."""

    behaviour: RealBroker
    wires: Wires


def run_live(
    variant: Variant,
    bindings: Mapping[NodeId, Endpoint],
    *,
    seed: int | None = None,
    duration_s: float | None = None,
    links: Level = "in-driver",
    is_traced: bool = True,
    history: History | None = None,
    databases: Databases | None = None,
    convention: Convention | None = None,
    on_start: Callable[[Running], None] | None = None,
    ground: PacketGround | None = None,
) -> LiveRun:
    """Run a variant once in wall time with these nodes bound to real brokers and databases, and judge it.

    `links` says what stands for the links to a real broker: nothing ("none"), the kernel's network model in
    wall time ("in-driver"), a proxy that delays real bytes by the same model ("proxy"), or packets that the
    kernel's own TCP sends ("tun"): then `ground` is what the broker was started beyond.
    `history` is told of every message; with a `convention` the brokers know only its words.
    Raises InputError for a node that cannot be bound, MissingEnvironmentError for a broker that is not there.
    """
    _check(variant, bindings)
    scenario = _shortened(variant.scenario, duration_s)
    blueprint = Blueprint.of(scenario, scenes_of(scenario, variant.folder), variant.folder)
    _check_room(_connection_count(blueprint, bindings), links)
    pacer = SocketPacer()
    assemblies: list[Assembly] = []
    used_seed = scenario.run.seed if seed is None else seed
    level = _level(links, variant, blueprint, used_seed, bindings, ground)
    interpreted = None if convention is None else (convention, _places(blueprint))
    standing = pacer, assemblies, level, interpreted
    brokers = {node: _broker(node, endpoint, *standing) for node, endpoint in bindings.items()}
    bound: dict[NodeId, Behaviour] = {node: broker.behaviour for node, broker in brokers.items()}
    if databases is not None:
        bound |= databases.behaviours(blueprint, pacer)
    assembly = blueprint.assemble(
        used_seed, is_traced=is_traced, pacer=pacer, bound=bound, carrier=level.carrier, journal=history
    )
    if history is not None:
        history.clock = lambda: assembly.kernel.now
    assemblies.append(assembly)
    nodes_of = reporters(scenario, blueprint.members)
    is_whole, gone = True, dict[NodeId, str]()
    try:
        _reach(bindings, level, blueprint)
        if on_start is not None:
            on_start(Running(assembly, pacer, level, blueprint.fleets))
        level.start()
        with uncollected():  # a collection of what a long run has recorded takes half a second
            pacer.restart()
            assembly.run(ending(scenario.run.stop_when, Record(assembly, nodes_of)))
        gone = _gone(brokers, level, blueprint)
    except Stopped:
        is_whole = False
    finally:
        _close(*(broker.wires for broker in brokers.values()), level, databases, pacer)
    outcome = outcome_of(assembly, used_seed, nodes_of, variant.requirements, has_series=True)
    return LiveRun(
        msgspec.structs.replace(outcome, wall_s=pacer.now),
        _timeliness(pacer),
        {node: endpoint.url for node, endpoint in bindings.items()},
        dict(sum((broker.wires.ended for broker in brokers.values()), Counter[str]())),
        is_whole,
        links,
        {node: broker.behaviour.times for node, broker in brokers.items()},
        {} if databases is None else databases.figures,
        gone,
        _lost(level, assembly),
    )


def _check_room(count: int, links: Level) -> None:
    """Raise a clear error if that is more connections than can be."""
    if links == "proxy" and count > CONNECTION_LIMIT:
        raise InputError(
            f"{count:,} nodes have a connection to a real broker, and the proxy carries {CONNECTION_LIMIT:,};"
            " use --links in-driver or tun, or fewer devices"
        )
    check_room(count, FILES_EACH[links])


def _level(
    links: Level,
    variant: Variant,
    blueprint: Blueprint,
    seed: int,
    bindings: Mapping[NodeId, Endpoint],
    ground: PacketGround | None,
) -> LinkLevel:
    match links:
        case "none":
            return Nothing(bindings)
        case "proxy":
            return WireLevel(blueprint, seed, bindings)
        case "tun":
            if ground is None or len(bindings) != 1:
                raise InputError("packets on the wire want one broker, started beyond their ground")
            return PacketLevel(variant, blueprint.members, seed, next(iter(bindings)), ground)
    return InDriver()


def _check(variant: Variant, bindings: Mapping[NodeId, Endpoint]) -> None:
    brokers = [name for name, node in variant.scenario.nodes.items() if node.kind == BROKER]
    for node in bindings:
        if node not in brokers:
            raise InputError(
                f"{node!r} cannot be bound to a broker; nodes that can: {', '.join(brokers) or 'none'}"
            )


def _broker(
    node: NodeId,
    endpoint: Endpoint,
    pacer: SocketPacer,
    assemblies: list[Assembly],
    level: LinkLevel,
    interpreted: tuple[Convention, Places] | None,
) -> LiveBroker:
    def received(peer: NodeId, message: Message) -> None:
        pacer.arrive(OUTSIDE + peer, node, message)

    def closed(peer: NodeId, _reason: str) -> None:
        kernel = assemblies[0].kernel
        kernel.call_at(max(kernel.now, pacer.now), lambda: kernel.link_changed(peer, node, is_up=False))

    interpreter = None if interpreted is None else Interpreter(*interpreted, received)
    heard = received if interpreter is None else interpreter.hear
    wires = Wires(endpoint, pacer, heard, closed, lambda peer, version: level.way(peer, node, version))
    if interpreter is None:
        return LiveBroker(RealBroker(wires), wires)
    interpreter.wires = wires
    return LiveBroker(RealBroker(interpreter), wires)


def _reach(bindings: Mapping[NodeId, Endpoint], level: LinkLevel, blueprint: Blueprint) -> None:
    """Raise MissingEnvironmentError for a broker that cannot be used."""
    for node, endpoint in bindings.items():
        with level.way("", node).within():
            probe_each(endpoint, blueprint.speakers(node))


def _gone(brokers: Mapping[NodeId, LiveBroker], level: LinkLevel, blueprint: Blueprint) -> dict[NodeId, str]:
    """The brokers that cannot be used any more, and why not."""
    found: dict[NodeId, str] = {}
    for node, broker in brokers.items():
        with level.way("", node).within():
            reason = trouble(broker.wires.endpoint, blueprint.speakers(node))
        if reason:
            found[node] = f"{reason}; it was last heard after {broker.wires.heard_s:.1f} s"
    return found


def _lost(level: LinkLevel, assembly: Assembly) -> list[LostOnLink]:
    """What the wire has lost, the links of a fleet's devices taken together."""
    fleets = {member.node: member.fleet for member in assembly.members if member.fleet}
    grouped: Counter[tuple[str, str, str]] = Counter()
    for (where, window, cause), count in level.lost.items():
        grouped[place_of(where, fleets), window, cause] += count
    return [LostOnLink(*key, count) for key, count in sorted(grouped.items())]


def _connection_count(blueprint: Blueprint, bindings: Collection[NodeId]) -> int:
    """How many sockets the run has at most: one for each node that is no device behind a gateway."""
    return sum(not each.fleet or each.via in bindings for each in blueprint.members) if bindings else 0


def _places(blueprint: Blueprint) -> dict[str, Field]:
    """The devices of the run, as conventions know them."""
    return {
        member.node: Field(member.site, member.kind, member.node, "")
        for member in blueprint.members
        if member.fleet
    }


def _close(*parts: Wires | LinkLevel | Databases | SocketPacer | None) -> None:
    for part in parts:
        if part is not None:
            part.close()


def _shortened(scenario: Scenario, duration_s: float | None) -> Scenario:
    """The scenario, ending earlier if that is asked."""
    if duration_s is None:
        return scenario
    run = scenario.run.model_copy(update={"duration_s": min(duration_s, scenario.run.duration_s)})
    return scenario.model_copy(update={"run": run})


def _timeliness(pacer: SocketPacer) -> Timeliness:
    late = sorted(pacer.lateness_s) or [0.0]
    return Timeliness(
        late_p50_s=late[len(late) // 2],
        late_p99_s=late[int(len(late) * 0.99)],
        late_most_s=late[-1],
        slip_count=len(pacer.slips),
        slipped_s=sum(amount for _, amount in pacer.slips),
    )
