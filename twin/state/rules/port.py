"""The port between a rule engine and the rules it hosts.

Rules speak field topics (`{kind}/{node}/event/{name}`, without a site) and name what is to be done; the
engine turns that into messages at the place where it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from twin.message import Message


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish a message on a field topic."""

    topic: str
    payload: bytes = b""
    qos: int = 1


@dataclass(frozen=True, slots=True)
class Desire:
    """Set desired values in a thing's shadow."""

    thing: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """Send a command to a device of a kind."""

    kind: str
    thing: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Raise an alarm for people."""

    severity: Literal["critical", "major", "minor", "warning"]
    text: str


Action: TypeAlias = Publish | Desire | Command | Alarm


class RuleSet(Protocol):
    """Rules with their state; `now_s` is the engine's clock in seconds."""

    def subscriptions(self) -> Sequence[str]:
        """The topic filters of the messages that the rules want to see."""
        ...

    def evaluate(self, message: Message, now_s: float) -> list[Action]:
        """What is to be done about the message."""
        ...

    def due(self) -> float | None:
        """When time alone may fire a rule (seconds, absolute), or None."""
        ...

    def elapse(self, now_s: float) -> list[Action]:
        """What is to be done because time has passed."""
        ...
