"""What `windtunnel new` writes: files that are valid as they stand, for any building asked for."""

import json

import pytest

from scenarios.format.issues import ScenarioError
from scenarios.rehearsal import put_together
from scenarios.shipped import load
from scenarios.templates import files
from twin.errors import InputError


def write(folder, texts):
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return load(folder / next(iter(texts)))


def test_the_plain_template_is_a_valid_scenario_of_its_name(tmp_path):
    """One file; its title is the name."""
    texts = files("my-site_2", scene=None, levels=3, bays=120)
    scenario = write(tmp_path, texts)

    assert list(texts) == ["my-site_2.scenario.yaml"]
    assert "my-site_2" in scenario.title
    assert "{" not in scenario.title
    assert len(scenario.variants) >= 2


def test_a_fault_at_a_node_that_the_building_has_not_is_found_before_the_run(tmp_path):
    """Its devices are named in the scene, so the text alone does not show it."""
    texts = files("garage", scene="carpark", levels=3, bays=120)
    text = texts["garage.scenario.yaml"].replace(
        "variants:", "timeline:\n  - {at: 1 s, fault: crash, node: Z}\nvariants:"
    )
    scenario = write(tmp_path, {**texts, "garage.scenario.yaml": text})

    with pytest.raises(ScenarioError, match="selects no node: node 'Z'"):
        put_together(scenario, "garage")


@pytest.mark.parametrize(("levels", "bays"), [(1, 8), (1, 200), (3, 120), (7, 40)])
def test_a_building_of_any_size_is_valid_with_its_fire_on_a_middle_level(tmp_path, levels, bays):
    """Scene and scenario fit: the bay that burns exists, and people and cars are in proportion."""
    texts = files("garage", scene="carpark", levels=levels, bays=bays)
    world = write(tmp_path, texts).variants[0].scenario.world
    found = json.loads(texts["garage.geojson"])["features"]
    bay = next(each for each in found if each.get("id", each["properties"].get("id")) == world["fire"]["bay"])

    assert list(texts) == ["garage.scenario.yaml", "garage.geojson"]
    assert bay["properties"]["kind"] == "bay"
    assert (world["people"], world["cars"]) == (levels * bays, max(1, levels * bays * 5 // 12))


@pytest.mark.parametrize("name", ["", "a/b", "../a", "-a", "1a", "a b", "a" * 62, "a.b", "é"])
def test_a_name_that_is_no_file_name_is_refused(name):
    """Also one that leads into another folder."""
    with pytest.raises(InputError, match="a name is letters"):
        files(name, scene=None, levels=3, bays=120)


@pytest.mark.parametrize(("levels", "bays"), [(51, 10), (3, 1), (3, 100_000)])
def test_a_building_that_cannot_be_is_refused(levels, bays):
    """By the limits that a scenario's own generated scene has."""
    with pytest.raises(InputError):
        files("garage", scene="carpark", levels=levels, bays=bays)
