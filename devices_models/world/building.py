"""The physical world around the nodes: one burning building on the run's clock.

Implements the kernel's World port: nodes sense it, watch it and act on it. Fire and smoke are foreseen
from their model and events set at the moments that matter; people and cars move event by event.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, get_args

import simpy

from devices_models.world.blaze import AT_DETECTOR, IN_SMOKE, Blaze
from devices_models.world.evacuation import Evacuation
from devices_models.world.feature import Feature, nearest
from devices_models.world.scene import Scene
from devices_models.world.settings import GATE_MODES, Actuation, FireSettings, WorldSettings
from devices_models.world.smoke import Ventilation
from twin.errors import InputError
from twin.kernel.randomness import Streams

WORLD = "world"
"""The node under whose name the outcome is observed."""
SAMPLE_S = 10.0
MOST_SAMPLES = 4320
"""Rows of the occupancy series: half a day."""
FALLING = ("visibility", "layer_height", "level_people")
"""Quantities that a watch waits for to fall to the threshold; all others rise to it."""
COUNTED = {
    "occupied": "bay",
    "people_passed": "door",
    "level_people": "level",
    "car_waiting": "gate",
    "cars_passed": "gate",
    "plate": "gate",
}
"""Quantities that change by events, and the kind of feature they belong to."""
ACTUATIONS = get_args(Actuation)

Observe = Callable[[str, str, float], None]


@dataclass(slots=True)
class Watch:
    """One comparator that waits: notified once."""

    feature: Feature
    quantity: str
    threshold: float
    notify: Callable[[], None]
    is_done: bool = False

    def is_reached(self, value: float) -> bool:
        """Whether this value meets the threshold, rising or falling as the quantity does."""
        if self.quantity in FALLING or (COUNTED.get(self.quantity) and self.threshold <= 0):
            return value <= self.threshold
        return value >= self.threshold


class Sample(NamedTuple):
    """One row of the occupancy series."""

    at_s: float
    people: int
    cars: int
    queues: tuple[int, ...]
    layer_height_m: float


class Building:
    """A scene with its fire, smoke, people, cars, gates and fans.

    `observe(node, measure, value)` records the outcome under the node `world`: evacuation_start, aset,
    people_out, cars_out, people_margin, people_inside_at_untenable, cars_inside_at_untenable, fire_spread,
    people_count and cars_count. Quantities to sense: ceiling_jet_rise, smoke_sensor_rise (K),
    heat_sensor_temperature (C), visibility (m), carbon_monoxide_ppm, layer_height (m) of the smoke under
    the ceiling; occupied at a bay; people_passed at a door or its counter; level_people;
    car_waiting, cars_passed and plate at a gate. Raises InputError for a fire in an unknown bay.
    """

    def __init__(
        self,
        env: simpy.Environment,
        scene: Scene,
        settings: WorldSettings,
        streams: Streams,
        observe: Observe,
    ) -> None:
        self._env = env
        self.scene = scene
        self._settings = settings
        self._observe = observe
        self._places: dict[str, Feature] = {}
        self._watches: dict[tuple[str, str], list[Watch]] = {}
        self._fire_watches: list[Watch] = []
        self._smoke_watches: list[Watch] = []
        self._running: set[str] = set()
        self._states: dict[tuple[str, str], float] = {}
        self._samples: list[Sample] = []
        self._aset_alarm = 0
        self.actuated: Callable[[str, str, float], None] | None = None
        """Told of (node, name, value) of every act, before it has its effect."""
        self._is_untenable = False
        self.blaze = Blaze(scene, settings) if settings.fire else None
        self.evacuation = Evacuation(env, scene, settings, streams, self._changed)

    # the port -------------------------------------------------------------------------------------

    def sense(self, node: str, quantity: str) -> float:
        """The quantity at the node's place now. Raises InputError for what cannot be sensed there."""
        return self._value(self._place(node), quantity)

    def watch(self, node: str, quantity: str, threshold: float, notify: Callable[[], None]) -> None:
        """Call `notify` once, as an event of its own, when the quantity reaches the threshold.

        Visibility, layer_height and level_people are waited for to fall to it, and so is a count whose
        threshold is 0 or less; everything else rises. What is reached already is notified at once.
        """
        watch = Watch(self._place(node), quantity, threshold, notify)
        if watch.is_reached(self._value(watch.feature, quantity)):
            self._fire(watch)
        elif quantity in COUNTED:
            self._watches.setdefault((self._counted(watch.feature, quantity), quantity), []).append(watch)
        elif self.blaze is None:
            self._fire_watches.append(watch)
        elif self.blaze.is_felt_at(watch.feature):
            self._await(watch)

    def actuate(self, node: str, name: str, value: float) -> None:
        """Act on the world: boom, mode and admit at a gate, sound, fan; sign, lift, chargers are noted."""
        if self.actuated is not None:
            self.actuated(node, name, value)
        if name == "sound":
            if value >= 1:
                self._evacuate()
            return
        feature = self._place(node)
        self._states[feature.id, name] = value
        if name in {"boom", "mode", "admit"}:
            self._work_gate(node, feature, name, value)
        elif name == "fan":
            self._work_fan(feature, is_on=value >= 1)
        elif name not in ACTUATIONS:
            raise InputError(f"node '{node}' actuates '{name}'{nearest(name, ACTUATIONS)}")

    # the run --------------------------------------------------------------------------------------

    def place(self, node: str, feature_id: str) -> None:
        """The node hangs at this feature of the scene."""
        self._places[node] = self.scene.feature(feature_id)

    def place_of(self, node: str) -> Feature | None:
        """Where the node hangs, if it hangs in the scene."""
        return self._places.get(node)

    def start(self) -> None:
        """Begin: count who is there, set the events of the fire, and sample the occupancy."""
        self._tell("people_count", self.evacuation.people.count)
        self._tell("cars_count", self.evacuation.cars.count)
        if self.blaze is not None:
            self._kindle(self.blaze)
        self._env.process(self._sampling())

    def check_fire(self, bay: str) -> None:
        """Raise InputError unless a fire may begin in this bay: a building has one fire."""
        if self.blaze is not None:
            begun = f"bay '{self.blaze.bay.id}' burns from {self.blaze.starts_at_s:g} s on"
            raise InputError(f"fire: {begun}, and a building has one fire")
        Blaze(self.scene, self._burning(bay))

    def ignite(self, bay: str) -> None:
        """Let the car in this bay catch fire now, as the world's fire is set, or as a fire is by default.

        A car that stood there to leave stays, unless people were leaving before. Raises InputError.
        """
        self.check_fire(bay)
        self.blaze = Blaze(self.scene, self._burning(bay))
        self.evacuation.burn(bay)
        self._kindle(self.blaze)
        if self._running:
            self._ventilate(self.blaze)
        watches, self._fire_watches = self._fire_watches, []
        for watch in watches:
            if self.blaze.is_felt_at(watch.feature):
                self._await(watch)

    def _burning(self, bay: str) -> WorldSettings:
        fire = self._settings.fire or FireSettings(bay)
        return replace(self._settings, fire=replace(fire, bay=bay, starts_at_s=self._env.now))

    def _kindle(self, blaze: Blaze) -> None:
        """Set the events of the fire: people notice it, it spreads, the level becomes untenable."""
        self._at(blaze.starts_at_s + self._settings.crowd.discovery_s, self._evacuate)
        for at_s, burning in blaze.spread():
            self._at(at_s, partial(self._tell, "fire_spread", burning))
        self._foresee_aset()

    def finish(self) -> None:
        """Observe what is known only at the end: who never came out, a late ASET, the margin.

        If the run ends before the level is untenable, those still inside are counted at the end.
        """
        people, cars = self.evacuation.people, self.evacuation.cars
        if people.inside_count or not people.count:
            self._tell("people_out", people.out_s)
        if cars.inside_count or not cars.count:
            self._tell("cars_out", cars.out_s)
        if not self._is_untenable:
            self._report_untenable(self.aset_s)
        margin_s = -math.inf if people.out_s == math.inf else self.aset_s - people.out_s
        self._tell("people_margin", margin_s)

    @property
    def aset_s(self) -> float:
        """When the burning level becomes untenable, if the fans stay as they are; infinite if never."""
        return math.inf if self.blaze is None else self.blaze.untenable_s()

    @property
    def ambient_c(self) -> float:
        """The temperature where nothing burns."""
        return self._settings.ambient

    def occupancy(self) -> dict[str, list[float]]:
        """Series every 10 s: time_s, people, cars, layer_height_m, and `queue <gate>`: cars heading there."""
        rows = [*self._samples, self._sample()]
        series: dict[str, list[float]] = {
            "time_s": [row.at_s for row in rows],
            "people": [row.people for row in rows],
            "cars": [row.cars for row in rows],
            "layer_height_m": [row.layer_height_m for row in rows],
        }
        for number, gate in enumerate(self.evacuation.cars.gates):
            series[f"queue {gate}"] = [row.queues[number] for row in rows]
        return series

    # sensing --------------------------------------------------------------------------------------

    def _place(self, node: str) -> Feature:
        found = self._places.get(node)
        if found is None:
            raise InputError(f"node '{node}' has no place in the scene{nearest(node, self._places)}")
        return found

    def _value(self, feature: Feature, quantity: str) -> float:
        if quantity in COUNTED:
            return self._count(self._counted(feature, quantity), quantity)
        if quantity not in AT_DETECTOR and quantity not in IN_SMOKE:
            known = (*AT_DETECTOR, *IN_SMOKE, *COUNTED)
            raise InputError(f"'{feature.id}' senses '{quantity}'{nearest(quantity, known)}")
        if self.blaze is None:
            return Blaze.clear(self.scene, self._settings, feature, quantity)
        return self.blaze.value(feature, quantity, self._env.now)

    def _counted(self, feature: Feature, quantity: str) -> str:
        """The feature whose count this is: the level of a thing, the door of a counter."""
        kind = COUNTED[quantity]
        if kind == "level":
            return feature.level
        identity = feature.text("watches") if kind == "door" and feature.kind == "sensor" else feature.id
        if not self.scene.has(identity) or self.scene.feature(identity).kind != kind:
            raise InputError(f"'{feature.id}' is a {feature.kind}; {quantity} is sensed at a {kind}")
        return identity

    def _count(self, identity: str, quantity: str) -> float:
        people, cars = self.evacuation.people, self.evacuation.cars
        match quantity:
            case "occupied":
                is_burning = self.blaze is not None and self.blaze.bay.id == identity
                return float(is_burning or cars.is_parked(identity))
            case "people_passed":
                return float(people.passed(identity))
            case "level_people":
                return float(people.on_level[identity])
            case "car_waiting":
                return float(cars.gates[identity].car is not None)
            case "cars_passed":
                return float(cars.gates[identity].passed_count)
        return float(cars.plate(identity))

    # what happens ---------------------------------------------------------------------------------

    def _changed(self, identity: str, quantity: str, value: float) -> None:
        """People and cars tell that a count has changed."""
        if quantity == "people_inside" and not value:
            self._tell("people_out", self._env.now)
        elif quantity == "cars_inside" and not value:
            self._tell("cars_out", self._env.now)
        elif self._watches:
            self._check(identity, quantity, value)
            if quantity == "car_waiting":
                self._check(identity, "plate", float(self.evacuation.cars.plate(identity)))

    def _check(self, identity: str, quantity: str, value: float) -> None:
        waiting = self._watches.get((identity, quantity))
        if not waiting:
            return
        self._watches[identity, quantity] = [watch for watch in waiting if not watch.is_reached(value)]
        for watch in waiting:
            if watch.is_reached(value):
                self._fire(watch)

    def _fire(self, watch: Watch) -> None:
        watch.is_done = True
        self._at(self._env.now, watch.notify)

    def _await(self, watch: Watch) -> None:
        """Let a watch of the burning level wait for its event."""
        if watch.quantity in IN_SMOKE:
            self._smoke_watches.append(watch)
        self._foresee(watch)

    def _foresee(self, watch: Watch) -> None:
        """Set the event at which a watched quantity of the fire will reach its threshold."""
        assert self.blaze is not None  # noqa: S101  # only called where something burns
        at_s = self.blaze.reaches_s(
            watch.feature, watch.quantity, watch.is_reached, watch.threshold, self._env.now
        )
        if at_s < math.inf:
            epoch = self.blaze.epoch
            self._at(at_s, lambda: self._come(watch, epoch))

    def _come(self, watch: Watch, epoch: int) -> None:
        is_stale = watch.quantity in IN_SMOKE and self.blaze is not None and epoch != self.blaze.epoch
        if not watch.is_done and not is_stale:
            watch.is_done = True
            watch.notify()

    def _at(self, at_s: float, then: Callable[[], None]) -> None:
        event = self._env.timeout(max(at_s - self._env.now, 0.0))
        event.callbacks.append(lambda _: then())

    def _tell(self, measure: str, value: float) -> None:
        self._observe(WORLD, measure, float(value))

    def _evacuate(self) -> None:
        if self.evacuation.start():
            self._tell("evacuation_start", self._env.now)

    def _work_gate(self, node: str, feature: Feature, name: str, value: float) -> None:
        gate = self.evacuation.cars.gates.get(feature.id)
        if gate is None:
            raise InputError(
                f"node '{node}' actuates '{name}' at {feature.kind} '{feature.id}'; expected a gate"
            )
        if name == "admit":
            gate.admit(int(value) if value > 1 else None)
        elif name == "boom":
            gate.set_mode("free" if value >= 1 else self._settings.traffic.gate_mode)
        elif 0 <= value < len(GATE_MODES):
            gate.set_mode(GATE_MODES[int(value)])
        else:
            raise InputError(f"node '{node}' sets mode {value:g}; expected 0 to {len(GATE_MODES) - 1}")

    def _work_fan(self, feature: Feature, *, is_on: bool) -> None:
        """One fan, or all fans of its level where the node is no fan itself."""
        fans = [fan for fan in self.scene.of_kind("fan") if fan.level == feature.level]
        names = {feature.id} if feature.kind == "fan" else {fan.id for fan in fans}
        self._running = self._running | names if is_on else self._running - names
        if self.blaze is not None and feature.level == self.blaze.bay.level:
            self._ventilate(self.blaze)

    def _ventilate(self, blaze: Blaze) -> None:
        """The fans of the burning level run from now on as they are switched."""
        running = [
            fan for fan in self.scene.of_kind("fan") if fan.id in self._running and blaze.is_felt_at(fan)
        ]
        extract_m3_s = sum(fan.number("flow_m3s") for fan in running if fan.text("type") == "extract")
        is_stirred = any(fan.text("type") == "jet" for fan in running)
        blaze.ventilate(self._env.now, Ventilation(extract_m3_s, is_stirred))
        self._smoke_watches = [watch for watch in self._smoke_watches if not watch.is_done]
        for watch in self._smoke_watches:
            self._foresee(watch)
        self._foresee_aset()

    # untenable ------------------------------------------------------------------------------------

    def _foresee_aset(self) -> None:
        """Set the event of the level's becoming untenable; one set before the fans changed is void."""
        self._aset_alarm += 1
        alarm = self._aset_alarm
        if not self._is_untenable and self.aset_s < math.inf:
            self._at(self.aset_s, partial(self._become_untenable, alarm))

    def _become_untenable(self, alarm: int) -> None:
        if alarm == self._aset_alarm:
            self._is_untenable = True
            self._report_untenable(self._env.now)

    def _report_untenable(self, aset_s: float) -> None:
        is_ever = aset_s < math.inf
        self._tell("aset", aset_s)
        self._tell("people_inside_at_untenable", self.evacuation.people.inside_count if is_ever else 0)
        self._tell("cars_inside_at_untenable", self.evacuation.cars.inside_count if is_ever else 0)

    # the series -----------------------------------------------------------------------------------

    def _sample(self) -> Sample:
        people, cars = self.evacuation.people, self.evacuation.cars
        queues = tuple(cars.heading[gate] for gate in cars.gates)
        level = self.scene.feature(self.scene.levels[0]) if self.blaze is None else self.blaze.bay
        height_m = self._value(level, "layer_height")
        return Sample(self._env.now, people.inside_count, cars.inside_count, queues, height_m)

    def _sampling(self) -> simpy.events.ProcessGenerator:
        while len(self._samples) < MOST_SAMPLES:
            self._samples.append(self._sample())
            yield self._env.timeout(SAMPLE_S)
