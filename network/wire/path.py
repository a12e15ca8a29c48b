"""A path of one link each way between two nodes: what a proxy that is used alone carries over."""

from __future__ import annotations

from collections.abc import Iterable

from network.carrier import Network
from network.link import Link
from network.topology import Topology
from network.wire.rules import StreamTcp
from twin.kernel.ports import Stage

CLIENT, SERVER = "client", "server"


def joined(there: Link, back: Link) -> Network:
    """A network of two nodes; both links get TCP's rules for streams."""
    topology = Topology()
    for node in (there.source, there.to):
        topology.place(node, node)
    for link in (there, back):
        link.tcp = StreamTcp()
        topology.add_link(link)
    return Network(topology)


def plain(there: Iterable[Stage], back: Iterable[Stage]) -> Network:
    """The same from the stages of each direction."""
    return joined(Link("up", CLIENT, SERVER, there), Link("down", SERVER, CLIENT, back))
