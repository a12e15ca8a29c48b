"""Files to start from: a small scenario of one gate loop, and a generated car park with its fire."""

from __future__ import annotations

import re
from importlib.resources import files as resource_files
from typing import Final

from devices_models.world.scene import carpark
from twin.errors import InputError

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,60}")
PLAIN, CARPARK = "gate_loop.template.yaml", "carpark.template.yaml"


def files(name: str, *, scene: str | None, levels: int, bays: int) -> dict[str, str]:
    """Texts by file name: the scenario first, then its building. Raises InputError for an unusable name."""
    if not NAME.fullmatch(name):
        raise InputError(f"a name is letters, digits, '-' and '_', starting with a letter; not {name!r}")
    if scene is None:
        return {f"{name}.scenario.yaml": _template(PLAIN).replace("{name}", name)}
    building = carpark(levels, bays)
    level = building.levels[len(building.levels) // 2]
    bay = next(each.id for each in building.of_kind("bay") if each.level == level)
    text = _template(CARPARK).replace("{name}", name).replace("{bay}", bay)
    people, cars = levels * bays, max(1, levels * bays * 5 // 12)
    text = text.replace("{people}", str(people)).replace("{cars}", str(cars))
    return {f"{name}.scenario.yaml": text, f"{name}.geojson": building.text()}


def _template(name: str) -> str:
    return (resource_files("scenarios") / "data" / name).read_text(encoding="utf-8")
