"""What is told of an observation: the event it makes, and the state of the device that it begins."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from scenarios.format import schema
from scenarios.judging.outcome import WORLD
from scenarios.wiring.mirrors import FIGURES, TRUTH_MEASURES


class Words(NamedTuple):
    """The event of a measure: its kind, its text for a value, and the state that its device is then in."""

    kind: str
    text: Callable[[float], str]
    state: Callable[[float], str] | None = None


def _either(kind: str, on: str, off: str, state_on: str, state_off: str) -> Words:
    return Words(kind, lambda value: on if value else off, lambda value: state_on if value else state_off)


def _always(kind: str, text: str, state: str = "") -> Words:
    return Words(kind, lambda _: text, (lambda _: state) if state else None)


def _seconds(text: str, never: str) -> Callable[[float], str]:
    return lambda value: f"{text}: {value:.1f} s" if math.isfinite(value) else never


DEVICES: Final[Mapping[str, Words]] = {
    "alarm": _always("alarm", "alarm", "alarm"),
    "rule_fired": Words("rule", lambda count: f"rule fired, {_counted(count, 'action')}"),
    "gate_command": _always("command", "told to open", "opening"),
    "gate_open": _either("gate", "gate is open", "gate is closed", "open", "closed"),
    "gate_opened_alone": _always("gate", "opens alone: no heartbeat came", "opening"),
    "close_refused": _always("gate", "refused to close in an emergency"),
    "sounding": _either("sounder", "alarm sounds", "alarm is silent", "sounding", "silent"),
    "sign_shown": _either("sign", "shows the way out", "shows nothing", "evacuate", "clear"),
    "fan_running": _either("fan", "fan runs", "fan stands still", "on", "off"),
    "lift_recalled": _either("lift", "lift recalled", "lift released", "recalled", "in service"),
    "chargers_isolated": _either("chargers", "chargers isolated", "chargers on", "isolated", "on"),
    "level_clear": _always("people", "counted the last person off the level"),
    "firmware_updated": _always("firmware", "firmware updated", "updated"),
    "firmware_failed": _always("firmware", "firmware update failed", "update failed"),
    "firmware_broken": _always("firmware", "broken by its firmware", "broken"),
    "hand_undone": _always("twin", "a change by hand was undone"),
    "wish_refused": _always("twin", "refused a desired value"),
    "request_failed": _always("request", "request failed"),
}
"""Measures of nodes that make events worth reading first."""

WORLD_WORDS: Final[Mapping[str, Words]] = {
    "evacuation_start": _always("evacuation", "evacuation begins"),
    "fire_spread": Words("fire", lambda burning: f"{_counted(burning, 'car')} burn"),
    "people_out": Words("people", _seconds("last person out", "not everybody came out")),
    "cars_out": Words("cars", _seconds("last car out", "not every car came out")),
}
"""Measures of the world that make events; that a level is lost is told from the building itself."""

ACTS: Final[Mapping[str, tuple[str, str]]] = {
    "boom": ("closed", "open"),
    "fan": ("off", "on"),
    "sign": ("clear", "evacuate"),
    "sound": ("silent", "sounding"),
    "lift": ("in service", "recalled"),
    "chargers": ("on", "isolated"),
}
"""The state of a device that acts on the world with 0 or 1."""
BOOM_GATE: Final = "boom_gate"

RESTING: Final[Mapping[str, str]] = {
    BOOM_GATE: "closed",
    "shadow_gate": "closed",
    "sounder": "silent",
    "sign": "clear",
    "fan": "off",
    "lift": "in service",
    "charger_isolator": "on",
    "smoke_detector": "quiet",
    "heat_detector": "quiet",
    "drill_button": "quiet",
}
"""The state in which a device of a kind begins; all others are up."""

UNTOLD: Final = frozenset(
    {
        *(TRUTH_MEASURES[name] for name in FIGURES),
        *schema.HARDWARE_MEASURES.values(),
        "request",
        "response",
    }
)
"""Measures of nodes that are figures of the whole run, or come all the time."""


def words_of(measure: str, node: str) -> Words | None:
    """How to tell of a measure, or None if it makes no event."""
    if node == WORLD:
        return WORLD_WORDS.get(measure)
    if measure in UNTOLD:
        return None
    known = DEVICES.get(measure)
    return known or _always(measure, measure.replace("_", " "))


def untenable_text(level: str, people: float, cars: float) -> str:
    """That a level is lost, and who was inside then."""
    return f"{level} is untenable: {_counted(people, 'person', 'people')} and {_counted(cars, 'car')} inside"


def _counted(count: float, one: str, many: str = "") -> str:
    return f"{count:.0f} {one if count == 1 else many or one + 's'}"
