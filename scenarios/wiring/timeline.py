"""The timeline of a scenario: which fault begins and ends when, and on what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Final

from network import aims, faults, netem
from network.carrier import Network
from network.link import Link
from scenarios.format import schema
from scenarios.format.fault_vocabulary import ATTRIBUTES, FAULT_FORMS, FAULT_PARAMETERS
from scenarios.wiring.node_faults import EachNode, Fire, Hosts, HttpError, PowerCut, Strobe
from twin.errors import InputError
from twin.kernel.kernel import Kernel
from twin.kernel.randomness import Stream, Streams

__all__ = ["FAULT_PARAMETERS", "Aim", "Announcements", "fault_of", "occurrences", "schedule", "starts"]

MOST_OCCURRENCES: Final = 10_000
INSTANT: Final = frozenset({"conn_reset", "fire", "restart", "slow_close"})
"""Faults that are over as soon as they have happened, so that they may happen again."""

OF_THE_NETWORK: Final = frozenset({"region_outage", "dns_error", "certificate_expiry"})
"""Faults that select nodes and act on the way to those alone."""

Fleets = Mapping[str, Sequence[str]]


@dataclass(slots=True)
class Announcements:
    """Who is told when a fault of the timeline begins (True) or ends, at its time on the run's clock."""

    listeners: list[Callable[[float, schema.TimelineEntry, bool], None]] = field(default_factory=list)

    def tell(self, at_s: float, entry: schema.TimelineEntry, *, is_begin: bool) -> None:
        """Tell everybody."""
        for listener in self.listeners:
            listener(at_s, entry, is_begin)


def schedule(
    scenario: schema.Scenario,
    kernel: Kernel,
    network: Network,
    members: Fleets,
    announcements: Announcements,
) -> Hosts:
    """Let every fault of the timeline begin and end at its times; raise InputError for one that cannot.

    `members` are the devices of each fleet: a fault of a fleet's links hits the links of all its devices.
    Returns what counts the faults of nodes, for those that come later.
    """
    hosts = Hosts(kernel, scenario)
    for number, entry in enumerate(scenario.timeline, start=1):
        stream = partial(kernel.streams.stream, f"timeline {number}")
        aim = Aim(entry, scenario, network, members, stream("choice"))
        fault = fault_of(number, entry, aim, kernel.streams, hosts)
        for at_s in starts(entry, scenario.run.duration_s, kernel.streams, number):
            begun = partial(announcements.tell, entry=entry, is_begin=True)
            kernel.call_at(at_s, _at(kernel, fault.begin, begun))
            if entry.for_s is not None:
                ended = partial(announcements.tell, entry=entry, is_begin=False)
                kernel.call_at(at_s + entry.for_s, _at(kernel, fault.end, ended))
    return hosts


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


def starts(entry: schema.TimelineEntry, duration_s: float, streams: Streams, number: int) -> Iterator[float]:
    """When it begins in a run with these random streams, jitter included; `number` is its own."""
    stream = streams.stream(f"timeline {number}", "jitter")
    for at_s in occurrences(entry, duration_s):
        yield at_s + stream.uniform(0.0, entry.jitter_s) if entry.jitter_s else at_s


def _at(kernel: Kernel, change: Callable[[float], None], tell: Callable[[float], None]) -> Callable[[], None]:
    def happen() -> None:
        tell(kernel.now)
        change(kernel.now)

    return happen


