"""A microcontroller as a station: memory, task period, wake-up."""

import heapq
import itertools

import pytest

from devices_models.microcontroller import (
    CYCLES_A_BYTE,
    CYCLES_A_MESSAGE,
    HEADER_BYTES,
    MICROCONTROLLERS,
    Microcontroller,
)
from twin.errors import InputError
from twin.kernel.flight import Flight
from twin.message import Message

WORK_S = 0.01


class Timeline:
    """An event queue that writes down who was served and who was lost."""

    def __init__(self, controller):
        self.now = 0.0
        self.served, self.lost = [], []
        self._controller = controller
        self._heap, self._number = [], itertools.count()

    def schedule(self, at_s, flight, then):
        heapq.heappush(self._heap, (at_s, next(self._number), flight, then[0]))

    def lose(self, _flight, where, cause):
        self.lost.append((self.now, where, cause))

    def arrive_at(self, at_s, payload_bytes=0):
        flight = Flight("gateway", "node", Message("", b"x" * payload_bytes), at_s, 0)
        finish = (lambda _flight: self.served.append(self.now),)
        self.schedule(at_s, flight, (lambda flight: self._controller.accept(flight, self, finish),))

    def run(self):
        while self._heap:
            self.now, _, flight, then = heapq.heappop(self._heap)
            then(flight)
        return self


def controller(buffer_bytes=1_000, task_period_s=0.0, wake_s=0.0):
    """A message without payload takes 10 ms."""
    return Microcontroller(CYCLES_A_MESSAGE / WORK_S, buffer_bytes, task_period_s, wake_s)


def test_work_is_cycles_by_clock():
    """20 MHz: 200,000 cycles are 10 ms; 100 bytes more are 30,000 cycles."""
    one = controller()
    assert one.work_s(Message("", b"")) == pytest.approx(WORK_S)
    assert one.work_s(Message("", b"x" * 100)) == pytest.approx(WORK_S + 100 * CYCLES_A_BYTE / 20e6)


def test_messages_are_worked_off_one_after_the_other():
    """Three at once: 10, 20, 30 ms."""
    timeline = Timeline(controller())
    for _ in range(3):
        timeline.arrive_at(0.0)
    assert timeline.run().served == pytest.approx([0.01, 0.02, 0.03])


def test_a_sleeping_controller_wakes_first():
    """5 ms to wake; what comes while it works finds it awake."""
    timeline = Timeline(controller(wake_s=0.005))
    timeline.arrive_at(0.0)
    timeline.arrive_at(0.012)
    timeline.arrive_at(1.0)
    assert timeline.run().served == pytest.approx([0.015, 0.025, 1.015])


def test_a_task_looks_once_a_period():
    """Every 100 ms: what comes at 30 ms is worked on from 100 ms on, what comes at 200 ms at once."""
    timeline = Timeline(controller(task_period_s=0.1))
    timeline.arrive_at(0.03)
    timeline.arrive_at(0.2)
    assert timeline.run().served == pytest.approx([0.11, 0.21])


def test_what_finds_no_memory_is_refused_and_counted():
    """Room for two headers: the third of three is lost, and there is room again after the work."""
    one = controller(buffer_bytes=2 * HEADER_BYTES)
    timeline = Timeline(one)
    for at_s in (0.0, 0.0, 0.0, 0.05):
        timeline.arrive_at(at_s)
    timeline.run()
    assert timeline.lost == [(0.0, "node", "out of memory")]
    assert timeline.served == pytest.approx([0.01, 0.02, 0.06])
    assert one.refused_count == 1


def test_what_is_not_done_within_a_period_is_late_and_counted():
    """25 ms periods and 10 ms of work each: the third of three that are due together is late."""
    one = controller(task_period_s=0.025)
    timeline = Timeline(one)
    for _ in range(3):
        timeline.arrive_at(0.01)
    assert timeline.run().served == pytest.approx([0.035, 0.045, 0.055])
    assert one.late_count == 1


def test_it_says_what_it_did():
    """Work 30 ms, waiting 0 + 10 + 20 ms, three served, nobody without an event."""
    one = controller()
    timeline = Timeline(one)
    for _ in range(3):
        timeline.arrive_at(0.0)
    timeline.run()
    assert (one.busy_s, one.waited_s, one.served_count) == (pytest.approx(0.03), pytest.approx(0.03), 3)
    assert (one.servers, one.waiting) == (1, 0)


@pytest.mark.parametrize("name", sorted(MICROCONTROLLERS))
def test_every_known_type_can_be_made(name):
    """With its clock and its buffers."""
    made = Microcontroller.of_type(name)
    assert (made.clock_hz, made.buffer_bytes) == MICROCONTROLLERS[name][:2]


def test_what_cannot_work_is_refused():
    """An unknown type, and a controller without a clock."""
    with pytest.raises(InputError, match="nrf52832"):
        Microcontroller.of_type("nrf")
    with pytest.raises(InputError, match="clock"):
        Microcontroller(0.0, 100)
