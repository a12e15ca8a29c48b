"""A constrained microcontroller as a station: what arrives needs room in its memory and a turn of its task.

A task of a real-time system runs every `task_period_s` and works off what waits; a controller that sleeps
needs `wake_s` first. A message takes a fixed number of cycles and some for each byte. What finds no room is
lost as "out of memory"; what is not done one period after it was due is late, and counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from twin.errors import InputError
from twin.kernel.flight import Flight
from twin.kernel.ports import Timeline
from twin.message import Message

OUT_OF_MEMORY: Final = "out of memory"
CYCLES_A_MESSAGE: Final = 200_000.0  # parse, decide, answer; default
CYCLES_A_BYTE: Final = 300.0  # default
HEADER_BYTES: Final = 64  # of a buffer; default
TICK_TOLERANCE: Final = 1e-9


class ControllerType(NamedTuple):
    """A product: clock (Hz), memory that is left for buffers, time to wake up, current asleep (ampere)."""

    clock_hz: float
    buffer_bytes: int
    wake_s: float
    sleep_a: float


MICROCONTROLLERS: Final = {
    "atmega328p": ControllerType(16e6, 512, 1e-3, 1e-6),
    "stm32l0": ControllerType(32e6, 4_096, 5e-6, 1e-6),
    "nrf52832": ControllerType(64e6, 16_384, 3e-6, 1.9e-6),
    "esp32": ControllerType(240e6, 65_536, 1e-3, 10e-6),
}
"""Clock from the data sheets (16, 32, 64, 240 MHz); buffers are shares of 2, 20, 64 and 520 kB; defaults."""


@dataclass(slots=True)
class Microcontroller:
    """What a node can process; 0 for `task_period_s` means that an interrupt starts the work at once."""

    clock_hz: float
    buffer_bytes: int
    task_period_s: float = 0.0
    wake_s: float = 0.0

    servers: int = field(init=False, default=1)
    busy_s: float = field(init=False, default=0.0)
    waited_s: float = field(init=False, default=0.0)
    served_count: int = field(init=False, default=0)
    late_count: int = field(init=False, default=0)
    refused_count: int = field(init=False, default=0)
    _used_bytes: int = field(init=False, default=0)
    _free_s: float = field(init=False, default=-math.inf)

    def __post_init__(self) -> None:
        """Raise InputError for a controller that can do nothing."""
        if not (self.clock_hz > 0 and self.buffer_bytes > 0 and self.task_period_s >= 0 and self.wake_s >= 0):
            raise InputError("a microcontroller needs a clock and memory, and no negative time")

    @classmethod
    def of_type(cls, name: str, task_period_s: float = 0.0) -> Microcontroller:
        """A controller of a known type; raise InputError for an unknown one."""
        if name not in MICROCONTROLLERS:
            raise InputError(f"no microcontroller is called {name!r}; known: {', '.join(MICROCONTROLLERS)}")
        known = MICROCONTROLLERS[name]
        return cls(known.clock_hz, known.buffer_bytes, task_period_s, known.wake_s)

    @property
    def waiting(self) -> int:
        """Flights that no event stands for: none."""
        return 0

    def work_s(self, message: Message) -> float:
        """Seconds that a message takes."""
        return (CYCLES_A_MESSAGE + CYCLES_A_BYTE * len(message.payload)) / self.clock_hz

    def accept(self, flight: Flight, timeline: Timeline, then: tuple[Callable[[Flight], None], ...]) -> None:
        """Buffer an arriving flight and call `then` when it has been worked off, or lose it."""
        size_bytes = HEADER_BYTES + len(flight.message.topic) + len(flight.message.payload)
        if self._used_bytes + size_bytes > self.buffer_bytes:
            self.refused_count += 1
            timeline.lose(flight, flight.to, OUT_OF_MEMORY)
            return
        self._used_bytes += size_bytes
        now = timeline.now
        due_s = self._turn_s(now)
        is_awake = self._free_s >= now
        work_s = self.work_s(flight.message)
        done_s = (self._free_s if is_awake else due_s + self.wake_s) + work_s
        self._free_s = done_s
        self.busy_s += work_s
        self.waited_s += done_s - work_s - now
        self.served_count += 1
        self.late_count += self.task_period_s > 0 and done_s > due_s + self.task_period_s
        self._serve_at(done_s, size_bytes, flight, timeline, then)

    def _turn_s(self, now: float) -> float:
        """When the task looks at what arrives now, if the controller is idle."""
        if not self.task_period_s:
            return now
        return math.ceil(now / self.task_period_s - TICK_TOLERANCE) * self.task_period_s

    def _serve_at(
        self,
        done_s: float,
        size_bytes: int,
        flight: Flight,
        timeline: Timeline,
        then: tuple[Callable[[Flight], None], ...],
    ) -> None:
        def served(flight: Flight) -> None:
            self._used_bytes -= size_bytes
            then[0](flight)

        timeline.schedule(done_s, flight, (served,))
