"""What the devices of a fleet publish by themselves: one of them is rehearsed, without network or world.

The device's own behaviour runs on a clock of its own; nothing happens around it, so alarms that a world would
set off are no part of it. What it sends again and again becomes a pattern.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from twin.kernel.behaviour import Behaviour, Effect, Event, Send, Started, Wake, Woken
from twin.kernel.randomness import Stream
from twin.message import Message

MOST_SENT: Final = 400
LEAST_SENT: Final = 10
"""What comes less often is no habit but what a device does at its start, or when it finds itself alone."""
MOST_WAKES: Final = 20_000
HORIZON_S: Final = 7 * 86_400.0
RANDOM_VARIATION: Final = 0.8
"""Gaps that deviate by more than this share of their mean are taken for a Poisson process, whose do by 1."""


class Pattern(NamedTuple):
    """Publications that a device repeats: `{}` in the topic stands for its name.

    `burst_count` of them come at once, every `period_s`; with `is_random` that is the mean of a Poisson
    process.
    """

    topic: str
    period_s: float
    size_bytes: int
    qos: int
    is_retained: bool = False
    burst_count: int = 1
    is_random: bool = False

    @property
    def is_own(self) -> bool:
        """Whether each device has a topic of its own."""
        return "{}" in self.topic


class Sent(NamedTuple):
    """A message, and when it was sent (s)."""

    at_s: float
    message: Message


@dataclass(slots=True)
class Rehearsal:
    """The context of a device that is alone."""

    node: str
    random: Stream
    now: float = 0.0
    trace: int = 0
    sent: list[Sent] = field(default_factory=list)
    _wakes: list[tuple[float, int, str]] = field(default_factory=list)
    _latest: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def sense(self, _quantity: str) -> float:
        """Nothing happens."""
        return 0.0

    def run(self, behaviour: Behaviour) -> list[Sent]:
        """What the device sends until it has said enough."""
        self._perform(behaviour.react(Started(), self))
        for _ in range(MOST_WAKES):
            if not self._wakes or len(self.sent) >= MOST_SENT:
                break
            at_s, number, tag = heapq.heappop(self._wakes)
            if at_s > HORIZON_S:
                break
            if self._latest.get(tag) == number:
                self.now = at_s
                self._react(behaviour, Woken(tag))
        return self.sent

    def _react(self, behaviour: Behaviour, event: Event) -> None:
        self._perform(behaviour.react(event, self))

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send) and effect.message.kind == "publish":
                self.sent.append(Sent(self.now, effect.message))
            elif isinstance(effect, Wake):
                self._count += 1
                self._latest[effect.tag] = self._count
                if math.isfinite(effect.after_s):
                    heapq.heappush(self._wakes, (self.now + effect.after_s, self._count, effect.tag))


def patterns_of(sent: Sequence[Sent], node: str) -> list[Pattern]:
    """The patterns in what a device of this name sent; what came once only is none."""
    groups: dict[tuple[str, int, bool], list[Sent]] = {}
    for each in sent:
        message = each.message
        key = message.topic.replace(node, "{}"), message.qos, message.retain
        groups.setdefault(key, []).append(each)
    found = (_pattern(key, group) for key, group in groups.items())
    return [pattern for pattern in found if pattern is not None]


def _pattern(key: tuple[str, int, bool], group: Sequence[Sent]) -> Pattern | None:
    topic, qos, is_retained = key
    times_s = sorted({each.at_s for each in group})
    if len(times_s) < LEAST_SENT:
        return None
    gaps_s = [later - earlier for earlier, later in pairwise(times_s)]
    period_s = sum(gaps_s) / len(gaps_s)
    deviation_s = math.sqrt(sum((gap_s - period_s) ** 2 for gap_s in gaps_s) / len(gaps_s))
    size_bytes = round(sum(len(each.message.payload) for each in group) / len(group))
    return Pattern(
        topic,
        period_s,
        size_bytes,
        qos,
        is_retained,
        round(len(group) / len(times_s)),
        deviation_s > RANDOM_VARIATION * period_s,
    )
