"""Sensors: what happens around a node becomes messages to its gateway.

A sensor either sleeps until its comparator wakes it (`Watch`) or samples. Every periodic task starts
at a random phase, so that a fleet does not speak in one voice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from devices_models.gateway.conversion import encode
from devices_models.publications import address, happened, telemetry
from twin.kernel.behaviour import (
    Context,
    Effect,
    Event,
    NodeId,
    Observe,
    Received,
    Send,
    Started,
    Wake,
    Watch,
    Woken,
)
from twin.message import Message
from twin.units import Celsius, Kelvin, Seconds

SUPERVISION_S = 300.0  # EN 54-25: the loss of a radio detector is indicated within 300 s
REPEAT_S = 10.0
REPEATS = 30
CLEAR_CHECK_S = 10.0
CLEAR_RATIO = 0.9
CAMERA_SUFFIX = "-camera"
PLATE_LETTERS = "ABCDEFGHJKLMPRSTUXYZ"


def phase(every_s: float, tag: str, context: Context) -> tuple[Effect, ...]:
    """The first wake of a task that runs every `every_s`; none if it is switched off (0)."""
    return (Wake(context.random.uniform(0.0, every_s), tag),) if every_s else ()


@dataclass(slots=True)
class Alarm:
    """What every fire detector does about a sensed quantity that reaches its threshold.

    It raises the alarm and repeats it until acknowledged; it clears when the quantity fell below nine
    tenths of the threshold, and is then ready again.
    """

    kind: str
    gateway: NodeId
    quantity: str
    threshold: float
    sample_every_s: float
    every_s: float
    repeat_s: float
    repeats: int
    is_raised: bool = False
    repeats_left: int = 0

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Sample or be woken by the comparator, alarm, repeat, clear; supervise every `every_s`."""
        match event:
            case Started():
                return (*self._arm(context), *phase(self.every_s, "supervision", context))
            case Woken("smoulder"):
                return self._raise(context)
            case Woken("sample"):
                return (*self._sample(context), Wake(self.sample_every_s, "sample"))
            case Woken("repeat"):
                return self._repeat(context)
            case Woken("clear"):
                return self._check_clear(context)
            case Woken("supervision"):
                reading = telemetry(self.kind, {"alarm": self.is_raised}, context)
                return (Send(self.gateway, reading), Wake(self.every_s, "supervision"))
            case Received(message) if _is_acknowledgement(message):
                self.repeats_left = 0
                return (Wake(math.inf, "repeat"),)
        return ()

    def _arm(self, context: Context) -> tuple[Effect, ...]:
        if self.sample_every_s:
            return phase(self.sample_every_s, "sample", context)
        return (Watch(self.quantity, self.threshold, "smoulder"),)

    def _sample(self, context: Context) -> Iterable[Effect]:
        if self.is_raised or context.sense(self.quantity) < self.threshold:
            return ()
        return self._raise(context)

    def _raise(self, context: Context) -> Iterable[Effect]:
        self.is_raised = True
        self.repeats_left = self.repeats
        return (
            Observe("alarm"),
            self._say("alarm", context),
            Wake(self.repeat_s, "repeat"),
            Wake(CLEAR_CHECK_S, "clear"),
        )

    def _repeat(self, context: Context) -> Iterable[Effect]:
        if not self.repeats_left:
            return ()
        self.repeats_left -= 1
        return (self._say("alarm", context), Wake(self.repeat_s, "repeat"))

    def _check_clear(self, context: Context) -> Iterable[Effect]:
        if context.sense(self.quantity) >= self.threshold * CLEAR_RATIO:
            return (Wake(CLEAR_CHECK_S, "clear"),)
        self.is_raised = False
        self.repeats_left = 0
        rearm = () if self.sample_every_s else self._arm(context)
        return (self._say("clear", context), Wake(math.inf, "repeat"), *rearm)

    def _say(self, name: str, context: Context) -> Send:
        value = round(context.sense(self.quantity), 2)
        return Send(self.gateway, happened(self.kind, name, {"value": value}, context))


