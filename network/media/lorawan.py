"""LoRaWAN EU868: one cell of devices around one gateway.

Air time: SX1276 data sheet 4.1.1.7. Sub-bands and duty cycles: ETSI EN 300 220. Interference: the signal
must exceed the energy of each spreading factor's interferers by the matrix of Goursaud and Gorce, 6 dB
within one (as the lorawan module of ns-3 does it). Class A: a device listens 1 s and 2 s after each of
its uplinks, and at no other time, so what is sent to it waits for its next uplink (LoRaWAN regional
parameters).

Not modelled: acknowledged uplinks, adaptive data rate, the eight demodulators of a gateway, its deafness
while it sends, and interference with downlinks.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, NamedTuple

from network.media.ride import QUEUE_FULL, QUEUE_MESSAGES, TOO_LARGE, Ride
from network.stages.air_time import air_time_s, symbol_s
from network.tables import table
from twin.kernel.randomness import Stream

MOST_BYTES = {7: 222, 8: 222, 9: 115, 10: 51, 11: 51, 12: 51}
RX1_DELAY_S = 1.0
RX2_DELAY_S = 2.0
RX2_SPREADING_FACTOR = 12
WINDOW_SYMBOLS = 8
PATH_LOSS_EXPONENT = 3.76  # log-distance loss of the lorawan module of ns-3
COLLISION = "collision"
DUTY_CYCLE = "duty cycle"

OnDutyCycle = Literal["wait", "refuse"]


class SubBand(NamedTuple):
    """Channels that share a duty cycle."""

    name: str
    duty_cycle_ratio: float
    channel_count: int


LEAST_PLAN = (SubBand("868.0-868.6 MHz", 0.01, 3),)
"""The three channels that every EU868 network has."""
EIGHT_CHANNELS = (*LEAST_PLAN, SubBand("865.0-868.0 MHz", 0.01, 5))
"""The plan of most public networks."""
RX2_BAND = SubBand("869.4-869.65 MHz", 0.10, 1)


@cache
def interference_matrix() -> dict[int, dict[int, float]]:
    """The signal-to-interference ratio (dB) that a spreading factor needs against each other."""
    return {
        int(row["wanted_sf"]): {sf: float(row[f"interferer_sf{sf}"]) for sf in range(7, 13)}
        for row in table("lora_interference_matrix")
    }


class Frame:
    """One transmission: when (seconds), on which channel, how strong at the gateway (dB)."""

    __slots__ = ("channel", "end_s", "others", "power_db", "spreading_factor", "start_s")

    def __init__(
        self, start_s: float, end_s: float, channel: tuple[str, int], spreading_factor: int, power_db: float
    ) -> None:
        self.start_s = start_s
        self.end_s = end_s
        self.channel = channel
        self.spreading_factor = spreading_factor
        self.power_db = power_db
        self.others: list[Frame] = []


class LoraAir:
    """What is on the air around a gateway, and which frames it can receive.

    Without capture any overlap within a spreading factor destroys both frames (pure ALOHA), and other
    spreading factors do no harm.
    """

    def __init__(self, *, has_capture: bool = True) -> None:
        self._has_capture = has_capture
        self._on_air: dict[tuple[str, int], list[Frame]] = {}

    def begin(self, frame: Frame) -> None:
        """A frame starts; frames begin in order of time."""
        active = [each for each in self._on_air.get(frame.channel, ()) if each.end_s > frame.start_s]
        for other in active:
            other.others.append(frame)
            frame.others.append(other)
        active.append(frame)
        self._on_air[frame.channel] = active

    def is_received(self, frame: Frame) -> bool:
        """Whether the gateway could read a frame that has ended."""
        if not self._has_capture:
            return all(other.spreading_factor != frame.spreading_factor for other in frame.others)
        needed_db = interference_matrix()[frame.spreading_factor]
        signal = _power(frame) * (frame.end_s - frame.start_s)
        return all(
            10 * math.log10(signal / energy) >= needed_db[spreading_factor]
            for spreading_factor, energy in _energies(frame).items()
        )


def _energies(frame: Frame) -> dict[int, float]:
    """Energy of the overlapping frames by spreading factor."""
    energies: dict[int, float] = {}
    for other in frame.others:
        overlap_s = min(frame.end_s, other.end_s) - max(frame.start_s, other.start_s)
        spreading_factor = other.spreading_factor
        energies[spreading_factor] = energies.get(spreading_factor, 0.0) + _power(other) * overlap_s
    return energies


def _power(frame: Frame) -> float:
    """Linear power, relative."""
    return math.pow(10.0, frame.power_db / 10)


@dataclass(slots=True)
class LoraCell:
    """The devices of one gateway: what is on the air, and when the gateway may send again."""

    plan: tuple[SubBand, ...] = LEAST_PLAN
    air: LoraAir = field(default_factory=LoraAir)
    _free_s: dict[str, float] = field(init=False, default_factory=dict)
    _sending_until_s: float = field(init=False, default=0.0)

    def may_send(self, band: SubBand, at_s: float, on_air_s: float) -> bool:
        """Reserve the gateway's transmitter, unless it is busy or the band's duty cycle forbids it."""
        if at_s < max(self._sending_until_s, self._free_s.get(band.name, 0.0)):
            return False
        self._sending_until_s = at_s + on_air_s
        self._free_s[band.name] = at_s + on_air_s / band.duty_cycle_ratio
        return True


class LoraDevice:
    """One class A device. What the duty cycle forbids waits, or is refused.

    Its power at the gateway is that of a place drawn evenly from a disc: 37.6 dB a decade of distance.
    """

    def __init__(
        self, cell: LoraCell, spreading_factor: int, stream: Stream, on_duty_cycle: OnDutyCycle = "wait"
    ) -> None:
        self.cell = cell
        self.spreading_factor = spreading_factor
        self.mailbox: deque[Ride] = deque()
        self.power_db = -5 * PATH_LOSS_EXPONENT * math.log10(max(stream.uniform(), 1e-9))
        self._stream = stream
        self._on_duty_cycle = on_duty_cycle
        self._free_s = {band.name: 0.0 for band in cell.plan}
        self._radio_free_s = 0.0
        self._queued = 0

    def uplink(self, ride: Ride) -> None:
        """Wait for a sub-band, or refuse."""
        if ride.size_bytes > MOST_BYTES[self.spreading_factor]:
            ride.refuse(TOO_LARGE)
            return
        band = self._band(ride.now)
        start_s = max(ride.now, self._free_s[band.name], self._radio_free_s)
        if self._free_s[band.name] > ride.now and self._on_duty_cycle == "refuse":
            ride.refuse(DUTY_CYCLE)
        elif self._queued >= QUEUE_MESSAGES:
            ride.refuse(QUEUE_FULL)
        else:
            self._send_at(start_s, band, ride)

    def _band(self, now: float) -> SubBand:
        """The sub-band that is free first; among free ones as their channels are many."""
        free = [band for band in self.cell.plan if self._free_s[band.name] <= now]
        if not free:
            return min(self.cell.plan, key=lambda band: self._free_s[band.name])
        channel = self._stream.index(sum(band.channel_count for band in free))
        for band in free:
            channel -= band.channel_count
            if channel < 0:
                return band
        return free[-1]

    def _send_at(self, start_s: float, band: SubBand, ride: Ride) -> None:
        on_air_s = air_time_s(self.spreading_factor, ride.size_bytes)
        self._free_s[band.name] = start_s + on_air_s / band.duty_cycle_ratio
        self._radio_free_s = start_s + on_air_s
        self._queued += start_s > ride.now
        channel = (band.name, self._stream.index(band.channel_count))
        frame = Frame(start_s, start_s + on_air_s, channel, self.spreading_factor, self.power_db)
        if start_s > ride.now:
            ride.at(start_s, lambda ride: self._begin(frame, ride, was_queued=True))
        else:
            self._begin(frame, ride)

    def _begin(self, frame: Frame, ride: Ride, *, was_queued: bool = False) -> None:
        self._queued -= was_queued
        self.cell.air.begin(frame)
        ride.link.air_s += frame.end_s - frame.start_s
        ride.at(frame.end_s, lambda ride: self._end(frame, ride))

    def _end(self, frame: Frame, ride: Ride) -> None:
        is_received = self.cell.air.is_received(frame)
        frame.others.clear()  # two frames that overlap refer to each other, and nobody collects cycles
        if not is_received:
            ride.refuse(COLLISION)
            return
        ride.land()
        if self.mailbox:
            self._answer(frame)

    # downlink ------------------------------------------------------------------------------------------

    def downlink(self, ride: Ride) -> None:
        """Wait for the windows that follow the device's next uplink."""
        if ride.size_bytes > MOST_BYTES[self.spreading_factor]:
            ride.refuse(TOO_LARGE)
        elif len(self.mailbox) >= QUEUE_MESSAGES:
            ride.refuse(QUEUE_FULL)
        else:
            self.mailbox.append(ride)

    def _answer(self, frame: Frame) -> None:
        """One downlink an uplink: in the first window that the gateway's duty cycles allow, or never."""
        ride = self.mailbox[0]
        band = next(each for each in self.cell.plan if each.name == frame.channel[0])
        windows = (
            (RX1_DELAY_S, band, self.spreading_factor),
            (RX2_DELAY_S, RX2_BAND, RX2_SPREADING_FACTOR),
        )
        for delay_s, window_band, spreading_factor in windows:
            if ride.size_bytes > MOST_BYTES[spreading_factor]:
                continue
            on_air_s = air_time_s(spreading_factor, ride.size_bytes, has_checksum=False)
            if self.cell.may_send(window_band, frame.end_s + delay_s, on_air_s):
                self.mailbox.popleft()
                ride.link.air_s += on_air_s
                ride.at(frame.end_s + delay_s + on_air_s, Ride.land)
                return


def windows_s(spreading_factor: int) -> float:
    """Seconds a device listens after each uplink if nobody answers: both windows, eight symbols each."""
    return WINDOW_SYMBOLS * (symbol_s(spreading_factor) + symbol_s(RX2_SPREADING_FACTOR))


class LoraUplink:
    """The device's way to the gateway."""

    waiting_count = 0

    def __init__(self, device: LoraDevice) -> None:
        self.device = device

    def take(self, ride: Ride) -> None:
        """Send as soon as the duty cycle allows."""
        self.device.uplink(ride)


class LoraDownlink:
    """The gateway's way to the device."""

    def __init__(self, device: LoraDevice) -> None:
        self.device = device

    @property
    def waiting_count(self) -> int:
        """Messages that wait for an uplink."""
        return len(self.device.mailbox)

    def take(self, ride: Ride) -> None:
        """Keep it for a receive window."""
        self.device.downlink(ride)
