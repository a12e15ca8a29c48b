"""A run that starts from what twins knew at some moment, instead of from nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from msgspec.structs import replace as changed

from devices_models.shadow_device import ShadowDevice
from devices_models.workloads import Replay
from twin.cloud.operator import Operator
from twin.cloud.twin_service import TwinService
from twin.kernel.behaviour import Behaviour
from twin.kernel.kernel import NodeSpec
from twin.state.programme import Planned
from twin.state.records import Component, Record, Records
from twin.state.shadow import SHADOW, Shadow
from twin.state.standard import TwinSettings, standard_twins
from twin.state.twins import Twins

INNER: tuple[str, ...] = ("device", "inner")
"""Where a behaviour keeps the one that it stands in for."""


@runtime_checkable
class Adopts(Protocol):
    """A device that can start in the state that it once reported."""

    def adopt(self, reported: Mapping[str, Any]) -> None:
        """Begin with these values, before the run starts."""
        ...


@dataclass(slots=True)
class Start:
    """The records that the twin nodes begin with, and the time (seconds) at which the run begins.

    Clocks show that time, so that deadlines and stamps of the records mean what they meant. What a scenario
    dates is counted from the start of the run, as always.
    """

    records: Records
    at_s: float
    services: dict[str, TwinService] = field(init=False, default_factory=dict)
    adopted: list[str] = field(init=False, default_factory=list)
    nodes: set[str] = field(init=False, default_factory=set)

    def applied(self, node: str, spec: NodeSpec) -> NodeSpec:
        """The node as it starts from here; after a crash it starts as any other."""
        make, is_first = spec.make, [True]
        self.nodes.add(node)

        def made() -> Behaviour:
            behaviour = make()
            for part in _parts(behaviour):
                _date_from(part, self.at_s)
                if is_first[0]:
                    self._begin(node, part)
            is_first[0] = False
            return behaviour

        spec.make, spec.skew_s = made, spec.skew_s + self.at_s
        return spec

    def _begin(self, node: str, part: Any) -> None:
        if isinstance(part, TwinService):
            part.twins = self._twins(part)
            self.services[node] = part
        elif isinstance(part, Adopts):
            shadow = self.records.get(SHADOW, node)
            reported = shadow.state.reported if isinstance(shadow, Shadow) else None
            if reported:
                part.adopt(reported)
                self.adopted.append(node)

    def _twins(self, service: TwinService) -> Twins:
        """The service's own components, and the standard ones for the kinds that it does not know."""
        standard = standard_twins(TwinSettings(shadows=service.shadow_settings))
        own: list[Component] = list(service.twins.components) if service.twins is not None else []
        known = {kind for component in own for kind in component.kinds}
        more = [each for each in standard.components if not known & each.kinds.keys()]
        records = self.records.fork()
        if service.twins is not None:
            for kind, key, record in service.twins.records:
                records.put(kind, key, _dated(record, self.at_s))
        return Twins([*own, *more], records)


def _parts(behaviour: Behaviour) -> Iterator[Any]:
    """A behaviour and those inside it."""
    part: Any = behaviour
    while part is not None:
        yield part
        part = next((inner for name in INNER if (inner := getattr(part, name, None)) is not None), None)


def _dated(record: Record, by_s: float) -> Record:
    """What a scenario has planned for a time of its own, at that time of the run."""
    return changed(record, due_s=record.due_s + by_s) if isinstance(record, Planned) else record


def _date_from(part: Any, by_s: float) -> None:
    """Let what a scenario dates count from the start of the run."""
    match part:
        case ShadowDevice():
            part.by_hand = [replace(each, at_s=each.at_s + by_s) for each in part.by_hand]
        case Operator():
            part.wishes = [
                replace(each, at_s=each.at_s + by_s, until_s=each.until_s + by_s) for each in part.wishes
            ]
        case Replay():
            part.times_s = [each_s + by_s for each_s in part.times_s]
