"""Faults of nodes and of the world, done through the kernel. They may overlap, and end in any order."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from devices_models.world.building import Building
from scenarios.format import schema
from twin.cloud.application import Application
from twin.errors import InputError
from twin.kernel.kernel import Kernel
from twin.kernel.randomness import Stream

STROBE_PERIOD_S: Final = 1.0
UNAVAILABLE: Final = 503


@dataclass(slots=True)
class Hosts:
    """The nodes of a run as faults see them: how many faults keep each down, or its process still."""

    kernel: Kernel
    scenario: schema.Scenario
    _down: Counter[str] = field(init=False, default_factory=Counter)
    _still: Counter[str] = field(init=False, default_factory=Counter)
    _skews: dict[str, list[float]] = field(init=False, default_factory=dict)

    def crash(self, node: str) -> None:
        """Stop a node, or keep it down."""
        self._down[node] += 1
        if self._down[node] == 1:
            self.kernel.crash(node)

    def restart(self, node: str) -> None:
        """Start a node unless another fault keeps it down. Those that run on it subscribe again, for a host
        that came back has forgotten who did.
        """
        self._down[node] -= 1
        if self._down[node]:
            return
        self.kernel.restart(node)
        for name, form in self.scenario.nodes.items():
            if form.runs_on == node:
                self.kernel.link_changed(name, node, is_up=True)
        if self._still[node]:
            self.kernel.pause(node)

    def pause(self, node: str) -> None:
        """Let a node's process stand still."""
        self._still[node] += 1
        if self._still[node] == 1 and not self._down[node]:
            self.kernel.pause(node)

    def resume(self, node: str) -> None:
        """Let it go on, unless another fault holds it."""
        self._still[node] -= 1
        if not self._still[node]:
            self.kernel.resume(node)

    def add_skew(self, node: str, skew_s: float) -> None:
        """One more thing sets the node's clock ahead."""
        self._skews.setdefault(node, []).append(skew_s)
        self.kernel.skew(node, math.fsum(self._skews[node]))

    def take_skew(self, node: str, skew_s: float) -> None:
        """One thing less."""
        self._skews[node].remove(skew_s)
        self.kernel.skew(node, math.fsum(self._skews[node]))


class EachNode:
    """A change of nodes and what undoes it."""

    def __init__(
        self, nodes: Sequence[str], change: Callable[[str], None], undo: Callable[[str], None] | None = None
    ) -> None:
        self._nodes = tuple(nodes)
        self._change = change
        self._undo = undo

    def begin(self, now: float) -> None:
        """Change every node."""
        del now
        for node in self._nodes:
            self._change(node)

    def end(self, now: float) -> None:
        """Undo it."""
        del now
        for node in self._nodes if self._undo is not None else ():
            self._undo(node)  # type: ignore[misc]


class PowerCut:
    """Nodes go dark together, and restart at random times within `spread_s` after the power is back."""

    def __init__(self, hosts: Hosts, nodes: Sequence[str], stream: Stream, spread_s: float = 0.0) -> None:
        self._hosts = hosts
        self._nodes = tuple(nodes)
        self._stream = stream
        self._spread_s = spread_s

    def begin(self, now: float) -> None:
        """Cut the power."""
        del now
        for node in self._nodes:
            self._hosts.crash(node)

    def end(self, now: float) -> None:
        """Give it back."""
        for node in self._nodes:
            if self._spread_s:
                self._restart_at(now + self._stream.uniform(0.0, self._spread_s), node)
            else:
                self._hosts.restart(node)

    def _restart_at(self, at_s: float, node: str) -> None:
        self._hosts.kernel.call_at(at_s, lambda: self._hosts.restart(node))


class Strobe:
    """Clocks jump ahead by `skew_s` and back again, once every period."""

    def __init__(
        self, hosts: Hosts, nodes: Sequence[str], skew_s: float, period_s: float = STROBE_PERIOD_S
    ) -> None:
        if not period_s > 0:
            raise InputError("the period of a strobe must be above zero")
        self._hosts = hosts
        self._nodes = tuple(nodes)
        self._skew_s = skew_s
        self._period_s = period_s
        self._round = 0
        self._is_ahead = False

    def begin(self, now: float) -> None:
        """Begin to strobe."""
        self._round += 1
        self._flip(now, self._round)

    def end(self, now: float) -> None:
        """Show the right time again."""
        del now
        self._round += 1
        if self._is_ahead:
            self._jump()

    def _flip(self, now: float, number: int) -> None:
        if number == self._round:
            self._jump()
            next_s = now + self._period_s / 2
            self._hosts.kernel.call_at(next_s, lambda: self._flip(next_s, number))

    def _jump(self) -> None:
        change = self._hosts.take_skew if self._is_ahead else self._hosts.add_skew
        for node in self._nodes:
            change(node, self._skew_s)
        self._is_ahead = not self._is_ahead


class Fire:
    """A car catches fire. Raise InputError where there is no building, or one that burns already."""

    def __init__(self, world: object, bay: str) -> None:
        if not isinstance(world, Building):
            raise InputError("nothing can catch fire here: there is no building")
        world.check_fire(bay)
        self._building = world
        self._bay = bay

    def begin(self, now: float) -> None:
        """Ignite."""
        del now
        self._building.ignite(self._bay)

    def end(self, now: float) -> None:
        """Nothing puts it out."""
        del now


class HttpError:
    """Applications answer a share of their requests with an error; the last fault to begin counts."""

    def __init__(self, kernel: Kernel, nodes: Sequence[str], share: float, status: int = UNAVAILABLE) -> None:
        self._kernel = kernel
        self._nodes = tuple(nodes)
        self._error = (share, status)
        for node in nodes:
            self._application(node)

    def begin(self, now: float) -> None:
        """Begin to fail."""
        del now
        for node in self._nodes:
            self._application(node).errors.append(self._error)

    def end(self, now: float) -> None:
        """Work again."""
        del now
        for node in self._nodes:
            errors = self._application(node).errors
            if self._error in errors:  # an application that restarted meanwhile has forgotten it
                errors.remove(self._error)

    def _application(self, node: str) -> Application:
        found: Any = self._kernel.behaviour(node)
        if not isinstance(found, Application):
            raise InputError(f"only an application answers requests with errors; {node!r} is none")
        return found
