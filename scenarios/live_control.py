"""Changing a live run while it runs: faults begin and end, time stands still, our brokers die and come back.

What happened is kept as a timeline, so that it can be played again in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from network.carrier import Network
from network.faults import Fault
from scenarios.by_hand import ByHand, Standing, Told, seconds
from scenarios.format import schema
from scenarios.format.fault_vocabulary import FAULT_FORMS
from scenarios.proxying import read_entry
from scenarios.wiring.assembly import Assembly
from scenarios.wiring.packet_level import PacketLevel
from scenarios.wiring.wire_level import LinkLevel, WireLevel
from twin.errors import InputError
from twin.kernel.behaviour import NodeId
from twin.live.pacer import SocketPacer
from twin.service.brokers import RunningBroker

CRASH: Final = "crash"


@dataclass(frozen=True, slots=True)
class OnTheWire:
    """Faults of links act where the links to a real broker are: on the proxy's network, if there is one."""

    assembly: Assembly
    level: LinkLevel

    def network(self, entry: schema.TimelineEntry) -> Network:
        """The proxy's for links, the kernel's for all else."""
        if not _is_of_links(entry):
            return self.assembly.network
        if isinstance(self.level, PacketLevel):
            raise InputError("faults of links by hand work on --links in-driver and proxy")
        return self.level.network if isinstance(self.level, WireLevel) else self.assembly.network

    def placed(self, entry: schema.TimelineEntry, fault: Fault) -> Fault:
        """Begun on the proxy's own thread, if it acts there."""
        if isinstance(self.level, WireLevel) and _is_of_links(entry):
            return self.level.on_its_thread(fault)
        return fault


def _is_of_links(entry: schema.TimelineEntry) -> bool:
    return FAULT_FORMS[entry.fault].acts_on in {"links", "groups"}


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
    told: Told

    hand: ByHand = field(init=False)

    def __post_init__(self) -> None:
        ground = OnTheWire(self.assembly, self.level)
        self.hand = ByHand(self.assembly, self.fleets, ground, self.told)

    @property
    def happened(self) -> Sequence[Mapping[str, Any]]:
        """What was done by hand, as entries of a timeline."""
        return self.hand.happened

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
        return self.hand.timeline_text

    def begin(self, what: str) -> dict[str, Any]:
        """Let a fault begin now, in the words of a timeline entry without `at`."""
        return {"began": self.hand.begin(read_entry(what)), "at_s": self._now_s}

    def end(self, what: str) -> dict[str, Any]:
        """End a fault that was begun by hand."""
        self.hand.end(what)
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
        record = self.hand.record({"fault": CRASH, "node": node})
        self.hand.standing[f"{CRASH} {node}"] = Standing(lambda _: None, record, self._now_s)
        self.told(self._now_s, f"{broker.name} killed")
        return {"killed": node, "at_s": self._now_s}

    def restart(self, what: str) -> dict[str, Any]:
        """Start a broker of ours again, on the same port."""
        node, broker = self._ours(what)
        if broker.pid:
            self.kill(node)
        broker.child.start()  # type: ignore[union-attr]
        standing = self.hand.standing.pop(f"{CRASH} {node}")
        standing.record["for"] = seconds(self._now_s - standing.began_s)
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
            "standing": sorted(self.hand.standing),
        }

    def stop(self, what: str = "") -> dict[str, Any]:
        """End the run; what was measured is kept."""
        self.pacer.stop()
        return self.status(what)

    @property
    def _now_s(self) -> float:
        return self.assembly.kernel.now

    def _ours(self, node: str) -> tuple[NodeId, RunningBroker]:
        if not node and len(self.brokers) == 1:
            node = next(iter(self.brokers))
        broker = self.brokers.get(node)
        if broker is None:
            raise InputError(f"no node {node!r} is a real broker; these are: {', '.join(self.brokers)}")
        if broker.child is None:
            raise InputError(f"the broker of {node!r} at {broker.endpoint.url} is not ours to end")
        return node, broker
