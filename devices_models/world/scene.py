"""A scene: the building in which devices hang, people walk and cars park.

One GeoJSON FeatureCollection in local metres with a foreign member `scene` {format: twin-scene, version: 1,
levels}. Loading checks everything and reports all problems at once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from devices_models.world.carpark import document
from devices_models.world.feature import REFERENCES, Feature, nearest, read_feature
from devices_models.world.routes import Driveways, Walkways
from twin.errors import InputError

FORMAT, VERSION = "twin-scene", 1
MAX_SCENE_BYTES = 50_000_000
MAX_PROBLEMS = 20
EXAMPLE = "carpark_3x120.geojson"


@dataclass(eq=False)
class Scene:
    """A valid scene; its features in the order of the file."""

    name: str
    levels: tuple[str, ...]
    features: tuple[Feature, ...]
    document: dict[str, Any] = field(repr=False)
    """The JSON document it was read from."""

    @cached_property
    def _by_id(self) -> dict[str, Feature]:
        return {feature.id: feature for feature in self.features}

    @cached_property
    def driveways(self) -> Driveways:
        """Where cars drive."""
        return Driveways(self.features)

    @cached_property
    def walkways(self) -> Walkways:
        """Where people walk."""
        return Walkways(self.features)

    def of_kind(self, kind: str) -> tuple[Feature, ...]:
        """All features of a kind, in the order of the file."""
        return tuple(feature for feature in self.features if feature.kind == kind)

    def has(self, identity: str) -> bool:
        """Whether there is a feature of this id."""
        return identity in self._by_id

    def feature(self, identity: str) -> Feature:
        """The feature of this id; raises InputError with the nearest one."""
        found = self._by_id.get(identity)
        if found is None:
            raise InputError(f"{self.name}: no feature '{identity}'{nearest(identity, self._by_id)}")
        return found

    def text(self) -> str:
        """The scene as GeoJSON, one feature a line, so that versions can be compared."""
        header = json.dumps(self.document["scene"])
        lines = ",\n".join(json.dumps(raw, separators=(",", ":")) for raw in self.document["features"])
        return f'{{"type":"FeatureCollection","scene":{header},"features":[\n{lines}\n]}}\n'


def load_scene(path: Path) -> Scene:
    """Read a scene file. Raises InputError that lists every problem found (at most 20)."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_SCENE_BYTES:
            raise InputError(
                f"{path.name}: {size_bytes / 1e6:.0f} MB; expected a scene of at most"
                f" {MAX_SCENE_BYTES / 1e6:.0f} MB"
            )
        return parse_scene(path.read_bytes().decode("utf-8"), path.name)
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read: {error.strerror}; expected a scene file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name}: byte {error.start} is not UTF-8; expected text in UTF-8") from error


def example_scene() -> Scene:
    """The car park that the product ships: 3 levels of 120 bays."""
    text = (resources.files("devices_models.world") / "data" / EXAMPLE).read_text(encoding="utf-8")
    return parse_scene(text, EXAMPLE)


def carpark(levels: int, bays: int) -> Scene:
    """A generated car park with `bays` a level, of the family of the shipped example."""
    made = document(levels, bays)
    return _scene(made, made["scene"]["name"])


def parse_scene(text: str, name: str) -> Scene:
    """Read a scene from its text; `name` stands for it in messages. Raises InputError with all problems."""
    try:
        made = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        where = f"{name}:{error.lineno}:{error.colno}"
        raise InputError(f"{where}: not JSON: {error.msg}; expected a GeoJSON FeatureCollection") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not JSON: {error}; expected a GeoJSON FeatureCollection") from error
    return _scene(made, name)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _scene(made: Any, name: str) -> Scene:
    _report(name, _header_problems(made))
    read = [read_feature(raw, number) for number, raw in enumerate(made["features"], start=1)]
    features = tuple(feature for feature, _ in read if feature is not None)
    problems = [problem for _, found in read for problem in found]
    named = {str(raw.get("id")) for raw in made["features"] if isinstance(raw, dict)}
    problems += _identity_problems(features, made["scene"]["levels"], named)
    problems += _reference_problems(features, named)
    _report(name, problems)
    scene = Scene(name, tuple(made["scene"]["levels"]), features, made)
    _report(name, _reach_problems(scene))
    return scene


def _report(name: str, problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        shown = [f"{name}: {problem}" for problem in found[:MAX_PROBLEMS]]
        hidden = len(found) - len(shown)
        raise InputError("\n".join(shown + ([f"{name}: and {hidden} more problems"] if hidden else [])))


def _header_problems(made: Any) -> Iterator[str]:
    if not isinstance(made, dict) or made.get("type") != "FeatureCollection":
        found = made.get("type") if isinstance(made, dict) else type(made).__name__
        yield f"type is {found!r}; expected 'FeatureCollection'"
        return
    header = made.get("scene")
    if not isinstance(header, dict):
        yield f"no member 'scene'; expected {{'format': '{FORMAT}', 'version': {VERSION}, 'levels': [...]}}"
        return
    if header.get("format") != FORMAT:
        yield f"scene.format is {header.get('format')!r}; expected '{FORMAT}'"
    if header.get("version") != VERSION or isinstance(header.get("version"), bool):
        yield f"scene.version is {header.get('version')!r}; expected {VERSION}"
    levels = header.get("levels")
    if not isinstance(levels, list) or not levels or not all(isinstance(level, str) for level in levels):
        yield f"scene.levels is {levels!r}; expected a list of level ids such as ['L1']"
    if not isinstance(made.get("features"), list):
        yield "no list 'features'; expected the features of the scene"


def _identity_problems(features: tuple[Feature, ...], levels: list[str], named: set[str]) -> Iterator[str]:
    for identity, count in Counter(feature.id for feature in features).items():
        if count > 1:
            yield f"feature '{identity}': the id stands {count} times; expected unique ids"
    drawn = {feature.id for feature in features if feature.kind == "level"}
    for level in levels:
        if level not in drawn and level not in named:
            yield f"scene.levels names '{level}'; expected a feature of kind level{nearest(level, drawn)}"
    for feature in features:
        if feature.level not in levels:
            advice = nearest(feature.level, levels)
            yield (
                f"feature '{feature.id}': level is '{feature.level}';"
                f" expected one of {', '.join(levels[:5])}{advice}"
            )


def _reference_problems(features: tuple[Feature, ...], named: set[str]) -> Iterator[str]:
    """Names that lead nowhere. A name of a feature that is itself wrong is not reported twice."""
    kinds = {feature.id: feature.kind for feature in features}
    for feature in features:
        for (kind, name), target in REFERENCES.items():
            given = feature.text(name)
            if kind != feature.kind or (name not in feature.properties) or kinds.get(given) == target:
                continue
            if given in named and given not in kinds:
                continue
            valid = [identity for identity, its_kind in kinds.items() if its_kind == target]
            yield (
                f"feature '{feature.id}': {name} is '{given}';"
                f" expected the id of a feature of kind {target}{nearest(given, valid)}"
            )


def _reach_problems(scene: Scene) -> Iterator[str]:
    for bay in scene.of_kind("bay"):
        if not scene.driveways.gates_from(bay.id):
            yield (
                f"feature '{bay.id}': no way for its car from {bay.text('access')} to a gate;"
                f" expected aisles and ramps that join"
            )
        if not scene.walkways.doors(bay.level):
            yield (
                f"feature '{bay.id}': no door of {bay.level} leads outside;"
                f" expected a door whose stair reaches an exit"
            )
