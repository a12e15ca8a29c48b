"""Sensors: what happens around a node becomes messages to its gateway.

A sensor either sleeps until its comparator wakes it (`Watch`) or samples. Every periodic task starts
at a random phase, so that a fleet does not speak in one voice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from devices_models.gateway.conversion import encode
from devices_models.publications import address, happened, telemetry
from twin.errors import InputError
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
CLEAR_CHECK_S = 30.0
CLEAR_RATIO = 0.9
CAMERA_SUFFIX = "-camera"
PLATE_LETTERS = "ABCDEFGHJKLMPRSTUXYZ"
FIRST_UNNAMED = 2_000_000
STANDING = Watch("car_waiting", 1.0, "standing")


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
    """Says every `every_s` whether a car stands in its bay, and at once when one came or left.

    A sensor that was placed on no bay of a scene reports `null`: the load is the same, the state unknown.
    `encoding: binary` saves air time.
    """

    gateway: NodeId = field(metadata={"wired": True})
    every_s: Seconds = 60.0
    encoding: Literal["json", "binary"] = "json"
    is_occupied: bool | None = field(init=False, default=None)

    measures: ClassVar[tuple[str, ...]] = ()
    KIND: ClassVar[str] = "parking_bay_sensor"

    def mirrored(self) -> Mapping[str, Any]:
        """Its true state, as its twin names it."""
        return {"occupied": self.is_occupied}

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Read the bay every `every_s`, and when its comparator wakes the sensor."""
        match event:
            case Started():
                self.is_occupied = _sensed_if_placed("occupied", context)
                return (*self._watch(), *phase(self.every_s, "reading", context))
            case Woken("reading"):
                return (self._reading(context), Wake(self.every_s, "reading"))
            case Woken("change"):
                return self._changed(context)
        return ()

    def _watch(self) -> tuple[Effect, ...]:
        """Wait for the other state: a threshold of 0 is waited for to be fallen to."""
        return () if self.is_occupied is None else (Watch("occupied", float(not self.is_occupied), "change"),)

    def _changed(self, context: Context) -> tuple[Effect, ...]:
        before, self.is_occupied = self.is_occupied, _sensed_if_placed("occupied", context)
        if before == self.is_occupied:
            return self._watch()
        change = happened(self.KIND, "change", {"occupied": self.is_occupied}, context)
        return (Send(self.gateway, change), *self._watch())

    def _reading(self, context: Context) -> Send:
        reading = telemetry(self.KIND, {"occupied": self.is_occupied}, context)
        return Send(self.gateway, encode(self.KIND, reading) if self.encoding == "binary" else reading)


def _sensed_if_placed(quantity: str, context: Context) -> bool | None:
    """Whether the quantity is at least 1; None where there is no world or no place in it."""
    try:
        return context.sense(quantity) >= 1.0
    except (LookupError, InputError):
        return None


@dataclass(slots=True)
class PeopleCounter:
    """Counts who passed its door, and says once when its level holds nobody any more."""

    gateway: NodeId = field(metadata={"wired": True})
    every_s: Seconds = 10.0

    measures: ClassVar[tuple[str, ...]] = ("level_clear",)
    KIND: ClassVar[str] = "people_counter"

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Report the count every `every_s`, and the end of people on a level that had some."""
        match event:
            case Started():
                has_people = context.sense("level_people") > 0.0
                watch = (Watch("level_people", 0.0, "clear"),) if has_people else ()
                return (*watch, *phase(self.every_s, "reading", context))
            case Woken("reading"):
                passed = telemetry(self.KIND, {"passed": round(context.sense("people_passed"))}, context)
                return (Send(self.gateway, passed), Wake(self.every_s, "reading"))
            case Woken("clear"):
                clear = happened(self.KIND, "level_clear", {"people": 0}, context)
                return (Observe("level_clear"), Send(self.gateway, clear))
        return ()


@dataclass(slots=True)
class PlateCamera:
    """Reads the plate of each car once, standing at its gate or passing: a personal field, counted as such.

    The gate is the node `gate`; without it, the camera's own name without the suffix `-camera`. A car that
    passes an open gate without a stop is one the world cannot name afterwards: it gets a plate of its own.
    """

    gateway: NodeId = field(metadata={"wired": True})
    gate: NodeId = ""
    is_read: bool = field(init=False, default=False)

    measures: ClassVar[tuple[str, ...]] = ("plate_read",)
    KIND: ClassVar[str] = "plate_camera"

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Read when a car stands at the gate, or has passed unread."""
        match event:
            case Started():
                return (STANDING, self._passing(context))
            case Woken("standing"):
                return self._stands(context)
            case Woken("passed"):
                return self._passed(context)
        return ()

    def _stands(self, context: Context) -> Iterable[Effect]:
        number = int(context.sense("plate"))
        if not number:
            return (STANDING,)
        self.is_read = True
        return self._read(number, context)

    def _passed(self, context: Context) -> Iterable[Effect]:
        if self.is_read:
            self.is_read = False
            return (STANDING, self._passing(context))
        number = FIRST_UNNAMED + int(context.sense("cars_passed"))
        return (*self._read(number, context), self._passing(context))

    def _passing(self, context: Context) -> Watch:
        return Watch("cars_passed", context.sense("cars_passed") + 1.0, "passed")

    def _read(self, number: int, context: Context) -> tuple[Effect, ...]:
        gate = self.gate or context.node.removesuffix(CAMERA_SUFFIX)
        fields = {"plate": plate_text(number), "gate": gate}
        plate = happened(self.KIND, "plate", fields, context, personal=("plate",))
        return (Observe("plate_read"), Send(self.gateway, plate))


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
