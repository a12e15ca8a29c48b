"""What a scenario may set about the physical world: plain values, SI inside, defaults with their source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from twin.units import Celsius, Joules, Metres, Ratio, Seconds, Watts

Growth: TypeAlias = Literal["slow", "medium", "fast", "ultrafast"]
WidthConvention: TypeAlias = Literal["sfpe_effective_width", "imo_clear_width"]
GateMode: TypeAlias = Literal["closed", "ticket", "free", "authorise"]
GATE_MODES: tuple[GateMode, ...] = ("closed", "ticket", "free", "authorise")
Actuation: TypeAlias = Literal["boom", "mode", "admit", "sound", "fan", "sign", "lift", "chargers"]
"""What a device can move in the world."""
"""The modes in the order of the numbers that `Actuate("mode", number)` takes."""


@dataclass(slots=True, frozen=True)
class FireSettings:
    """One burning car: t-squared growth to a peak, a plateau, an exponential decay.

    Peak 7 MW and 8.7 GJ: battery car tests of Kang et al., Applied Energy 332 (2023) 120497. Soot and
    carbon monoxide yields (kg per kg of fuel) are assumptions; sweep soot from 0.03 to 0.11.
    """

    bay: str
    """Feature id of the bay whose car burns."""
    growth: Growth | float = "medium"
    """A t-squared class by name, or its growth coefficient in kW/s2."""
    peak: Watts = 7e6
    energy: Joules = 8.7e9
    starts_at_s: Seconds = 0.0
    soot_yield_ratio: Ratio = 0.07
    carbon_monoxide_yield_ratio: Ratio = 0.05
    radiative_ratio: Ratio = 0.35
    ceiling_loss_ratio: Ratio = 0.9
    """Share of the convective heat that the concrete ceiling takes (fitted to NIST CFAST)."""
    critical_flux: float = 12.5
    """Radiant flux that ignites the next car, kW/m2."""
    gap: Metres = 1.5
    """From the flame's centre to the next car."""
    earliest_spread_s: Seconds = 240.0
    latest_spread_s: Seconds = 1200.0
    smoke_from: Literal["first_car", "all_cars"] = "first_car"
    """Whether cars that catch fire later add to the smoke of the design fire."""


@dataclass(slots=True, frozen=True)
class PeopleSettings:
    """The people on foot: alert, well managed, voice alarm (PD 7974-6); speeds in m/s (normal law, cut)."""

    count: int = 0
    premovement_mean_s: Seconds = 30.0
    premovement_deviation_s: Seconds = 15.0
    walking_speed: float = 1.2
    walking_speed_deviation: float = 0.2
    slowest: float = 0.5
    fastest: float = 1.8
    discovery_s: Seconds = 300.0
    """If nothing sounds, people notice the fire themselves so long after ignition (Luton, 2023)."""


@dataclass(slots=True, frozen=True)
class CarSettings:
    """The cars that leave, and the gates they pass. Headways: SUMO 1.28 at 10 km/h (range 3.7 to 5.2 s)."""

    count: int = 0
    premovement_mean_s: Seconds = 60.0
    premovement_deviation_s: Seconds = 30.0
    pull_out_s: Seconds = 10.0
    headway_s: Seconds = 4.2
    ramp_headway_s: Seconds = 4.6
    """Fitted at 3 levels; 4.2 without merging losses, 5.2 fitted to SUMO at 7 levels: report the band."""
    move_up_s: Seconds = 4.8
    """From one car's leaving a gate to the next car's standing at it."""
    gate_mode: GateMode = "ticket"
    """How the gates work until a command changes it."""


@dataclass(slots=True, frozen=True)
class TenabilitySettings:
    """Limits of performance-based design: a level is untenable as soon as one is passed."""

    layer_height: Metres = 2.0
    visibility: Metres = 10.0
    temperature: Celsius = 60.0
    fractional_dose: float = 0.3
    radiant_flux: float = 2.5
    """kW/m2."""


@dataclass(slots=True, frozen=True)
class WorldSettings:
    """The options under `world:` of a scenario. `people` and `cars` may be plain counts."""

    fire: FireSettings | None = None
    people: PeopleSettings | int = 0
    cars: CarSettings | int = 0
    ambient: Celsius = 28.0
    width_convention: WidthConvention = "sfpe_effective_width"
    tenability: TenabilitySettings = field(default_factory=TenabilitySettings)

    @property
    def crowd(self) -> PeopleSettings:
        """The people, also where the scenario gives their number only."""
        return PeopleSettings(count=self.people) if isinstance(self.people, int) else self.people

    @property
    def traffic(self) -> CarSettings:
        """The cars, also where the scenario gives their number only."""
        return CarSettings(count=self.cars) if isinstance(self.cars, int) else self.cars
