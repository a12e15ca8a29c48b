"""Wiring: from a resolved scenario and a seed to a kernel that is ready to run."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from devices_models.catalogue import DEVICES
from devices_models.workloads import Replay, read_arrivals
from devices_models.world.building import Building
from devices_models.world.scene import Scene
from devices_models.world.settings import WorldSettings
from network.carrier import Network
from scenarios.format import schema
from scenarios.format.options import options_of
from scenarios.wiring import timeline
from scenarios.wiring.hardware import observe_hardware
from scenarios.wiring.journaling import journaled
from scenarios.wiring.linking import access_of, build_topology
from scenarios.wiring.members import Member, members_of
from scenarios.wiring.mirrors import Mirrors
from scenarios.wiring.node_faults import Hosts
from scenarios.wiring.nodes import (
    FIRE,
    NODE_KINDS,
    RULE_TEXT,
    Surroundings,
    controller,
    make_station,
    with_own_session,
)
from scenarios.wiring.registration import BROKER, registry_of, things_of, watch
from scenarios.wiring.rule_files import read_rule_file
from scenarios.wiring.start import Start
from twin.cloud.hosted import HostedClient
from twin.cloud.twin_service import TwinService
from twin.errors import InputError
from twin.kernel.behaviour import Behaviour, NodeId
from twin.kernel.kernel import Kernel, NodeSpec
from twin.kernel.ports import Carrier, Pacer
from twin.kernel.randomness import Streams
from twin.mqtt.client import ClientSession
from twin.mqtt.journal import Journal
from twin.mqtt.packets import Version
from twin.state.registry.access import Guard

STOP_CHECK_S: Final = 10.0


@dataclass(slots=True)
class Assembly:
    """A scenario as a running system."""

    scenario: schema.Scenario
    members: Sequence[Member]
    kernel: Kernel
    network: Network
    building: Building | None
    world: WorldSettings | None
    hosts: Hosts
    mirrors: Mirrors | None = None
    guard: Guard | None = None
    announcements: timeline.Announcements = field(default_factory=timeline.Announcements)

    def run(self, is_over: Callable[[], bool] | None = None) -> None:
        """Run to the scenario's end, or until `is_over` (asked every ten seconds)."""
        if self.building is not None:
            self.building.start()
        end_s = self.scenario.run.duration_s
        while is_over is not None and self.kernel.now + STOP_CHECK_S < end_s:
            self.kernel.run(self.kernel.now + STOP_CHECK_S)
            if is_over():
                break
        else:
            self.kernel.run(end_s)
        if self.building is not None:
            self.building.finish()
        if self.mirrors is not None:
            self.mirrors.finish()
        observe_hardware(self.scenario.fleets, self.members, self.network.topology, self.kernel)
        self.kernel.check_ledger()


