"""Ways that are laid over a scene."""

from __future__ import annotations

import pytest

from devices_models.world.routes import along, length_m, project
from devices_models.world.scene import example_scene

SCENE = example_scene()
LINE = [(0.0, 0.0), (10.0, 0.0), (10.0, 5.0)]


def names(bay, gate):
    return [lane.name for lane in SCENE.driveways.drive(bay, gate).lanes]


def test_a_car_on_the_ground_takes_the_aisle_to_its_gate():
    """From the first bay the gate is round the corner, over half a piece of aisle."""
    drive = SCENE.driveways.drive("L1-B001", "GA")
    assert [lane.name for lane in drive.lanes] == ["L1-AA.2+", "GA.lane", "GA-OUT"]
    assert drive.first_m == pytest.approx(4.5)


def test_a_car_from_the_top_takes_both_ramps():
    """East to the ramp on each level, then west to the gate."""
    assert names("L3-B120", "GA") == [
        "L3-AB.0-",
        "L3-RD",
        "L2-CE.0+",
        "L2-RD",
        "L1-AA.0+",
        "L1-AA.1+",
        "L1-AA.2+",
        "GA.lane",
        "GA-OUT",
    ]


def test_a_driver_keeps_off_the_queue_at_another_gate():
    """Of two ways of the same length to the north gate, the one past the south gate is not taken."""
    assert "L1-CE.0+" in names("L3-B120", "GB")
    assert "L1-CW.0+" not in names("L3-B120", "GB")


def test_every_bay_reaches_both_gates():
    """In the order of the scene."""
    assert {SCENE.driveways.gates_from(bay) for bay in SCENE.driveways.bays} == {("GA", "GB")}


def test_people_go_down_their_stair_to_its_exit():
    """Doorstep, two flights of two slopes each, and the exit door."""
    walks = SCENE.walkways.way_out("L3-S2-door")
    assert [walk.name for walk in walks] == ["L3-S2-door", "L3-S2-flight", "L2-S2-flight", "S2-EXIT"]
    assert [walk.length_m for walk in walks] == [3.0, 11.2, 11.2, 4.0]
    assert [walk.kind for walk in walks] == ["level", "stair_down", "stair_down", "level"]


def test_the_mean_walk_to_a_door_is_34_6_m():
    """And the longest 62.4 m."""
    walks = [SCENE.walkways.nearest_door(bay)[1] for bay in SCENE.of_kind("bay")]
    assert sum(walks) / len(walks) == pytest.approx(34.6, abs=0.1)
    assert max(walks) == pytest.approx(62.4, abs=0.1)


@pytest.mark.parametrize(
    ("point", "where"),
    [((4.0, 3.0), (4.0, 3.0)), ((12.0, 4.0), (14.0, 2.0)), ((-3.0, 4.0), (0.0, 5.0)), ((10, 9), (15.0, 4.0))],
)
def test_a_point_is_projected_on_a_line(point, where):
    """Metres along and metres off."""
    assert project(point, LINE) == pytest.approx(where)


def test_a_place_along_a_line_is_found_by_its_metres():
    """Round the corner, and never past the end."""
    assert length_m(LINE) == 15.0
    assert [along(metres, LINE) for metres in (0.0, 12.0, 99.0)] == [(0.0, 0.0), (10.0, 2.0), (10.0, 5.0)]