@dataclass(frozen=True, slots=True)
class Aim:
    """What one entry of a timeline is aimed at."""

    entry: schema.TimelineEntry
    scenario: schema.Scenario
    network: Network
    members: Fleets
    stream: Stream

    def nodes(self) -> list[str]:
        """The nodes that the entry selects, in order; raise InputError if there are none."""
        chosen = self._chosen()
        if not chosen:
            entry = self.entry
            raise InputError(f"the fault {entry.fault!r} at {entry.at_s:g} s selects no node: {self._text()}")
        return self._drawn(chosen)

    def links(self) -> tuple[Link, ...]:
        """Both directions of a named link, the links between two places, or those of nodes."""
        entry, topology = self.entry, self.network.topology
        if entry.between is not None:
            return aims.links(topology, between=entry.between, is_one_way=entry.is_one_way)
        if entry.link in topology.links:
            names = [entry.link] if entry.is_one_way else [entry.link, f"{entry.link}/back"]
            return tuple(topology.links[name] for name in names)
        found = aims.links_at(topology, self.nodes(), is_one_way=entry.is_one_way)
        if not found:
            raise InputError(f"the fault {entry.fault!r} at {entry.at_s:g} s finds no link: {self._text()}")
        return found

    def _chosen(self) -> list[str]:
        entry, everyone = self.entry, list(self.network.topology.graph)
        if entry.node is not None:
            return [entry.node] if entry.node in everyone else []
        if entry.select is not None:
            return [node for node in everyone if fnmatchcase(node, entry.select)]
        if entry.fleet is not None or entry.link is not None:
            return list(self.members.get(entry.fleet or entry.link or "", ()))
        if entry.site is not None:
            return [node for node in everyone if self.network.topology.site(node) == entry.site]
        if entry.tag is not None:
            return self._tagged(entry.tag)
        return everyone

    def _tagged(self, tag: str) -> list[str]:
        nodes = [name for name, node in self.scenario.nodes.items() if tag in node.tags]
        fleets = [name for name, fleet in self.scenario.fleets.items() if tag in fleet.tags]
        return [*nodes, *(device for fleet in fleets for device in self.members.get(fleet, ()))]

    def _drawn(self, chosen: list[str]) -> list[str]:
        """So many of them as the entry says, drawn without putting back, in their old order."""
        entry, count = self.entry, len(chosen)
        if entry.mode == "one":
            count = 1
        elif entry.count is not None:
            count = min(entry.count, count)
        elif entry.percent is not None:
            count = max(round(entry.percent * count), 1 if entry.percent else 0)
        if count == len(chosen):
            return chosen
        places = list(range(len(chosen)))
        for place in range(count):
            other = place + self.stream.index(len(places) - place)
            places[place], places[other] = places[other], places[place]
        return [chosen[place] for place in sorted(places[:count])]

    def _text(self) -> str:
        written = {key: getattr(self.entry, key) for key in schema.FAULT_TARGETS}
        return ", ".join(f"{key} {value!r}" for key, value in written.items() if value is not None)


def fault_of(
    number: int, entry: schema.TimelineEntry, aim: Aim, streams: Streams, hosts: Hosts | None
) -> faults.Fault:
    """The fault of an entry; its number names its random streams. Without `hosts` there are only links.

    Raise InputError for an unknown fault, and for one that cannot be here.
    """
    form = FAULT_FORMS.get(entry.fault)
    if form is None:
        raise InputError(f"unknown fault {entry.fault!r}; known: {', '.join(FAULT_FORMS)}")
    fault = _fault(number, entry, aim, streams, hosts)
    return fault if entry.fault in INSTANT else faults.Nested(fault)


def _fault(
    number: int, entry: schema.TimelineEntry, aim: Aim, streams: Streams, hosts: Hosts | None
) -> faults.Fault:
    form = FAULT_FORMS[entry.fault]
    figures = _figures(entry, form.figures)
    match form.acts_on:
        case "groups":
            return _partition(entry, aim)
        case "nodes" if entry.fault in OF_THE_NETWORK:
            return _NETWORK_FAULTS[entry.fault](aim, is_real=hosts is None)
        case "nodes":
            if hosts is None:
                raise InputError(f"the fault {entry.fault!r} hits nodes, and there are only links here")
            return _NODE_FAULTS[entry.fault](hosts, aim, **figures)
        case "world":
            return Fire(None if hosts is None else hosts.kernel.world, **figures)
    if entry.fault == "netem":
        figures["netem"] = netem.parse(figures["netem"])
    return faults.fault_of_links(
        entry.fault, aim.network, streams, aim.links(), title=f"fault {number}", **figures
    )