@dataclass(slots=True)
class Blueprint:
    """What all replications of a variant share: scenario, scenes, members and checked options."""

    scenario: schema.Scenario
    scenes: dict[str, Scene]
    members: list[Member]
    options: dict[str, dict[str, Any]]
    world: WorldSettings | None
    folder: Path

    @classmethod
    def of(cls, scenario: schema.Scenario, scenes: dict[str, Scene], folder: Path) -> Blueprint:
        """Read the options of every fleet, node and world once."""
        options = {name: _fleet_options(fleet, folder) for name, fleet in scenario.fleets.items()}
        options |= {name: _node_options(node, folder) for name, node in scenario.nodes.items()}
        world = _world(scenario)
        return cls(scenario, scenes, members_of(scenario, scenes), options, world, folder)

    def assemble(
        self,
        seed: int,
        *,
        is_traced: bool = False,
        pacer: Pacer | None = None,
        bound: Mapping[str, Behaviour] | None = None,
        start: Start | None = None,
        carrier: Callable[[Network], Carrier] | None = None,
        journal: Journal | None = None,
    ) -> Assembly:
        """Everything that one replication needs, made anew; `bound` gives the nodes that are real.

        `carrier` may put something before the network that carries otherwise; `journal` is told of every
        MQTT session.
        With a `start` the twins, and the devices that can, begin with what twins knew at some moment.
        """
        streams = Streams(seed)
        network = Network(build_topology(self.scenario, self.members, streams, self.folder))
        has_twins = any(member.kind == "twin" for member in self.members)
        mirrors = Mirrors() if has_twins else None
        guard = self._guard()
        nodes = {
            member.node: self._spec(member, streams, mirrors, bound or {}, guard) for member in self.members
        }
        if start is not None:
            nodes = {node: start.applied(node, spec) for node, spec in nodes.items()}
        if journal is not None:
            nodes = {node: journaled(spec, journal) for node, spec in nodes.items()}
        carries = network if carrier is None else carrier(network)
        kernel = Kernel(nodes, carries, streams, pacer, is_traced=is_traced)
        kernel.epoch_s = 0.0 if start is None else start.at_s
        if mirrors is not None:
            mirrors.kernel = kernel
        if guard is not None:
            watch(guard, kernel)
        network.on_link_changed(lambda node, peer, is_up: kernel.link_changed(node, peer, is_up=is_up))
        building = self._build(kernel, streams)
        announcements = timeline.Announcements()
        hosts = timeline.schedule(self.scenario, kernel, network, self.fleets, announcements)
        return Assembly(
            self.scenario,
            self.members,
            kernel,
            network,
            building,
            self.world,
            hosts,
            mirrors,
            guard,
            announcements,
        )

    @property
    def fleets(self) -> dict[str, list[str]]:
        """The devices of each fleet."""
        found: dict[str, list[str]] = {}
        for member in self.members:
            if member.fleet:
                found.setdefault(member.fleet, []).append(member.node)
        return found

    def speakers(self, broker: NodeId) -> dict[NodeId, Version]:
        """Who has a session with a broker, were it real, and in which version of MQTT."""
        found: dict[NodeId, Version] = {}
        for member in self.members:
            uplink = self._uplink(member) if member.kind == "gateway" else None
            if uplink is not None and broker in uplink.between:
                found[member.node] = self.options[member.node].get("version", "3.1.1")
            elif broker in {member.host, member.via}:
                found[member.node] = self._version_at(broker)
        return found

    def _version_at(self, broker: NodeId) -> Version:
        """What clients of a broker speak that say nothing themselves."""
        said: Version = self.options[broker].get("version", "3.1.1")
        return said

    def _guard(self) -> Guard | None:
        """Who may reach what, if a broker asks for it."""
        is_asked = any(self.options[name].get("authorise") for name in self._brokers)
        return Guard(registry_of(self.members, self.scenes), lambda: 0.0) if is_asked else None

    @property
    def _brokers(self) -> list[str]:
        return [member.node for member in self.members if member.kind == BROKER]

    def _spec(
        self,
        member: Member,
        streams: Streams,
        mirrors: Mirrors | None,
        bound: Mapping[str, Behaviour],
        guard: Guard | None,
    ) -> NodeSpec:
        if member.node in bound:
            real = partial(bound.__getitem__, member.node)
            session = self._session_at(member)
            return NodeSpec(partial(_as_client, real, session) if member.host in bound else real)
        if member.fleet:
            fleet = self.scenario.fleets[member.fleet]
            device = partial(self._device, member, fleet, mirrors)
            return NodeSpec(device, controller(fleet.mcu) if fleet.mcu else None)
        node = self.scenario.nodes[member.node]
        around, options = self._surroundings(member), self.options[member.node]
        around.guard = guard
        make: Callable[[], Behaviour] = partial(_make_node, node.kind, around, options)
        if node.kind == "twin" and mirrors is not None:
            make = _twin_maker(member.node, make, mirrors, is_durable=node.options.get("store") == "durable")
        if member.host in bound:
            make = partial(_as_client, make, self._session_at(member))
        return NodeSpec(make, make_station(node.station, lambda: streams.stream(member.node, "service")))

    def _session_at(self, member: Member) -> ClientSession:
        """For what runs on a broker that is real."""
        version = self._version_at(member.host) if member.host in self._brokers else "3.1.1"
        return ClientSession(member.host, member.node, version=version)

    def _device(self, member: Member, fleet: schema.Fleet, mirrors: Mirrors | None) -> Behaviour:
        """A device: with its own session where its link connects it with a broker, watched for its twin."""
        behaviour = DEVICES[fleet.device].make(member.via, self.options[member.fleet])
        form = access_of(fleet)
        via = self.scenario.nodes.get(member.via)
        if form.transport in {"tcp", "quic"} and via is not None and via.kind == "mqtt_broker":
            behaviour = with_own_session(behaviour, member, form, self._version_at(member.via))
        return behaviour if mirrors is None else mirrors.watched(member.node, behaviour)

    def _surroundings(self, member: Member) -> Surroundings:
        """A gateway's own devices; for everybody else the devices of all sites."""
        is_gateway = member.kind == "gateway"
        devices = {
            device.node: device.kind
            for device in self.members
            if device.fleet and (device.via == member.node or not is_gateway)
        }
        uplink = self._uplink(member) if is_gateway else None
        upstream = "" if uplink is None else next(node for node in uplink.between if node != member.node)
        host = self.scenario.nodes.get(member.host)
        is_in_cloud = host is not None and host.kind == "mqtt_broker"
        things = tuple(things_of(self.members, self.scenes)) if member.kind == "twin" else ()
        return Surroundings(self._served(member), devices, upstream, uplink, is_in_cloud, things=things)

    def _served(self, member: Member) -> Member:
        """A rule engine at a broker serves the site of the gateway that reaches that broker."""
        for other in self.members if member.host else ():
            if other.kind == "gateway" and (link := self._uplink(other)) and member.host in link.between:
                return Member(member.node, other.site, member.kind, member.host)
        return member

    def _uplink(self, member: Member) -> schema.Link | None:
        """The link between a gateway and its broker, declared or over the site's LAN."""
        brokers = [other for other in self.members if other.kind == "mqtt_broker"]
        for link in self.scenario.links:
            if member.node in link.between and any(broker.node in link.between for broker in brokers):
                return link
        here = next((broker for broker in brokers if broker.site == member.site), None)
        return None if here is None else schema.Link.model_validate({"between": [member.node, here.node]})

    def _build(self, kernel: Kernel, streams: Streams) -> Building | None:
        if not self.scenes or self.world is None:
            return None
        site, scene = next(iter(self.scenes.items()))
        building = Building(kernel.env, scene, self.world, streams, kernel.observe)
        for member in self.members:
            if member.feature and member.site == site:
                building.place(member.node, member.feature)
        kernel.world = building
        return building


