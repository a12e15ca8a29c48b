"""Values for simulated properties: the laws of `x-twin: sim`, drawn from a stream."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from twin.errors import InputError
from twin.state.records import Tree
from twin.state.registry.things import unknown
from twin.units import parse

if TYPE_CHECKING:
    from twin.kernel.randomness import Stream


class Law(NamedTuple):
    """The parameters of a law: those it needs, those it may have, and which of them are durations."""

    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()
    durations: tuple[str, ...] = ()


LAWS: Final = {
    "constant": Law(("value",)),
    "uniform": Law(("low", "high"), ("decimals",)),
    "normal": Law(("mean", "deviation"), ("low", "high", "decimals")),
    "walk": Law(("start", "step"), ("low", "high", "decimals")),
    "sine": Law(("mean", "amplitude", "period"), ("noise", "low", "high", "decimals"), ("period",)),
    "toggle": Law(("on", "off"), ("values",), ("on", "off")),
    "choice": Law(("values",), ("weights",)),
    "counter": Law(("step",), ("start",)),
}
"""Every law by name. `toggle` holds each state for an exponential time with the mean `on` or `off`."""

_LISTS: Final = frozenset({"values", "weights"})


def simulation_problems(sim: Any, schema: Tree) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with a simulation: the key (or none) and a sentence."""
    if not isinstance(sim, dict):
        yield (), "expected a map with a law and its parameters"
        return
    name = sim.get("law")
    if name not in LAWS:
        yield ("law",) if "law" in sim else (), unknown("law", str(name), LAWS)
        return
    law = LAWS[name]
    known = ("law", *law.needed, *law.optional)
    for key in sim:
        if key not in known:
            yield (key,), unknown("parameter", key, known)
    for key in law.needed:
        if key not in sim:
            yield (), f"the law {name} needs {key!r}"
    for key, value in sim.items():
        if key in known and key not in ("law", "value"):
            yield from _parameter_problems(key, value, is_duration=key in law.durations)
    if not any(schema.get("type") == kind for kind in ("number", "integer")) and "decimals" in sim:
        yield ("decimals",), "only numbers have decimals"


def _parameter_problems(key: str, value: Any, *, is_duration: bool) -> Iterator[tuple[tuple[str, ...], str]]:
    if is_duration:
        try:
            parse("time", value)
        except InputError as error:
            yield (key,), str(error)
    elif key in _LISTS:
        if not isinstance(value, list) or not value:
            yield (key,), f"{key} is a list with at least one entry"
    elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        yield (key,), f"{key} is a number"


@dataclass(slots=True)
class Generator:
    """Values of one property as its law says; ask with times that do not go back."""

    sim: Mapping[str, Any]
    is_whole: bool = False

    _value: float = field(init=False, default=math.nan)
    _until_s: float = field(init=False, default=-math.inf)
    _is_on: bool = field(init=False, default=False)

    def next(self, now_s: float, stream: Stream) -> Any:
        """The value at `now_s`."""
        sim = self.sim
        match sim["law"]:
            case "constant":
                return sim["value"]
            case "uniform":
                return self._number(stream.uniform(sim["low"], sim["high"]))
            case "normal":
                return self._number(stream.normal(sim["mean"], sim["deviation"]))
            case "walk":
                return self._number(self._walk(stream))
            case "sine":
                turn = math.sin(2.0 * math.pi * now_s / parse("time", sim["period"]))
                return self._number(
                    stream.normal(sim["mean"] + sim["amplitude"] * turn, sim.get("noise", 0.0))
                )
            case "toggle":
                return self._toggle(now_s, stream)
            case "choice":
                return self._choose(stream)
        before = sim.get("start", 0) - sim["step"] if math.isnan(self._value) else self._value
        self._value = before + sim["step"]
        return self._number(self._value)

    def _walk(self, stream: Stream) -> float:
        sim = self.sim
        if math.isnan(self._value):
            self._value = float(sim["start"])
        else:
            self._value = self._bounded(stream.normal(self._value, sim["step"]))
        return self._value

    def _toggle(self, now_s: float, stream: Stream) -> Any:
        on, off = self.sim.get("values", [True, False])[:2]
        if self._until_s == -math.inf:
            self._until_s = now_s + stream.exponential(parse("time", self.sim["off"]))
        while self._until_s <= now_s:
            self._is_on = not self._is_on
            self._until_s += stream.exponential(parse("time", self.sim["on" if self._is_on else "off"]))
        return on if self._is_on else off

    def _choose(self, stream: Stream) -> Any:
        values = self.sim["values"]
        weights = self.sim.get("weights") or [1.0] * len(values)
        rest = stream.uniform(0.0, sum(weights))
        for value, weight in zip(values, weights):
            rest -= weight
            if rest < 0.0:
                return value
        return values[-1]

    def _bounded(self, value: float) -> float:
        low, high = float(self.sim.get("low", -math.inf)), float(self.sim.get("high", math.inf))
        return min(max(value, low), high)

    def _number(self, value: float) -> float | int:
        value = self._bounded(value)
        if self.is_whole:
            return round(value)
        return round(value, int(self.sim["decimals"])) if "decimals" in self.sim else value


def generator(sim: Mapping[str, Any], schema: Tree) -> Generator:
    """The generator of a property that has a simulation."""
    return Generator(sim, is_whole=schema.get("type") == "integer")
