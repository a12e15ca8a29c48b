"""The timeline of a scenario: which fault begins and ends when, and on what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from network import faults
from network.carrier import Network
from network.link import Link
from scenarios import schema
from twin.errors import InputError
from twin.kernel.kernel import Kernel

MOST_OCCURRENCES: Final = 10_000

FAULT_PARAMETERS: Final[dict[str, frozenset[str]]] = {
    "partition": frozenset(),
    "down": frozenset(),
    "hold": frozenset(),
    "route_change": frozenset({"round_trip", "event", "factor"}),
    "surge": frozenset({"delay", "factor"}),
    "burst": frozenset({"loss"}),
    "crash": frozenset(),
    "clock_skew": frozenset({"skew"}),
}
"""The faults, and the figures each may be given."""

Change = Callable[[float], None]
Fleets = Mapping[str, Sequence[str]]


def schedule(scenario: schema.Scenario, kernel: Kernel, network: Network, members: Fleets) -> None:
    """Let every fault of the timeline begin and end at its times; raise InputError for one that cannot.

    `members` are the devices of each fleet: a fault of a fleet's links hits the links of all its devices.
    """
    for entry in scenario.timeline:
        begin, end = _changes(entry, scenario, kernel, network, members)
        for at_s in occurrences(entry, scenario.run.duration_s):
            kernel.call_at(at_s, _at(kernel, begin))
            if entry.for_s is not None:
                kernel.call_at(at_s + entry.for_s, _at(kernel, end))


def occurrences(entry: schema.TimelineEntry, duration_s: float) -> Iterator[float]:
    """When the entry's fault begins (seconds), within the run."""
    last_s = min(duration_s, entry.until_s if entry.until_s is not None else duration_s)
    if entry.every_s is None:
        last_s = min(last_s, entry.at_s)
    for number in range(MOST_OCCURRENCES):
        at_s = entry.at_s + number * (entry.every_s or 0.0)
        if at_s > last_s or (number and entry.every_s is None):
            return
        yield at_s


def _at(kernel: Kernel, change: Change) -> Callable[[], None]:
    return lambda: change(kernel.now)


def _changes(
    entry: schema.TimelineEntry,
    scenario: schema.Scenario,
    kernel: Kernel,
    network: Network,
    members: Fleets,
) -> tuple[Change, Change]:
    match entry.fault:
        case "crash":
            nodes = _nodes(entry, network)
            return _each(nodes, kernel.crash), _each(nodes, lambda node: _restart(node, scenario, kernel))
        case "clock_skew":
            nodes, skew_s = _nodes(entry, network), entry.skew_s or 0.0
            return (
                _each(nodes, lambda node: kernel.skew(node, skew_s)),
                _each(nodes, lambda node: kernel.skew(node, 0.0)),
            )
    fault = _network_fault(entry, kernel, network, members)
    return fault.begin, fault.end


def _restart(node: str, scenario: schema.Scenario, kernel: Kernel) -> None:
    """A host that came back has forgotten who subscribed: those that run on it notice and subscribe again."""
    kernel.restart(node)
    for name, form in scenario.nodes.items():
        if form.runs_on == node:
            kernel.link_changed(name, node, is_up=True)


def _network_fault(
    entry: schema.TimelineEntry, kernel: Kernel, network: Network, members: Fleets
) -> faults.Fault:
    if entry.fault == "partition":
        between = entry.between or ()
        groups = faults.groups(network.topology, between=between, isolate=entry.node)
        return faults.Partition(network, groups, is_one_way=entry.is_one_way)
    links = _links(entry, network, members)
    match entry.fault:
        case "down":
            return faults.Down(network, links)
        case "hold":
            return faults.Hold(network, links)
        case "route_change":
            return faults.RouteChange(
                network, links, round_trip_s=entry.round_trip_s, event=entry.event, ratio=entry.factor
            )
        case "surge":
            return faults.Surge(network, links, factor=entry.factor or 1.0, add_s=entry.delay_s or 0.0)
        case "burst":
            return faults.Burst(links, kernel.streams, loss_ratio=entry.loss_ratio or 0.0)
    raise InputError(f"unknown fault {entry.fault!r}; known: {', '.join(FAULT_PARAMETERS)}")


def _links(entry: schema.TimelineEntry, network: Network, members: Fleets) -> tuple[Link, ...]:
    """Both directions of a named link, the links between two places, or those of a node."""
    topology = network.topology
    if entry.between is not None:
        return faults.links(topology, between=entry.between, is_one_way=entry.is_one_way)
    if entry.link in topology.links:
        names = [entry.link] if entry.is_one_way else [entry.link, f"{entry.link}/back"]
        return tuple(topology.links[name] for name in names)
    nodes = set(members.get(entry.link or "") or _nodes(entry, network))
    return tuple(link for link in topology.links.values() if link.source in nodes or link.to in nodes)


def _nodes(entry: schema.TimelineEntry, network: Network) -> list[str]:
    """The named node, or all that the pattern selects, in order."""
    if entry.node is not None:
        return [entry.node]
    chosen = [node for node in network.topology.graph if fnmatchcase(node, entry.select or "")]
    if not chosen:
        raise InputError(f"the fault {entry.fault!r} at {entry.at_s:g} s selects no node: {entry.select!r}")
    return chosen


def _each(nodes: list[str], change: Callable[[str], None]) -> Change:
    def apply(_now: float) -> None:
        for node in nodes:
            change(node)

    return apply
