"""The device types by the name that a scenario's `device:` takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from devices_models.actuators import SWITCHES, BoomGate, Switch
from devices_models.drill_button import DrillButton
from devices_models.managed_device import ManagedDevice
from devices_models.sensors import (
    CAMERA_SUFFIX,
    GasSensor,
    HeatDetector,
    ParkingBaySensor,
    PeopleCounter,
    PlateCamera,
    SmokeDetector,
)
from devices_models.shadow_device import ShadowDevice
from devices_models.workloads import Burst, Periodic, Poisson, Replay
from twin.kernel.behaviour import Behaviour, NodeId

Tier: TypeAlias = Literal["bronze", "silver", "gold", "platinum"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Which features of a scene carry the device: their kind, and their `type` if that matters.

    The node is named after the feature and `suffix`, as one feature may carry several devices.
    """

    kind: str
    type: str = ""
    suffix: str = ""

    def accepts(self, kind: str, feature_type: str) -> bool:
        """Whether a feature of this kind and type carries the device."""
        return kind == self.kind and self.type in ("", feature_type)

    def node(self, feature: str) -> NodeId:
        """The name of the device at this feature."""
        return feature + self.suffix


@dataclass(frozen=True, slots=True)
class Quality:
    """How far a device type is to be trusted, and why.

    bronze: sends the right messages at the right times. silver: its behaviour in failures is modelled
    too. gold: its figures come from a cited source. platinum: it was compared with a real device.
    """

    tier: Tier
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceType:
    """What is known of a device type without making one. `link` names its usual access link; `senses`
    the quantities without which it cannot work, so that a scenario with it needs a world.
    """

    behaviour: type[Any]
    kind: str
    link: str
    quality: Quality
    measures: tuple[str, ...] = ()
    placement: Placement | None = None
    senses: tuple[str, ...] = ()
    personal_fields: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def wired(self) -> frozenset[str]:
        """The fields of the behaviour that wiring sets, not the author of a scenario."""
        fields = dataclasses.fields(self.behaviour)
        return frozenset(each.name for each in fields if each.metadata.get("wired"))

    def make(self, gateway: NodeId, options: Mapping[str, Any]) -> Behaviour:
        """A new behaviour that talks to `gateway`; `options` are attributes, in SI units."""
        behaviour: Behaviour = self.behaviour(gateway=gateway, **self.fixed, **options)
        return behaviour


def _workload(behaviour: type[Any], kind: str) -> DeviceType:
    quality = Quality("gold", ("its arrival law is exact", "needs no figures of a product"))
    return DeviceType(behaviour, kind, "ethernet", quality)


def _switch(kind: str, placement: Placement | None, missing: str) -> DeviceType:
    quality = Quality("bronze", ("acts and reports on every order", missing))
    measures = (SWITCHES[kind].measure,)
    return DeviceType(Switch, kind, "ethernet", quality, measures, placement, fixed={"kind": kind})


def _shadowed(kind: str, placement: Placement | None) -> DeviceType:
    quality = Quality(
        "gold", ("keeps the rules of AWS for shadow clients", "their known faults can be chosen")
    )
    return DeviceType(ShadowDevice, kind, "wifi-good", quality, ShadowDevice.measures, placement)


DEVICES: Final[dict[str, DeviceType]] = {
    "smoke_detector": DeviceType(
        SmokeDetector,
        "smoke_detector",
        "thread",
        Quality("gold", ("threshold and supervision cited", "repeats until acknowledged", "clears")),
        SmokeDetector.measures,
        Placement("detector"),
        ("smoke_sensor_rise",),
    ),
    "heat_detector": DeviceType(
        HeatDetector,
        "heat_detector",
        "thread",
        Quality("gold", ("threshold and supervision cited", "repeats until acknowledged", "clears")),
        HeatDetector.measures,
        Placement("detector", suffix="-heat"),
        ("heat_sensor_temperature",),
    ),
    "parking_bay_sensor": DeviceType(
        ParkingBaySensor,
        "parking_bay_sensor",
        "lorawan-sf7",
        Quality("bronze", ("senses without error or delay", "its battery is not modelled")),
        placement=Placement("bay"),
    ),
    "people_counter": DeviceType(
        PeopleCounter,
        "people_counter",
        "ethernet",
        Quality("bronze", ("counts without error, which no counter does",)),
        PeopleCounter.measures,
        Placement("sensor", "people_counter"),
        ("people_passed", "level_people"),
    ),
    "plate_camera": DeviceType(
        PlateCamera,
        "plate_camera",
        "ethernet",
        Quality("bronze", ("reads every plate at once and right",)),
        PlateCamera.measures,
        Placement("gate", suffix=CAMERA_SUFFIX),
        ("car_waiting", "cars_passed", "plate"),
        ("plate",),
    ),
    "gas_sensor": DeviceType(
        GasSensor,
        "gas_sensor",
        "thread",
        Quality("bronze", ("neither drift nor cross-sensitivity",)),
        placement=Placement("sensor", "co"),
        senses=("carbon_monoxide_ppm",),
    ),
    "boom_gate": DeviceType(
        BoomGate,
        "boom_gate",
        "rs485-modbus",
        Quality("silver", ("opens alone on missed heartbeats", "refuses to close in an emergency")),
        BoomGate.measures,
        Placement("gate"),
    ),
    "sign": _switch("sign", Placement("sign"), "shows at once"),
    "fan": _switch("fan", Placement("fan"), "runs up at once; real ones take 10 to 60 s"),
    "sounder": _switch("sounder", Placement("level", suffix="-sounder"), "sounds at once"),
    "lift": _switch("lift", Placement("lift"), "is recalled at once; real ones take 10 to 60 s"),
    "charger_isolator": _switch(
        "charger_isolator", Placement("level", suffix="-chargers"), "isolates at once"
    ),
    "shadow_device": _shadowed("shadow_device", None),
    "shadow_gate": _shadowed("shadow_gate", Placement("gate", suffix="-shadow")),
    "managed_device": DeviceType(
        ManagedDevice,
        "managed_device",
        "wifi-good",
        Quality("silver", ("states of LwM2M's firmware update", "failures and silence are modelled")),
        ManagedDevice.measures,
    ),
    "drill_button": DeviceType(
        DrillButton,
        "drill_button",
        "ethernet",
        Quality("gold", ("its law of arrivals is exact", "needs no figures of a product")),
        DrillButton.measures,
    ),
    "periodic": _workload(Periodic, "periodic"),
    "poisson": _workload(Poisson, "poisson"),
    "burst": _workload(Burst, "burst"),
    "replay": _workload(Replay, "replay"),
}
"""Every device type; a new one is added here and nowhere else."""
