"""People and cars leave a building: populations drawn by name, laid on spatial queues.

Everything random about a person or car (place, speed, pre-movement) is drawn at the start, one stream a
purpose in a fixed order: when a gate opens changes nothing about who is there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import simpy

from devices_models.world.routes import Drive, Lane, Walk
from devices_models.world.scene import Scene
from devices_models.world.settings import CarSettings, PeopleSettings, WidthConvention, WorldSettings
from devices_models.world.spatial_queue import CAR_SPACING_M, Gate, Link, Traveller
from devices_models.world.walking import flow_per_s, paces
from twin.errors import InputError
from twin.kernel.randomness import Stream, Streams

STREET_HEADWAY_S = 2.0
"""Saturation headway of a street, 1,800 vehicles an hour (HCM)."""
FIRST_PLATE = 1001
MOST_PEOPLE = 50_000

Changed = Callable[[str, str, float], None]
"""Told of (feature, quantity, value) whenever a countable quantity of the world changes."""


class Departure(NamedTuple):
    """A traveller that asks for room on its first link `delay_s` after the start.

    In the last `walk_s` of them it is under way already: on foot to the door, or pulling out of its bay.
    """

    delay_s: float
    traveller: Traveller
    bay: str
    walk_s: float


def lognormal(stream: Stream, mean: float, deviation: float) -> float:
    """A lognormal draw with this mean and standard deviation."""
    if mean <= 0:
        return 0.0
    spread = math.log(1 + (deviation / mean) ** 2)
    return stream.lognormal(math.log(mean) - spread / 2, math.sqrt(spread))


class Pedestrians:
    """The people: each walks along the aisles to the nearest door, then queues to the open air."""

    def __init__(
        self,
        env: simpy.Environment,
        scene: Scene,
        settings: PeopleSettings,
        convention: WidthConvention,
        streams: Streams,
        changed: Changed,
    ) -> None:
        if not 0 <= settings.count <= MOST_PEOPLE:
            raise InputError(f"people: {settings.count}; expected 0 to {MOST_PEOPLE}")
        if settings.count and not scene.of_kind("bay"):
            raise InputError(f"people: {settings.count}, but {scene.name} has no bays to place them at")
        self._env = env
        self._convention = convention
        self._changed = changed
        self.count = self.inside_count = settings.count
        self.out_s = 0.0 if not settings.count else math.inf
        self.links: dict[str, Link] = {}
        self._paths: dict[str, tuple[str, tuple[Link, ...], float]] = {}
        self.on_level: Counter[str] = Counter(dict.fromkeys(scene.levels, 0))
        self._draw(scene, settings, streams)

    def set_out(self) -> None:
        """The alarm sounds: each person starts after the own pre-movement time."""
        for departure in self.departures:
            self._env.timeout(departure.delay_s).callbacks.append(departure.traveller.set_out)

    def passed(self, door: str) -> int:
        """People who went through a door."""
        link = self.links.get(door)
        return 0 if link is None else link.passed_count

    def _draw(self, scene: Scene, settings: PeopleSettings, streams: Streams) -> None:
        bays = scene.of_kind("bay")
        place, speed = streams.stream("people", "bay"), streams.stream("people", "speed")
        premovement = streams.stream("people", "premovement")
        self.departures: list[Departure] = []
        for number in range(settings.count):
            bay = bays[place.index(len(bays))]
            level, path, approach_m = self._paths.get(bay.id) or self._plan(scene, bay.id)
            own = speed.normal(settings.walking_speed, settings.walking_speed_deviation)
            own = min(max(own, settings.slowest), settings.fastest)
            pre_s = lognormal(premovement, settings.premovement_mean_s, settings.premovement_deviation_s)
            person = Traveller(number, path, own, self._finish)
            self.on_level[level] += 1
            walk_s = approach_m / own
            self.departures.append(Departure(pre_s + walk_s, person, bay.id, walk_s))

    def _plan(self, scene: Scene, bay: str) -> tuple[str, tuple[Link, ...], float]:
        feature = scene.feature(bay)
        door, approach_m = scene.walkways.nearest_door(feature)
        path = tuple(self._link(walk) for walk in scene.walkways.way_out(door.id))
        path[0].left = self._leave_level(feature.level)
        planned = self._paths[bay] = (feature.level, path, approach_m)
        return planned

    def _link(self, walk: Walk) -> Link:
        found = self.links.get(walk.name)
        if found is None:
            flow = flow_per_s(self._convention, walk.kind, walk.width_m, walk.door_m)
            pace = paces(self._convention, walk)
            found = self.links[walk.name] = Link(self._env, walk.name, walk.length_m, pace, 1 / flow)
        return found

    def _leave_level(self, level: str) -> Callable[[Link], None]:
        def leave(door: Link) -> None:
            self.on_level[level] -= 1
            self._changed(level, "level_people", float(self.on_level[level]))
            self._changed(door.name, "people_passed", float(door.passed_count))

        return leave

    def _finish(self, _: Traveller) -> None:
        self.inside_count -= 1
        if not self.inside_count:
            self.out_s = self._env.now
        self._changed("", "people_inside", float(self.inside_count))


class Traffic:
    """The cars: each pulls out of its bay and takes the gate that promises the shortest time."""

    def __init__(
        self,
        env: simpy.Environment,
        scene: Scene,
        settings: CarSettings,
        streams: Streams,
        changed: Changed,
        burning_bay: str = "",
    ) -> None:
        self._env = env
        self._settings = settings
        self._changed = changed
        self._scene = scene
        self.count = self.inside_count = settings.count
        self.out_s = 0.0 if not settings.count else math.inf
        self.links: dict[str, Link] = {}
        self.gates: dict[str, Gate] = {}
        self.heading: Counter[str] = Counter()
        """Cars that drive or wait, by the gate they take."""
        self.burnt_s: dict[str, float] = {}
        """When the car in a bay caught fire that was to leave, and now does not."""
        self._open_gates()
        self._draw(scene, streams, burning_bay)

    def set_out(self) -> None:
        """The alarm sounds: each driver starts after the own pre-movement time."""
        for departure in self.departures:
            self._env.timeout(departure.delay_s).callbacks.append(departure.traveller.set_out)

    def burn(self, bay: str) -> None:
        """The car in this bay burns: it does not leave, and is not counted among those that do."""
        if bay in self._parked:
            place = list(self._parked).index(bay)
            del self._parked[bay], self.departures[place]
            self.burnt_s[bay] = self._env.now
            self.count -= 1
            self.inside_count -= 1
            if not self.inside_count:
                self.out_s = self._env.now

    def is_parked(self, bay: str) -> bool:
        """Whether the bay is taken by a car that is to leave."""
        return bay in self._parked

    def plate(self, gate: str) -> int:
        """The plate of the car that waits at a gate, or 0."""
        car = self.gates[gate].car
        return 0 if car is None else car.number

    def _open_gates(self) -> None:
        for gate in self._scene.of_kind("gate"):
            lane = self._link(self._scene.driveways.lane_of(gate.id))
            self.gates[gate.id] = Gate(
                self._env,
                lane,
                self._settings.gate_mode,
                gate.number("normal_service_s"),
                self._settings.move_up_s,
                partial(self._changed, gate.id),
            )

    def _draw(self, scene: Scene, streams: Streams, burning_bay: str) -> None:
        order = self._bays(scene, streams.stream("cars", "bay"), burning_bay)
        premovement = streams.stream("cars", "premovement")
        settings = self._settings
        drawn = [
            lognormal(premovement, settings.premovement_mean_s, settings.premovement_deviation_s)
            for _ in order
        ]
        self._parked = dict(zip(order, drawn))
        self.departures: list[Departure] = []
        taken: Counter[str] = Counter()
        for number, (bay, pre_s) in enumerate(zip(order, drawn)):
            gate, drive = self._choose(bay, taken)
            taken[gate] += 1
            path = tuple(self._link(lane) for lane in drive.lanes)
            car = Traveller(
                FIRST_PLATE + number,
                path,
                math.inf,
                self._finisher(gate),
                self._starter(bay, gate),
                max(drive.first_m, 0.1),
            )
            self.departures.append(Departure(pre_s + settings.pull_out_s, car, bay, settings.pull_out_s))

    def _bays(self, scene: Scene, stream: Stream, burning_bay: str) -> list[str]:
        """So many different bays, not the burning one, drawn by a partial shuffle."""
        bays = [bay.id for bay in scene.of_kind("bay")]
        most = len(bays) - (burning_bay in bays)
        if not 0 <= self.count <= most:
            raise InputError(f"cars: {self.count} leave, but {scene.name} has {most} bays that do not burn")
        drawn: list[str] = []
        for first in range(len(bays)):
            if len(drawn) == self.count:
                break
            other = first + stream.index(len(bays) - first)
            bays[first], bays[other] = bays[other], bays[first]
            if bays[first] != burning_bay:
                drawn.append(bays[first])
        return drawn

    def _choose(self, bay: str, taken: Counter[str]) -> tuple[str, Drive]:
        """The gate with the least drive plus queue, if every car before takes one headway there."""
        driveways = self._scene.driveways
        drives = {gate: driveways.drive(bay, gate) for gate in driveways.gates_from(bay)}
        gate = min(drives, key=lambda gate: drives[gate].cost_s + taken[gate] * self._settings.headway_s)
        return gate, drives[gate]

    def _link(self, lane: Lane) -> Link:
        found = self.links.get(lane.name)
        if found is None:
            pace = (lane.speed_m_s,) * max(1, int(lane.length_m / CAR_SPACING_M))
            headway_s = self._settings.ramp_headway_s if lane.is_ramp else self._settings.headway_s
            if lane.is_street:
                headway_s = STREET_HEADWAY_S
            found = self.links[lane.name] = Link(self._env, lane.name, lane.length_m, pace, headway_s)
        return found

    def _starter(self, bay: str, gate: str) -> Callable[[Traveller], None]:
        def start(_: Traveller) -> None:
            del self._parked[bay]
            self.heading[gate] += 1
            self._changed(bay, "occupied", 0.0)

        return start

    def _finisher(self, gate: str) -> Callable[[Traveller], None]:
        def finish(_: Traveller) -> None:
            self.heading[gate] -= 1
            self.inside_count -= 1
            if not self.inside_count:
                self.out_s = self._env.now
            self._changed("", "cars_inside", float(self.inside_count))

        return finish


class Evacuation:
    """People and cars of one scene, on one clock."""

    def __init__(
        self,
        env: simpy.Environment,
        scene: Scene,
        settings: WorldSettings,
        streams: Streams,
        changed: Changed = lambda _feature, _quantity, _value: None,
    ) -> None:
        self._env = env
        burning_bay = settings.fire.bay if settings.fire else ""
        self.people = Pedestrians(env, scene, settings.crowd, settings.width_convention, streams, changed)
        self.cars = Traffic(env, scene, settings.traffic, streams, changed, burning_bay)
        self.started_s = math.inf

    @property
    def now_s(self) -> float:
        """The time on the clock of the run."""
        return float(self._env.now)

    def burn(self, bay: str) -> None:
        """A car has caught fire; one that was about to leave when it did drives away."""
        if self.started_s == math.inf:
            self.cars.burn(bay)

    def start(self) -> bool:
        """Begin now; False if it had begun before (only the first alarm counts)."""
        if self.started_s < math.inf:
            return False
        self.started_s = self._env.now
        self.people.set_out()
        self.cars.set_out()
        return True
