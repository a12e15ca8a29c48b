"""What stands for the links to real brokers in a live run, besides the kernel's own network model.

none    nothing: messages go to the broker without delay
proxy   a proxy that delays real bytes by the same model
tun     packets between two network namespaces (see `packet_level`)
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol

from network.carrier import Network
from network.faults import Fault
from network.topology import Topology
from network.wire.losses import Losses
from network.wire.proxy import LinkProxy
from network.wire.rules import StreamTcp
from scenarios.format import schema
from scenarios.format.fault_vocabulary import FAULT_FORMS
from scenarios.wiring.agenda import Agenda, Planned
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.linking import build_topology
from scenarios.wiring.timeline import INSTANT, OF_THE_NETWORK, Aim, fault_of, starts
from twin.kernel.behaviour import NodeId
from twin.kernel.flight import Flight
from twin.kernel.ports import Carrier, Timeline
from twin.kernel.randomness import Streams
from twin.live.endpoint import Endpoint
from twin.live.wires import STRAIGHT, Way
from twin.mqtt.packets import Version

STOP_S = 5.0

Lost = Mapping[tuple[str, str, str], int]
"""How much was lost, by link, faults that stood, and cause."""


class Direct:
    """A carrier that takes no time between real nodes and everybody else: the wire does that."""

    def __init__(self, network: Network, real: Collection[NodeId]) -> None:
        self._network = network
        self._real = frozenset(real)

    def carry(self, flight: Flight, timeline: Timeline) -> None:
        """Move the flight."""
        if flight.to in self._real or flight.source in self._real:
            timeline.schedule(timeline.now, flight, (timeline.arrive,))
        else:
            self._network.carry(flight, timeline)

    def __getattr__(self, name: str) -> Any:
        """What else is known of the network: messages held and copied."""
        return getattr(self._network, name)


class LinkLevel(Protocol):
    """What stands for the links."""

    def carrier(self, network: Network) -> Carrier:
        """What carries between the nodes of the run."""
        ...

    def way(self, node: NodeId, broker: NodeId, version: Version = "3.1.1") -> Way:
        """How a node reaches a real broker for a session of this version."""
        ...

    def fault(self, number: int, entry: schema.TimelineEntry) -> Fault | None:
        """A fault of links to begin by hand from the run's thread; None where the kernel's own acts.

        `number` names its random streams. Raises InputError for one that cannot be here.
        """
        ...

    def start(self) -> None:
        """The run begins now, and its timeline."""
        ...

    def pause(self) -> None:
        """The run stands still: no fault of the timeline begins or ends until `resume`."""
        ...

    def resume(self) -> None:
        """The run goes on."""
        ...

    @property
    def lost(self) -> Lost:
        """What the wire has lost by the end; what the kernel's own model loses stands in its ledger."""
        ...

    def close(self) -> None:
        """The run is over."""
        ...


class InDriver:
    """The kernel's network model delays, in wall time."""

    def carrier(self, network: Network) -> Carrier:
        """The network itself."""
        return network

    def way(self, node: NodeId, broker: NodeId, version: Version = "3.1.1") -> Way:
        """Straight on."""
        del node, broker, version
        return STRAIGHT

    def fault(self, number: int, entry: schema.TimelineEntry) -> Fault | None:
        """The kernel's."""
        del number, entry
        return None

    def start(self) -> None:
        """The kernel does it."""

    def pause(self) -> None:
        """The kernel stands still by itself."""

    def resume(self) -> None:
        """The kernel goes on by itself."""

    @property
    def lost(self) -> Lost:
        """The kernel's ledger has it."""
        return {}

    def close(self) -> None:
        """Nothing is open."""


class Nothing(InDriver):
    """Nothing delays on the way to the real brokers."""

    def __init__(self, brokers: Collection[NodeId]) -> None:
        self._brokers = brokers

    def carrier(self, network: Network) -> Carrier:
        """The network, but for what concerns the brokers."""
        return Direct(network, self._brokers)


