"""Topologies from and to files of other tools.

read    node-link JSON (networkx, topohub), GraphML, GEXF, YAFS JSON, iFogSim2 JSON; `topohub:NAME` where the
        package topohub is installed
written node-link JSON, GraphML, GEXF, Mermaid, Graphviz

Lengths become delays at 4.9 us/km. Delays of YAFS (`PR`) and iFogSim2 (`latency`) are milliseconds, the
`BW` of YAFS is Mbit/s; the bandwidths of iFogSim2 have no unit and are left out.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError

import networkx as nx

from network.generators import MOST_NODES, Graph
from network.naming import unknown
from network.wan import FIBRE_S_PER_KM
from twin.errors import InputError, MissingEnvironmentError

MOST_FILE_BYTES: Final = 50_000_000
TOPOHUB: Final = "topohub:"
LINK_KEYS: Final = ("source", "target", "key")


# reading ---------------------------------------------------------------------------------------------------


def read_topology(source: str) -> Graph:
    """The topology in a file, or of a topohub name; raise InputError that names file and line."""
    if source.startswith(TOPOHUB):
        return _from_topohub(source.removeprefix(TOPOHUB))
    path = Path(source)
    text = _text(path)
    try:
        graph = _parsed(path, text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: this is no JSON: {error.msg}") from None
    except ParseError as error:
        line = error.position[0]
        raise InputError(f"{path}:{line}: this is no XML: {str(error).split(':')[0]}") from None
    except KeyError as error:
        raise InputError(f"{path}: a node or link lacks {error.args[0]!r}") from None
    except (TypeError, ValueError, AttributeError, nx.NetworkXException) as error:
        raise InputError(f"{path}: this is no topology: {error}") from None
    return _checked(graph, str(path))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise InputError(f"{path}: a topology of more than {MOST_FILE_BYTES:,} bytes is too large")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this is no text: {error.reason}") from None


def _parsed(path: Path, text: str) -> Graph:
    if path.suffix == ".graphml":
        return _plain(nx.read_graphml(io.BytesIO(text.encode())))
    if path.suffix == ".gexf":
        return _plain(nx.read_gexf(io.BytesIO(text.encode())))
    if path.suffix != ".json":
        raise InputError(f"{path}: a topology ends in .json, .graphml or .gexf")
    data = json.loads(text)
    if not isinstance(data, dict):
        raise InputError(f"{path}: a topology is a JSON object with nodes and links")
    if "entity" in data:
        return _from_yafs(data)
    if "nodes" not in data:
        raise InputError(f"{path}: no 'nodes' (node-link, topohub, iFogSim2) and no 'entity' (YAFS)")
    is_ifogsim = any("destination" in link for link in data.get("links", ()))
    return _from_ifogsim(data) if is_ifogsim else _from_node_link(data)


def _from_node_link(data: Mapping[str, Any]) -> Graph:
    graph: Graph = nx.Graph()
    for node in data["nodes"]:
        about = {key: value for key, value in _scalars(node).items() if key != "id"}
        if "pos" in node:  # topohub: longitude first
            about |= {"longitude": float(node["pos"][0]), "latitude": float(node["pos"][1])}
        graph.add_node(str(node["id"]), **about)
    for link in data.get("edges", data.get("links", ())):
        about = {key: value for key, value in _scalars(link).items() if key not in LINK_KEYS}
        graph.add_edge(str(link["source"]), str(link["target"]), **_with_delay(about))
    return graph


def _from_yafs(data: Mapping[str, Any]) -> Graph:
    graph: Graph = nx.Graph()
    for entity in data["entity"]:
        graph.add_node(str(entity["id"]), kind=str(entity.get("model", entity.get("type", "entity"))))
    for link in data.get("link", ()):
        about = {"delay_s": float(link["PR"]) / 1e3}
        if link.get("BW"):
            about["rate_bps"] = float(link["BW"]) * 1e6
        graph.add_edge(str(link["s"]), str(link["d"]), **about)
    return graph


def _from_ifogsim(data: Mapping[str, Any]) -> Graph:
    graph: Graph = nx.Graph()
    for node in data["nodes"]:
        graph.add_node(str(node["name"]), kind=str(node.get("type", "FOG_DEVICE")).lower())
    for link in data["links"]:
        delay_s = float(link.get("latency", 0.0)) / 1e3
        graph.add_edge(str(link["source"]), str(link["destination"]), delay_s=delay_s)
    return graph


def _from_topohub(name: str) -> Graph:
    try:
        import topohub  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise MissingEnvironmentError(
            "the package topohub is not installed; install it with: pip install topohub"
        ) from None
    try:
        data = topohub.get(name)
    except (KeyError, OSError, ValueError):
        raise InputError(f"topohub has no topology {name!r}") from None
    return _checked(_from_node_link(data), TOPOHUB + name)


def _plain(graph: Any) -> Graph:
    """Undirected and with text names, whatever the file had; parallel links become one."""
    plain: Graph = nx.Graph()
    for node, about in graph.nodes(data=True):
        plain.add_node(str(node), **_scalars(about))
    for a, b, about in graph.edges(data=True):
        plain.add_edge(str(a), str(b), **_with_delay({k: v for k, v in _scalars(about).items() if k != "id"}))
    return plain


def _scalars(about: Mapping[str, Any]) -> dict[str, Any]:
    """What every format can hold."""
    return {key: value for key, value in about.items() if isinstance(value, str | int | float)}


def _with_delay(about: dict[str, Any]) -> dict[str, Any]:
    """A length in km gives the delay where none is given."""
    if "dist" in about:
        about["distance_km"] = float(about.pop("dist"))
    if "distance_km" in about and "delay_s" not in about and "technology" not in about:
        about["delay_s"] = float(about["distance_km"]) * FIBRE_S_PER_KM
    return about


def _checked(graph: Graph, name: str) -> Graph:
    if not graph:
        raise InputError(f"{name}: the topology has no nodes")
    if len(graph) > MOST_NODES:
        raise InputError(f"{name}: {len(graph):,} nodes are more than {MOST_NODES:,}")
    for a, b, about in graph.edges(data=True):
        if not float(about.get("delay_s", 0.0)) >= 0:
            raise InputError(f"{name}: the link {a} - {b} has a delay below zero: {about['delay_s']} s")
    return graph


# writing ---------------------------------------------------------------------------------------------------


def written(graph: Graph, suffix: str) -> str:
    """The topology as text in the format of a file ending; raise InputError for an unknown one."""
    if suffix not in WRITERS:
        raise unknown("file ending for a topology", suffix, WRITERS)
    return WRITERS[suffix](graph)


def _node_link(graph: Graph) -> str:
    return json.dumps(nx.node_link_data(graph, edges="links"), indent=1) + "\n"


def _graphml(graph: Graph) -> str:
    return "\n".join(nx.generate_graphml(graph)) + "\n"


def _gexf(graph: Graph) -> str:
    return "\n".join(nx.generate_gexf(graph)) + "\n"


def _mermaid(graph: Graph) -> str:
    names = {node: f"n{number}" for number, node in enumerate(graph)}
    lines = ["graph LR"]
    lines += [f'  {names[node]}["{_quoted(node)}"]' for node in graph]
    for a, b, about in graph.edges(data=True):
        label = link_text(about)
        arrow = f'---|"{_quoted(label)}"|' if label else "---"
        lines.append(f"  {names[a]} {arrow} {names[b]}")
    return "\n".join(lines) + "\n"


def _graphviz(graph: Graph) -> str:
    lines = ["graph topology {"]
    lines += [f"  {json.dumps(node)};" for node in graph]
    for a, b, about in graph.edges(data=True):
        lines.append(f"  {json.dumps(a)} -- {json.dumps(b)} [label={json.dumps(link_text(about))}];")
    return "\n".join([*lines, "}"]) + "\n"


def link_text(about: Mapping[str, Any]) -> str:
    """What a link is: its technology, or its delay and rate."""
    parts = [str(about["technology"])] if "technology" in about else []
    if "delay_s" in about:
        parts.append(f"{float(about['delay_s']) * 1e3:.3g} ms")
    if "rate_bps" in about:
        parts.append(f"{float(about['rate_bps']) / 1e6:g} Mbit/s")
    return ", ".join(parts)


def _quoted(text: str) -> str:
    return text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;")


WRITERS: Final[dict[str, Callable[[Graph], str]]] = {
    ".json": _node_link,
    ".graphml": _graphml,
    ".gexf": _gexf,
    ".mmd": _mermaid,
    ".dot": _graphviz,
}
"""How a topology is written, by file ending."""
