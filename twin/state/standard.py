"""All components of the twins together, in the order in which they take a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twin.state.alarms import Alarms
from twin.state.commands import Commands
from twin.state.jobs import Jobs
from twin.state.jobs.campaign import Members
from twin.state.performing import Performer, kinds_of, shadow_value
from twin.state.records import Component, Records
from twin.state.registry.connectivity import Connectivity
from twin.state.registry.issuing import Issuer, SimulatedIssuer
from twin.state.registry.provisioning import Provisioning
from twin.state.registry.registry import Registry
from twin.state.registry.search import members_of
from twin.state.registry.things import THING
from twin.state.rules.component import Rules
from twin.state.rules.program import CompiledRule
from twin.state.sessions import Sessions
from twin.state.shadow import Shadows, ShadowSettings
from twin.state.telemetry import TelemetryKeeper
from twin.state.twins import Twins
from twin.state.types import Types, shipped_types
from twin.state.types.shadow_schema import TypeSchema

C = TypeVar("C")


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinSettings:
    """What can be set of the twins. `secret` makes ownership tokens: keep it random where it matters.

    `members` says whom the target of a job means.
    """

    shadows: ShadowSettings = field(default_factory=ShadowSettings)
    types: Types = field(default_factory=shipped_types)
    issuer: Issuer = field(default_factory=SimulatedIssuer)
    gives_keys: bool = False
    rules: Sequence[CompiledRule] = ()
    members: Members = members_of
    secret: bytes = field(default=b"simulated", repr=False)


@dataclass(frozen=True, slots=True)
class TypeAges:
    """How old the values of typed things may be, for whoever tells their quality."""

    types: Types

    def max_ages_s(self, thing: str, records: Records) -> Mapping[str, float]:
        """The greatest age (seconds) of each property that the thing's type knows."""
        known: Any = records.get(THING, thing)
        model = None if known is None else self.types.get(known.type)
        return {} if model is None else {each.name: each.max_age_s for each in model.properties.values()}


def standard_twins(settings: TwinSettings | None = None) -> Twins:
    """Sessions come first: others ask them who is there. Rules come last: they see what a message changed."""
    wanted = settings or TwinSettings()
    registry = Registry(frozenset(wanted.types))
    schema = TypeSchema(wanted.types)
    shadows, alarms = Shadows(wanted.shadows, schema, TypeAges(wanted.types)), Alarms()
    commands = Commands(problem=schema.command_problem)
    perform = Performer(shadows, alarms, commands)
    components: list[Component] = [
        Sessions(),
        registry,
        Connectivity(),
        Provisioning(wanted.issuer, registry, gives_keys=wanted.gives_keys, secret=wanted.secret),
        TelemetryKeeper(wanted.types),
        shadows,
        alarms,
        commands,
        Jobs(wanted.members),
        Rules(wanted.rules, perform, "cloud", kinds_of, shadow_value),
    ]
    return Twins(components)


def component(twins: Twins, kind: type[C]) -> C:
    """The component of a type; raises LookupError if the twins have none."""
    for each in twins.components:
        if isinstance(each, kind):
            return each
    raise LookupError(f"these twins have no {kind.__name__}")
