"""A link: one direction between two nodes, a sequence of stages.

source --> [stage] --> [stage] --> ... --> to
"""

from __future__ import annotations

from collections.abc import Iterable

from network.transport import Tcp
from twin.kernel.ports import Stage


class Link:
    """One direction between two nodes; what enters runs through its stages in order.

    `is_up` is what the interfaces at its ends can see; `cut_count` counts the partitions that make it a
    black hole, which they cannot see. After `release` returned None, `cause` says why.
    """

    __slots__ = (
        "_is_clear",
        "_releases",
        "_stages",
        "byte_count",
        "cause",
        "cut_count",
        "hold_count",
        "is_up",
        "message_count",
        "name",
        "personal_byte_count",
        "provenance",
        "source",
        "tcp",
        "to",
        "wan",
    )

    def __init__(
        self,
        name: str,
        source: str,
        to: str,
        stages: Iterable[Stage] = (),
        *,
        tcp: Tcp | None = None,
    ) -> None:
        self.name = name
        self.source = source
        self.to = to
        self.tcp = tcp
        self.cause = ""
        self.is_up = True
        self.cut_count = 0
        self.hold_count = 0
        self.message_count = 0
        self.byte_count = 0
        self.personal_byte_count = 0
        self._is_clear = True
        self.stages = tuple(stages)

    def __repr__(self) -> str:
        return f"Link({self.name!r}, {self.source!r} -> {self.to!r})"

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages in order; may be replaced during a run."""
        return self._stages

    @stages.setter
    def stages(self, stages: tuple[Stage, ...]) -> None:
        self._stages = stages
        self._releases = tuple(stage.release for stage in stages)

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which a message that enters now reaches the other end, or None if it never does."""
        if not self._is_clear:
            self.cause = self._obstacle()
            return None
        self.message_count += 1
        self.byte_count += size_bytes
        for release in self._releases:
            left_s = release(now, size_bytes)
            if left_s is None:
                self.cause = getattr(self._stages[self._releases.index(release)], "cause", "loss")
                return None
            now = left_s
        return now

    @property
    def expected_delay_s(self) -> float:
        """Mean delay of a small message through empty queues."""
        return float(sum(getattr(stage, "mean_s", 0.0) for stage in self._stages))

    def set_up(self, *, is_up: bool) -> None:
        """Take the link down or bring it back; who routes over it must be told (see Topology)."""
        self.is_up = is_up
        self._clear()

    def cut(self) -> None:
        """Make it a black hole; cuts add up."""
        self.cut_count += 1
        self._clear()

    def mend(self) -> None:
        """Undo one cut."""
        self.cut_count -= 1
        self._clear()

    def hold(self) -> None:
        """Keep what comes until as many releases as holds; holds add up."""
        self.hold_count += 1
        self._clear()

    def unhold(self) -> None:
        """Undo one hold."""
        self.hold_count -= 1
        self._clear()

    def _clear(self) -> None:
        self._is_clear = self.is_up and not self.cut_count and not self.hold_count

    def _obstacle(self) -> str:
        if self.hold_count:
            return "held"
        return "partition" if self.is_up else "link down"
