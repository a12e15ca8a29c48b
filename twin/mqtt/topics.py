"""Topic names, topic filters and who subscribed to what (MQTT 3.1.1, section 4.7)."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from twin.errors import InputError

TOPIC_LIMIT_BYTES = 65_535

S = TypeVar("S", bound=Hashable)


def check_name(topic: str) -> None:
    """Raise InputError unless the text is a valid topic name."""
    _check_text(topic, "topic name")
    if "+" in topic or "#" in topic:
        raise InputError(f"topic name {topic!r} holds a wildcard; only topic filters may")


def check_filter(topic_filter: str) -> None:
    """Raise InputError unless the text is a valid topic filter."""
    _check_text(topic_filter, "topic filter")
    levels = topic_filter.split("/")
    for level in levels:
        if ("+" in level or "#" in level) and len(level) > 1:
            raise InputError(f"topic filter {topic_filter!r}: a wildcard must fill its level, not {level!r}")
    if "#" in levels[:-1]:
        raise InputError(f"topic filter {topic_filter!r}: '#' must be the last level")


def _check_text(text: str, what: str) -> None:
    if not text:
        raise InputError(f"a {what} must have at least one character")
    if "\0" in text:
        raise InputError(f"{what} {text!r} holds the character U+0000")
    if len(text.encode()) > TOPIC_LIMIT_BYTES:
        raise InputError(f"{what} {text[:40]!r}... is longer than {TOPIC_LIMIT_BYTES} bytes")


def matches(topic_filter: str, topic: str) -> bool:
    """Whether the filter covers the topic; leading wildcards do not cover topics that begin with '$'."""
    if topic.startswith("$") and topic_filter[0] in "+#":
        return False
    wanted, given = topic_filter.split("/"), topic.split("/")
    for depth, level in enumerate(wanted):
        if level == "#":
            return True
        if depth == len(given) or level not in ("+", given[depth]):
            return False
    return len(wanted) == len(given)


@dataclass(slots=True)
class Branch(Generic[S]):
    """One level of the tree: what follows it, and who subscribed up to here, at which QoS."""

    children: dict[str, Branch[S]] = field(default_factory=dict)
    subscribers: dict[S, int] = field(default_factory=dict)


class FilterTree(Generic[S]):
    """Subscriptions as a tree of topic levels: matching costs levels, not subscriptions."""

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root: Branch[S] = Branch()

    def add(self, topic_filter: str, subscriber: S, qos: int = 0) -> None:
        """Subscribe, or change the QoS of a subscription; raise InputError for an invalid filter."""
        check_filter(topic_filter)
        branch = self._root
        for level in topic_filter.split("/"):
            branch = branch.children.setdefault(level, Branch())
        branch.subscribers[subscriber] = qos

    def remove(self, topic_filter: str, subscriber: S) -> bool:
        """End a subscription; tell whether there was one."""
        path = [("", self._root)]
        for level in topic_filter.split("/"):
            branch = path[-1][1].children.get(level)
            if branch is None:
                return False
            path.append((level, branch))
        was_there = path[-1][1].subscribers.pop(subscriber, None) is not None
        _prune(path)
        return was_there

    def match(self, topic: str) -> dict[S, int]:
        """Each subscriber to the topic once, with the greatest QoS among its matching filters."""
        found: dict[S, int] = {}
        reached = [self._root]
        has_wildcards = not topic.startswith("$")
        for level in topic.split("/"):
            following: list[Branch[S]] = []
            for branch in reached:
                children = branch.children
                if level in children:
                    following.append(children[level])
                if has_wildcards:
                    if "+" in children:
                        following.append(children["+"])
                    if "#" in children:
                        _collect(children["#"], found)
            reached, has_wildcards = following, True
        for branch in reached:
            _collect(branch, found)
            if "#" in branch.children:
                _collect(branch.children["#"], found)
        return found


def _collect(branch: Branch[S], found: dict[S, int]) -> None:
    for subscriber, qos in branch.subscribers.items():
        if qos >= found.get(subscriber, 0):
            found[subscriber] = qos


def _prune(path: list[tuple[str, Branch[S]]]) -> None:
    """Remove branches that lead to no subscription any more, from the leaf up."""
    for (_, parent), (level, branch) in zip(reversed(path[:-1]), reversed(path)):
        if branch.children or branch.subscribers:
            return
        del parent.children[level]
