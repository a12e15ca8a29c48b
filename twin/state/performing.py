"""What rules ask for, done by the components of the same twins, within the same transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from twin.errors import RefusedError
from twin.state.alarms import Alarms
from twin.state.commands import Commands
from twin.state.records import Records, Transaction
from twin.state.registry.things import THING, Thing
from twin.state.rules.functions import U
from twin.state.rules.port import Action, Alarm, Command, Desire, Forward, Publish
from twin.state.rules.sinks import SINK_TOPIC
from twin.state.shadow import SHADOW, Shadow, Shadows
from twin.state.shadow.document import SECTIONS
from twin.state.shadow.requests import RejectedError

COMMAND_TIMEOUT_S: Final = 30.0
"""For a command whose rule says none."""


@dataclass(frozen=True, slots=True)
class Performer:
    """Does one action. What a component refuses is counted as `rule_refused`, and stops nothing else."""

    shadows: Shadows
    alarms: Alarms
    commands: Commands

    def __call__(self, action: Action, transaction: Transaction) -> None:
        """Do it."""
        try:
            self._perform(action, transaction)
        except (RefusedError, RejectedError):
            transaction.observe("rule_refused")

    def _perform(self, action: Action, transaction: Transaction) -> None:
        match action:
            case Desire(thing, values, expires_s):
                self.shadows.desire(thing, values, transaction, expires_s=expires_s, by="rules")
            case Command(_, thing, name, arguments, timeout_s, key):
                self.commands.issue(
                    thing,
                    name,
                    dict(arguments),
                    transaction,
                    timeout_s=COMMAND_TIMEOUT_S if timeout_s is None else timeout_s,
                    key=key or None,
                )
            case Alarm(_, _, type_, thing, is_cleared) if is_cleared:
                self.alarms.clear(thing, type_, transaction)
            case Alarm(severity, text, type_, thing):
                self.alarms.raise_alarm(thing, type_, severity, text, transaction)
            case Publish(topic, payload, qos):
                transaction.publish(topic, payload, qos=qos)
            case Forward(sink, document):
                transaction.publish(SINK_TOPIC + sink, document)


class _Kinds(Mapping[str, str]):
    """The type of each thing, looked up when it is asked for: most firings ask for one thing or none."""

    __slots__ = ("_things",)

    def __init__(self, things: Mapping[str, Thing]) -> None:
        self._things = things

    def __getitem__(self, name: str) -> str:
        return self._things[name].type

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)


def kinds_of(records: Records) -> Mapping[str, str]:
    """The things of the registry, each with its type."""
    return _Kinds(records.of(THING))


def shadow_value(records: Records, thing: str, path: str) -> Any:
    """A value in a thing's classic shadow, such as `reported.gate`; Undefined if there is none."""
    found: Shadow | None = records.get(SHADOW, thing)
    section, *below = path.split(".")
    value: Any = found is not None and section in SECTIONS and getattr(found.state, section)
    if not value:
        return U
    for key in below:
        value = value.get(key, U) if value.__class__ is dict else U
    return value
