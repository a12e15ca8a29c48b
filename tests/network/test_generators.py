"""Generated topologies have the shape of their name, and carry messages."""

import networkx as nx
import pytest

from network import generators
from network.generators import (
    bus,
    campus_tree,
    hub_and_spoke,
    radio_mesh,
    ring,
    star_site,
    topology_of,
)
from network.wan import round_trip
from twin.errors import InputError
from twin.kernel.randomness import Streams


def degrees(graph):
    return sorted(degree for _, degree in graph.degree())


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (star_site(5), [1, 1, 1, 1, 1, 5]),
        (bus(4), [1, 1, 2, 2, 2]),
        (ring(4), [2, 2, 2, 2, 2]),
        (campus_tree(2, 2, 1), [1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3]),
    ],
)
def test_the_degrees_are_those_of_the_shape(graph, expected):
    """Star, line, circle, tree."""
    assert degrees(graph) == expected


def test_a_mesh_joins_what_is_in_range_and_nothing_else():
    """And the same seed gives the same places."""
    graph, again = (radio_mesh(30, 60.0, 25.0, Streams(4).stream("mesh", "places")) for _ in range(2))
    places = {node: complex(about["x_m"], about["y_m"]) for node, about in graph.nodes(data=True)}

    near = {frozenset((a, b)) for a in places for b in places if a < b and abs(places[a] - places[b]) <= 25.0}
    assert {frozenset(edge) for edge in graph.edges} == near
    assert nx.utils.graphs_equal(graph, again)


def test_a_mesh_that_falls_apart_is_refused():
    """With what would join it."""
    with pytest.raises(InputError, match="falls into"):
        radio_mesh(5, 1000.0, 20.0, Streams(1).stream("mesh", "places"))


def test_spokes_have_half_the_round_trip_to_the_hub():
    """From the table of round trips, with its provenance."""
    graph = hub_and_spoke("singapore", ["tokyo", "ashburn"])

    assert graph.edges["singapore", "ashburn"]["delay_s"] == round_trip("singapore", "ashburn").rtt_s / 2
    assert graph.edges["singapore", "tokyo"]["provenance"].startswith("published")


@pytest.mark.parametrize("name", ["star_site", "ring", "bus"])
def test_a_generated_topology_reaches_every_device(name):
    """Both ways, over links of the catalogue."""
    topology = topology_of(generators.GENERATORS[name](6), Streams(1))

    for number in range(1, 7):
        assert topology.path("gateway", f"device-{number:03d}")
        assert topology.path(f"device-{number:03d}", "gateway")


@pytest.mark.parametrize("devices", [0, 10**6])
def test_the_number_of_devices_is_bounded(devices):
    """From one to a hundred thousand."""
    with pytest.raises(InputError, match="1 to 100,000"):
        star_site(devices)


def test_an_unknown_technology_is_refused_with_the_nearest():
    """As everywhere."""
    with pytest.raises(InputError, match="did you mean 'thread'"):
        star_site(3, "thraed")