def _twin_maker(
    name: str, make: Callable[[], Behaviour], mirrors: Mirrors, *, is_durable: bool
) -> Callable[[], Behaviour]:
    """Makes a twin's service, and after a restart one that knows what its store has kept."""
    before: list[TwinService] = []

    def made() -> Behaviour:
        service = make()
        if isinstance(service, TwinService):
            mirrors.remade(name, service, before[-1] if before else None, is_durable=is_durable)
            before[:] = [service]
        return service

    return made


def _make_node(kind: str, around: Surroundings, options: Mapping[str, Any]) -> Behaviour:
    return NODE_KINDS[kind].make(around, options)


def _as_client(make: Callable[[], Behaviour], session: ClientSession) -> Behaviour:
    """What runs on a broker that is real is one of its clients."""
    return HostedClient(make(), copy.deepcopy(session))


def _fleet_options(fleet: schema.Fleet, folder: Path) -> dict[str, Any]:
    device = DEVICES[fleet.device]
    given = device.wired | frozenset(device.fixed) | {"gateway"}
    options = _read(device.behaviour, fleet.options, given)
    if device.behaviour is Replay and options.get("file"):
        options["times_s"], options["sizes_bytes"] = read_arrivals(folder / options["file"])
    return options


def _node_options(node: schema.Node, folder: Path) -> dict[str, Any]:
    options = _read(NODE_KINDS[node.kind].options, node.options)
    if node.kind == "rule_engine" and options.get("rules", FIRE) != FIRE:
        options[RULE_TEXT] = read_rule_file(folder / options["rules"])
    return options


def _world(scenario: schema.Scenario) -> WorldSettings | None:
    return WorldSettings(**_read(WorldSettings, scenario.world)) if scenario.world else None


def _read(form: type, written: Mapping[str, Any], given: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Options as keyword arguments; whoever loads a file has reported what is wrong with them before."""
    options, errors = options_of(form, given).read(
        {k: v for k, v in written.items() if not k.startswith("x-")}
    )
    if errors:
        raise InputError(f"options of {form.__name__}: {errors[0]['loc']}: {errors[0]['msg']}")
    return options
