"""The replay document: everything about one replication that is worth showing over time, as plain data.

Times are seconds since the start of the run. A series of states or counts holds the changes only, the first
at its beginning. Texts may hold what a scenario's author wrote; whoever prints them escapes them.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from scenarios.results import Hop

Point: TypeAlias = tuple[float, float]
States: TypeAlias = list[tuple[float, str]]
Counts: TypeAlias = list[tuple[float, float]]


class Shape(msgspec.Struct, frozen=True):
    """A feature of the scene to draw, in metres, x east and y north; `to_level` of ramps and stairs."""

    id: str
    kind: str
    level: str
    points: list[Point]
    size: list[float] = []
    to_level: str = ""
    type: str = ""


class Plan(msgspec.Struct, frozen=True):
    """The building: its levels from the ground up and everything in it."""

    name: str
    levels: list[str]
    bounds: tuple[float, float, float, float]
    features: list[Shape]


class Device(msgspec.Struct, frozen=True):
    """A node and its states over time; feature, level and place are there if it hangs in the scene."""

    node: str
    fleet: str
    kind: str
    states: States
    site: str = ""
    feature: str = ""
    level: str = ""
    x: float | None = None
    y: float | None = None


class LinkStates(msgspec.Struct, frozen=True):
    """A link, one direction, with its states over time: up, cut or degraded."""

    name: str
    source: str
    to: str
    states: States


class SmokeSeries(msgspec.Struct, frozen=True):
    """The smoke on one level; infinite visibility is null."""

    level: str
    at_s: list[float]
    visibility_m: list[float | None]
    layer_height_m: list[float]
    temperature_c: list[float]
    carbon_monoxide_ppm: list[float]


class Happening(msgspec.Struct, frozen=True):
    """An event; `trace` is the message chain it belongs to, 0 for none."""

    at_s: float
    kind: str
    text: str
    node: str = ""
    level: str = ""
    trace: int = 0


class Explained(msgspec.Struct, frozen=True):
    """A requirement in this replication: the moment that explains it, and its message chain if it has one."""

    name: str
    expect: str
    is_met: bool
    text: str
    at_s: float | None = None
    chain: list[Hop] = []
    why: str = ""


class Replay(msgspec.Struct, frozen=True):
    """One replication. Without a scene there is no trajectory; all else is there.

    `frame_s` is that of the trajectory; `fire` the feature that burns with the time it begins; `chains` holds
    the message chains of events by their trace.
    """

    title: str
    variant: str
    seed: int
    duration_s: float
    has_scene: bool
    scene: Plan | None
    devices: list[Device]
    links: list[LinkStates]
    smoke: list[SmokeSeries]
    queues: dict[str, Counts]
    occupancy: dict[str, Counts]
    events: list[Happening]
    requirements: list[Explained]
    agents: dict[str, int] = {}
    frame_s: float = 0.0
    metrics: dict[str, float] = {}
    chains: dict[str, list[Hop]] = {}
    fire: tuple[str, float] | None = None
    omitted_events: int = 0
    state: Literal["whole", "running", "stopped"] = "whole"
    schema_version: int = 1
