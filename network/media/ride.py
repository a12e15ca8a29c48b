"""A message in a shared medium, and what such a medium must do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from twin.kernel.flight import Flight
from twin.kernel.ports import Timeline

if TYPE_CHECKING:
    from network.link import Link

IN_MEDIUM = "in the medium"
TOO_LARGE = "payload too large"
QUEUE_FULL = "queue full"
QUEUE_MESSAGES = 16


class SharedMedium(Protocol):
    """One direction of one device's part in a shared medium."""

    def take(self, ride: Ride) -> None:
        """Sooner or later let the message land or refuse it."""
        ...

    @property
    def waiting_count(self) -> int:
        """Messages that wait without an event of their own."""
        ...


class Ride(NamedTuple):
    """One message on a link with a medium; `resume` goes on behind the medium, `lose` ends it."""

    flight: Flight
    size_bytes: int
    link: Link
    timeline: Timeline
    resume: Callable[[Flight, Link], None]
    lose: Callable[[Flight, str, str], None]

    @property
    def now(self) -> float:
        """Seconds since the start of the run."""
        return self.timeline.now

    def at(self, at_s: float, step: Callable[[Ride], None]) -> None:
        """Go on with `step` at a time, now if that has passed."""
        due_s = max(at_s, self.timeline.now)
        self.timeline.schedule(due_s, self.flight, (lambda _flight: step(self),))

    def refuse(self, cause: str) -> None:
        """The message ends here; its flight lets go of the step that refers to it."""
        self.flight.callbacks = None
        self.lose(self.flight, self.link.name, cause)

    def land(self) -> None:
        """The message leaves the medium and runs through what else the link has."""
        self.resume(self.flight, self.link)
