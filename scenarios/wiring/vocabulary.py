"""The words a scenario may use: device types, node kinds, links, metros, faults and measures that exist."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final

from devices_models.catalogue import DEVICES
from devices_models.workloads import read_arrivals
from devices_models.world.building import WORLD
from devices_models.world.scene import load_scene
from devices_models.world.settings import WorldSettings
from network import catalogue, wan
from network.media.cells import most_payload_bytes
from network.media.cellular import HANDOVER_GAPS_S
from network.media.radio import has_battery_figures
from network.record import read_trace
from network.stages.trace import Trace
from scenarios.format import schema
from scenarios.format.catalogue import Description, FileContent
from scenarios.format.options import options_of
from scenarios.wiring.hardware import hardware_measures
from scenarios.wiring.linking import place_of
from scenarios.wiring.members import Member
from scenarios.wiring.nodes import FIRE, NODE_KINDS, wired_fields
from scenarios.wiring.rule_files import read_rule_file, sinks_of
from scenarios.wiring.timeline import FAULT_PARAMETERS
from twin.errors import InputError
from twin.state.rules.fire import FireRules

LEAST_JSON_BYTES: Final = len(b'{"ts":0,"a":0}')

WORLD_MEASURES: Final = frozenset(
    {
        "aset",
        "cars_count",
        "cars_inside_at_untenable",
        "cars_out",
        "evacuation_start",
        "fire_spread",
        "people_count",
        "people_inside_at_untenable",
        "people_margin",
        "people_out",
    }
)

_REACHES: Final[dict[str, frozenset[str]]] = {
    "rule_engine": frozenset({"gateway", "mqtt_broker"}),
    "twin": frozenset({"gateway", "mqtt_broker"}),
    "operator": frozenset({"gateway", "mqtt_broker"}),
}
_NAMES_NODES: Final[dict[str, frozenset[str]]] = {
    "application": frozenset({"database"}),
    "user": frozenset({"application"}),
}
_TAKES_DEVICES: Final = frozenset({"gateway", "mqtt_broker"})
_NAMES_FILES: Final[dict[str, dict[str, FileContent]]] = {
    "replay": {"file": "arrivals"},
    "rule_engine": {"rules": "rules"},
}
_BUILT_IN: Final[dict[str, frozenset[str]]] = {"rule_engine": frozenset({FIRE})}
_OF_BUILT_IN: Final[dict[str, frozenset[str]]] = {
    "rule_engine": frozenset(options_of(FireRules, wired_fields(FireRules)).keys)
}
_READERS: Final[dict[FileContent, Callable[[Path], object]]] = {
    "scene": load_scene,
    "trace": lambda path: Trace(read_trace(path)),
    "arrivals": read_arrivals,
    "rules": read_rule_file,
}


class _Metros(Collection[str]):
    """Metros by name; a region such as `aws:ap-southeast-1` stands for one too."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and wan.is_metro(name)

    def __iter__(self) -> Iterator[str]:
        return iter(wan.metros())

    def __len__(self) -> int:
        return len(wan.metros())


@dataclass(frozen=True)
class Vocabulary:
    """Everything that exists in this installation."""

    @cached_property
    def devices(self) -> Mapping[str, Description]:
        """Device types by name."""
        return {
            name: Description(
                device.behaviour,
                frozenset(device.measures),
                given=device.wired | frozenset(device.fixed) | {"gateway"},
                senses=device.senses,
                names_files=_NAMES_FILES.get(name, {}),
            )
            for name, device in DEVICES.items()
        }

    @cached_property
    def kinds(self) -> Mapping[str, Description]:
        """Node kinds by name."""
        return {
            name: Description(
                kind.options,
                frozenset(kind.measures),
                reaches=_REACHES.get(name, frozenset()),
                names_nodes=_NAMES_NODES.get(name, frozenset()),
                takes_devices=name in _TAKES_DEVICES,
                names_files=_NAMES_FILES.get(name, {}),
                built_in=_BUILT_IN.get(name, frozenset()),
                of_built_in=_OF_BUILT_IN.get(name, frozenset()),
            )
            for name, kind in NODE_KINDS.items()
        }

    @property
    def world(self) -> Description:
        """The physical world."""
        return Description(WorldSettings, WORLD_MEASURES)

    @cached_property
    def technologies(self) -> Collection[str]:
        """Names of link technologies."""
        return (*catalogue.technologies(), *catalogue.aliases())

    @cached_property
    def metros(self) -> Collection[str]:
        """Names of metros and of the regions that stand for them."""
        return _Metros()

    @cached_property
    def countries(self) -> Collection[str]:
        """Codes of the countries in which the metros are."""
        return {wan.metro(name).country for name in wan.metros()}

    @property
    def faults(self) -> Mapping[str, Collection[str]]:
        """Fault names, each with the parameters that it takes."""
        return FAULT_PARAMETERS

    def fibre_floor_s(self, first: schema.Site, second: schema.Site) -> float:
        """The shortest round trip that light in fibre allows between two sites (seconds)."""
        return wan.fibre_floor_s(place_of(first), place_of(second))

    def link_problem(self, device: str, technology: str | None, payload_bytes: int | None, key: str) -> str:
        """Why the technology (None: the device type's usual one) cannot do this, or ''.

        `key` is what is asked of it: `payload` (0: the device's own JSON), `handover_every` or `battery`.
        """
        name = technology or DEVICES[device].link
        if key == "battery" and not has_battery_figures(name):
            return f"nothing is known of the current that a device on {name} takes"
        if key == "handover_every" and name not in HANDOVER_GAPS_S:
            return f"a device on {name} knows no handover"
        return _payload_problem(name, payload_bytes) if key == "payload" else ""

    def file_problem(self, content: FileContent, path: Path) -> str:
        """What is wrong with a file that should hold this, in a sentence; '' if nothing is."""
        return _file_problem(content, path, path.stat().st_mtime_ns)

    def nodes_in_file(self, content: FileContent, path: Path) -> Collection[str]:
        """The nodes that a sound file names."""
        return sinks_of(path) if content == "rules" else ()


def _payload_problem(technology: str, payload_bytes: int | None) -> str:
    """Why a payload (0: the device's own JSON; None: not known) is too long, or ''."""
    most = most_payload_bytes(technology)
    size = LEAST_JSON_BYTES if payload_bytes == 0 else payload_bytes
    if most is None or size is None or size <= most:
        return ""
    shown = "the device's JSON" if payload_bytes == 0 else str(payload_bytes)
    return f"{technology} carries payloads of at most {most} bytes, not {shown}"


@lru_cache(maxsize=64)
def _file_problem(content: FileContent, path: Path, _changed: int) -> str:
    """Read once however many variants name the file."""
    try:
        _READERS[content](path)
    except InputError as error:
        return str(error)
    return ""


def reporters(scenario: schema.Scenario, members: Iterable[Member]) -> dict[str, list[str]]:
    """Which nodes report each measure, also those that never will."""
    found: dict[str, list[str]] = {measure: [WORLD] for measure in WORLD_MEASURES}
    for member in members:
        device = scenario.fleets[member.fleet].device if member.fleet else ""
        measures = DEVICES[device].measures if device else NODE_KINDS[member.kind].measures
        for measure in (*measures, *hardware_measures(scenario, member)):
            found.setdefault(measure, []).append(member.node)
    return found
