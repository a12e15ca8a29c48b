"""Changing a live run while it runs: faults begin and end, time stands still, our brokers die and come back.

What happened is kept as a timeline, so that it can be played again in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import yaml

from network.carrier import Network
from network.faults import Fault
from scenarios.format import schema
from scenarios.format.fault_vocabulary import FAULT_FORMS
from scenarios.format.issues import suggestion
from scenarios.proxying import checked_entry, read_entry
from scenarios.wiring.assembly import Assembly
from scenarios.wiring.node_faults import Hosts
from scenarios.wiring.packet_level import PacketLevel
from scenarios.wiring.timeline import INSTANT, Aim, fault_of
from scenarios.wiring.wire_level import LinkLevel, WireLevel
from twin.errors import InputError
from twin.kernel.behaviour import NodeId
from twin.live.pacer import SocketPacer
from twin.service.brokers import RunningBroker

CRASH: Final = "crash"
FIRST_NUMBER: Final = 10_001
"""Faults by hand are numbered from here, so that they draw from streams of their own."""


@dataclass(slots=True)
class Standing:
    """A fault that was begun by hand and has not ended: how to end it, and where it stands in the record."""

    end: Callable[[], None]
    record: dict[str, Any]
    began_s: float


@dataclass(slots=True)
class LiveControl:
    """The orders of one live run. Every method is called on the run's own thread.

    Raises InputError for what cannot be done.
    """

    assembly: Assembly
    pacer: SocketPacer
    level: LinkLevel
    fleets: Mapping[NodeId, Sequence[NodeId]]
    brokers: Mapping[NodeId, RunningBroker]
    told: Callable[[float, str], None]

    hosts: Hosts = field(init=False)
    standing: dict[str, Standing] = field(init=False, default_factory=dict)
    happened: list[dict[str, Any]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.hosts = Hosts(self.assembly.kernel, self.assembly.scenario)

    @property
    def actions(self) -> dict[str, Callable[[str], Any]]:
        """What can be ordered, by name."""
        return {
            "begin": self.begin,
            "end": self.end,
            "pause": self.pause,
            "resume": self.resume,
            "kill": self.kill,
            "restart": self.restart,
            "status": self.status,
            "stop": self.stop,
        }

    @property
    def timeline_text(self) -> str:
        """What happened, as the `timeline` of a scenario."""
        return yaml.safe_dump({"timeline": self.happened}, sort_keys=False, default_flow_style=None)

    def begin(self, what: str) -> dict[str, Any]:
        """Let a fault begin now, in the words of a timeline entry without `at`."""
        written = read_entry(what)
        entry = checked_entry({"at": "0 s", **written})
        fault = self._fault(entry)
        fault.begin(self._now_s)
        record = self._record(written)
        if entry.for_s is not None:
            self.assembly.kernel.call_at(
                self._now_s + entry.for_s, partial(self._end_by_itself, entry, fault)
            )
        elif entry.fault not in INSTANT:
            self.standing[entry.fault] = Standing(lambda: fault.end(self._now_s), record, self._now_s)
        self.told(self._now_s, f"{entry.fault} begins")
        return {"began": entry.fault, "at_s": self._now_s}

    def end(self, what: str) -> dict[str, Any]:
        """End a fault that was begun by hand."""
        standing = self.standing.pop(what, None)
        if standing is None:
            near = suggestion(what, self.standing) or f"standing: {', '.join(self.standing) or 'none'}"
            raise InputError(f"no fault {what!r} was begun here; {near}")
        standing.end()
        standing.record["for"] = _seconds(self._now_s - standing.began_s)
        self.told(self._now_s, f"{what} ends")
        return {"ended": what, "at_s": self._now_s}

    def pause(self, what: str = "") -> dict[str, Any]:
        """Let the run's time stand still; real brokers go on."""
        del what
        self.pacer.pause()
        self.told(self._now_s, "paused")
        return {"at_s": self._now_s}

    def resume(self, what: str = "") -> dict[str, Any]:
        """Let the run's time go on."""
        del what
        self.pacer.resume()
        self.told(self._now_s, "resumed")
        return {"at_s": self._now_s}

    def kill(self, what: str) -> dict[str, Any]:
        """End a broker of ours as a power cut would."""
        node, broker = self._ours(what)
        broker.child.kill()  # type: ignore[union-attr]
        record = self._record({"fault": CRASH, "node": node})
        self.standing[f"{CRASH} {node}"] = Standing(lambda: None, record, self._now_s)
        self.told(self._now_s, f"{broker.name} killed")
        return {"killed": node, "at_s": self._now_s}

    def restart(self, what: str) -> dict[str, Any]:
        """Start a broker of ours again, on the same port."""
        node, broker = self._ours(what)
        if broker.pid:
            self.kill(node)
        broker.child.start()  # type: ignore[union-attr]
        standing = self.standing.pop(f"{CRASH} {node}")
        standing.record["for"] = _seconds(self._now_s - standing.began_s)
        self.told(self._now_s, f"{broker.name} is back")
        return {"restarted": node, "at_s": self._now_s}

    def status(self, what: str = "") -> dict[str, Any]:
        """Where the run is."""
        del what
        return {
            "at_s": self._now_s,
            "duration_s": self.assembly.scenario.run.duration_s,
            "is_paused": self.pacer.is_paused,
            "slips": len(self.pacer.slips),
            "sent": self.assembly.kernel.ledger.sent,
            "delivered": self.assembly.kernel.ledger.delivered,
            "standing": sorted(self.standing),
        }

    def stop(self, what: str = "") -> dict[str, Any]:
        """End the run; what was measured is kept."""
        self.pacer.stop()
        return self.status(what)

    @property
    def _now_s(self) -> float:
        return round(max(self.assembly.kernel.now, self.pacer.now), 6)

    def _ours(self, node: str) -> tuple[NodeId, RunningBroker]:
        if not node and len(self.brokers) == 1:
            node = next(iter(self.brokers))
        broker = self.brokers.get(node)
        if broker is None:
            raise InputError(f"no node {node!r} is a real broker; these are: {', '.join(self.brokers)}")
        if broker.child is None:
            raise InputError(f"the broker of {node!r} at {broker.endpoint.url} is not ours to end")
        return node, broker

    def _record(self, written: Mapping[str, Any]) -> dict[str, Any]:
        record = {"at": _seconds(self._now_s), **written}
        self.happened.append(record)
        return record

    def _fault(self, entry: schema.TimelineEntry) -> Fault:
        """The fault on the network that carries: the wire's for links, the kernel's for nodes."""
        is_of_links = FAULT_FORMS[entry.fault].acts_on != "nodes"
        wire = self.level if isinstance(self.level, WireLevel) and is_of_links else None
        if is_of_links and isinstance(self.level, PacketLevel):
            raise InputError("faults of links by hand work on --links in-driver and proxy")
        number = FIRST_NUMBER + len(self.happened)
        streams = self.assembly.kernel.streams
        choice = streams.stream(f"timeline {number}", "choice")
        network: Network = self.assembly.network if wire is None else wire.network
        aim = Aim(entry, self.assembly.scenario, network, self.fleets, choice)
        fault = fault_of(number, entry, aim, streams, self.hosts if wire is None else None)
        return fault if wire is None else wire.on_its_thread(fault)

    def _end_by_itself(self, entry: schema.TimelineEntry, fault: Fault) -> None:
        fault.end(self._now_s)
        self.told(self._now_s, f"{entry.fault} ends")


def _seconds(value_s: float) -> str:
    return f"{value_s:.3f} s"
