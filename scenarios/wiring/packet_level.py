"""Links to a real broker as packets: the kernel's own TCP crosses the scenario's links.

The run stands in one network namespace and the broker in another. A process of its own moves the packets
between them, by the links and faults of the scenario, with the run's seed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from network.carrier import Network
from network.topology import Topology
from network.wire.packets import (
    MOST_CLIENTS,
    SERVER_ADDRESS,
    Namespaces,
    PacketLink,
    client_address,
)
from scenarios.format import loading, schema
from scenarios.format.loading import Variant
from scenarios.wiring.linking import build_topology
from scenarios.wiring.members import Member, members_of, scenes_of
from scenarios.wiring.vocabulary import Vocabulary
from scenarios.wiring.wire_level import Direct, link_faults, linked, schedule
from twin.errors import InputError, MissingEnvironmentError
from twin.kernel.behaviour import NodeId
from twin.kernel.ports import Carrier
from twin.kernel.randomness import Streams
from twin.live.wires import Way

READY: Final = "ready"
READY_S: Final = 20.0
STOP_S: Final = 3.0


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
        self.lost: dict[str, int] = {}
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

    def way(self, node: NodeId, broker: NodeId) -> Way:
        """From an address of the node's own; who has no link to the broker stands where the broker does."""
        del broker
        source = self._addresses.get(node)
        return Way(within=self._ground.beyond) if source is None else Way(source=source)

    def start(self) -> None:
        """The timeline begins now."""
        self._say({"began_s": time.monotonic()})

    def close(self) -> None:
        """End the process; `lost` then has how many packets were lost, by cause."""
        try:
            said, _ = self._process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            said, _ = self._process.communicate()
        self.lost = json.loads(said.splitlines()[-1]) if said.strip() else {}

    def _say(self, what: dict[str, Any]) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()


# the process that moves packets ------------------------------------------------------------------------


def _moved(plan: dict[str, Any]) -> tuple[PacketLink, schema.Scenario, Streams, dict[str, list[NodeId]]]:
    folder = Path(plan["folder"])
    scenario = loading.parse(plan["text"], catalogue=Vocabulary(), name="resolved").variants[0].scenario
    members = members_of(scenario, scenes_of(scenario, folder))
    streams = Streams(plan["seed"])
    topology: Topology = build_topology(scenario, members, streams, folder)
    link = PacketLink(Network(topology), tuple(plan["files"]), plan["nodes"], plan["broker"])
    fleets: dict[str, list[NodeId]] = {}
    for member in members:
        fleets.setdefault(member.fleet, []).append(member.node)
    return link, scenario, streams, fleets


def main() -> None:
    """Read the plan, move packets, begin the timeline when told, and stop at the end of the input."""
    link, scenario, streams, fleets = _moved(json.loads(sys.stdin.readline()))
    faults = link_faults(scenario, link.network, fleets, streams)

    def order() -> None:
        line = sys.stdin.readline()
        if line:
            schedule(faults, scenario.run.duration_s, link, json.loads(line)["began_s"])
        else:
            link.stop()

    print(READY, flush=True)
    link.run(sys.stdin.fileno(), order)
    print(json.dumps(link.lost), flush=True)


if __name__ == "__main__":
    main()
