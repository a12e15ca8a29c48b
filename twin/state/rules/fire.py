"""The rules of a car-park fire: confirm the alarm, then clear the way out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import msgspec

from twin.message import Message
from twin.state.rules.port import Action, Alarm, Command, Desire
from twin.units import Seconds

GATE: Final = "boom_gate"
FAN: Final = "fan"
COUNTER: Final = "people_counter"
CLOCK_GRAIN_S: Final = 1e-6
RESPONSE: Final = (
    ("sounder", "sound"),
    ("sign", "evacuate"),
    ("lift", "recall"),
    ("charger_isolator", "isolate"),
)
"""What each kind of device is told in a fire, besides gates and fans."""


class Knock(NamedTuple):
    """When one detector raised its alarm first, and last (seconds)."""

    first_s: float
    last_s: float


@dataclass(slots=True)
class FireRules:
    """On a confirmed fire: open gates, sound, turn signs, recall lifts, isolate chargers; fans by plan.

    `confirm` says how many detectors make a fire: one, or two within `window_s`; one that does not clear
    within `fallback_after_s` counts as a fire as well, as waiting for a second is the largest avoidable
    delay. Repeated alarms repeat the response after `cooldown_s`. Fans start `first`, or when the counters
    have reported the levels in alarm empty since the first alarm. With `authorise` every plate seen is
    answered with an admission. The site's devices come from wiring, as a map of node to kind; `gates` and
    `sounders` narrow it. A name up to its first hyphen is the place: a detector's level, a camera's gate.
    """

    confirm: Literal["single", "double_knock"] = "single"
    window_s: Seconds = 60.0
    fallback_after_s: Seconds = 120.0
    cooldown_s: Seconds = 30.0
    gates: list[str] = field(default_factory=list)
    sounders: list[str] = field(default_factory=list)
    fans: Literal["after_evacuation", "first", "off"] = "after_evacuation"
    authorise: bool = False
    act: Literal["command", "desire"] = "command"
    devices: dict[str, str] = field(default_factory=dict, metadata={"wired": True})

    knocks: dict[str, Knock] = field(init=False, default_factory=dict)
    fired_s: float | None = field(init=False, default=None)
    clear_levels: set[str] = field(init=False, default_factory=set)
    levels_in_alarm: set[str] = field(init=False, default_factory=set)
    have_fans_started: bool = field(init=False, default=False)

    def subscriptions(self) -> tuple[str, ...]:
        """Alarms and their ends, empty levels, and plates if cars are to be authorised."""
        events = ["alarm", "clear", "level_clear"] + ["plate"] * self.authorise
        return tuple(f"+/+/event/{event}" for event in events)

    def evaluate(self, message: Message, now_s: float) -> list[Action]:
        """What is to be done about one event of a device."""
        _, node, _, event = message.topic.split("/", 3)
        match event:
            case "alarm":
                first_s = self.knocks[node].first_s if node in self.knocks else now_s
                self.knocks[node] = Knock(first_s, now_s)
                self.levels_in_alarm.add(_place(node))
                return self._respond(now_s)
            case "clear":
                self.knocks.pop(node, None)
            case "level_clear" if self.levels_in_alarm:
                self.clear_levels.add(_place(node))
                return self._ventilate() if self.fired_s is not None else []
            case "plate" if self.authorise:
                return [Command(GATE, _gate_of(message, node), "admit")]
        return []

    def due(self) -> float | None:
        """When the oldest unconfirmed alarm counts as a fire."""
        if self.fired_s is not None or not self.knocks:
            return None
        return min(knock.first_s for knock in self.knocks.values()) + self.fallback_after_s

    def elapse(self, now_s: float) -> list[Action]:
        """Fire if an alarm has stood long enough."""
        return self._respond(now_s)

    def _respond(self, now_s: float) -> list[Action]:
        if not self._is_confirmed(now_s):
            return []
        if self.fired_s is not None and now_s - self.fired_s < self.cooldown_s:
            return []
        self.fired_s = now_s
        return [*self._open_gates(), *self._clear_the_way(), *self._ventilate(), self._alarm()]

    def _is_confirmed(self, now_s: float) -> bool:
        if self.confirm == "single":
            return bool(self.knocks)
        recent_count = sum(now_s - knock.last_s <= self.window_s for knock in self.knocks.values())
        if recent_count >= 2:
            return True
        return any(
            now_s - knock.first_s >= self.fallback_after_s - CLOCK_GRAIN_S for knock in self.knocks.values()
        )

    def _open_gates(self) -> Iterator[Action]:
        released = [] if self.authorise else self.gates or self._nodes_of(GATE)
        for gate in released:
            if self.act == "desire":
                yield Desire(gate, {"gate": "open"})
            else:
                yield Command(GATE, gate, "open")

    def _clear_the_way(self) -> Iterator[Action]:
        for kind, name in RESPONSE:
            chosen = self.sounders if kind == "sounder" else []
            for node in chosen or self._nodes_of(kind):
                yield Command(kind, node, name)
        if self.fans == "first":
            yield from self._start_fans()

    def _ventilate(self) -> list[Action]:
        """Start the fans once every level in alarm is empty; all levels, if no counter watches those."""
        counted = {_place(node) for node in self._nodes_of(COUNTER)}
        awaited = (counted & self.levels_in_alarm) or counted
        is_empty = bool(self.clear_levels) and awaited <= self.clear_levels
        if self.fans != "after_evacuation" or self.have_fans_started or not is_empty:
            return []
        return list(self._start_fans())

    def _start_fans(self) -> Iterator[Action]:
        self.have_fans_started = True
        for node in self._nodes_of(FAN):
            yield Command(FAN, node, "on")

    def _alarm(self) -> Alarm:
        detectors = sorted(self.knocks)
        return Alarm("critical", f"fire: {', '.join(detectors)}", "fire", detectors[0])

    def _nodes_of(self, kind: str) -> list[str]:
        return [node for node, its_kind in self.devices.items() if its_kind == kind]


def _place(node: str) -> str:
    return node.partition("-")[0]


def _gate_of(message: Message, camera: str) -> str:
    """The gate that the camera names in its event, or the gate of the camera's place."""
    try:
        event: Any = msgspec.json.decode(message.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        event = None
    named = event.get("gate") if isinstance(event, dict) else None
    return str(named or _place(camera))
