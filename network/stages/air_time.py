"""A LoRa transmitter: air time and duty cycle."""

from __future__ import annotations

import math

from network.stages.registry import register
from twin.errors import InputError

DEFAULT_QUEUE_MESSAGES = 16
LORAWAN_HEADER_BYTES = 13
PREAMBLE_SYMBOLS = 8
EU868_DUTY_CYCLE_RATIO = 0.01
BANDWIDTH_HZ = 125_000


def symbol_s(spreading_factor: int) -> float:
    """Seconds a symbol lasts at 125 kHz."""
    return 2.0**spreading_factor / BANDWIDTH_HZ


def is_low_rate(spreading_factor: int) -> bool:
    """Whether the low data rate optimisation is on: symbols above 16 ms."""
    return symbol_s(spreading_factor) > 0.016


def air_time_s(spreading_factor: int, payload_bytes: int, *, has_checksum: bool = True) -> float:
    """Seconds a LoRaWAN frame of so many application bytes is on the air; a downlink has no checksum.

    SX1276 datasheet 4.1.1.7 with 125 kHz, coding rate 4/5, explicit header, 13 bytes of LoRaWAN.
    """
    sf = spreading_factor
    bits = 8 * (payload_bytes + LORAWAN_HEADER_BYTES) - 4 * sf + 28 + 16 * has_checksum
    symbols = 8 + max(math.ceil(bits / (4 * (sf - 2 * is_low_rate(sf)))) * 5, 0)
    return (PREAMBLE_SYMBOLS + 4.25 + symbols) * symbol_s(sf)


@register("air_time")
class AirTime:
    """Sends one message at a time and keeps silent after each, so that the duty cycle is not exceeded.

    Of waiting messages at most `queue_messages` (of the size of the newest) are kept; more are dropped.
    """

    __slots__ = ("_duty_cycle_ratio", "_free_s", "_queue_messages", "spreading_factor")
    cause = "queue full"

    def __init__(
        self,
        spreading_factor: int,
        *,
        duty_cycle_ratio: float = EU868_DUTY_CYCLE_RATIO,
        queue_messages: int = DEFAULT_QUEUE_MESSAGES,
    ) -> None:
        if not (7 <= spreading_factor <= 12 and 0 < duty_cycle_ratio <= 1):
            raise InputError(f"LoRa has spreading factors 7 to 12, not {spreading_factor}")
        self.spreading_factor = spreading_factor
        self._duty_cycle_ratio = duty_cycle_ratio
        self._queue_messages = queue_messages
        self._free_s = 0.0

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the last symbol is sent, or None when too many messages wait."""
        on_air_s = air_time_s(self.spreading_factor, size_bytes)
        period_s = on_air_s / self._duty_cycle_ratio
        start_s = max(now, self._free_s)
        if start_s - now > (self._queue_messages + 0.5) * period_s:
            return None
        self._free_s = start_s + period_s
        return start_s + on_air_s

    @property
    def mean_s(self) -> float:
        """Air time of 20 bytes, in seconds."""
        return air_time_s(self.spreading_factor, 20)
