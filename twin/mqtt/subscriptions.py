"""Who gets a publication: ordinary subscriptions, those with MQTT 5 options, and shared groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from twin.errors import InputError
from twin.message import Properties
from twin.mqtt.topics import FilterTree, check_filter

SHARED: Final = "$share/"
NO_LOCAL: Final = 1
RETAIN_AS_PUBLISHED: Final = 4
"""Beside a granted QoS of 0 to 2: the subscriber wants the retain flag as it was published."""
QOS_MASK: Final = 3


@dataclass(slots=True)
class Group:
    """The members of one shared subscription with their QoS, the one whose turn it is first."""

    members: dict[str, int] = field(default_factory=dict)

    def take_turn(self, is_connected: Callable[[str], bool]) -> tuple[str, int]:
        """The first member that is connected, else the first; it goes to the end of the line."""
        chosen = next(filter(is_connected, self.members), None) or next(iter(self.members))
        qos = self.members.pop(chosen)
        self.members[chosen] = qos
        return chosen, qos


class Subscriptions:
    """All subscriptions of a broker; matching costs topic levels, and options only where they are used.

    There is one filter tree for each combination of options, because filters of one client may overlap
    with different ones.
    """

    __slots__ = ("_groups", "_shared", "_trees", "has_groups")

    def __init__(self) -> None:
        self.has_groups = False
        self._trees: dict[int, FilterTree[str]] = {0: FilterTree()}
        self._shared: FilterTree[str] = FilterTree()
        self._groups: dict[str, Group] = {}

    def add(self, topic_filter: str, client_id: str, qos: int, said: Properties | None = None) -> int:
        """Subscribe, and return the options to remove it with; raise InputError for an invalid filter."""
        if topic_filter.startswith(SHARED):
            self._shared.add(shared_filter(topic_filter), topic_filter)
            self._groups.setdefault(topic_filter, Group()).members[client_id] = qos
            self.has_groups = True
            return 0
        options = _options(said) if said is not None else 0
        tree = self._trees.setdefault(options, FilterTree()) if options else self._trees[0]
        tree.add(topic_filter, client_id, qos)
        return options

    def remove(self, topic_filter: str, client_id: str, options: int) -> None:
        """End a subscription."""
        if not topic_filter.startswith(SHARED):
            self._trees[options].remove(topic_filter, client_id)
            return
        group = self._groups[topic_filter]
        del group.members[client_id]
        if not group.members:
            del self._groups[topic_filter]
            self._shared.remove(shared_filter(topic_filter), topic_filter)
            self.has_groups = bool(self._groups)

    def match(self, topic: str, publisher: str) -> dict[str, int]:
        """Each subscriber once, with the greatest QoS of its filters, and RETAIN_AS_PUBLISHED if asked."""
        found = self._trees[0].match(topic)
        if len(self._trees) > 1:
            for options, tree in self._trees.items():
                for client_id, qos in tree.match(topic).items() if options else ():
                    if not (options & NO_LOCAL and client_id == publisher):
                        known = found.get(client_id, 0)
                        wish = (options | known) & RETAIN_AS_PUBLISHED
                        found[client_id] = max(known & QOS_MASK, qos) | wish
        return found

    def groups(self, topic: str) -> list[Group]:
        """The shared subscriptions whose filter covers the topic; each is owed one copy."""
        return [self._groups[name] for name in self._shared.match(topic)]


def shared_filter(topic_filter: str) -> str:
    """The filter inside `$share/group/filter`; raise InputError where there is none [MQTT-4.8.2-1]."""
    group, _, inner = topic_filter.removeprefix(SHARED).partition("/")
    if not group or "+" in group or "#" in group or not inner:
        raise InputError(f"shared subscription {topic_filter!r} is not of the form $share/group/filter")
    check_filter(inner)
    return inner


def _options(said: Properties) -> int:
    return said.is_no_local * NO_LOCAL | said.is_retain_as_published * RETAIN_AS_PUBLISHED
