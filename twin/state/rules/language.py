"""Rules of the language behind the port of the simulated rule engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from twin.message import Message
from twin.state.records import Records, Transaction
from twin.state.rules.component import Rules
from twin.state.rules.port import Action
from twin.state.rules.program import CompiledRule, field_topic


@dataclass(slots=True)
class LanguageRules:
    """The rules of a file at one place: `edge` (a gateway's local bus) or `cloud` (a broker).

    `devices` are the nodes with their kinds that patterns choose from. At a broker the engine serves one
    `site`; topics of that site lose it before the rules see them, unless a rule asks for `site/...`.
    """

    rules: Sequence[CompiledRule]
    place: str
    devices: Mapping[str, str] = field(default_factory=dict)
    site: str = ""

    component: Rules = field(init=False)
    records: Records = field(init=False, default_factory=Records)
    pending: list[Action] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.component = Rules(self.rules, self._collect, self.place, kinds_of=lambda _records: self.devices)

    def subscriptions(self) -> Sequence[str]:
        """What the rules of this place take; a gateway's bus has nothing of a site."""
        sources = self.component.program(self.records).sources
        return [each for each in sources if self.site or not each.startswith("site/")]

    def evaluate(self, message: Message, now_s: float) -> list[Action]:
        """What is to be done about the message."""
        if self.site and field_topic(message.topic) == message.topic and not message.topic.startswith("$"):
            message = replace(message, topic=f"site/{self.site}/{message.topic}")
        transaction = Transaction(self.records, now_s)
        self._elapse(transaction)
        self.component.handle(message, transaction)
        return self._taken()

    def due(self) -> float | None:
        """When time alone may fire a rule (seconds, absolute), or None."""
        due_s = self.records.next_due_s()
        return None if due_s == float("inf") else due_s

    def elapse(self, now_s: float) -> list[Action]:
        """What is to be done because time has passed."""
        self._elapse(Transaction(self.records, now_s))
        return self._taken()

    def _elapse(self, transaction: Transaction) -> None:
        while (deadline := self.records.take_due(transaction.now_s)) is not None:
            self.component.expire(deadline.kind, deadline.key, transaction)

    def _collect(self, action: Action, _transaction: Any) -> None:
        self.pending.append(action)

    def _taken(self) -> list[Action]:
        taken, self.pending = self.pending, []
        return taken
