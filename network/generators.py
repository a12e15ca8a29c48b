"""Topologies by the names IoT engineers use, as graphs.

A node has a `kind`, and where it is known `x_m` and `y_m` or `latitude` and `longitude`; a link has a
`technology` of the catalogue, or `delay_s` (one way) and perhaps `rate_bps` and `distance_km`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import networkx as nx

from network.catalogue import given_stages, link_figures
from network.link import Link
from network.topology import Topology
from network.wan import metro, round_trip
from twin.errors import InputError
from twin.kernel.randomness import Stream, Streams

Graph: TypeAlias = "nx.Graph[str]"
MOST_NODES: Final = 100_000
LAN: Final = "ethernet"


def star_site(devices: int, technology: str = "thread") -> Graph:
    """One gateway, and each device on a link of its own."""

    def add(number: int, graph: Graph) -> None:
        graph.add_edge("gateway", _device(number))

    return _grown(devices, add, technology)


def campus_tree(buildings: int, floors: int, devices: int, technology: str = "thread") -> Graph:
    """A gateway, a switch in each building, one on each floor, and so many devices on each floor."""
    _check(buildings * floors * devices)
    graph = _graph(technology)
    graph.add_node("gateway", kind="gateway")
    for building in range(1, buildings + 1):
        graph.add_node(f"building-{building}", kind="switch")
        graph.add_edge("gateway", f"building-{building}", technology=LAN)
        for floor in range(1, floors + 1):
            name = f"building-{building}-floor-{floor}"
            graph.add_node(name, kind="switch")
            graph.add_edge(f"building-{building}", name, technology=LAN)
            for number in range(1, devices + 1):
                graph.add_node(f"{name}-{number:03d}", kind="device")
                graph.add_edge(name, f"{name}-{number:03d}", technology=technology)
    return graph


def radio_mesh(
    devices: int, area_m: float, range_m: float, stream: Stream, technology: str = "thread"
) -> Graph:
    """Devices at random places of a square with the gateway in its middle; links join what is in range.

    Raise InputError if some device is out of reach: a mesh that falls apart is no mesh.
    """
    _check(devices)
    graph = _graph(technology)
    places = {"gateway": (area_m / 2, area_m / 2)}
    for number in range(1, devices + 1):
        places[_device(number)] = (stream.uniform(0.0, area_m), stream.uniform(0.0, area_m))
    for name, (x_m, y_m) in places.items():
        graph.add_node(name, kind="gateway" if name == "gateway" else "device", x_m=x_m, y_m=y_m)
    for name, place in places.items():
        for other, there in places.items():
            if name < other and math.dist(place, there) <= range_m:
                graph.add_edge(name, other, technology=technology)
    parts = nx.number_connected_components(graph)
    if parts > 1:
        raise InputError(
            f"the mesh falls into {parts} parts; more devices, a range above {range_m:g} m, or a smaller"
            " area join them"
        )
    return graph


def ring(devices: int, technology: str = LAN) -> Graph:
    """The gateway and the devices in a circle: two ways to everywhere."""
    graph = bus(devices, technology)
    graph.add_edge(_device(devices), "gateway", technology=technology)
    return graph


def bus(devices: int, technology: str = "rs485-modbus") -> Graph:
    """A line from the gateway through all devices."""

    def add(number: int, graph: Graph) -> None:
        graph.add_edge("gateway" if number == 1 else _device(number - 1), _device(number))

    return _grown(devices, add, technology)


def hub_and_spoke(hub: str, regions: Sequence[str]) -> Graph:
    """Metros around a hub metro, at the one-way delay of their round trips."""
    graph: Graph = nx.Graph()
    for name in (hub, *regions):
        place = metro(name)
        graph.add_node(name, kind="region", latitude=place.latitude, longitude=place.longitude)
    for name in regions:
        figure = round_trip(hub, name)
        graph.add_edge(hub, name, delay_s=figure.rtt_s / 2, provenance=f"{figure.kind}: {figure.source}")
    return graph


GENERATORS: Final[dict[str, Callable[..., Graph]]] = {
    "star_site": star_site,
    "campus_tree": campus_tree,
    "radio_mesh": radio_mesh,
    "ring": ring,
    "bus": bus,
    "hub_and_spoke": hub_and_spoke,
}


def topology_of(graph: Graph, streams: Streams) -> Topology:
    """The graph as links of the network, both ways, ready to carry messages."""
    topology = Topology()
    for node in graph:
        topology.place(node)
    for a, b, about in graph.edges(data=True):
        for source, to in ((a, b), (b, a)):
            topology.add_link(_link(source, to, about, streams, is_down=source == b))
    return topology


def _link(source: str, to: str, about: dict[str, Any], streams: Streams, *, is_down: bool) -> Link:
    name = f"{source}>{to}"
    if "technology" in about:
        return Link.access(name, source, to, about["technology"], streams, is_down=is_down)
    stages = given_stages(
        name, streams, delay_s=float(about.get("delay_s", 0.0)), rate_bps=about.get("rate_bps")
    )
    return Link(name, source, to, stages, provenance=str(about.get("provenance", "given: imported topology")))


def _grown(devices: int, add: Callable[[int, Graph], None], technology: str) -> Graph:
    _check(devices)
    graph = _graph(technology)
    graph.add_node("gateway", kind="gateway")
    for number in range(1, devices + 1):
        graph.add_node(_device(number), kind="device")
        add(number, graph)
    for _, _, about in graph.edges(data=True):
        about["technology"] = technology
    return graph


def _graph(technology: str) -> Graph:
    link_figures(technology)
    return nx.Graph()


def _device(number: int) -> str:
    return f"device-{number:03d}"


def _check(devices: int) -> None:
    if not 1 <= devices <= MOST_NODES:
        raise InputError(f"a topology has 1 to {MOST_NODES:,} devices, not {devices:,}")
