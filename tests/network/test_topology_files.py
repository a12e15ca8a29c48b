"""Topologies come from other tools and go to them; a broken file is one clear sentence."""

import json
import sys
import types

import networkx as nx
import pytest

from network.generators import campus_tree, hub_and_spoke, star_site
from network.topology_files import WRITERS, read_topology, written
from twin.errors import InputError, MissingEnvironmentError

YAFS = {
    "entity": [{"id": 0, "model": "cloud", "IPT": 5000}, {"id": 1, "model": "sensor", "IPT": 1000}],
    "link": [{"s": 0, "d": 1, "BW": 1, "PR": 10}],
}
IFOGSIM = {
    "nodes": [{"name": "cloud", "type": "FOG_DEVICE", "level": 0}, {"name": "s-0", "type": "SENSOR"}],
    "links": [{"source": "s-0", "destination": "cloud", "latency": 6.0}],
}
TOPOHUB = {
    "nodes": [
        {"id": 0, "name": "Oslo", "pos": [10.7, 59.9]},
        {"id": 1, "name": "Bergen", "pos": [5.3, 60.4]},
    ],
    "edges": [{"source": 0, "target": 1, "dist": 400.0, "ecmp_fwd": {"uni": 1}}],
}


def saved(tmp_path, data, name="net.json"):
    path = tmp_path / name
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("suffix", [".json", ".graphml", ".gexf"])
@pytest.mark.parametrize("graph", [star_site(4), campus_tree(2, 2, 2), hub_and_spoke("tokyo", ["osaka"])])
def test_what_is_written_is_read_again(graph, suffix, tmp_path):
    """Nodes, links, and what is known of them."""
    again = read_topology(saved(tmp_path, written(graph, suffix), f"net{suffix}"))

    assert {frozenset(edge) for edge in again.edges} == {frozenset(edge) for edge in graph.edges}
    for node, about in graph.nodes(data=True):
        assert again.nodes[node].items() >= about.items()
    for a, b, about in graph.edges(data=True):
        assert again.edges[a, b].items() >= about.items()


def test_yafs_gives_delay_in_milliseconds_and_rate_in_megabits(tmp_path):
    """PR 10 is 10 ms, BW 1 is 1 Mbit/s."""
    graph = read_topology(saved(tmp_path, YAFS))

    assert graph.edges["0", "1"] == {"delay_s": 0.01, "rate_bps": 1e6}
    assert graph.nodes["0"] == {"kind": "cloud"}


def test_ifogsim_gives_kinds_and_delays(tmp_path):
    """Latency 6 is 6 ms."""
    graph = read_topology(saved(tmp_path, IFOGSIM))

    assert graph.edges["s-0", "cloud"] == {"delay_s": 0.006}
    assert graph.nodes["s-0"] == {"kind": "sensor"}


def test_a_length_in_kilometres_becomes_a_delay(tmp_path):
    """400 km at 4.9 us/km; places are longitude first."""
    graph = read_topology(saved(tmp_path, TOPOHUB))

    assert graph.edges["0", "1"] == {"distance_km": 400.0, "delay_s": pytest.approx(0.00196)}
    assert graph.nodes["0"]["latitude"] == 59.9


def test_topohub_is_read_where_it_is_installed(monkeypatch):
    """Here a stand-in of the one function that is used."""
    stand_in = types.ModuleType("topohub")
    stand_in.get = {"sndlib/norway": TOPOHUB}.__getitem__
    monkeypatch.setitem(sys.modules, "topohub", stand_in)

    assert len(read_topology("topohub:sndlib/norway")) == 2
    with pytest.raises(InputError, match="no topology 'sndlib/norwya'"):
        read_topology("topohub:sndlib/norwya")


def test_without_topohub_the_message_says_how_to_get_it(monkeypatch):
    """One sentence."""
    monkeypatch.setitem(sys.modules, "topohub", None)
    with pytest.raises(MissingEnvironmentError, match="pip install topohub"):
        read_topology("topohub:sndlib/norway")


def test_documents_get_mermaid_and_graphviz():
    """With delays and technologies at the links."""
    mermaid, graphviz = written(star_site(1), ".mmd"), written(hub_and_spoke("tokyo", ["osaka"]), ".dot")

    assert mermaid == 'graph LR\n  n0["gateway"]\n  n1["device-001"]\n  n0 ---|"thread"| n1\n'
    assert '"tokyo" -- "osaka" [label="5 ms"];' in graphviz


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("suffix", [".json", ".graphml", ".gexf"])
def test_a_truncated_file_is_one_error_with_file_and_line(suffix, cut, tmp_path):
    """Wherever it was cut."""
    text = written(campus_tree(2, 2, 2), suffix)
    path = saved(tmp_path, text[: int(len(text) * cut)], f"net{suffix}")

    with pytest.raises(InputError, match=rf"net\{suffix}:\d+: this is no (JSON|XML)"):
        read_topology(path)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({}, "no 'nodes'"),
        ([], "JSON object"),
        ({"nodes": []}, "no nodes"),
        ({"nodes": [{"name": "a"}]}, "lacks 'id'"),
        ({"nodes": [{"id": "a"}], "links": [{"source": "a"}]}, "lacks 'target'"),
        ({"nodes": "ab"}, "no topology"),
        ({"entity": [{"id": 1}], "link": [{"s": 1, "d": 2, "PR": "fast"}]}, "no topology"),
        ({"entity": [{"id": 1}], "link": [{"s": 1, "d": 2, "PR": -1}]}, "below zero"),
    ],
)
def test_what_is_no_topology_is_refused(data, text, tmp_path):
    """With the file and what is missing."""
    with pytest.raises(InputError, match=text):
        read_topology(saved(tmp_path, data))


@pytest.mark.parametrize(("name", "text"), [("net.txt", "ends in"), ("none.json", "No such file")])
def test_a_wrong_or_missing_file_is_named(name, text, tmp_path):
    """By its path."""
    if name == "net.txt":
        saved(tmp_path, "x", name)
    with pytest.raises(InputError, match=text):
        read_topology(str(tmp_path / name))


def test_every_writer_gives_text_that_ends_with_a_line():
    """Also for one node alone."""
    graph = nx.Graph()
    graph.add_node("a")
    assert all(written(graph, suffix).endswith("\n") for suffix in WRITERS)
    with pytest.raises(InputError, match="did you mean"):
        written(graph, ".jsn")
