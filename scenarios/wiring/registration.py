"""The registry of a scenario: its devices and gateways as things, its services as clients with a role."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from devices_models.world.scene import Scene
from scenarios.wiring.members import Member
from twin.kernel.kernel import Kernel
from twin.state.records import Records
from twin.state.registry.access import Guard
from twin.state.registry.audit import Entry
from twin.state.registry.policies import CLIENT, Client
from twin.state.registry.things import THING, Thing

GATEWAY: Final = "gateway"
BROKER: Final = "mqtt_broker"
REFUSED: Final = "access_refused"
"""What a broker observes of each refusal."""

_ROLES: Final = {"operator": "operator", "application": "operator", "user": "reader"}


@dataclass(slots=True)
class Authorisation:
    """Whether a broker lets each client reach what its policies allow, and nobody whom it does not know."""

    authorise: bool = False


def things_of(members: Iterable[Member], scenes: Mapping[str, Scene]) -> Iterator[Thing]:
    """Every device and gateway with its type, its site, and its level, bay and place in the scene."""
    for member in members:
        if not member.fleet and member.kind != GATEWAY:
            continue
        scene = scenes.get(member.site)
        feature = scene.feature(member.feature) if scene is not None and member.feature else None
        yield Thing(
            name=member.node,
            type=member.kind,
            site=member.site,
            level="" if feature is None else feature.level,
            bay=feature.id if feature is not None and feature.kind == "bay" else "",
            position=() if feature is None else feature.place,
            via=member.via,
            groups=(),
            tags=(member.fleet,) if member.fleet else (),
        )


def registry_of(members: Iterable[Member], scenes: Mapping[str, Scene]) -> Records:
    """Records with all things, and all other nodes as clients; services may what services may."""
    records, everybody = Records(), list(members)
    for thing in things_of(everybody, scenes):
        records.put(THING, thing.name, thing)
    for member in everybody:
        if not member.fleet and member.kind not in (GATEWAY, BROKER):
            role = _ROLES.get(member.kind, "service")
            records.put(CLIENT, member.node, Client(name=member.node, role=role))
    return records


def watch(guard: Guard, kernel: Kernel) -> None:
    """Give the guard the kernel's clock, and let each refusal be observed at the client."""
    guard.clock = lambda: kernel.now

    def tell(entry: Entry) -> None:
        kernel.observe(entry.who, REFUSED, 1.0)

    guard.tell = tell
