"""Which topic filters lie within others: what a subscriber may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from twin.mqtt.topics import matches


def covers(pattern: str, topic_filter: str) -> bool:
    """Whether every topic that the filter matches is matched by the pattern too; both must be valid."""
    if pattern[0] in "+#":
        if topic_filter[0] == "$":  # a wildcard that begins a filter leaves out the broker's own topics
            return False
    elif topic_filter[0] in "+#":
        return False
    wanted, asked = pattern.split("/"), topic_filter.split("/")
    for depth, level in enumerate(wanted):
        if level == "#":
            return True
        if depth == len(asked) or asked[depth] == "#":
            return False
        if level not in ("+", asked[depth]):
            return False
    return len(wanted) == len(asked)


def overlaps(first: str, second: str) -> bool:
    """Whether some topic is matched by both filters; both must be valid."""
    if (first[0] == "$" and second[0] in "+#") or (second[0] == "$" and first[0] in "+#"):
        return False
    ones, others = first.split("/"), second.split("/")
    for one, other in zip(ones, others):
        if "#" in (one, other):
            return True
        if one != other and "+" not in (one, other):
            return False
    shorter = min(len(ones), len(others))
    longer = ones if len(ones) > len(others) else others
    return len(ones) == len(others) or longer[shorter:] == ["#"]


@dataclass(slots=True)
class Patterns:
    """Topic patterns, sorted by whether they hold wildcards: most topics are looked up at once."""

    exact: set[str] = field(default_factory=set)
    wild: dict[str, list[str]] = field(default_factory=dict)

    def add(self, pattern: str) -> None:
        """Add a pattern, a valid topic filter."""
        if "+" in pattern or "#" in pattern:
            self.wild.setdefault(_stem(pattern), []).append(pattern)
        else:
            self.exact.add(pattern)

    def __iter__(self) -> Iterator[str]:
        yield from self.exact
        for patterns in self.wild.values():
            yield from patterns

    def match(self, topic: str) -> bool:
        """Whether a pattern matches the topic."""
        return topic in self.exact or any(matches(pattern, topic) for pattern in self._near(topic))

    def cover(self, topic_filter: str) -> bool:
        """Whether one pattern covers the whole filter."""
        return topic_filter in self.exact or any(
            covers(each, topic_filter) for each in self._near(topic_filter)
        )

    def overlap(self, topic_filter: str) -> bool:
        """Whether a pattern and the filter have a topic in common."""
        wild = (pattern for patterns in self.wild.values() for pattern in patterns)
        return any(overlaps(pattern, topic_filter) for pattern in (*self.exact, *wild))

    def _near(self, text: str) -> list[str]:
        """The patterns whose levels before the first wildcard are those of the text, at any depth."""
        levels = text.split("/")
        found: list[str] = []
        for depth in range(min(len(levels), _DEEPEST) + 1):
            found += self.wild.get("/".join(levels[:depth]), ())
        return found


_DEEPEST = 8
"""Stems are cut at so many levels, so that a topic of a thousand levels costs no more than one of eight."""


def _stem(pattern: str) -> str:
    levels = pattern.split("/")
    wild = next(depth for depth, level in enumerate(levels) if level in ("+", "#"))
    return "/".join(levels[: min(wild, _DEEPEST)])
