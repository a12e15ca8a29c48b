"""Links to a real broker as packets: the kernel's own TCP crosses the scenario's links.

The run stands in one network namespace and the broker in another. A process of its own moves the packets
between them, by the links and faults of the scenario, with the run's seed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from network.carrier import Network
from network.faults import Fault
from network.topology import Topology
from network.wire.losses import Losses
from network.wire.packets import (
    MOST_CLIENTS,
    SERVER_ADDRESS,
    Namespaces,
    PacketLink,
    client_address,
)
from scenarios.format import loading, schema
from scenarios.format.loading import Variant
from scenarios.wiring.agenda import Agenda
from scenarios.wiring.linking import build_topology
from scenarios.wiring.members import Member, members_of, scenes_of
from scenarios.wiring.timeline import Aim
from scenarios.wiring.vocabulary import Vocabulary
from scenarios.wiring.wire_level import Direct, Lost, is_of_links, link_fault, link_faults, linked, noted
from twin.errors import InputError, MissingEnvironmentError
from twin.kernel.behaviour import NodeId
from twin.kernel.ports import Carrier
from twin.kernel.randomness import Streams
from twin.live.wires import Way
from twin.mqtt.packets import Version

READY: Final = "ready"
READY_S: Final = 20.0
STOP_S: Final = 3.0
READ_BYTES: Final = 65_536
OF_CONNECTIONS: Final = frozenset({"conn_reset", "conn_stall", "slow_close", "limit_data"})
"""Faults that end connections, which here are the kernel's own."""
BEGIN, END = "begin", "end"
CLOCK, PAUSE, RESUME = "clock", "pause", "resume"


class PacketGround:
    """Two namespaces with a device in each: made before the broker, which is to stand in the second."""

    def __init__(self) -> None:
        self._namespaces = Namespaces()
        self.files = self._namespaces.tuns()

    @contextmanager
    def beyond(self) -> Iterator[str]:
        """What is started meanwhile stands beyond the links; gives the address that it must listen at."""
        self._namespaces.enter(self._namespaces.server)
        try:
            yield SERVER_ADDRESS
        finally:
            self._namespaces.enter(self._namespaces.clients)

    def close(self) -> None:
        """Leave nothing open."""
        self._namespaces.close()


class PacketLevel:
    """The process that moves the packets of one run, and the addresses of its nodes."""

    def __init__(
        self, variant: Variant, members: Sequence[Member], seed: int, broker: NodeId, ground: PacketGround
    ) -> None:
        topology = build_topology(variant.scenario, members, Streams(seed), variant.folder)
        nodes = linked(topology, broker)
        if len(nodes) > MOST_CLIENTS:
            raise InputError(
                f"{len(nodes)} nodes have a link to {broker!r}; packets carry at most {MOST_CLIENTS}"
            )
        self._broker = broker
        self._ground = ground
        self._scenario, self._seed = variant.scenario, seed
        self._network = Network(topology)
        self._fleets = _fleets(members)
        for number, entry in enumerate(variant.scenario.timeline, start=1):
            if is_of_links(entry):
                self._check(number, entry)
        self.lost: Lost = {}
        self._addresses = {node: client_address(number) for number, node in enumerate(nodes)}
        plan = {
            "text": variant.resolved.text,
            "folder": str(variant.folder),
            "seed": seed,
            "broker": broker,
            "nodes": {address: node for node, address in self._addresses.items()},
            "files": list(ground.files),
        }
        self._process = subprocess.Popen(  # noqa: S603  (its arguments are ours)
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=ground.files,
            text=True,
        )
        self._say(plan)
        if self._process.stdout is None or self._process.stdout.readline().strip() != READY:
            self.close()
            raise MissingEnvironmentError("the process that moves packets did not start; use --links proxy")

    def carrier(self, network: Network) -> Carrier:
        """The network, but for what concerns the broker."""
        return Direct(network, {self._broker})

    def way(self, node: NodeId, broker: NodeId, version: Version = "3.1.1") -> Way:
        """From an address of the node's own; who has no link to the broker stands where the broker does."""
        del broker, version
        source = self._addresses.get(node)
        return Way(within=self._ground.beyond) if source is None else Way(source=source)

    def fault(self, number: int, entry: schema.TimelineEntry) -> Fault:
        """A fault that the process begins and ends when it is told."""
        self._check(number, entry)
        fields = entry.model_dump(mode="json", exclude_unset=True)
        return _Told(self._say, number, fields)

    def start(self) -> None:
        """The timeline begins now."""
        self._say({"began_s": time.monotonic()})

    def pause(self) -> None:
        """Soon."""
        self._say({CLOCK: PAUSE})

    def resume(self) -> None:
        """Soon."""
        self._say({CLOCK: RESUME})

    def close(self) -> None:
        """End the process; `lost` then has how many packets were lost."""
        try:
            said, _ = self._process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            said, _ = self._process.communicate()
        rows = json.loads(said.splitlines()[-1]) if said.strip() else []
        self.lost = {(link, window, cause): count for link, window, cause, count in rows}

    def _check(self, number: int, entry: schema.TimelineEntry) -> None:
        """Raise InputError for a fault that hits nothing, or ends connections to the broker."""
        link_fault(number, entry, self._scenario, self._network, self._fleets, Streams(self._seed))
        if entry.fault not in OF_CONNECTIONS:
            return
        choice = Streams(self._seed).stream(f"timeline {number}", "choice")
        aim = Aim(entry, self._scenario, self._network, self._fleets, choice)
        if any(self._broker in {link.source, link.to} for link in aim.links()):
            raise InputError(
                f"{entry.fault!r} ends connections, and with --links tun they are the operating system's own;"
                " use --links proxy"
            )

    def _say(self, what: dict[str, Any]) -> None:
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(json.dumps(what) + "\n")
                self._process.stdin.flush()
        except OSError:
            raise MissingEnvironmentError("the process that moves packets has ended") from None