def _is_acknowledgement(message: Message) -> bool:
    at = address(message.topic)
    return at is not None and at.command == "ack"


@dataclass(slots=True)
class SmokeDetector:
    """Alarms when the smoke at its sensor stands for a temperature rise of `rise_k`.

    The rise of 13 K of a fast sensor is the rule of Heskestad and Delichatsios. `sample_every_s` 0
    means a comparator that never sleeps; `every_s` is the supervision telemetry, 0 for none.
    """

    gateway: NodeId = field(metadata={"wired": True})
    rise_k: Kelvin = 13.0
    sample_every_s: Seconds = 0.0
    every_s: Seconds = SUPERVISION_S
    repeat_s: Seconds = REPEAT_S
    repeats: int = REPEATS
    _alarm: Alarm = field(init=False, repr=False)

    measures: ClassVar[tuple[str, ...]] = ("alarm",)

    def __post_init__(self) -> None:
        self._alarm = Alarm(
            "smoke_detector",
            self.gateway,
            "smoke_sensor_rise",
            self.rise_k,
            self.sample_every_s,
            self.every_s,
            self.repeat_s,
            self.repeats,
        )

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Alarm on smoke."""
        return self._alarm.react(event, context)


@dataclass(slots=True)
class HeatDetector:
    """Alarms when its sensor has reached `temperature_c` (57 C: the usual fixed temperature rating)."""

    gateway: NodeId = field(metadata={"wired": True})
    temperature_c: Celsius = 57.0
    sample_every_s: Seconds = 0.0
    every_s: Seconds = SUPERVISION_S
    repeat_s: Seconds = REPEAT_S
    repeats: int = REPEATS
    _alarm: Alarm = field(init=False, repr=False)

    measures: ClassVar[tuple[str, ...]] = ("alarm",)

    def __post_init__(self) -> None:
        self._alarm = Alarm(
            "heat_detector",
            self.gateway,
            "heat_sensor_temperature",
            self.temperature_c,
            self.sample_every_s,
            self.every_s,
            self.repeat_s,
            self.repeats,
        )

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Alarm on heat."""
        return self._alarm.react(event, context)


@dataclass(slots=True)
class ParkingBaySensor:
    """Says every `every_s` whether a car stands in its bay, and at once when one came.

    A car that left is noticed at the next reading. A sensor that was placed on no bay of a scene
    reports `null`: the load is the same, the state unknown. `encoding: binary` saves air time.
    """

    gateway: NodeId = field(metadata={"wired": True})
    every_s: Seconds = 60.0
    encoding: Literal["json", "binary"] = "json"
    is_occupied: bool | None = field(init=False, default=None)

    measures: ClassVar[tuple[str, ...]] = ()
    KIND: ClassVar[str] = "parking_bay_sensor"

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Read the bay every `every_s`, and when its comparator wakes the sensor."""
        match event:
            case Started():
                self.is_occupied = self._sensed(context)
                return (*self._watch(), *phase(self.every_s, "reading", context))
            case Woken("reading"):
                return (*self._look(context), self._reading(context), Wake(self.every_s, "reading"))
            case Woken("came"):
                return self._look(context)
        return ()

    def _sensed(self, context: Context) -> bool | None:
        try:
            return context.sense("occupied") >= 1.0
        except LookupError:
            return None

    def _watch(self) -> tuple[Effect, ...]:
        return (Watch("occupied", 1.0, "came"),) if self.is_occupied is False else ()

    def _look(self, context: Context) -> tuple[Effect, ...]:
        before, self.is_occupied = self.is_occupied, self._sensed(context)
        if before == self.is_occupied:
            return ()
        change = happened(self.KIND, "change", {"occupied": self.is_occupied}, context)
        return (Send(self.gateway, change), *self._watch())

    def _reading(self, context: Context) -> Send:
        reading = telemetry(self.KIND, {"occupied": self.is_occupied}, context)
        return Send(self.gateway, encode(self.KIND, reading) if self.encoding == "binary" else reading)


@dataclass(slots=True)
class PeopleCounter:
    """Counts who passed its door, and says once when its level holds nobody any more."""

    gateway: NodeId = field(metadata={"wired": True})
    every_s: Seconds = 10.0
    sample_every_s: Seconds = 1.0
    has_people: bool = field(init=False, default=False)

    measures: ClassVar[tuple[str, ...]] = ("level_clear",)
    KIND: ClassVar[str] = "people_counter"

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Report the count every `every_s`; sample the level every `sample_every_s` until it is clear."""
        match event:
            case Started():
                return (
                    *phase(self.every_s, "reading", context),
                    *phase(self.sample_every_s, "sample", context),
                )
            case Woken("reading"):
                passed = telemetry(self.KIND, {"passed": round(context.sense("people_passed"))}, context)
                return (Send(self.gateway, passed), Wake(self.every_s, "reading"))
            case Woken("sample"):
                return self._sample(context)
        return ()

    def _sample(self, context: Context) -> Iterable[Effect]:
        is_clear = context.sense("level_people") <= 0.0
        if self.has_people and is_clear:
            clear = happened(self.KIND, "level_clear", {"people": 0}, context)
            return (Observe("level_clear"), Send(self.gateway, clear))
        self.has_people = not is_clear
        return (Wake(self.sample_every_s, "sample"),)


