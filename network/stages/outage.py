"""Nothing passes for a while."""

from __future__ import annotations

from collections.abc import Sequence

from network.stages.registry import register


@register("outage")
class Outage:
    """Loses everything between the two times (seconds) of each window, and while `is_down` is set."""

    __slots__ = ("is_down", "windows")
    cause = "outage"

    def __init__(self, windows: Sequence[tuple[float, float]] = (), *, is_down: bool = False) -> None:
        self.windows = tuple(windows)
        self.is_down = is_down

    def release(self, now: float, size_bytes: int) -> float | None:
        """Now, or None during an outage."""
        del size_bytes
        if self.is_down or any(begin_s <= now < end_s for begin_s, end_s in self.windows):
            return None
        return now
