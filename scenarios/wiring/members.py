"""Who takes part: every node of a scenario, with its site, its host, and its fleet if it is a device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devices_models.catalogue import DEVICES
from devices_models.world.scene import Scene, carpark, load_scene
from scenarios.format import schema
from scenarios.format.parts import device_name
from twin.errors import InputError


@dataclass(frozen=True, slots=True)
class Member:
    """One node: `host` if it runs on another, `fleet`, `via` and scene `feature` if it is a device."""

    node: str
    site: str
    kind: str
    host: str = ""
    fleet: str = ""
    via: str = ""
    feature: str = ""


def members_of(scenario: schema.Scenario, scenes: dict[str, Scene]) -> list[Member]:
    """All nodes of the scenario in the order of the file, devices last."""
    return [*_standing(scenario), *_devices(scenario, scenes)]


def scenes_of(scenario: schema.Scenario, folder: Path) -> dict[str, Scene]:
    """The scene of each site that has one: its file beside the scenario, or a generated building."""
    return {name: _scene(site, folder) for name, site in scenario.sites.items() if site.scene is not None}


def _scene(site: schema.Site, folder: Path) -> Scene:
    if isinstance(site.scene, schema.Carpark):
        return carpark(site.scene.levels, site.scene.bays)
    return load_scene(folder / str(site.scene))


def _standing(scenario: schema.Scenario) -> Iterator[Member]:
    for name, node in scenario.nodes.items():
        yield Member(name, _site_of(scenario, name), node.kind, host=node.runs_on or "")


def _site_of(scenario: schema.Scenario, name: str) -> str:
    """A node's own site, or that of the node it runs on."""
    node = scenario.nodes[name]
    for _ in scenario.nodes:
        if node.at is not None or node.runs_on is None:
            break
        node = scenario.nodes[node.runs_on]
    return node.at or ""


def _devices(scenario: schema.Scenario, scenes: dict[str, Scene]) -> Iterator[Member]:
    for name, fleet in scenario.fleets.items():
        kind = DEVICES[fleet.device].kind
        via = fleet.via or ""
        for node, feature in _nodes_of(name, fleet, scenes):
            yield Member(node, fleet.at, kind, fleet=name, via=via, feature=feature)


def _nodes_of(name: str, fleet: schema.Fleet, scenes: dict[str, Scene]) -> Iterator[tuple[str, str]]:
    """(node, feature) of each device of a fleet."""
    if fleet.placed_by is None:
        count = fleet.count or 1
        for number in range(1, count + 1):
            yield device_name(name, number, count), ""
        return
    if fleet.at not in scenes:
        raise InputError(f"fleet {name!r} is placed by a scene, but its site {fleet.at!r} has none")
    placement = DEVICES[fleet.device].placement
    if placement is None:
        raise InputError(f"fleet {name!r}: a scene has no place for a {fleet.device}; give a count instead")
    for feature in scenes[fleet.at].of_kind(placement.kind):
        if placement.accepts(feature.kind, feature.text("type")):
            yield placement.node(feature.id), feature.id
