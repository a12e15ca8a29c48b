"""A scene is read, checked, generated and written."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices_models.world.scene import (
    EXAMPLE,
    MAX_SCENE_BYTES,
    carpark,
    example_scene,
    load_scene,
    parse_scene,
)
from twin.errors import InputError

HERE = Path(__file__).parent
BROKEN = sorted((HERE / "broken").glob("*.geojson"))


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_scene_is_refused_with_exactly_this_message(path):
    """The message beside the fixture names file, feature, what is wrong and what was expected."""
    with pytest.raises(InputError) as refused:
        load_scene(path)
    assert str(refused.value) == path.with_suffix(".txt").read_text(encoding="utf-8").rstrip("\n")


def test_the_broken_scenes_differ_from_a_sound_one():
    """The scene they were made from loads."""
    scene = load_scene(HERE / "sound.geojson")
    assert [feature.kind for feature in scene.features].count("bay") == 1


def test_a_missing_file_is_named(tmp_path):
    """No traceback for a wrong path."""
    with pytest.raises(InputError, match=r"^nowhere\.geojson: cannot be read: No such file"):
        load_scene(tmp_path / "nowhere.geojson")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    """The bound on the size is checked on the file's entry."""
    path = tmp_path / "huge.geojson"
    with path.open("wb") as file:
        file.truncate(MAX_SCENE_BYTES + 1)
    with pytest.raises(InputError, match=r"^huge\.geojson: 50 MB; expected a scene of at most 50 MB"):
        load_scene(path)


def test_endless_nesting_is_refused():
    """A hostile file ends in a message too."""
    with pytest.raises(InputError, match="not JSON"):
        parse_scene("[" * 100_000, "deep.geojson")


def test_the_generator_reproduces_the_shipped_car_park():
    """3 levels of 120 bays: the same 645 features, in the same order."""
    shipped, made = example_scene(), carpark(3, 120)
    assert made.document["features"] == shipped.document["features"]
    assert len(shipped.features) == 645


def test_a_scene_is_written_as_it_was_read():
    """One feature a line, byte for byte."""
    text = (resources.files("devices_models.world") / "data" / EXAMPLE).read_text(encoding="utf-8")
    assert parse_scene(text, EXAMPLE).text() == text


def test_the_shipped_car_park_has_what_the_model_needs():
    """Counts by kind."""
    scene = example_scene()
    kinds = ("level", "bay", "detector", "gate", "door", "stair", "ramp", "gateway", "fan")
    assert [len(scene.of_kind(kind)) for kind in kinds] == [3, 360, 180, 2, 6, 4, 4, 6, 21]
    assert scene.levels == ("L1", "L2", "L3")
    assert scene.feature("L2-B016").place == (43.8, 2.4)


def test_an_unknown_feature_is_answered_with_the_nearest():
    """A slip of the pen is put right."""
    with pytest.raises(InputError, match=r"carpark_3x120\.geojson: no feature 'L1-GW3'; did you mean 'L1-GW"):
        example_scene().feature("L1-GW3")


@given(st.integers(1, 5), st.integers(1, 30))
@settings(max_examples=15, deadline=None)
def test_every_generated_car_park_is_a_valid_scene(levels, columns):
    """What the generator makes passes all checks when it is read back."""
    scene = carpark(levels, 4 * columns)
    assert len(parse_scene(scene.text(), "made").of_kind("bay")) == levels * columns * 4


@pytest.mark.parametrize(
    ("levels", "bays", "message"),
    [
        (0, 120, "0 levels; expected 1 to 20"),
        (3, 118, "118 bays a level; expected a multiple of 4 up to 996, such as 120"),
        (3, 2000, "such as 996"),
    ],
)
def test_a_car_park_outside_the_family_is_refused(levels, bays, message):
    """Sizes have bounds, and the message gives a valid one."""
    with pytest.raises(InputError, match=message):
        carpark(levels, bays)