@dataclass(frozen=True, slots=True)
class _Told:
    """A fault of the process that moves packets: it is told when to begin and when to end."""

    say: Callable[[dict[str, Any]], None]
    number: int
    fields: dict[str, Any]

    def begin(self, now: float) -> None:
        """Begin soon."""
        del now
        self.say({BEGIN: self.number, "fault": self.fields})

    def end(self, now: float) -> None:
        """End soon."""
        del now
        self.say({END: self.number})


# the process that moves packets ------------------------------------------------------------------------


@dataclass(slots=True)
class _Orders:
    """What the run says: when the timeline began, and which faults begin and end by hand."""

    link: PacketLink
    scenario: schema.Scenario
    streams: Streams
    fleets: dict[str, list[NodeId]]
    lines: _Lines
    agenda: Agenda = field(init=False)
    standing: dict[int, Fault] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Make the timeline's faults."""
        losses = self.link.losses
        planned = link_faults(self.scenario, self.link.network, self.fleets, self.streams, losses)
        self.agenda = Agenda(planned, self.link)

    def take(self) -> None:
        """Do what can be read; stop at the end."""
        for line in self.lines.come():
            self._do(json.loads(line))
        if self.lines.is_over:
            self.link.stop()

    def _do(self, order: dict[str, Any]) -> None:
        now_s = self.link.timeline.now
        if END in order:
            self.standing.pop(order[END]).end(now_s)
        elif BEGIN in order:
            entry = schema.TimelineEntry.model_construct(**order["fault"])  # it has been checked
            number = order[BEGIN]
            fault = link_fault(number, entry, self.scenario, self.link.network, self.fleets, self.streams)
            self.standing[number] = noted(entry, fault, self.link.losses)
            self.standing[number].begin(now_s)
        elif CLOCK in order:
            (self.agenda.pause if order[CLOCK] == PAUSE else self.agenda.resume)()
        else:
            self.agenda.start(order["began_s"])


@dataclass(slots=True)
class _Lines:
    """The lines of a file as they come: none may wait in a buffer that `select` does not see."""

    file: int
    is_over: bool = field(init=False, default=False)
    _rest: bytes = field(init=False, default=b"")

    def come(self) -> list[bytes]:
        """Those that are whole after one read, which may wait."""
        data = os.read(self.file, READ_BYTES)
        self.is_over = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines

    def first(self) -> bytes:
        """The first line; nothing may follow before it is answered."""
        while not self.is_over:
            for line in self.come():
                return line
        return b"{}"


def _fleets(members: Sequence[Member]) -> dict[str, list[NodeId]]:
    """The devices of each fleet."""
    fleets: dict[str, list[NodeId]] = {}
    for member in members:
        fleets.setdefault(member.fleet, []).append(member.node)
    return fleets


def _orders(plan: dict[str, Any], lines: _Lines) -> _Orders:
    folder = Path(plan["folder"])
    scenario = loading.parse(plan["text"], catalogue=Vocabulary(), name="resolved").variants[0].scenario
    members = members_of(scenario, scenes_of(scenario, folder))
    streams = Streams(plan["seed"])
    topology: Topology = build_topology(scenario, members, streams, folder)
    link = PacketLink(Network(topology), tuple(plan["files"]), plan["nodes"], plan["broker"], Losses())
    return _Orders(link, scenario, streams, _fleets(members), lines)


def main() -> None:
    """Read the plan, move packets, do what is ordered, and stop at the end of the input."""
    lines = _Lines(sys.stdin.fileno())
    orders = _orders(json.loads(lines.first()), lines)
    print(READY, flush=True)
    orders.link.run(lines.file, orders.take)
    rows = [(*key, count) for key, count in orders.link.losses.counts.items()]
    print(json.dumps(rows), flush=True)


if __name__ == "__main__":
    main()
