"""The orders of a watched run: those of any run in wall time, and its speed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from scenarios.by_hand import Here, Told
from scenarios.live import Running
from scenarios.run_control import RunControl
from twin.errors import InputError

LOWEST_SPEED: Final = 0.1
HIGHEST_SPEED: Final = 1_000.0


class WatchControl(RunControl):
    """Everything is simulated, so that faults act here, and time may go faster."""

    def __init__(self, run: Running, told: Told) -> None:
        super().__init__(run.assembly, run.pacer, run.fleets, Here(), told)

    @property
    def actions(self) -> dict[str, Callable[[str], Any]]:
        """What can be ordered, by name."""
        return {**super().actions, "speed": self.speed}

    def speed(self, what: str) -> dict[str, Any]:
        """Let so many seconds of the run pass in one of the wall."""
        self.pacer.speed = read_speed(what)
        self.told(self._now_s, f"speed {self.pacer.speed:g}")
        return {"speed": self.pacer.speed, "at_s": self._now_s}

    def status(self, what: str = "") -> dict[str, Any]:
        """Where the run is."""
        return {**super().status(what), "speed": self.pacer.speed}


def read_speed(text: str) -> float:
    """A speed from text such as `20` or `20x`. Raises InputError."""
    number = text.strip().removesuffix("x")
    try:
        speed = float(number)
    except ValueError:
        speed = 0.0
    if not LOWEST_SPEED <= speed <= HIGHEST_SPEED:
        raise InputError(f"speed {text!r}; expected a number from {LOWEST_SPEED:g} to {HIGHEST_SPEED:g}")
    return speed
