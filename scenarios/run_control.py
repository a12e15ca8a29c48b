"""Orders to a run in wall time: faults by hand, and the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from scenarios.by_hand import ByHand, Ground, Told
from scenarios.format.issues import nearest
from scenarios.proxying import read_entry
from scenarios.wiring.assembly import Assembly
from twin.errors import InputError
from twin.kernel.behaviour import NodeId
from twin.live.pacer import SocketPacer

CUT, DEGRADE, KILL = "cut", "degrade", "kill"
DEGRADED: Final = "delay 300ms 60ms loss 5%"
"""What `degrade` does unless it is told otherwise, in the words of Linux netem: a poor mobile link."""


class RunControl:
    """What can be ordered of any run in wall time. Every method is called on the run's own thread.

    Raises InputError for what cannot be done.
    """

    def __init__(
        self,
        assembly: Assembly,
        pacer: SocketPacer,
        fleets: Mapping[str, Sequence[NodeId]],
        ground: Ground,
        told: Told,
    ) -> None:
        self.assembly = assembly
        self.pacer = pacer
        self.told = told
        self.hand = ByHand(assembly, fleets, ground, told)

    @property
    def actions(self) -> dict[str, Callable[[str], Any]]:
        """What can be ordered, by name."""
        named = (self.begin, self.end, self.cut, self.degrade, self.heal, self.kill, self.restart)
        return {each.__name__: each for each in (*named, self.fire, *self._of_the_clock)}

    @property
    def _of_the_clock(self) -> tuple[Callable[[str], Any], ...]:
        return (self.pause, self.resume, self.status, self.stop)

    @property
    def happened(self) -> Sequence[Mapping[str, Any]]:
        """What was done by hand, as entries of a timeline."""
        return self.hand.happened

    @property
    def timeline_text(self) -> str:
        """What happened, as the `timeline` of a scenario."""
        return self.hand.timeline_text

    # any fault -------------------------------------------------------------------------------------------

    def begin(self, what: str) -> dict[str, Any]:
        """Let a fault begin now, in the words of a timeline entry without `at`."""
        return {"began": self.hand.begin(read_entry(what)), "at_s": self._now_s}

    def end(self, what: str) -> dict[str, Any]:
        """End a fault that was begun by hand."""
        self.hand.end(what)
        return {"ended": what, "at_s": self._now_s}

    # in few words ----------------------------------------------------------------------------------------

    def cut(self, what: str) -> dict[str, Any]:
        """Cut a link (or two places `a,b`; all of a fleet, node or site) so that nobody sees it."""
        aim = self._ends(what)
        self.hand.begin({"fault": "partition", **aim}, f"{CUT} {what}", f"{what} is cut")
        return {CUT: what, "at_s": self._now_s}

    def degrade(self, what: str) -> dict[str, Any]:
        """Let a link carry badly: its name, and if wanted what happens to it in the words of netem."""
        name, _, words = what.partition(" ")
        written = {"fault": "netem", **self._links(name), "netem": words.strip() or DEGRADED}
        self.hand.begin(written, f"{DEGRADE} {name}", f"{name} is degraded: {written['netem']}")
        return {DEGRADE: name, "at_s": self._now_s}

    def heal(self, what: str) -> dict[str, Any]:
        """End what was cut or degraded by hand: of one name, or all."""
        standing = [
            name
            for name in self.hand.standing
            if name.partition(" ")[0] in {CUT, DEGRADE} and what in {"", name.partition(" ")[2]}
        ]
        if not standing:
            raise InputError(f"nothing is cut or degraded by hand{f' at {what!r}' if what else ''}")
        for name in standing:
            verb, _, target = name.partition(" ")
            self.hand.end(name, f"{target} is {'mended' if verb == CUT else 'as good as before'}")
        return {"healed": standing, "at_s": self._now_s}

    def kill(self, what: str) -> dict[str, Any]:
        """Stop a node, or all of a fleet, as a power cut would."""
        aim = self._place(what)
        self.hand.begin({"fault": "crash", **aim}, f"{KILL} {what}", f"{what} is killed")
        return {"killed": what, "at_s": self._now_s}

    def restart(self, what: str) -> dict[str, Any]:
        """Start again what was killed; what runs stops and starts, its memory lost."""
        if f"{KILL} {what}" in self.hand.standing:
            self.hand.end(f"{KILL} {what}", f"{what} starts again")
        else:
            self.hand.begin({"fault": "restart", **self._place(what)}, said=f"{what} restarts")
        return {"restarted": what, "at_s": self._now_s}

    def fire(self, what: str) -> dict[str, Any]:
        """Let a car in this bay catch fire."""
        self.hand.begin({"fault": "fire", "bay": what}, said=f"fire in {what}")
        return {"fire": what, "at_s": self._now_s}

    # the clock -------------------------------------------------------------------------------------------

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

    # what names stand for --------------------------------------------------------------------------------

    @property
    def _now_s(self) -> float:
        return self.assembly.kernel.now

    def _ends(self, name: str) -> dict[str, Any]:
        """What a partition acts on."""
        if "," in name:
            return {"between": [end.strip() for end in name.split(",", 1)]}
        for link in self.assembly.scenario.links:
            if link.title == name:
                return {"between": list(link.between)}
        return self._place(name)

    def _links(self, name: str) -> dict[str, Any]:
        """What a fault of links acts on."""
        if "," in name:
            return {"between": [end.strip() for end in name.split(",", 1)]}
        scenario = self.assembly.scenario
        is_link = name in scenario.fleets or any(link.title == name for link in scenario.links)
        return {"link": name} if is_link else self._place(name)

    def _place(self, name: str) -> dict[str, Any]:
        scenario, topology = self.assembly.scenario, self.assembly.network.topology
        for key, known in (("fleet", scenario.fleets), ("site", scenario.sites), ("node", topology.graph)):
            if name in known:
                return {key: name}
        links = (link.title for link in scenario.links)
        known_names = [*links, *scenario.fleets, *scenario.sites, *topology.graph]
        near = nearest(name, known_names)
        raise InputError(f"there is no {name!r} here" + (f"; did you mean {near!r}?" if near else ""))
