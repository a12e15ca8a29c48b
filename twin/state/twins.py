"""The twin service without a network: components that share records, one message at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from twin.message import Message
from twin.mqtt.topics import FilterTree
from twin.state.records import Component, Deadline, Record, Records, Transaction

ROUTES_REMEMBERED: Final = 65_536


@dataclass(slots=True)
class Twins:
    """All twins: hands each message to the components that take it, and deadlines to whom they belong.

    There is one writer: calls come one after the other, and `now_s` (seconds) never goes back.
    """

    components: Sequence[Component]
    records: Records = field(default_factory=Records)

    takers: FilterTree[int] = field(init=False, default_factory=FilterTree)
    owners: dict[str, Component] = field(init=False, default_factory=dict)
    routes: dict[str, list[Component]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for number, component in enumerate(self.components):
            for topic_filter in component.filters:
                self.takers.add(topic_filter, number)
            self.owners |= dict.fromkeys(component.kinds, component)

    @property
    def filters(self) -> list[str]:
        """The topic filters that the service subscribes to, each once."""
        return list(dict.fromkeys(each for component in self.components for each in component.filters))

    @property
    def kinds(self) -> Mapping[str, type[Record]]:
        """The type of the records of each kind."""
        return {kind: record for component in self.components for kind, record in component.kinds.items()}

    def handle(self, message: Message, now_s: float) -> Transaction:
        """What a message leads to; if a component fails, nothing."""
        transaction = Transaction(self.records, now_s)
        try:
            for component in self.routes.get(message.topic) or self._route(message.topic):
                component.handle(message, transaction)
        except BaseException:
            transaction.undo()
            raise
        return transaction

    def _route(self, topic: str) -> list[Component]:
        """The components that take a topic, in their order; remembered, as things speak again."""
        if len(self.routes) >= ROUTES_REMEMBERED:
            self.routes.clear()
        route = [self.components[number] for number in sorted(self.takers.match(topic))]
        self.routes[topic] = route
        return route

    def next_due_s(self) -> float:
        """When `elapse` is to be called (seconds), infinite if time alone changes nothing."""
        return self.records.next_due_s()

    def elapse(self, now_s: float) -> Transaction:
        """What time alone leads to, oldest deadline first; if a component fails, nothing."""
        transaction = Transaction(self.records, now_s)
        taken: list[Deadline] = []
        try:
            while (deadline := self.records.take_due(now_s)) is not None:
                taken.append(deadline)
                self.owners[deadline.kind].expire(deadline.kind, deadline.key, transaction)
        except BaseException:
            transaction.undo()
            self.records.give_back(taken)
            raise
        return transaction

    def fork(self) -> Twins:
        """The same twins, free to go another way from here; components have no state of their own."""
        return Twins(self.components, self.records.fork())
