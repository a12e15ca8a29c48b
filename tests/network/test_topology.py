"""Paths, routes around what is down, countries, partitions."""

import random

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.carrier import Network
from network.link import Link
from network.stages.delay import Delay
from network.topology import Topology
from twin.errors import InputError
from twin.message import Message


def joined(*edges):
    """A topology of (source, to, delay in ms), in one direction each."""
    topology = Topology()
    for source, to, delay_ms in edges:
        topology.add_link(Link(f"{source}{to}", source, to, [Delay(delay_ms / 1e3)]))
    return topology


def names(path):
    return None if path is None else [link.name for link in path]


def test_the_path_is_the_shortest_by_expected_delay():
    """Two quick links beat a slow one."""
    topology = joined(("a", "b", 10), ("a", "c", 2), ("c", "b", 3))
    assert names(topology.path("a", "b")) == ["ac", "cb"]


def test_a_link_that_is_down_is_led_around():
    """And taken again when it comes back."""
    topology = joined(("a", "b", 1), ("a", "c", 2), ("c", "b", 3))
    direct = topology.links["ab"]
    topology.set_up([direct], is_up=False)
    assert names(topology.path("a", "b")) == ["ac", "cb"]
    topology.set_up([direct], is_up=True)
    assert names(topology.path("a", "b")) == ["ab"]


def test_of_two_links_side_by_side_the_quicker_is_taken_while_it_is_up():
    """A fibre and its mobile backup."""
    topology = joined(("a", "b", 1))
    topology.add_link(Link("backup", "a", "b", [Delay(0.05)]))
    assert names(topology.path("a", "b")) == ["ab"]
    topology.set_up([topology.links["ab"]], is_up=False)
    assert names(topology.path("a", "b")) == ["backup"]


def test_there_is_no_path_against_the_direction_of_a_link():
    """Nor to nodes nobody knows."""
    topology = joined(("a", "b", 1), ("b", "c", 1))
    assert topology.path("c", "a") is None
    assert topology.path("a", "nowhere") is None
    assert topology.path("nowhere", "c") is None


@given(st.integers(0, 10**6))
@settings(max_examples=60)
def test_paths_equal_those_of_dijkstra_on_the_whole_graph(seed):
    """Random graphs with leaves, some links down: same reachability, same total delay."""
    dice = random.Random(seed)
    nodes = [f"n{i}" for i in range(9)]
    topology, whole = Topology(), nx.DiGraph()
    whole.add_nodes_from(nodes)
    for source in nodes:
        topology.place(source)
        for to in dice.sample(nodes, dice.choice([1, 1, 2, 3])):
            if to != source:
                delay_s = dice.randint(1, 20) / 64
                link = Link(f"{source}>{to}", source, to, [Delay(delay_s)])
                topology.add_link(link)
                if dice.random() < 0.15:
                    topology.set_up([link], is_up=False)
                else:
                    whole.add_edge(source, to, weight=delay_s)
    for source in nodes:
        shortest = nx.single_source_dijkstra_path_length(whole, source)
        for to in nodes:
            path = topology.path(source, to)
            assert (None if path is None else sum(link.expected_delay_s for link in path)) == shortest.get(to)


def test_the_nodes_at_both_ends_notice_a_link_that_goes_down():
    """Each once, although both directions go down; a partition nobody notices."""
    topology = joined(("a", "b", 1), ("b", "a", 1), ("b", "c", 1))
    log = []
    topology.on_link_changed(lambda node, peer, is_up: log.append((node, peer, is_up)))
    both = topology.links_between("a", "b")
    topology.set_up(both, is_up=False)
    topology.set_up(both, is_up=False)
    topology.set_up(both, is_up=True)
    topology.partition([["a"], ["b", "c"]]).heal()
    assert log == [("a", "b", False), ("b", "a", False), ("a", "b", True), ("b", "a", True)]


