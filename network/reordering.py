"""What a sender makes of acknowledgements that seem to be out of order: RACK's reordering window.

A lost segment is sent again with what follows it and is not yet acknowledged, and a probe repeats the last
one. Where these were merely underway they come twice behind a gap. The receiver says so (RFC 2883), and Linux
takes it for reordering, for the rest of the connection (tcp_sacktag_one): the third acknowledgement no longer
tells of a loss at once, and repairs wait for the window as well (tcp_rack_reo_wnd). Each further one widens
the window (RFC 8985, 6.2); a probe's does if the repair began before it was known (tcp_init_cwnd_reduction).
"""

from __future__ import annotations

from collections import deque
from math import inf

from network.segments import Carried

LASTING_COUNT = 16  # recoveries without a duplicate until the window is narrow again


class Reordering:
    """Of one direction of a connection.

    `is_seen` says that the sender believes in reordering; `copies` has, for a message that was sent again,
    those of which its segment carries a copy besides.
    """

    __slots__ = ("_adjusted_s", "_duplicates", "_lasting_count", "_steps", "copies", "is_seen")

    def __init__(self) -> None:
        self.is_seen = False
        self.copies: dict[Carried, list[Carried]] = {}
        self._duplicates: deque[tuple[float, bool]] = deque()
        self._steps = 1
        self._lasting_count = 0
        self._adjusted_s = -inf

    def note(self, at_s: float, *, is_probe: bool = False) -> None:
        """The sender will learn at this time that a segment came twice behind a gap."""
        self._duplicates.append((at_s, is_probe))

    def repair(self) -> None:
        """The sender begins to repair a loss, and forgets that it has probed."""
        if self._duplicates:
            self._duplicates = deque((at_s, False) for at_s, _ in self._duplicates)

    def note_copies(self, flight: Carried, at_s: float) -> None:
        """A message is here that was sent again; what its segment has copies of may have come before."""
        if any(copied.path.is_arrived for copied in self.copies.pop(flight, ())):
            self.note(at_s)

    def learn(self, now: float, round_trip_s: float) -> None:
        """Take what is known by now; the window widens by one step a round trip at most."""
        while self._duplicates and self._duplicates[0][0] <= now:
            at_s, is_probe = self._duplicates.popleft()
            if self.is_seen and not is_probe and at_s - self._adjusted_s >= round_trip_s:
                self._steps += 1
                self._lasting_count, self._adjusted_s = LASTING_COUNT, at_s
            self.is_seen = True

    def recovered(self) -> None:
        """A recovery is over."""
        if self._lasting_count:
            self._lasting_count -= 1
            if not self._lasting_count:
                self._steps = 1

    def window_s(self, step_s: float, round_trip_s: float, *, is_repairing: bool) -> float:
        """How long the sender waits for what is earlier than an acknowledged segment (s)."""
        if is_repairing and not self.is_seen:
            return 0.0
        return min(self._steps * step_s, round_trip_s)
