"""A link of the scenario format on the wire: real bytes cross it, and the format's faults act on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from network.carrier import Network
from network.faults import Fault
from network.wire.proxy import CONNECTION_LIMIT, Address, LinkProxy
from network.wire.rules import StreamTcp
from scenarios.format import loading, schema
from scenarios.format.fault_vocabulary import FAULT_FORMS
from scenarios.format.issues import ScenarioError, suggestion
from scenarios.wiring.linking import build_topology
from scenarios.wiring.members import members_of
from scenarios.wiring.timeline import INSTANT, Aim, fault_of, occurrences
from scenarios.wiring.vocabulary import Vocabulary
from twin.errors import InputError, WindtunnelError
from twin.kernel.randomness import Streams
from twin.live.shards import SPARE_DESCRIPTORS, files_in_a_process

CLIENT, SERVER, LINK = "client", "server", "link"
WAN: Final = "wan:"
FOR_EVER_S: Final = 1e9
FILES_EACH: Final = 2
"""Sockets for each connection: one to the client, one to the server."""
AIMS: Final[dict[str, dict[str, Any]]] = {"groups": {"between": [CLIENT, SERVER]}, "nodes": {"node": SERVER}}
"""What a fault is aimed at here by what it acts on, if that is not the link."""
OF_CONNECTIONS: Final = frozenset({"dns_error", "certificate_expiry"})

Told = Callable[[float, str], None]
"""Who is told what happens, and when (seconds since the start)."""


@dataclass(frozen=True, slots=True)
class ProxyPlan:
    """What to carry from where to where, over which link (keys of a scenario's link), with which faults."""

    listen: Address
    to: Address
    link: Mapping[str, Any]
    metros: tuple[str, str] = ("singapore", "singapore")
    timeline: Sequence[Mapping[str, Any]] = ()
    is_datagrams: bool = False
    seed: int = 1


def link_of(name: str) -> tuple[dict[str, Any], tuple[str, str] | None]:
    """The link and the metros that a name such as `wan:singapore-ashburn` or `lte-m` stands for."""
    if not name.startswith(WAN):
        return {"path": name}, None
    from network.wan import metros_of

    return {"path": "wan"}, metros_of(name.removeprefix(WAN))


@dataclass(slots=True)
class ProxyRun:
    """A proxy with its link; `at` is where it listens."""

    plan: ProxyPlan
    told: Told
    network: Network = field(init=False)
    proxy: LinkProxy = field(init=False)
    at: Address = field(init=False)
    scenario: schema.Scenario = field(init=False)
    streams: Streams = field(init=False)
    standing: dict[str, Fault] = field(init=False, default_factory=dict)
    count: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Check the plan and listen. Raises InputError for a link, fault or address that cannot be,
        and MissingEnvironmentError for a port that is taken.
        """
        self.scenario = _scenario(self.plan)
        self.streams = Streams(self.plan.seed)
        topology = build_topology(self.scenario, members_of(self.scenario, {}), self.streams, Path())
        for link in topology.links.values():
            link.tcp = StreamTcp()
        self.network = Network(topology)
        faults = [(entry, self._fault(entry)) for entry in self.scenario.timeline]
        limit = min(CONNECTION_LIMIT, files_in_a_process() // FILES_EACH)
        self.proxy = LinkProxy(self.network, connection_limit=limit, full=partial(self._full, limit))
        listen = self.proxy.listen_datagrams if self.plan.is_datagrams else self.proxy.listen
        try:
            self.at = listen(self.plan.listen, self.plan.to, CLIENT, SERVER)
        except WindtunnelError:
            self.proxy.close()
            raise
        for entry, fault in faults:
            self._schedule(entry, fault)

    def begin(self, written: Mapping[str, Any]) -> str:
        """Let a fault begin now, in the words of a timeline entry without `at`; return its name.

        It ends after its `for`, or by `end`. Raises InputError.
        """
        entry = _entry({"at": "0 s", **written})
        fault = self._fault(entry)
        now_s = self.proxy.timeline.now
        self._begin(entry.fault, fault)
        if entry.for_s is not None:
            self.proxy.call_at(now_s + entry.for_s, partial(self._end, entry.fault, fault))
        elif entry.fault not in INSTANT:
            self.standing[entry.fault] = fault
        return entry.fault

    def end(self, name: str) -> None:
        """End a fault that `begin` began. Raises InputError if it does not stand."""
        fault = self.standing.pop(name, None)
        if fault is None:
            near = suggestion(name, self.standing)
            raise InputError(
                f"no fault {name!r} was begun here; {near or f'standing: {list(self.standing)}'}"
            )
        self._end(name, fault)

    def figures(self) -> dict[str, Any]:
        """What was carried so far."""
        tally = self.proxy.tally
        return {
            "at_s": round(self.proxy.timeline.now, 6),
            "connections": tally.connection_count,
            "open": self.proxy.open_count,
            "refused": tally.refused_count,
            "chunks": tally.chunk_count,
            "bytes": tally.byte_count,
            "broken": dict(tally.broken),
            "lost": dict(tally.lost),
            "latest_s": round(self.proxy.timeline.lateness_s, 6),
        }

    def _fault(self, entry: schema.TimelineEntry) -> Fault:
        if self.plan.is_datagrams and entry.fault in OF_CONNECTIONS:
            raise InputError(f"{entry.fault!r} stops new connections, and datagrams (--udp) have none")
        self.count += 1
        stream = self.streams.stream(f"timeline {self.count}", "choice")
        aim = Aim(entry, self.scenario, self.network, {}, stream)
        return fault_of(self.count, entry, aim, self.streams, None)

    def _full(self, limit: int) -> None:
        """Further connections are reset from now on."""
        why, what = "as many as one proxy carries", "start a second proxy for them"
        if limit < CONNECTION_LIMIT:
            needed = CONNECTION_LIMIT * FILES_EACH + SPARE_DESCRIPTORS
            why, what = "as many as the open files allow", f"raise the limit (ulimit -n {needed})"
        self.told(
            self.proxy.timeline.now,
            f"{limit:,} connections are open, {why}; the next are reset: {what}",
        )

    def _schedule(self, entry: schema.TimelineEntry, fault: Fault) -> None:
        for at_s in occurrences(entry, FOR_EVER_S):
            self.proxy.call_at(at_s, partial(self._begin, entry.fault, fault))
            if entry.for_s is not None:
                self.proxy.call_at(at_s + entry.for_s, partial(self._end, entry.fault, fault))

    def _begin(self, name: str, fault: Fault) -> None:
        fault.begin(self.proxy.timeline.now)
        self.told(self.proxy.timeline.now, f"{name} begins")

    def _end(self, name: str, fault: Fault) -> None:
        fault.end(self.proxy.timeline.now)
        self.told(self.proxy.timeline.now, f"{name} ends")


def read_entry(text: str) -> dict[str, Any]:
    """A timeline entry from text as a scenario has it; a bare word is a fault's name. Raises InputError."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{text!r} is no timeline entry: {str(error).splitlines()[0]}") from None
    if isinstance(found, str):
        found = {"fault": found}
    if not isinstance(found, dict) or "fault" not in found:
        raise InputError(f"{text!r} is no timeline entry; write '{{at: 10 s, for: 30 s, fault: partition}}'")
    return found


def _entry(written: Mapping[str, Any]) -> schema.TimelineEntry:
    """A timeline entry, aimed at the one link there is unless it says otherwise."""
    form = FAULT_FORMS.get(str(written.get("fault")))
    if form is None or set(schema.FAULT_TARGETS) & set(written):
        return checked_entry(written)
    return checked_entry({**written, **AIMS.get(form.acts_on, {"link": LINK})})


def checked_entry(written: Mapping[str, Any]) -> schema.TimelineEntry:
    """A timeline entry of one fault. Raises InputError with what is wrong, and the nearest name."""
    name = written.get("fault")
    if str(name) not in FAULT_FORMS:
        near = suggestion(str(name), FAULT_FORMS)
        raise InputError(f"unknown fault {name!r}; {near or 'known: ' + ', '.join(FAULT_FORMS)}")
    try:
        entry = schema.TimelineEntry.model_validate(dict(written))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"fault {name!r}, {place}: {first['msg'].removeprefix('Value error, ')}") from None
    form = FAULT_FORMS[str(name)]
    for key in schema.FAULT_PARAMETERS:
        if key in written and key not in form.figures:
            raise InputError(
                f"fault {name!r} takes no {key!r}; it takes: {', '.join(form.figures) or 'no figures'}"
            )
    if form.needs and not any(key in written for key in form.needs):
        raise InputError(f"fault {name!r} does nothing without a figure; it takes: {', '.join(form.needs)}")
    return entry


def _scenario(plan: ProxyPlan) -> schema.Scenario:
    """The smallest scenario with this link, checked as any other."""
    written = {
        "scenario": 1,
        "sites": {CLIENT: {"metro": plan.metros[0]}, SERVER: {"metro": plan.metros[1]}},
        "nodes": {CLIENT: {"kind": "gateway", "at": CLIENT}, SERVER: {"kind": "mqtt_broker", "at": SERVER}},
        "links": [{"name": LINK, "between": [CLIENT, SERVER], **plan.link}],
    }
    try:
        file = loading.parse(yaml.safe_dump(written, sort_keys=False), catalogue=Vocabulary(), name="link")
    except ScenarioError as error:
        first = error.issues[0]
        raise InputError(" ".join(filter(None, (first.message, first.label, first.help)))) from None
    timeline = [_entry(each) for each in plan.timeline]
    return file.variants[0].scenario.model_copy(update={"timeline": timeline})
