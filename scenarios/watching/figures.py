"""The figures of a run that goes on: how many are inside, how many messages, and their course so far."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from scenarios.wiring.assembly import Assembly

MOST_POINTS: Final = 120
FIRST_STEP_S: Final = 0.5


class Figure(msgspec.Struct, frozen=True):
    """One figure now; `of` is how many there are in all, where that means something."""

    name: str
    value: float
    unit: str = ""
    of: float | None = None


class Course:
    """Figures over the time of the run, in few points: twice as far apart whenever there are too many.

    A figure that begins later has had its first value before.
    """

    def __init__(self) -> None:
        self.at_s: list[float] = []
        self.values: dict[str, list[float]] = {}
        self._step_s = FIRST_STEP_S

    def add(self, at_s: float, figures: list[Figure]) -> None:
        """Keep the figures, if the last ones kept are old enough."""
        if self.at_s and at_s - self.at_s[-1] < self._step_s:
            return
        self.at_s.append(round(at_s, 3))
        for each in figures:
            known = self.values.setdefault(each.name, [each.value] * (len(self.at_s) - 1))
            known.append(each.value)
        if len(self.at_s) > MOST_POINTS:
            self._step_s *= 2.0
            self.at_s = self.at_s[::2]
            self.values = {name: values[::2] for name, values in self.values.items()}


def figures_of(assembly: Assembly) -> list[Figure]:
    """The figures that every run has, after those of its building."""
    ledger = assembly.kernel.ledger
    return [
        *_of_building(assembly),
        Figure("messages sent", float(ledger.sent)),
        Figure("messages delivered", float(ledger.delivered)),
        Figure("messages lost", float(ledger.lost.total())),
    ]


def _of_building(assembly: Assembly) -> Iterator[Figure]:
    building = assembly.building
    if building is None:
        return
    people, cars = building.evacuation.people, building.evacuation.cars
    if people.count:
        yield Figure("people inside", float(people.inside_count), of=float(people.count))
    if cars.count:
        yield Figure("cars inside", float(cars.inside_count), of=float(cars.count))
    if building.blaze is not None:
        bay, now_s = building.blaze.bay, assembly.kernel.now
        visibility_m = building.blaze.value(bay, "visibility", now_s)
        yield Figure("clear air", building.blaze.value(bay, "layer_height", now_s), "m")
        if math.isfinite(visibility_m):
            yield Figure("visibility in smoke", visibility_m, "m")


def states_of(assembly: Assembly) -> dict[str, Any]:
    """The links and nodes that are not as usual, and the fire if there is one."""
    links, kernel = assembly.network.topology.links.values(), assembly.kernel
    blaze = assembly.building.blaze if assembly.building is not None else None
    return {
        "links": {link.name: link.condition for link in links if link.condition != "up"},
        "nodes": {member.node: "down" for member in assembly.members if not kernel.is_up(member.node)},
        "fire": None if blaze is None else {"bay": blaze.bay.id, "from_s": blaze.starts_at_s},
    }


def rounded(figures: list[Figure]) -> list[dict[str, Any]]:
    """For JSON: three decimals are enough to look at."""
    return [
        {**msgspec.to_builtins(each), "value": round(each.value, 3)}
        for each in figures
        if math.isfinite(each.value)
    ]