class WireLevel:
    """A proxy between the nodes that have a link to a real broker and that broker.

    The links are those that the kernel would have, with the same seed; the timeline's faults of links act on
    them. Everything stops with `close`.
    """

    def __init__(self, blueprint: Blueprint, seed: int, brokers: Mapping[NodeId, Endpoint]) -> None:
        self._scenario = blueprint.scenario
        self._fleets = blueprint.fleets
        self._streams = streams = Streams(seed)
        topology = build_topology(self._scenario, blueprint.members, streams, blueprint.folder)
        for link in topology.links.values():
            link.tcp = StreamTcp(has_tls=getattr(link.tcp, "is_secured", False))
        self.network = Network(topology)
        losses = Losses()
        planned = link_faults(self._scenario, self.network, blueprint.fleets, streams, losses)
        self.proxy = LinkProxy(self.network, losses=losses)
        self._agenda = Agenda(planned, self.proxy)
        self._routes = {
            (node, broker, port): self.proxy.listen(("127.0.0.1", 0), (endpoint.host, port), node, broker)
            for broker, endpoint in brokers.items()
            for node, port in _ports(linked(topology, broker), endpoint, blueprint.speakers(broker))
        }
        self._brokers = brokers
        self._thread = threading.Thread(target=self.proxy.run, name="link proxy", daemon=True)

    def carrier(self, network: Network) -> Carrier:
        """The network, but for what concerns the brokers."""
        return Direct(network, self._brokers)

    def way(self, node: NodeId, broker: NodeId, version: Version = "3.1.1") -> Way:
        """Through the proxy, if the node has a link to the broker."""
        return Way(self._routes.get((node, broker, self._brokers[broker].speaking(version).port)))

    def start(self) -> None:
        """Carry from now on; the timeline begins now."""
        self._agenda.start(self.proxy.timeline.catch_up())
        self._thread.start()

    def fault(self, number: int, entry: schema.TimelineEntry) -> Fault:
        """On the proxy's network and its thread."""
        fault = link_fault(number, entry, self._scenario, self.network, self._fleets, self._streams)
        return _Handed(noted(entry, fault, self.proxy.losses), self.proxy)

    def pause(self) -> None:
        """Soon."""
        self.proxy.call(self._agenda.pause)

    def resume(self) -> None:
        """Soon."""
        self.proxy.call(self._agenda.resume)

    @property
    def lost(self) -> Lost:
        """Connections that were given up or refused."""
        return self.proxy.losses.counts

    def close(self) -> None:
        """Close every connection and end the thread."""
        if self._thread.is_alive():
            self.proxy.stop()
            self._thread.join(STOP_S)
        else:
            self.proxy.close()


def _ports(
    nodes: Iterable[NodeId], endpoint: Endpoint, speakers: Mapping[NodeId, Version]
) -> Iterator[tuple[NodeId, int]]:
    """Each node with the broker's port for the version that it speaks."""
    for node in nodes:
        yield node, endpoint.speaking(speakers.get(node, "3.1.1")).port


class _Handed:
    """A fault that the proxy's thread begins and ends, at the proxy's time."""

    def __init__(self, fault: Fault, proxy: LinkProxy) -> None:
        self._fault = fault
        self._proxy = proxy

    def begin(self, now: float) -> None:
        """Begin soon."""
        del now
        self._proxy.call(lambda: self._fault.begin(self._proxy.timeline.now))

    def end(self, now: float) -> None:
        """End soon."""
        del now
        self._proxy.call(lambda: self._fault.end(self._proxy.timeline.now))


def link_faults(
    scenario: schema.Scenario,
    network: Network,
    members: Mapping[str, list[NodeId]],
    streams: Streams,
    losses: Losses,
) -> list[Planned]:
    """The timeline's faults of links, which `losses` is told of; those of nodes are the kernel's."""
    return [
        Planned(
            noted(entry, link_fault(number, entry, scenario, network, members, streams), losses),
            tuple(starts(entry, scenario.run.duration_s, streams, number)),
            entry.for_s,
        )
        for number, entry in enumerate(scenario.timeline, start=1)
        if is_of_links(entry)
    ]


def link_fault(
    number: int,
    entry: schema.TimelineEntry,
    scenario: schema.Scenario,
    network: Network,
    members: Mapping[str, list[NodeId]],
    streams: Streams,
) -> Fault:
    """One fault of links. Raises InputError if it hits nothing."""
    aim = Aim(entry, scenario, network, members, streams.stream(f"timeline {number}", "choice"))
    return fault_of(number, entry, aim, streams, None)


def noted(entry: schema.TimelineEntry, fault: Fault, losses: Losses) -> Fault:
    """The fault, whose window what is lost belongs to; one that is over at once has none."""
    return fault if entry.fault in INSTANT else losses.during(entry.fault, fault)


def is_of_links(entry: schema.TimelineEntry) -> bool:
    """Whether a fault acts on links or the way to a node, and not on nodes or the world."""
    return entry.fault in OF_THE_NETWORK or FAULT_FORMS[entry.fault].acts_on in {"links", "groups"}


def linked(topology: Topology, broker: NodeId) -> list[NodeId]:
    """The nodes that have a link of some length to the broker: what runs on it has none."""
    return [
        node
        for node in topology.graph.predecessors(broker)
        if any(link.stages for link in topology.links_between(node, broker))
    ]
