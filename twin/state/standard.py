"""All components of the twins together, in the order in which they take a message."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from twin.state.alarms import Alarms
from twin.state.commands import Commands
from twin.state.jobs import Jobs
from twin.state.registry.registry import Registry
from twin.state.registry.search import members_of
from twin.state.sessions import Sessions
from twin.state.shadow import Shadows, ShadowSettings
from twin.state.twins import Twins

C = TypeVar("C")


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinSettings:
    """What can be set of the twins."""

    shadows: ShadowSettings = field(default_factory=ShadowSettings)


DEFAULTS = TwinSettings()


def standard_twins(settings: TwinSettings = DEFAULTS) -> Twins:
    """Sessions come first: others ask them who is there."""
    return Twins([Sessions(), Registry(), Shadows(settings.shadows), Alarms(), Commands(), Jobs(members_of)])


def component(twins: Twins, kind: type[C]) -> C:
    """The component of a type; raises LookupError if the twins have none."""
    for each in twins.components:
        if isinstance(each, kind):
            return each
    raise LookupError(f"these twins have no {kind.__name__}")
