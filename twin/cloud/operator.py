"""Somebody, or some program, who wants things otherwise: sets desired values in the shadows of things."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import msgspec

from twin.kernel.behaviour import Context, Effect, Event, NodeId, Observe, Send, Started, Wake, Woken
from twin.message import Message
from twin.units import Seconds


@dataclass(frozen=True, slots=True)
class Wish:
    """At `at_s`, and `every_s` from then `until_s`, the things that match the pattern shall be as in `set`.

    Each time is later by a random time of up to `jitter_s`.
    """

    at_s: Seconds
    things: str
    set: Mapping[str, Any]
    every_s: Seconds = 0.0
    until_s: Seconds = math.inf
    jitter_s: Seconds = 0.0
    expires_s: Seconds = 0.0


@dataclass(slots=True)
class Operator:
    """Sets desired values in the shadows of things at given times, through the broker that it runs on.

    Observes `desired` once for each thing that it asks something of.
    """

    measures: ClassVar[tuple[str, ...]] = ("desired",)

    host: NodeId = field(metadata={"wired": True})
    things: tuple[NodeId, ...] = field(default=(), metadata={"wired": True})
    wishes: list[Wish] = field(default_factory=list)

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Wish when it is time."""
        match event:
            case Woken(tag):
                return self._wish(int(tag), context)
            case Started():
                return self._start(context)
        return ()

    def _start(self, context: Context) -> Iterator[Effect]:
        for number, wish in enumerate(self.wishes):
            late_s = context.now - wish.at_s
            if late_s <= 0:
                yield self._wake(number, -late_s, context)
            elif wish.every_s:
                yield from self._again(number, wish.every_s - late_s % wish.every_s, context)

    def _wish(self, number: int, context: Context) -> Iterator[Effect]:
        wish = self.wishes[number]
        request: dict[str, Any] = {"state": {"desired": dict(wish.set)}}
        if wish.expires_s:
            request["expiresIn"] = wish.expires_s
        payload = msgspec.json.encode(request)
        for thing in self.things:
            if fnmatchcase(thing, wish.things):
                yield Observe("desired")
                yield Send(self.host, Message(f"$aws/things/{thing}/shadow/update", payload, qos=1))
        if wish.every_s:
            rest_s = wish.every_s - max(0.0, context.now - wish.at_s) % wish.every_s
            yield from self._again(number, rest_s, context)

    def _again(self, number: int, after_s: float, context: Context) -> Iterator[Effect]:
        if context.now + after_s <= self.wishes[number].until_s:
            yield self._wake(number, after_s, context)

    def _wake(self, number: int, after_s: float, context: Context) -> Wake:
        jitter_s = self.wishes[number].jitter_s
        return Wake(after_s + (context.random.uniform(0.0, jitter_s) if jitter_s else 0.0), str(number))
