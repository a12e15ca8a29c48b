"""Batteries: how long one lasts at the mean current of a run.

    life = capacity x usable share / (tx I_tx + rx I_rx + rest I_sleep + base + self-discharge)

with the shares of time that the radio sends, listens and sleeps (the radio's currents come from the link's
technology). A screening figure: temperature, ageing and pulse load are in the usable share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from twin.errors import InputError
from twin.units import Coulombs

DAY_S = 86_400.0
YEAR_S = 365.25 * DAY_S
USABLE_RATIO = 0.85
SELF_DISCHARGE_PER_YEAR = 0.01  # lithium thionyl chloride at 20 C, usual data sheet figure
BASE_CURRENT_A = 10e-6  # sensor and sleeping controller, default


@dataclass(frozen=True, slots=True)
class Currents:
    """What the radio takes while it sends, listens and sleeps (ampere)."""

    tx_a: float
    rx_a: float
    sleep_a: float


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of a run, and of sending and listening within."""

    elapsed_s: float
    tx_s: float
    rx_s: float


@dataclass(frozen=True, slots=True)
class Battery:
    """A primary battery: its capacity in coulomb (2,400 mAh are 8,640 C)."""

    capacity_c: Coulombs
    usable_ratio: float = USABLE_RATIO

    def __post_init__(self) -> None:
        """Raise InputError for a battery without charge."""
        if not (self.capacity_c > 0 and 0 < self.usable_ratio <= 1):
            raise InputError(
                f"a battery holds a charge, not {self.capacity_c} C of which {self.usable_ratio}"
            )

    def life_s(self, mean_current_a: float) -> float:
        """Seconds it feeds this mean current, self-discharge included."""
        leakage_a = self.capacity_c * SELF_DISCHARGE_PER_YEAR / YEAR_S
        return self.capacity_c * self.usable_ratio / (mean_current_a + leakage_a)


def mean_current_a(currents: Currents, usage: Usage, base_a: float = BASE_CURRENT_A) -> float:
    """Mean current of a device over a run, in ampere."""
    busy_s = usage.tx_s + usage.rx_s
    asleep_s = max(0.0, usage.elapsed_s - busy_s)
    charge_c = currents.tx_a * usage.tx_s + currents.rx_a * usage.rx_s + currents.sleep_a * asleep_s
    return base_a + charge_c / max(usage.elapsed_s, busy_s)


def battery_life_days(
    battery: Battery, currents: Currents, usage: Usage, base_a: float = BASE_CURRENT_A
) -> float:
    """Days the battery lasts if the device goes on as in the run; infinite without a run."""
    if usage.elapsed_s <= 0:
        return math.inf
    return battery.life_s(mean_current_a(currents, usage, base_a)) / DAY_S


def energy_j(currents: Currents, usage: Usage, voltage_v: float) -> float:
    """Energy of a run in joules, without the base current."""
    return mean_current_a(currents, usage, 0.0) * voltage_v * usage.elapsed_s
