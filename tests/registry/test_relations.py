"""What hangs on what."""

import pytest

from twin.state.registry.registry import Registry
from twin.state.registry.relations import affected, graph
from twin.state.registry.things import RegistryError, Thing

REGISTRY = Registry()


@pytest.fixture
def wired(car_park):
    """A board powers the gateway, a controller depends on a detector, a level contains the bays."""
    for name in ("board", "controller", "level-1"):
        REGISTRY.register(Thing(name=name), car_park)
    for source, kind, target in (
        ("board", "powers", "gateway"),
        ("controller", "depends_on", "det-1"),
        ("controller", "controls", "gate-10"),
        ("level-1", "contains", "gate-1"),
        ("gate-1", "near", "gate-2"),
    ):
        REGISTRY.relate(source, kind, target, car_park)
    return car_park.records


def test_the_graph_has_a_typed_edge_for_each_relationship_and_gateway(wired):
    """Nodes carry what is needed to colour them."""
    made = graph(wired)
    assert made.nodes["gate-1"] == {"type": "boom_gate", "site": "car_park", "level": "L1"}
    assert made.has_edge("gateway", "gate-1", key="speaks_for")
    assert made.has_edge("board", "gateway", key="powers")
    assert made.number_of_edges() == 8


def test_what_fails_takes_along_what_hangs_on_it(wired):
    """Over several steps, nearest first, each with the way; `depends_on` is followed backwards."""
    found = {effect.thing: effect.steps for effect in affected(wired, "board")}
    assert list(found) == ["gateway", "det-1", "gate-1", "gate-2", "controller", "gate-10"]
    assert found["gate-10"] == (
        ("powers", "gateway"),
        ("speaks_for", "det-1"),
        ("depends_on", "controller"),
        ("controls", "gate-10"),
    )
    assert [effect.thing for effect in affected(wired, "board", kinds=["powers"])] == ["gateway"]
    assert affected(wired, "gate-1") == []


def test_a_circle_ends(wired, car_park):
    """Each thing is affected once."""
    REGISTRY.relate("gate-10", "feeds", "board", car_park)
    assert "board" not in [effect.thing for effect in affected(wired, "board")]


def test_a_thing_that_is_not_there_affects_nobody(wired):
    """It is an error, with the nearest name."""
    with pytest.raises(RegistryError, match="did you mean 'board'"):
        affected(wired, "bord")
