"""What the scenario's links would do to a message, added where the devices are: no proxy, no second socket.

The way up delays when a message is handed to the broker; the way down is added to what is measured. Each
device has the laws of its own links: delay, jitter, loss. What is lost is repaired as TCP does it: it comes
late, not never. What many devices share, the queue of a rate or a radio medium, is not modelled here.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from network.link import Link
from network.stages.rate import Rate
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.linking import build_topology
from twin.kernel.ports import Stage
from twin.kernel.randomness import Streams
from twin.mqtt.fleet.device import Device
from twin.mqtt.fleet.schedule import Block, Schedule
from twin.mqtt.fleet.stamp import Encoder

BROKER: Final = "mqtt_broker"
MOST_REPAIRS: Final = 8
LEAST_REPAIR_S: Final = 0.2
SMALL_BYTES: Final = 64
FAR_APART_S: Final = 600.0
"""Draws are that far apart for a stage, so that none remembers the one before."""


class Way:
    """The links from one node to another, as independent draws of their laws; `moments` is common to all."""

    def __init__(self, links: Sequence[Link], round_trip_s: float, moments: Iterator[int]) -> None:
        self._moments = moments
        stages = [stage for link in links for stage in link.stages]
        self._medium_s = sum(link.medium_s for link in links)
        self._laws = [stage for stage in stages if not isinstance(stage, Rate)]
        self._rates = [stage for stage in stages if isinstance(stage, Rate)]
        # the probe time-out of TCP with a variation of half the round trip, as Linux begins it
        self._repair_s = min(
            2.0 * round_trip_s + LEAST_REPAIR_S, round_trip_s + max(LEAST_REPAIR_S, 2.0 * round_trip_s)
        )

    def delay_s(self, size_bytes: int) -> float:
        """How long one message takes (s)."""
        delay_s = self._medium_s + sum(size_bytes * 8.0 / stage.rate_bps for stage in self._rates)
        for stage in self._laws:
            delay_s += self._through(stage, size_bytes)
        return delay_s

    def _through(self, stage: Stage, size_bytes: int) -> float:
        repair_s = 0.0
        for attempt in range(MOST_REPAIRS):
            now_s = next(self._moments) * FAR_APART_S
            left_s = stage.release(now_s, size_bytes)
            if left_s is not None:
                return repair_s + left_s - now_s
            repair_s += self._repair_s * 2.0**attempt
        return repair_s


class Ways:
    """The ways between the devices of a scenario and its brokers."""

    def __init__(self, blueprint: Blueprint, seed: int) -> None:
        self._topology = build_topology(
            blueprint.scenario, blueprint.members, Streams(seed), blueprint.folder
        )
        self._brokers = [name for name, node in blueprint.scenario.nodes.items() if node.kind == BROKER]
        self._moments = itertools.count(1)
        self._known: dict[str, tuple[Way, Way]] = {}

    def _of(self, member: str) -> tuple[Way, Way]:
        """Up and down."""
        found = self._known.get(member)
        if found is None:
            pairs = (
                (self._topology.path(member, to), self._topology.path(to, member)) for to in self._brokers
            )
            up, down = next(((up, down) for up, down in pairs if up and down), ((), ()))
            round_trip_s = sum(link.expected_delay_s for link in (*up, *down))
            found = self._known[member] = (
                Way(up, round_trip_s, self._moments),
                Way(down, round_trip_s, self._moments),
            )
        return found

    def up_s(self, member: str, size_bytes: int) -> float:
        """How long a message takes from this device to the broker (s)."""
        return self._of(member)[0].delay_s(size_bytes)

    def down_s(self, member: str) -> float:
        """How long something small takes back (s)."""
        return self._of(member)[1].delay_s(SMALL_BYTES)


def delayed(
    schedule: Schedule, members: Sequence[str], up_s: Callable[[str], float], encode: Encoder
) -> tuple[Schedule, Encoder]:
    """The schedule by which messages reach the broker, and an encoder that still knows when each was due."""
    due: deque[float] = deque()

    def moved() -> Schedule:
        later: list[tuple[float, float, int]] = []
        for times_s, who in schedule:
            later += [
                (at_s + up_s(members[index]), at_s, index)
                for at_s, index in zip(times_s.tolist(), who.tolist())
            ]
            later.sort()
            horizon_s = float(times_s[-1]) if times_s.size else 0.0
            ready = [each for each in later if each[0] <= horizon_s]
            later = later[len(ready) :]
            yield _block(ready, due)
        yield _block(later, due)

    def encoded(device: Device, sequence: int, at_s: float) -> bytes:
        return encode(device, sequence, at_s - due.popleft())

    return moved(), encoded


def _block(ready: Sequence[tuple[float, float, int]], due: deque[float]) -> Block:
    """Publications in the order in which they arrive; how late each is goes to `due`."""
    due.extend(at_s - due_s for at_s, due_s, _ in ready)
    return Block(
        np.array([each[0] for each in ready], dtype=np.float64),
        np.array([each[2] for each in ready], dtype=np.int64),
    )