def test_a_partition_cuts_between_its_groups_only():
    """A node of no group is a bridge that both sides reach."""
    topology = joined(("a", "b", 1), ("b", "a", 1), ("a", "m", 1), ("m", "b", 1))
    cut = topology.partition([["a"], ["b"]])
    assert sorted(link.name for link in cut.links) == ["ab", "ba"]
    assert topology.links["am"].release(0.0, 1) is not None


def test_partitions_that_overlap_heal_one_by_one():
    """A link passes again when the last cut is gone; healing twice heals once."""
    topology = joined(("a", "b", 1))
    first, second = (topology.partition([["a"], ["b"]]) for _ in range(2))
    link = topology.links["ab"]
    first.heal()
    first.heal()
    assert (link.release(0.0, 1), link.cause) == (None, "partition")
    second.heal()
    assert link.release(0.0, 1) == 0.001


def test_a_one_way_partition_lets_answers_pass():
    """Only what leaves the first group is lost."""
    topology = joined(("a", "b", 1), ("b", "a", 1))
    topology.partition([["a"], ["b"]], is_one_way=True)
    assert topology.links["ab"].release(0.0, 1) is None
    assert topology.links["ba"].release(0.0, 1) == 0.001


def test_a_partition_loses_datagrams_and_says_so(timeline):
    """On the link, with the cause."""
    topology = joined(("a", "b", 1))
    topology.partition([["a"], ["b"]])
    timeline.send_at(4.0, Network(topology), "a", "b")
    timeline.run()
    assert timeline.lost == [(4.0, "ab", "partition")]


def test_groups_are_sites_or_nodes():
    """A site stands for its nodes."""
    topology = joined(("gateway", "broker", 1))
    topology.place("gateway", "car_park", "SG")
    topology.place("gate", "car_park", "SG")
    topology.place("broker", "cloud", "US")
    assert topology.group("car_park") == {"gateway", "gate"}
    assert topology.group("gate") == {"gate"}
    assert names(topology.links_between("car_park", "cloud")) == ["gatewaybroker"]
    with pytest.raises(InputError, match="neither a site nor a node"):
        topology.group("moon")


def test_halves_and_isolation_take_every_node():
    """Two groups each."""
    topology = joined(("a", "b", 1), ("c", "d", 1), ("d", "e", 1))
    assert topology.halves() == (("a", "b"), ("c", "d", "e"))
    assert topology.isolate("c") == (("c",), ("a", "b", "d", "e"))


def test_the_countries_on_the_way_are_known():
    """In order, without repeats; nodes of no country are passed over."""
    topology = joined(("a", "b", 1), ("b", "x", 1), ("x", "c", 1))
    for node, country in (("a", "SG"), ("b", "SG"), ("c", "US")):
        topology.place(node, "site", country)
    path = topology.path("a", "c")
    assert topology.countries_crossed(path) == ("SG", "US")


def test_two_links_cannot_share_a_name():
    """Faults aim at names."""
    topology = joined(("a", "b", 1))
    with pytest.raises(InputError, match="two links are called 'ab'"):
        topology.add_link(Link("ab", "b", "a"))


def test_personal_bytes_are_counted_at_each_border(timeline):
    """Eight bytes leave Singapore for Japan, and Japan for the United States; masked ones never do."""
    topology = joined(("sensor", "gateway", 1), ("gateway", "relay", 1), ("relay", "broker", 1))
    for node, country in (("sensor", "SG"), ("gateway", "SG"), ("relay", "JP"), ("broker", "US")):
        topology.place(node, node, country)
    network = Network(topology)
    timeline.send_at(0.0, network, "sensor", "broker", Message("t", bytes(20), personal_bytes=8))
    timeline.send_at(0.0, network, "sensor", "broker", Message("t", bytes(20)))
    timeline.run()
    assert network.border_bytes() == {("SG", "JP"): 8, ("JP", "US"): 8}
