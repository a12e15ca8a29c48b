"""The port between a rule engine and the rules it hosts.

Rules speak field topics (`{kind}/{node}/event/{name}`, without a site) and name what is to be done; the
engine turns that into messages at the place where it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from twin.message import Message

Severity: TypeAlias = Literal["critical", "major", "minor", "warning"]


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish a message; a topic that does not begin with `site/` or `$` is one of the field."""

    topic: str
    payload: bytes = b""
    qos: int = 1


@dataclass(frozen=True, slots=True)
class Desire:
    """Set desired values in a thing's shadow, for `expires_s` seconds or until they are reported."""

    thing: str
    values: Mapping[str, Any]
    expires_s: float | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """Send a command to a device of a kind ('' if it is not known).

    `key` is the same for the same firing, however often it is performed; without one nobody asks for an
    acknowledgement. The command is worth nothing after `timeout_s` seconds.
    """

    kind: str
    thing: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Raise an alarm for people, or say that it is over; there is one for each thing and type."""

    severity: Severity
    text: str
    type: str = ""
    thing: str = ""
    is_cleared: bool = False


@dataclass(frozen=True, slots=True)
class Forward:
    """Hand a document to a sink: a database, a stream, an object store, a function."""

    sink: str
    document: Mapping[str, Any]


Action: TypeAlias = Publish | Desire | Command | Alarm | Forward


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
