"""The ports of the kernel: what it needs from higher layers, filled in by `scenarios/wiring`.

A port has one to three methods. Their contract tests run on every adapter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from twin.kernel.behaviour import NodeId
from twin.kernel.flight import Flight
from twin.message import Message


class Timeline(Protocol):
    """What the kernel offers to a carrier or station while it moves a flight."""

    @property
    def now(self) -> float:
        """Seconds since the start of the run."""
        ...

    def schedule(self, at_s: float, flight: Flight, then: tuple[Callable[[Flight], None], ...]) -> None:
        """Call the one function in `then` with the flight at the absolute time `at_s`."""
        ...

    def arrive(self, flight: Flight) -> None:
        """The flight reached its node: queue at the node's station, then let the behaviour react."""
        ...

    def lose(self, flight: Flight, where: str, cause: str) -> None:
        """The flight ends here, accounted as lost."""
        ...


class Carrier(Protocol):
    """Moves messages from node to node."""

    def carry(self, flight: Flight, timeline: Timeline) -> None:
        """Take over the flight; sooner or later call `timeline.arrive` or `timeline.lose` with it."""
        ...


class Stage(Protocol):
    """One impairment of one direction of a link."""

    def release(self, now: float, size_bytes: int) -> float | None:
        """When what enters now (seconds) leaves, or None if it is lost. Calls come in order of time."""
        ...


class World(Protocol):
    """The physical world around the nodes."""

    def sense(self, node: NodeId, quantity: str) -> float:
        """The quantity at the node's place now, in SI units."""
        ...

    def actuate(self, node: NodeId, name: str, value: float) -> None:
        """The node acts on the world."""
        ...

    def watch(self, node: NodeId, quantity: str, threshold: float, notify: Callable[[], None]) -> None:
        """Call `notify` once when the quantity at the node reaches the threshold."""
        ...


class Arrival(Protocol):
    """A message that came from outside the kernel, at `at_s` (seconds since the start of the run)."""

    @property
    def at_s(self) -> float: ...  # noqa: D102
    @property
    def source(self) -> NodeId: ...  # noqa: D102
    @property
    def to(self) -> NodeId: ...  # noqa: D102
    @property
    def message(self) -> Message: ...  # noqa: D102


class Order(NamedTuple):
    """Something to do from outside, wished for at `wish_s` (seconds since the start of the run)."""

    wish_s: float
    action: Callable[[], None]


class Pacer(Protocol):
    """How time passes until the next event."""

    def wait_until(self, due_s: float) -> Arrival | Order | None:
        """Let time pass until `due_s`; return early with what arrived from outside, or was ordered."""
        ...
