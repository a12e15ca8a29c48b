"""What a twin node operates besides shadows: a registry of the devices, alarms, commands and jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from scenarios.format.issues import listed, suggestion
from twin.cloud.twin_service import TwinService
from twin.errors import InputError
from twin.state.alarms import Alarms
from twin.state.commands import Commands
from twin.state.jobs import Jobs
from twin.state.programme import Campaign, Order, Programme
from twin.state.records import Records, Transaction
from twin.state.registry.search import members_of
from twin.state.registry.things import THING, Thing
from twin.state.standard import TwinSettings, component, standard_twins
from twin.state.telemetry import SET_ASIDE
from twin.state.twins import Twins

OPERATION_MEASURES: Final = (
    *Alarms.measures,
    *Commands.measures,
    *Jobs.measures,
    *Programme.measures,
    SET_ASIDE,
)


@dataclass(slots=True)
class Operations:
    """What is asked of a twin: campaigns are jobs for many things, commands are for now.

    With `alarms`, or with anything asked, the twin also keeps the alarms of the rule engines and the latest
    telemetry of all things, which it checks against their types: what cannot be used is `set_aside`.
    """

    campaigns: list[Campaign] = field(default_factory=list)
    commands: list[Order] = field(default_factory=list)
    alarms: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to operate."""
        return bool(self.campaigns or self.commands or self.alarms)


def operated(service: TwinService, things: Sequence[Thing], operations: Operations) -> Twins:
    """The standard twins for a service that operates these devices: each is registered.

    Raises InputError for a campaign or a command to nobody.
    """
    standard = standard_twins(TwinSettings(shadows=service.shadow_settings, members=fleet_members))
    beginning = Transaction(standard.records, 0.0)
    for thing in things:
        beginning.put(THING, thing.name, thing)
    targets = [each.target for each in operations.campaigns] + [each.target for each in operations.commands]
    for target in targets:
        _check_target(target, things, standard.records)
    programme = Programme(
        component(standard, Jobs),
        component(standard, Commands),
        fleet_members,
        operations.campaigns,
        operations.commands,
    )
    programme.begin(beginning)
    return Twins([*standard.components, programme], standard.records)


def _check_target(target: str, things: Sequence[Thing], records: Records) -> None:
    """Raise InputError unless a target means somebody now."""
    found = fleet_members(records, target)
    if any(records.get(THING, name) is not None for name in found):
        return
    fleets = sorted({tag for thing in things for tag in thing.tags})
    near = suggestion(target, [*fleets, *(thing.name for thing in things)])
    hint = near or f"fleets: {listed(fleets)}"
    raise InputError(f"the target {target!r} of a campaign or command is nobody; {hint}")


def fleet_members(records: Records, target: str) -> list[str]:
    """As the registry has it; the bare name of a fleet, which its devices have as a tag, means them all."""
    tagged = [thing.name for thing in records.of(THING).values() if target in thing.tags]
    return tagged or members_of(records, target)
