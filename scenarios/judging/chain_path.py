"""The way through a message chain: of all messages of a chain, those that lead from its cause to its effect.

A chain branches: an alarm also sounds the sounders and is stored. What made the effect late is on the one
branch that leads to it. It is followed from the effect back: before a node sent a message, the message came
that made it do so. Times between are waits inside a node; together they make up the whole time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from scenarios.results import Hop

TOLERANCE_S: Final = 1e-6
ROUNDED_S: Final = 6e-4
"""Older chains tell how long a message took in whole milliseconds, in their note only."""
IN_NOTE: Final = re.compile(r"(\d+) ms")
HOUSEKEEPING: Final = ("/report", "/ack", "/update", "/accepted", "/documents", "/delta", "/telemetry")
"""Ends of topics that seldom make anybody act, and come at the same time as those that do."""

Kind = Literal["hop", "lost", "wait"]


class Step(NamedTuple):
    """One part of the way: a message that arrived, one that was lost, or a wait inside a node."""

    kind: Kind
    at_s: float
    took_s: float
    source: str
    to: str
    topic: str = ""
    note: str = ""


class ChainPath(NamedTuple):
    """The way from the cause to the effect; `end_s` is infinite if it never came to that.

    `steps` tile the time: their durations add up to `took_s`, where it is finite; lost messages take no time
    of their own, as the wait for the next attempt is counted. `hops` are the chain's own steps on the way.
    """

    start: Hop | None
    end: Hop | None
    steps: list[Step]
    hops: list[Hop]

    @property
    def took_s(self) -> float:
        """From the cause to the effect."""
        return math.inf if self.start is None or self.end is None else self.end.at_s - self.start.at_s

    @property
    def longest(self) -> Step | None:
        """The step that took longest."""
        timed = [step for step in self.steps if step.kind != "lost"]
        return max(timed, key=lambda step: step.took_s, default=None)

    @property
    def last_lost(self) -> Step | None:
        """The message with which the way ends because it was lost and not sent again."""
        return self.steps[-1] if self.steps and self.steps[-1].kind == "lost" else None

    @property
    def nodes(self) -> list[str]:
        """Who takes part, in the order of the way."""
        return list(dict.fromkeys(node for step in self.steps for node in (step.source, step.to)))


def chain_path(chain: Sequence[Hop]) -> ChainPath:
    """Find the way through a chain in order of time; marks in it are steps inside a node."""
    marks = [hop for hop in chain if hop.source == hop.to]
    messages = [hop for hop in chain if hop.source != hop.to]
    start = marks[0] if marks else None
    end = next((mark for mark in reversed(marks) if start and mark.topic != start.topic), None)
    if end is not None:
        way = _back(messages, end.source, end.at_s, "", start)
    else:
        target = _target(messages)
        way = [*_back(messages, target.source, target.at_s, target.topic, start), target] if target else []
    own = [hop for hop in (start, *_with_attempts(way, messages), end) if hop is not None]
    return ChainPath(start, end, _steps(way, messages, start, end), own)


def took_s(hop: Hop) -> float | None:
    """How long a message was on its way; None if it did not arrive."""
    if hop.took_s is not None:
        return hop.took_s
    found = IN_NOTE.fullmatch(hop.note)
    return int(found[1]) / 1000 if found else None


def _arrival_s(hop: Hop) -> float:
    taken = took_s(hop)
    return math.inf if taken is None else hop.at_s + taken


def _target(messages: Sequence[Hop]) -> Hop | None:
    """Where a way ends that leads nowhere: the first message lost for good, else the last to arrive."""
    arrived = {(hop.source, hop.to, hop.topic) for hop in messages if took_s(hop) is not None}
    lost = [hop for hop in messages if took_s(hop) is None]
    for_good = [hop for hop in lost if (hop.source, hop.to, hop.topic) not in arrived]
    firsts = [hop for hop in for_good if not hop.topic.endswith(HOUSEKEEPING)] or for_good
    if firsts:
        key = (firsts[0].source, firsts[0].to, firsts[0].topic)
        return [hop for hop in for_good if (hop.source, hop.to, hop.topic) == key][-1]
    return max(
        messages, key=lambda hop: (not hop.topic.endswith(HOUSEKEEPING), _arrival_s(hop)), default=None
    )


def _back(messages: Sequence[Hop], node: str, by_s: float, topic: str, start: Hop | None) -> list[Hop]:
    """The messages that led to this node by this time, first to last."""
    way: list[Hop] = []
    while len(way) < len(messages):
        if start is not None and node == start.source and by_s <= start.at_s + TOLERANCE_S:
            break
        came = [
            hop
            for hop in messages
            if hop.to == node and hop not in way and _arrival_s(hop) <= by_s + _slack_s(hop)
        ]
        if not came:
            break
        cause = max(came, key=lambda hop: _likelihood(hop, topic, start))
        way.append(cause)
        node, by_s, topic = cause.source, cause.at_s, cause.topic
    return way[::-1]


def _slack_s(hop: Hop) -> float:
    return ROUNDED_S if hop.took_s is None else TOLERANCE_S


def _likelihood(hop: Hop, topic: str, start: Hop | None) -> tuple[bool, bool, bool, float]:
    """How likely it made a node send something: passed on, from the cause, no report, late."""
    is_passed_on = bool(topic) and (topic.endswith(hop.topic) or hop.topic.endswith(topic))
    is_cause = start is not None and hop.source == start.source
    return is_passed_on, is_cause, not hop.topic.endswith(HOUSEKEEPING), _arrival_s(hop)


def _attempts(hop: Hop, messages: Sequence[Hop], since_s: float) -> list[Hop]:
    """The same message, sent before and lost."""
    return [
        other
        for other in messages
        if (other.source, other.to, other.topic) == (hop.source, hop.to, hop.topic)
        and took_s(other) is None
        and since_s - ROUNDED_S <= other.at_s <= hop.at_s
        and other is not hop
    ]


def _attempts_text(count: int) -> str:
    return "one lost attempt" if count == 1 else f"{count} lost attempts"


def _with_attempts(way: Sequence[Hop], messages: Sequence[Hop]) -> list[Hop]:
    found: list[Hop] = []
    since_s = -math.inf
    for hop in way:
        found += [*_attempts(hop, messages, since_s), hop]
        since_s = _arrival_s(hop)
    return found


def _steps(way: Sequence[Hop], messages: Sequence[Hop], start: Hop | None, end: Hop | None) -> list[Step]:
    """The way with the waits between its messages, so that nothing of the time is left out."""
    steps: list[Step] = []
    now_s = start.at_s if start is not None else (way[0].at_s if way else 0.0)
    for hop in way:
        attempts = _attempts(hop, messages, now_s)
        steps += [
            Step("lost", each.at_s, 0.0, each.source, each.to, each.topic, each.note) for each in attempts
        ]
        if hop.at_s > now_s + TOLERANCE_S:
            note = f"after {_attempts_text(len(attempts))}" if attempts else ""
            steps.append(Step("wait", now_s, hop.at_s - now_s, hop.source, hop.source, hop.topic, note))
        taken = took_s(hop)
        if taken is None:
            steps.append(Step("lost", hop.at_s, 0.0, hop.source, hop.to, hop.topic, hop.note))
            return steps
        began_s = max(hop.at_s, now_s)
        steps.append(
            Step("hop", hop.at_s, max(hop.at_s + taken - began_s, 0.0), hop.source, hop.to, hop.topic)
        )
        now_s = max(now_s, hop.at_s + taken)
    if end is not None and end.at_s > now_s + TOLERANCE_S:
        steps.append(Step("wait", now_s, end.at_s - now_s, end.source, end.source, end.topic, end.topic))
    return steps
