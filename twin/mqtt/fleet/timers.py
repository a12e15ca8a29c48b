"""One timer for each device, in a wheel whose spokes exist only where something is due.

A device's timer is moved by setting it again; the old entry stays on its spoke and is passed over. So setting
costs the same whatever the number of devices.
"""

from __future__ import annotations

import heapq
import math
from typing import Final

from twin.mqtt.fleet.device import Device

GRAIN_S: Final = 0.02
NEVER: Final = -1


class Timers:
    """When devices want to be woken; up to `GRAIN_S` late, never early."""

    __slots__ = ("_spokes", "_ticks")

    def __init__(self) -> None:
        self._spokes: dict[int, list[Device]] = {}
        self._ticks: list[int] = []

    @property
    def next_s(self) -> float:
        """When the next spoke is due; infinity if there is none."""
        return self._ticks[0] * GRAIN_S if self._ticks else math.inf

    def set(self, device: Device, due_s: float) -> None:
        """Wake the device then, and not when it was set to before."""
        tick = math.ceil(due_s / GRAIN_S)
        if tick == device.wake_tick:
            return
        device.wake_tick = tick
        spoke = self._spokes.get(tick)
        if spoke is None:
            self._spokes[tick] = [device]
            heapq.heappush(self._ticks, tick)
        else:
            spoke.append(device)

    @staticmethod
    def stop(device: Device) -> None:
        """Do not wake the device."""
        device.wake_tick = NEVER

    def due(self, now: float) -> list[Device]:
        """Whose time has come."""
        found: list[Device] = []
        while self._ticks and self._ticks[0] * GRAIN_S <= now:
            tick = heapq.heappop(self._ticks)
            for device in self._spokes.pop(tick):
                if device.wake_tick == tick:
                    device.wake_tick = NEVER
                    found.append(device)
        return found
