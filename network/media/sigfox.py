"""Sigfox RC1: twelve bytes up, eight down, few times a day.

A frame has 14 bytes around its payload and is sent three times at 100 bit/s: 6.24 s for twelve bytes. The
contract allows 140 messages up and 4 down a day, the duty cycle of 1 % 36 s on the air in an hour: five
messages of twelve bytes, ten of one byte. A device listens for 25 s from 20 s after an uplink, and at no
other time.
"""

from __future__ import annotations

from collections import deque

from network.laws import ShiftedLognormal
from network.media.ride import QUEUE_FULL, QUEUE_MESSAGES, TOO_LARGE, Ride

UP_BYTES, DOWN_BYTES = 12, 8
UP_A_DAY, DOWN_A_DAY = 140, 4
RATE_BPS = 100.0
FRAME_BYTES = 14
REPETITIONS = 3
AIR_BYTES_AN_HOUR = 150  # 1 % of 3600 s at 100 bit/s is 450 bytes; each is sent three times
LISTEN_AFTER_S = 20.0
DAY_S, HOUR_S = 86_400.0, 3_600.0
DAILY_LIMIT = "daily limit"


def repetition_s(payload_bytes: int) -> float:
    """Seconds of one of the three repetitions."""
    return (FRAME_BYTES + payload_bytes) * 8 / RATE_BPS


def air_s(payload_bytes: int) -> float:
    """Seconds an uplink is on the air."""
    return REPETITIONS * repetition_s(payload_bytes)


def behind_the_air(whole: ShiftedLognormal) -> ShiftedLognormal:
    """The law of the catalogue without the air time of twelve bytes that it includes."""
    p50_s, p99_s = (whole.quantile(q) - air_s(UP_BYTES) for q in (0.5, 0.99))
    return ShiftedLognormal(max(0.0, whole.floor_s - air_s(UP_BYTES)), p50_s, p99_s)


class Allowance:
    """At most so many units, messages or bytes, in any window of so many seconds."""

    def __init__(self, most: int, window_s: float) -> None:
        self._window_s = window_s
        self._left = most
        self._uses: deque[tuple[float, int]] = deque()

    def free_s(self, units: int = 1) -> float:
        """When so many are allowed."""
        left, free_s = self._left, 0.0
        for at_s, used in self._uses:
            if left >= units:
                break
            left, free_s = left + used, at_s + self._window_s
        return free_s

    def use(self, at_s: float, units: int = 1) -> None:
        """Note a use, and forget those that are a window old."""
        while self._uses and self._uses[0][0] + self._window_s <= at_s:
            self._left += self._uses.popleft()[1]
        self._uses.append((at_s, units))
        self._left -= units


class SigfoxDevice:
    """One device: its allowances, and what waits for it."""

    def __init__(self) -> None:
        self.mailbox: deque[Ride] = deque()
        self._hourly = Allowance(AIR_BYTES_AN_HOUR, HOUR_S)
        self._daily = Allowance(UP_A_DAY, DAY_S)
        self._down = Allowance(DOWN_A_DAY, DAY_S)
        self._free_s = 0.0
        self._queued = 0

    def uplink(self, ride: Ride) -> None:
        """Send when the duty cycle allows it; what the contract does not cover is refused."""
        if ride.size_bytes > UP_BYTES:
            ride.refuse(TOO_LARGE)
            return
        start_s = max(ride.now, self._free_s, self._hourly.free_s(FRAME_BYTES + ride.size_bytes))
        if self._daily.free_s() > start_s:
            ride.refuse(DAILY_LIMIT)
        elif self._queued >= QUEUE_MESSAGES:
            ride.refuse(QUEUE_FULL)
        else:
            self._send_at(start_s, ride)

    def _send_at(self, start_s: float, ride: Ride) -> None:
        seconds = air_s(ride.size_bytes)
        self._hourly.use(start_s, FRAME_BYTES + ride.size_bytes)
        self._daily.use(start_s)
        self._free_s = start_s + seconds
        self._queued += 1
        ride.link.air_s += seconds
        ride.at(start_s + seconds, self._sent)

    def _sent(self, ride: Ride) -> None:
        self._queued -= 1
        ride.land()
        if self.mailbox and self._down.free_s() <= ride.now:
            answer = self.mailbox.popleft()
            self._down.use(ride.now)
            answer.at(ride.now + LISTEN_AFTER_S, Ride.land)

    def downlink(self, ride: Ride) -> None:
        """Wait for the device to listen."""
        if ride.size_bytes > DOWN_BYTES:
            ride.refuse(TOO_LARGE)
        elif len(self.mailbox) >= DOWN_A_DAY:
            ride.refuse(DAILY_LIMIT)
        else:
            self.mailbox.append(ride)


class SigfoxUplink:
    """The device's way to the network."""

    waiting_count = 0

    def __init__(self, device: SigfoxDevice) -> None:
        self._device = device

    def take(self, ride: Ride) -> None:
        """Send."""
        self._device.uplink(ride)


class SigfoxDownlink:
    """The network's way to the device."""

    def __init__(self, device: SigfoxDevice) -> None:
        self._device = device

    @property
    def waiting_count(self) -> int:
        """Messages that wait for an uplink."""
        return len(self._device.mailbox)

    def take(self, ride: Ride) -> None:
        """Keep it until the device listens."""
        self._device.downlink(ride)
