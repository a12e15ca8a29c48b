"""Changing a live run while it runs: faults begin and end, time stands still, our brokers die and come back.

What happened is kept as a timeline, so that it can be played again in virtual time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from network.faults import Fault
from scenarios.by_hand import Standing, Told
from scenarios.format import schema
from scenarios.run_control import KILL, RunControl
from scenarios.wiring.assembly import Assembly
from scenarios.wiring.wire_level import LinkLevel, is_of_links
from twin.errors import InputError
from twin.kernel.behaviour import NodeId
from twin.live.pacer import SocketPacer
from twin.service.brokers import RunningBroker

CRASH: Final = "crash"


@dataclass(frozen=True, slots=True)
class OnTheWire:
    """Faults of links act, besides the kernel's, where the links to a real broker are."""

    level: LinkLevel

    def placed(self, number: int, entry: schema.TimelineEntry, fault: Fault) -> Fault:
        """On both, as a fault of the timeline does."""
        there = self.level.fault(number, entry) if is_of_links(entry) else None
        return fault if there is None else _Both(fault, there)


@dataclass(frozen=True, slots=True)
class _Both:
    """One fault in two places."""

    here: Fault
    there: Fault

    def begin(self, now: float) -> None:
        """Begin: first there, where it may be refused."""
        self.there.begin(now)
        self.here.begin(now)

    def end(self, now: float) -> None:
        """End."""
        self.there.end(now)
        self.here.end(now)


class LiveControl(RunControl):
    """The orders of one live run: `kill` and `restart` act on brokers of ours, and on simulated nodes."""

    def __init__(
        self,
        assembly: Assembly,
        pacer: SocketPacer,
        level: LinkLevel,
        fleets: Mapping[str, Sequence[NodeId]],
        brokers: Mapping[NodeId, RunningBroker],
        told: Told,
    ) -> None:
        super().__init__(assembly, pacer, fleets, OnTheWire(level), told)
        self.level = level
        self.brokers = brokers

    @property
    def killed(self) -> frozenset[NodeId]:
        """The brokers that were killed and not started again."""
        return frozenset(node for node in self.brokers if f"{KILL} {node}" in self.hand.standing)

    def pause(self, what: str = "") -> dict[str, Any]:
        """Let the run's time stand still, and its timeline on the wire; real brokers go on."""
        if not self.pacer.is_paused:
            self.level.pause()
        return super().pause(what)

    def resume(self, what: str = "") -> dict[str, Any]:
        """Let the run's time go on, and its timeline."""
        if self.pacer.is_paused:
            self.level.resume()
        return super().resume(what)

    def kill(self, what: str) -> dict[str, Any]:
        """End a broker of ours, or a simulated node, as a power cut would."""
        if self._is_simulated(what):
            return super().kill(what)
        node, broker = self._ours(what)
        if node in self.killed:
            raise InputError(f"{broker.name} of {node!r} is killed already; start it: restart {node}")
        record = self.hand.record({"fault": CRASH, "node": node})
        broker.child.kill()  # type: ignore[union-attr]
        self.hand.standing[f"{KILL} {node}"] = Standing(lambda _: None, record, self._now_s)
        self.told(self._now_s, f"{broker.name} killed")
        return {"killed": node, "at_s": self._now_s}

    def restart(self, what: str) -> dict[str, Any]:
        """Start a broker of ours again, on the same port."""
        if self._is_simulated(what):
            return super().restart(what)
        node, broker = self._ours(what)
        if node not in self.killed:  # it runs, or it ended without an order
            self.kill(node)
        with self.level.way("", node).within():  # where it stood before
            broker.child.start()  # type: ignore[union-attr]
        self.hand.standing.pop(f"{KILL} {node}").over(self._now_s)
        self.told(self._now_s, f"{broker.name} is back")
        return {"restarted": node, "at_s": self._now_s}

    def _is_simulated(self, name: str) -> bool:
        scenario = self.assembly.scenario
        return name in scenario.fleets or (
            name in self.assembly.network.topology.graph and name not in self.brokers
        )

    def _ours(self, node: str) -> tuple[NodeId, RunningBroker]:
        if not node and len(self.brokers) == 1:
            node = next(iter(self.brokers))
        broker = self.brokers.get(node)
        if broker is None:
            raise InputError(f"no node {node!r} is a real broker; these are: {', '.join(self.brokers)}")
        if broker.child is None:
            raise InputError(f"the broker of {node!r} at {broker.endpoint.url} is not ours to end")
        return node, broker
