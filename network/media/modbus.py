"""Modbus RTU on RS-485: one master polls its slaves in turn, and nobody speaks unasked.

    transaction = (8 + 5 + 2 N) characters of 11 bits + 2 x t3.5 + turnaround

for a reading of N registers (Modbus over serial line V1.02; t3.5 is 1.75 ms above 19,200 baud). What a
device has to say waits for its poll. Each poll reads ten registers; a longer message takes its poll
longer, and more than 125 registers take several transactions in a row. What the master has to say goes
between two polls, as a writing of N registers: (9 + 2 N + 8) characters, at most 123 registers at a time.
"""

from __future__ import annotations

import math

from network.media.ride import QUEUE_FULL, QUEUE_MESSAGES, Ride
from network.media.turns import TurnClock, next_own_turn

CHARACTER_BITS = 11
SLOWEST_FIXED_BAUD = 19_200
FIXED_GAP_S = 1.75e-3
TURNAROUND_S = 0.035  # the slow end of what JUMO's manuals say: 5 to 35 ms
POLL_REGISTERS = 10
MOST_REGISTERS = 125
MOST_WRITTEN_REGISTERS = 123  # application protocol V1.1b3, 6.12: function 16
READ_CHARACTERS = 8 + 5
WRITE_CHARACTERS = 9 + 8


def gap_s(baud: float) -> float:
    """Silence between two frames: 3.5 characters, 1.75 ms above 19,200 baud."""
    return FIXED_GAP_S if baud > SLOWEST_FIXED_BAUD else 3.5 * CHARACTER_BITS / baud


def transaction_s(
    baud: float, registers: int, turnaround_s: float = TURNAROUND_S, *, is_write: bool = False
) -> float:
    """Seconds of one request and its answer."""
    characters = (WRITE_CHARACTERS if is_write else READ_CHARACTERS) + 2 * registers
    return characters * CHARACTER_BITS / baud + 2 * gap_s(baud) + turnaround_s


def transfer_s(baud: float, payload_bytes: int, *, is_write: bool = False) -> float:
    """Seconds to read or write a payload, in as many transactions as it needs."""
    most = MOST_WRITTEN_REGISTERS if is_write else MOST_REGISTERS
    full, rest = divmod(math.ceil(payload_bytes / 2), most)
    seconds = full * transaction_s(baud, most, is_write=is_write)
    return seconds + (transaction_s(baud, rest, is_write=is_write) if rest or not full else 0.0)


class ModbusBus:
    """One line: its master, and the slaves that it polls in the order they joined."""

    def __init__(self, baud: float) -> None:
        self.baud = baud
        self.slave_count = 0
        self.clock = TurnClock(transaction_s(baud, POLL_REGISTERS))
        self.writes: dict[int, int] = {}

    @property
    def cycle_s(self) -> float:
        """Seconds between two polls of a slave."""
        return self.slave_count * self.clock.turn_s

    def join(self) -> int:
        """The place of one more slave."""
        self.slave_count += 1
        return self.slave_count - 1


class SlaveToMaster:
    """A message waits for the poll of its device; one message a poll."""

    waiting_count = 0

    def __init__(self, bus: ModbusBus, place: int) -> None:
        self._bus = bus
        self._place = place
        self._next_turn = 0

    @property
    def mean_s(self) -> float:
        """Half a cycle and a transaction."""
        return self._bus.cycle_s / 2 + self._bus.clock.turn_s

    def take(self, ride: Ride) -> None:
        """Wait for a poll that no earlier message has."""
        bus = self._bus
        first = max(bus.clock.next_turn(ride.now), self._next_turn)
        turn = next_own_turn(self._place, bus.slave_count, first)
        if turn - bus.clock.next_turn(ride.now) > (QUEUE_MESSAGES + 1) * bus.slave_count:
            ride.refuse(QUEUE_FULL)
            return
        self._next_turn = turn + 1
        ride.at(bus.clock.begins_s(turn), lambda ride: self._poll(turn, ride))

    def _poll(self, turn: int, ride: Ride) -> None:
        bus = self._bus
        begins_s = bus.clock.begins_s(turn)
        if begins_s > ride.now or bus.writes.get(turn):
            ride.at(max(begins_s, ride.now), lambda ride: self._poll(turn, ride))
            return
        seconds = max(transfer_s(bus.baud, ride.size_bytes), bus.clock.turn_s)
        bus.clock.stand(ride.now, seconds - bus.clock.turn_s)
        ride.link.air_s += seconds
        ride.at(ride.now + seconds, Ride.land)


class MasterToSlave:
    """A command goes between two polls, after those that came before it."""

    waiting_count = 0

    def __init__(self, bus: ModbusBus) -> None:
        self._bus = bus

    @property
    def mean_s(self) -> float:
        """Half a transaction, and the writing of ten registers."""
        return self._bus.clock.turn_s / 2 + transaction_s(self._bus.baud, POLL_REGISTERS, is_write=True)

    def take(self, ride: Ride) -> None:
        """Wait for the end of the poll that is going on."""
        turn = self._bus.clock.next_turn(ride.now)
        writes = self._bus.writes
        if writes.get(turn, 0) >= QUEUE_MESSAGES * max(self._bus.slave_count, 1):
            ride.refuse(QUEUE_FULL)
            return
        writes[turn] = writes.get(turn, 0) + 1
        ride.at(max(self._bus.clock.begins_s(turn), ride.now), lambda ride: self._write(turn, ride))

    def _write(self, turn: int, ride: Ride) -> None:
        bus = self._bus
        begins_s = bus.clock.begins_s(turn)
        if begins_s > ride.now:
            ride.at(begins_s, lambda ride: self._write(turn, ride))
            return
        bus.writes[turn] -= 1
        if not bus.writes[turn]:
            del bus.writes[turn]
        seconds = transfer_s(bus.baud, ride.size_bytes, is_write=True)
        bus.clock.stand(ride.now, seconds)
        ride.at(ride.now + seconds, Ride.land)
