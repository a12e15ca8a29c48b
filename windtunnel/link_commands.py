"""What `windtunnel link` and `windtunnel topology` do. Every function takes the parsed arguments."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from twin.errors import InputError
from windtunnel.cli import MET

if TYPE_CHECKING:
    from network.generators import Graph

SCENARIO: Final = ".yaml"


def link(options: argparse.Namespace) -> int:
    """Show what a link does, or record a measured trace of a real one."""
    return _record(options) if options.link_action == "record" else _show(options)


def _record(options: argparse.Namespace) -> int:
    from network.record import record

    record(options.host, options.port, options.samples, options.interval, Path(options.out))
    print(f"wrote {options.out}; use it in a scenario: links: - {{between: [a, b], trace: {options.out}}}")
    return MET


def _show(options: argparse.Namespace) -> int:
    from twin.units import parse
    from windtunnel import link_view

    def read(kind: str, text: str | None) -> float | None:
        return None if text is None else parse(kind, text)

    question = link_view.Question(
        options.name,
        payload_bytes=int(parse("size", options.payload)),
        hops=options.hops,
        tls=options.tls,
        access=options.access,
        round_trip_s=read("time", options.round_trip),
        loss_ratio=read("ratio", options.loss),
        rate_bps=read("rate", options.rate),
    )
    seen = link_view.view(question)
    print(link_view.as_json(seen) if options.json else link_view.as_text(seen))
    if options.svg:
        Path(options.svg).write_text(link_view.as_svg(seen), encoding="utf-8")
        print(f"wrote {options.svg}", file=sys.stderr)
    return MET


def topology(options: argparse.Namespace) -> int:
    """Show a topology, or bring one from or to another tool's format."""
    graph = _graph(options.source)
    if options.topology_action == "show":
        _summary(graph)
        return MET
    from network.topology_files import written

    text = written(graph, Path(options.out).suffix)
    Path(options.out).write_text(text, encoding="utf-8")
    print(f"wrote {options.out}: {len(graph)} nodes, {graph.number_of_edges()} links")
    return MET


def _summary(graph: Graph) -> None:
    from network.topology_files import link_text

    kinds = Counter(str(about.get("kind", "node")) for _, about in graph.nodes(data=True))
    print(f"{len(graph)} nodes: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    print(f"{graph.number_of_edges()} links")
    texts = Counter(link_text(about) or "no figures" for _, _, about in graph.edges(data=True))
    for text, count in texts.most_common(20):
        print(f"  {count:6}  {text}")


def _graph(source: str) -> Graph:
    """A topology file, the network of a scenario, or a generated shape such as star_site:50."""
    from network.generators import GENERATORS
    from network.topology_files import read_topology

    shape, _, sizes = source.partition(":")
    if shape in GENERATORS:
        return _generated(shape, sizes)
    return _of_scenario(source) if source.endswith(SCENARIO) else read_topology(source)


def _generated(shape: str, sizes: str) -> Graph:
    from network.generators import GENERATORS
    from twin.kernel.randomness import Streams

    words = [word for word in sizes.split(",") if word]
    try:
        if shape == "hub_and_spoke":
            return GENERATORS[shape](words[0], words[1:])
        numbers = [int(word) for word in words]
        if shape == "radio_mesh":
            return GENERATORS[shape](*numbers, Streams(1).stream("mesh", "places"))
        return GENERATORS[shape](*numbers)
    except (TypeError, ValueError, IndexError):
        raise InputError(
            f"{shape!r} takes other sizes: star_site:50, ring:8, bus:32,"
            " campus_tree:BUILDINGS,FLOORS,DEVICES, radio_mesh:DEVICES,AREA_M,RANGE_M,"
            " hub_and_spoke:singapore,tokyo,ashburn"
        ) from None


def _of_scenario(name: str) -> Graph:
    """The network of a scenario's first variant: nodes and fleets, and how they are joined."""
    import networkx as nx

    from scenarios.shipped import find, load
    from scenarios.wiring.linking import build_topology
    from scenarios.wiring.members import members_of, scenes_of
    from twin.kernel.randomness import Streams

    scenario, folder = load(name).variants[0].scenario, find(name).parent
    members = members_of(scenario, scenes_of(scenario, folder))
    built = build_topology(scenario, members, Streams(scenario.run.seed), folder)
    graph: Graph = nx.Graph()
    for member in members:
        graph.add_node(member.node, kind=member.kind, site=member.site)
    for link in built.links.values():
        if not graph.has_edge(link.source, link.to):
            graph.add_edge(link.source, link.to, delay_s=link.expected_delay_s, provenance=link.provenance)
    return graph
