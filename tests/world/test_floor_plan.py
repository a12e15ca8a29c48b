"""The drawing of a level."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from devices_models.world.floor_plan import floor_plan_svg
from devices_models.world.scene import carpark, example_scene
from twin.errors import InputError

SVG = "{http://www.w3.org/2000/svg}"


def drawn(svg, name):
    """The elements of a class; the legend's stand outside the groups."""
    return [
        element
        for group in ET.fromstring(svg).iter(f"{SVG}g")  # noqa: S314  # our own text
        for element in group
        if name in element.get("class", "").split()
    ]


def test_every_thing_of_the_level_is_drawn():
    """120 bays, 60 detectors, two gates; both ramps of the level above too."""
    svg = floor_plan_svg(example_scene(), "L1")
    counts = [len(drawn(svg, name)) for name in ("bay", "detector", "gate", "door", "exit", "ramp", "ev")]
    assert counts == [120, 60, 2, 2, 2, 2, 6]


def test_a_mark_sets_its_bay_on_fire():
    """One bay burns, and other marks are written beside their feature."""
    svg = floor_plan_svg(example_scene(), "L2", {"L2-B016": "fire", "L2-D31": "alarm 67 s", "L1-GW1": "edge"})
    assert len(drawn(svg, "burning")) == 1
    assert ">alarm 67 s</text>" in svg
    assert ">edge</text>" not in svg


def test_names_are_escaped():
    """A hostile word cannot leave its place."""
    svg = floor_plan_svg(example_scene(), "L2", {"L2-D31": "<script>"})
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg


def test_everything_lies_on_the_sheet():
    """No bay is drawn outside the view box, whatever the car park's size."""
    svg = floor_plan_svg(carpark(2, 40), "L2")
    width, height = map(float, ET.fromstring(svg).get("viewBox").split()[2:])  # noqa: S314
    for bay in drawn(svg, "bay"):
        x, y, w, h = (float(bay.get(name)) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height


@pytest.mark.parametrize(("level", "marks"), [("L9", {}), ("L2", {"L2-B999": "fire"})])
def test_an_unknown_name_is_refused(level, marks):
    """A level or a mark that the scene does not have."""
    with pytest.raises(InputError, match="no feature"):
        floor_plan_svg(example_scene(), level, marks)
