"""Every YAML block is a scenario that loads, or a piece of one that fits into the shipped scenario."""

from __future__ import annotations

import copy

import pytest
import yaml

from scenarios.shipped import LIBRARY, load
from twin.errors import InputError

FLAGSHIP = LIBRARY / "car_park_fire.scenario.yaml"
SCENE = LIBRARY / "carpark_3x120.geojson"


def _with(piece):
    """The shipped scenario with a piece of another: entries of maps added, lists extended."""
    whole = copy.deepcopy(yaml.safe_load(FLAGSHIP.read_text("utf-8")))
    for key, value in piece.items():
        if isinstance(value, list):
            whole[key] = [*whole.get(key, []), *value]
        elif isinstance(value, dict):
            whole[key] = {**whole.get(key, {}), **value}
        else:
            whole[key] = value
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)


def _file(folder, block):
    is_whole = "scenario:" in block.text.split("\n", 2)[0] or "\nscenario:" in block.text
    path = folder / f"line{block.line}.scenario.yaml"
    (folder / SCENE.name).write_bytes(SCENE.read_bytes())
    path.write_text(block.text if is_whole else _with(yaml.safe_load(block.text)), "utf-8")
    return path


def test_every_scenario_loads(blocks, tmp_path):
    """No block holds a key, a name or a unit that the loader does not know."""
    for block in blocks("yaml"):
        if "invalid" not in block.info.split():
            assert load(_file(tmp_path, block)).variants


def test_what_is_shown_as_wrong_is_wrong(blocks, tmp_path):
    """A block marked `invalid` is refused."""
    for block in blocks("yaml"):
        if "invalid" in block.info.split():
            with pytest.raises(InputError):
                load(_file(tmp_path, block))
