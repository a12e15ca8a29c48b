"""What a twin node operates besides shadows: a registry of the devices, alarms, commands and jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from twin.cloud.twin_service import TwinService
from twin.state.alarms import Alarms
from twin.state.commands import Commands
from twin.state.jobs import Jobs
from twin.state.programme import Campaign, Order, Programme, check
from twin.state.records import Component, Records, Transaction
from twin.state.registry.registry import Registry
from twin.state.registry.search import members_of
from twin.state.registry.things import THING, Thing
from twin.state.sessions import Sessions
from twin.state.shadow import Shadows
from twin.state.twins import Twins

OPERATION_MEASURES: Final = (*Alarms.measures, *Commands.measures, *Jobs.measures, *Programme.measures)


@dataclass(slots=True)
class Operations:
    """What is asked of a twin: campaigns are jobs for many things, commands are for now.

    With `alarms`, or with anything asked, the twin also keeps the alarms of the rule engines.
    """

    campaigns: list[Campaign] = field(default_factory=list)
    commands: list[Order] = field(default_factory=list)
    alarms: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to operate."""
        return bool(self.campaigns or self.commands or self.alarms)


def operated(service: TwinService, things: Sequence[Thing], operations: Operations) -> Twins:
    """The twins of a service that operates these devices: each is registered.

    Raises InputError for a campaign that could never be created.
    """
    check(operations.campaigns)
    commands, jobs = Commands(), Jobs(fleet_members)
    programme = Programme(jobs, commands, fleet_members, operations.campaigns, operations.commands)
    components: list[Component] = [
        Sessions(),
        Shadows(service.shadow_settings),
        Registry(),
        Alarms(),
        commands,
        jobs,
        programme,
    ]
    twins = Twins(components)
    beginning = Transaction(twins.records, 0.0)
    for thing in things:
        beginning.put(THING, thing.name, thing)
    programme.begin(beginning)
    return twins


def fleet_members(records: Records, target: str) -> list[str]:
    """As the registry has it; the bare name of a fleet, which its devices have as a tag, means them all."""
    tagged = [thing.name for thing in records.of(THING).values() if target in thing.tags]
    return tagged or members_of(records, target)
