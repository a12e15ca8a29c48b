"""Who is to connect: the devices of a scenario's fleets, as many as asked for, with what they publish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from devices_models.catalogue import DEVICES
from loadtests.rehearsal import Pattern, Rehearsal, patterns_of
from scenarios.format import schema
from scenarios.format.loading import Variant
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.members import Member, scenes_of
from twin.errors import InputError
from twin.kernel.randomness import Streams

GATEWAY: Final = "gateway"
BROKER: Final = "mqtt_broker"
LONGEST_PERIOD_S: Final = 86_400.0


class Enlisted(NamedTuple):
    """A device that takes part: its name here, and the member of the scenario that it stands for."""

    name: str
    member: str
    fleet: str


@dataclass(frozen=True, slots=True)
class Roster:
    """All devices of a load, and the patterns of each fleet."""

    devices: Sequence[Enlisted]
    patterns: Mapping[str, Sequence[Pattern]]
    blueprint: Blueprint

    @property
    def rate_per_s(self) -> float:
        """Publications a second of all devices together."""
        counts = dict.fromkeys(self.patterns, 0)
        for device in self.devices:
            counts[device.fleet] += 1
        return sum(
            counts[name] * each.burst_count / each.period_s
            for name, patterns in self.patterns.items()
            for each in patterns
        )

    def share(self, number: int, count: int) -> list[Enlisted]:
        """Every `count`-th device from this number on, so that each share has some of all fleets."""
        return list(self.devices[number::count])


def roster_of(variant: Variant, device_count: int = 0, seed: int = 1) -> Roster:
    """The devices of a variant's fleets, or `device_count` in the same proportions.

    Raises InputError for a scenario in which no device publishes by itself.
    """
    scenario = variant.scenario
    blueprint = Blueprint.of(scenario, scenes_of(scenario, variant.folder), variant.folder)
    members: dict[str, list[Member]] = {}
    for member in blueprint.members:
        if member.fleet:
            members.setdefault(member.fleet, []).append(member)
    patterns = {name: _patterns(scenario, blueprint, each[0], seed) for name, each in members.items()}
    if not any(patterns.values()):
        raise InputError(
            f"variant {variant.name!r} has no device that publishes by itself, so there is nothing to load"
        )
    counts = scaled({name: len(each) for name, each in members.items()}, device_count)
    devices = [each for name in members for each in _enlisted(members[name], counts[name])]
    return Roster(devices, patterns, blueprint)


def scaled(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """The counts multiplied so that they add up to `total` (0: as they are), by largest remainders."""
    whole = sum(counts.values())
    if not total:
        return dict(counts)
    found = {name: count * total // whole for name, count in counts.items()}
    by_remainder = sorted(counts, key=lambda name: (-(counts[name] * total % whole), name))
    for name in by_remainder[: total - sum(found.values())]:
        found[name] += 1
    return found


def _enlisted(members: Sequence[Member], count: int) -> Iterator[Enlisted]:
    """The members, then copies of them: `smoke-001`, ..., `smoke-001-2`, ..."""
    return islice(_copies(members), count)


def _copies(members: Sequence[Member]) -> Iterator[Enlisted]:
    copy = 0
    while True:
        copy += 1
        for member in members:
            name = member.node if copy == 1 else f"{member.node}-{copy}"
            yield Enlisted(name, member.node, member.fleet)


def _patterns(scenario: schema.Scenario, blueprint: Blueprint, member: Member, seed: int) -> list[Pattern]:
    """What a fleet publishes at the broker: below its site, and at the gateway's QoS where there is one."""
    behaviour = DEVICES[scenario.fleets[member.fleet].device].make(
        member.via, blueprint.options[member.fleet]
    )
    rehearsal = Rehearsal(member.node, Streams(seed).stream(member.node, "behaviour"))
    least_qos = _least_qos(scenario, blueprint, member.via)
    return [
        pattern._replace(
            topic=pattern.topic if pattern.topic.startswith("$") else f"site/{member.site}/{pattern.topic}",
            qos=pattern.qos if least_qos is None else min(max(pattern.qos, least_qos), 1),
        )
        for pattern in patterns_of(rehearsal.run(behaviour), member.node)
        if pattern.period_s <= LONGEST_PERIOD_S
    ]


def _least_qos(scenario: schema.Scenario, blueprint: Blueprint, via: str) -> int | None:
    """The QoS that a gateway gives to what it sends up, None for a device that speaks to the broker."""
    node = scenario.nodes.get(via)
    if node is None or node.kind != GATEWAY:
        return None
    brokers = {name for name, each in scenario.nodes.items() if each.kind == BROKER}
    asked = [link.qos for link in scenario.links if via in link.between and brokers & set(link.between)]
    given: int = blueprint.options[via].get("qos", 1)
    return given if not asked or asked[0] is None else asked[0]
