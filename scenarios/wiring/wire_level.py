"""Links to real brokers on the wire: a proxy delays real bytes in the place of the kernel's network model."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from network.carrier import Network
from network.faults import Fault
from network.topology import Topology
from network.wire.proxy import Address, LinkProxy
from network.wire.rules import StreamTcp
from scenarios.format import schema
from scenarios.format.fault_vocabulary import FAULT_FORMS
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.linking import build_topology
from scenarios.wiring.timeline import Aim, fault_of, occurrences
from twin.kernel.behaviour import NodeId
from twin.kernel.flight import Flight
from twin.kernel.ports import Timeline
from twin.kernel.randomness import Streams

STOP_S = 5.0


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


class WireLevel:
    """A proxy between the nodes that have a link to a real broker and that broker.

    The links are those that the kernel would have, with the same seed; the timeline's faults of links act on
    them. Everything stops with `close`.
    """

    def __init__(self, blueprint: Blueprint, seed: int, brokers: Mapping[NodeId, Address]) -> None:
        self._scenario = blueprint.scenario
        self._members = blueprint.fleets
        self._streams = Streams(seed)
        topology = build_topology(self._scenario, blueprint.members, self._streams, blueprint.folder)
        for link in topology.links.values():
            link.tcp = StreamTcp()
        self.network = Network(topology)
        self._faults = self._prepared()
        self.proxy = LinkProxy(self.network)
        self._routes = {
            (node, broker): self.proxy.listen(("127.0.0.1", 0), address, node, broker)
            for broker, address in brokers.items()
            for node in _linked(topology, broker)
        }
        self._thread = threading.Thread(target=self.proxy.run, name="link proxy", daemon=True)

    def address(self, node: NodeId, broker: NodeId) -> Address | None:
        """Where the node reaches the broker over its link; None if it has none."""
        return self._routes.get((node, broker))

    def start(self) -> None:
        """Carry from now on; the timeline begins now."""
        began_s = self.proxy.timeline.catch_up()
        for entry, fault in self._faults:
            for at_s in occurrences(entry, self._scenario.run.duration_s):
                self.proxy.call_at(began_s + at_s, partial(self._do, fault.begin))
                if entry.for_s is not None:
                    self.proxy.call_at(began_s + at_s + entry.for_s, partial(self._do, fault.end))
        self._thread.start()

    def on_its_thread(self, fault: Fault) -> Fault:
        """The same fault, for another thread to begin and end."""
        return _Handed(fault, self.proxy)

    def close(self) -> None:
        """Close every connection and end the thread."""
        if self._thread.is_alive():
            self.proxy.stop()
            self._thread.join(STOP_S)
        else:
            self.proxy.close()

    def _do(self, change: Any) -> None:
        change(self.proxy.timeline.now)

    def _prepared(self) -> list[tuple[schema.TimelineEntry, Fault]]:
        """The timeline's faults of links; those of nodes are the kernel's."""
        found = []
        for number, entry in enumerate(self._scenario.timeline, start=1):
            if FAULT_FORMS[entry.fault].acts_on == "nodes":
                continue
            choice = self._streams.stream(f"timeline {number}", "choice")
            aim = Aim(entry, self._scenario, self.network, self._members, choice)
            found.append((entry, fault_of(number, entry, aim, self._streams, None)))
        return found


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


def _linked(topology: Topology, broker: NodeId) -> list[NodeId]:
    """The nodes that have a link of some length to the broker: what runs on it has none."""
    return [
        node
        for node in topology.graph.predecessors(broker)
        if any(link.stages for link in topology.links_between(node, broker))
    ]