@dataclass(slots=True)
class PlateCamera:
    """Reads the plate of each car that comes to its gate: a personal field, counted as such.

    The gate is the node `gate`; without it, the camera's own name without the suffix `-camera`.
    """

    gateway: NodeId = field(metadata={"wired": True})
    gate: NodeId = ""

    measures: ClassVar[tuple[str, ...]] = ("plate_read",)
    KIND: ClassVar[str] = "plate_camera"

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Wait for a car, read it once, wait until it has passed."""
        match event:
            case Started() | Woken("passed"):
                return (Watch("car_waiting", 1.0, "car"),)
            case Woken("car"):
                passed = context.sense("cars_passed")
                return (
                    Observe("plate_read"),
                    self._read(context),
                    Watch("cars_passed", passed + 1, "passed"),
                )
        return ()

    def _read(self, context: Context) -> Send:
        plate = plate_text(int(context.sense("plate")))
        gate = self.gate or context.node.removesuffix(CAMERA_SUFFIX)
        fields = {"plate": plate, "gate": gate}
        return Send(self.gateway, happened(self.KIND, "plate", fields, context, personal=("plate",)))


def plate_text(number: int) -> str:
    """The invented registration plate of car `number`, such as SAA0001B; unique below four million."""
    prefix, digits = divmod(number, 10_000)
    first, second = divmod(prefix, len(PLATE_LETTERS))
    letters = [PLATE_LETTERS[index % len(PLATE_LETTERS)] for index in (first, second, number)]
    return f"S{letters[0]}{letters[1]}{digits:04d}{letters[2]}"


@dataclass(slots=True)
class GasSensor:
    """Measures carbon monoxide (ppm) every `every_s`."""

    gateway: NodeId = field(metadata={"wired": True})
    every_s: Seconds = 10.0
    encoding: Literal["json", "binary"] = "json"

    measures: ClassVar[tuple[str, ...]] = ()
    KIND: ClassVar[str] = "gas_sensor"

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Read and report."""
        match event:
            case Started():
                return phase(self.every_s, "reading", context)
            case Woken("reading"):
                value = round(context.sense("carbon_monoxide_ppm"), 1)
                reading = telemetry(self.KIND, {"carbon_monoxide_ppm": value}, context)
                sent = encode(self.KIND, reading) if self.encoding == "binary" else reading
                return (Send(self.gateway, sent), Wake(self.every_s, "reading"))
        return ()
