"""A small catalogue, as the wiring would give it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from scenarios.format.catalogue import Description
from scenarios.format.schema import Site
from twin.units import Bytes, MessageCount, Seconds, Watts


@dataclass(slots=True)
class Detector:
    """A device with a period and a wired gateway."""

    gateway: str
    every_s: Seconds = 300.0
    payload_bytes: Bytes = 24


@dataclass(slots=True)
class Gate:
    """A device that acts."""

    gateway: str
    open_s: Seconds = 1.8
    fail_mode: Literal["open", "closed"] = "open"


@dataclass(slots=True)
class Gateway:
    """A hub with a buffer and masked fields."""

    buffer_count: MessageCount = 1000
    mask: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Broker:
    """A broker without options."""

    sessions: int = field(init=False, default=0)


@dataclass(slots=True)
class RuleEngine:
    """A rule engine; it cannot be without rules."""

    rules: str


@dataclass(slots=True)
class Application:
    """An application that asks a database."""

    database: str = ""


@dataclass(slots=True, frozen=True)
class Fire:
    """A burning car."""

    bay: str
    growth: Literal["slow", "medium", "fast"] | float = "medium"
    peak: Watts = 7e6


@dataclass(slots=True, frozen=True)
class World:
    """People, cars, and perhaps a fire."""

    fire: Fire | None = None
    people: int = 0
    cars: int = 0


collect_ignore = ["broken", "valid"]
"""Fixtures of the tests, not scenarios to be judged."""

METROS = {"singapore": (1.35, 103.8), "ashburn": (39.04, -77.49), "tokyo": (35.68, 139.69)}


@dataclass(frozen=True)
class SmallCatalogue:
    """What exists in these tests."""

    technologies: Collection[str] = ("ethernet", "gpon", "lorawan-sf7", "rs485-modbus", "thread")
    metros: Collection[str] = tuple(METROS)
    countries: Collection[str] = ("JP", "SG", "US")

    @property
    def devices(self) -> Mapping[str, Description]:
        """Four device types."""
        wired = frozenset({"gateway"})
        return {
            "smoke_detector": Description(Detector, frozenset({"alarm"}), wired),
            "parking_bay_sensor": Description(Detector, frozenset({"occupied"}), wired),
            "plate_camera": Description(Detector, frozenset({"plate_read"}), wired, senses=("plate",)),
            "boom_gate": Description(Gate, frozenset({"gate_command", "gate_open"}), wired),
        }

    @property
    def kinds(self) -> Mapping[str, Description]:
        """Five node kinds."""
        return {
            "gateway": Description(Gateway, reaches=frozenset({"mqtt_broker"}), takes_devices=True),
            "mqtt_broker": Description(Broker, takes_devices=True),
            "rule_engine": Description(RuleEngine, frozenset({"rule_fired"})),
            "database": Description(Broker),
            "application": Description(
                Application, frozenset({"request", "response"}), names_nodes=frozenset({"database"})
            ),
        }

    @property
    def world(self) -> Description:
        """A world with people."""
        return Description(World, frozenset({"people_inside_at_untenable", "people_out"}))

    @property
    def faults(self) -> Mapping[str, Collection[str]]:
        """Four faults."""
        return {
            "partition": (),
            "crash": (),
            "surge": ("delay", "factor"),
            "route_change": ("round_trip", "event"),
        }

    def fibre_floor_s(self, first: Site, second: Site) -> float:
        """A table of one pair: Singapore and Ashburn lie 15,540 km apart."""
        return 0.152 if {first.metro, second.metro} == {"singapore", "ashburn"} else 0.0

    def link_problem(self, _device: str, technology: str | None, payload_bytes: int | None, key: str) -> str:
        """LoRaWAN is short here, and on Ethernet nothing has a battery."""
        if key == "battery" and technology == "ethernet":
            return "nothing is known of the current that a device on ethernet takes"
        if key == "payload" and technology == "lorawan-sf7" and (payload_bytes or 0) > 222:
            return f"lorawan-sf7 carries payloads of at most 222 bytes, not {payload_bytes}"
        return ""

    def nodes_in_file(self, _content: str, _path: Path) -> tuple[str, ...]:
        return ()

    def file_problem(self, content: str, path: Path) -> str:
        """Notes are nothing that can be used."""
        return f"{path.name}: it is no {content}" if path.suffix == ".txt" else ""


@pytest.fixture
def catalogue():
    """What exists in these tests."""
    return SmallCatalogue()