def _figures(entry: schema.TimelineEntry, names: Mapping[str, str]) -> dict[str, Any]:
    given = {name: getattr(entry, ATTRIBUTES[key]) for key, name in names.items()}
    return {name: value for name, value in given.items() if value is not None}


def _partition(entry: schema.TimelineEntry, aim: Aim) -> faults.Fault:
    network = aim.network
    if entry.shape is not None:
        return faults.Blackout.shaped(network, entry.shape, aim.nodes())
    if entry.between is not None:
        groups: Sequence[Sequence[str]] = aims.groups(network.topology, between=entry.between)
    else:
        alone = aim.nodes()
        rest = set(network.topology.graph) - set(alone)
        groups = (tuple(alone), tuple(sorted(rest)))
    return faults.Partition(network, groups, is_one_way=entry.is_one_way)


# faults of nodes -------------------------------------------------------------------------------------------


def _crash(hosts: Hosts, aim: Aim) -> faults.Fault:
    return EachNode(aim.nodes(), hosts.crash, hosts.restart)


def _restart(hosts: Hosts, aim: Aim) -> faults.Fault:
    def again(node: str) -> None:
        hosts.crash(node)
        hosts.restart(node)

    return EachNode(aim.nodes(), again)


def _pause(hosts: Hosts, aim: Aim) -> faults.Fault:
    return EachNode(aim.nodes(), hosts.pause, hosts.resume)


def _power_cut(hosts: Hosts, aim: Aim, *, spread_s: float = 0.0) -> faults.Fault:
    return PowerCut(hosts, aim.nodes(), aim.stream, spread_s)


def _clock_skew(hosts: Hosts, aim: Aim, *, skew_s: float = 0.0) -> faults.Fault:
    return EachNode(
        aim.nodes(), lambda node: hosts.add_skew(node, skew_s), lambda node: hosts.take_skew(node, skew_s)
    )


def _clock_strobe(hosts: Hosts, aim: Aim, *, skew_s: float = 0.0, **period: float) -> faults.Fault:
    return Strobe(hosts, aim.nodes(), skew_s, **period)


def _http_error(hosts: Hosts, aim: Aim, *, share: float = 1.0, **status: int) -> faults.Fault:
    return HttpError(hosts.kernel, aim.nodes(), share, **status)


def _region_outage(aim: Aim, *, is_real: bool) -> faults.Fault:
    del is_real
    return faults.Blackout(aims.links_at(aim.network.topology, aim.nodes()))


def _dns_error(aim: Aim, *, is_real: bool) -> faults.Fault:
    del is_real
    return faults.Refused(aim.network, aim.nodes(), "name not resolved")


def _certificate_expiry(aim: Aim, *, is_real: bool) -> faults.Fault:
    """Where connections are real, their own bytes may tell that they use TLS."""
    links = aim.network.topology.links.values()
    if not is_real and not any(getattr(link.tcp, "is_secured", False) for link in links):
        raise InputError("a certificate cannot expire here: no link of the scenario uses TLS")
    return faults.Refused(aim.network, aim.nodes(), "certificate expired", tls_only=True)


_NODE_FAULTS: Final[dict[str, Callable[..., faults.Fault]]] = {
    "crash": _crash,
    "restart": _restart,
    "pause": _pause,
    "power_cut": _power_cut,
    "clock_skew": _clock_skew,
    "clock_strobe": _clock_strobe,
    "http_error": _http_error,
}

_NETWORK_FAULTS: Final[dict[str, Callable[..., faults.Fault]]] = {
    "region_outage": _region_outage,
    "dns_error": _dns_error,
    "certificate_expiry": _certificate_expiry,
}
