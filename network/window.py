"""How many segments a sender may have underway: the congestion window, as Linux keeps it.

open      grows by a segment for each acknowledged, from the threshold on by one a round trip (RFC 5681), and
          only while it is what limits the sender (tcp_is_cwnd_limited): a sender of small messages seldom is,
          so what losses took comes back slowly
recovery  halved by a loss that acknowledgements told; sends what PRR lets it (RFC 6937, tcp_cwnd_reduction)
loss      one segment after a time-out, then open's slow start

This is Reno. CUBIC, which most systems use, is the same for windows of a few segments (RFC 9438, 4.3) but for
its cut to 0.7 in place of a half.
"""

from __future__ import annotations

from math import inf

from network.tcp import INITIAL_WINDOW_COUNT, LEAST_THRESHOLD_COUNT

OPEN, RECOVERY, LOSS = range(3)


class Window:
    """The window of one direction of a connection, in segments.

    `out_count` are underway as far as the sender knows. `edge`, `point` and `sent` are positions among the
    messages of the direction: all before the edge are acknowledged.
    """

    __slots__ = (
        "_delivered_count",
        "_edge",
        "_gained",
        "_most_out_count",
        "_point",
        "_prior_count",
        "_resent_count",
        "_usage_point",
        "count",
        "is_limited",
        "out_count",
        "state",
        "threshold_count",
    )

    def __init__(self) -> None:
        self.count = INITIAL_WINDOW_COUNT
        self.threshold_count: float = inf
        self.out_count = 0
        self.state = OPEN
        self.is_limited = False
        self._edge = self._point = self._usage_point = 0
        self._most_out_count = self._gained = 0
        self._prior_count = self._delivered_count = self._resent_count = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be sent."""
        return self.out_count >= self.count

    def send(self, segment_count: int, sent: int) -> None:
        """So many segments leave; with them all before `sent` were sent once at least."""
        self.out_count = out_count = self.out_count + segment_count
        if 2 * out_count <= self.count and not (self.state or self.is_limited):  # nothing will come of it
            self._most_out_count = 0
            return
        if self.state == RECOVERY:
            self._resent_count += segment_count
        if out_count >= self.count:
            self.is_limited = True
        elif self._edge >= self._usage_point:
            self.is_limited = False
        elif self.is_limited or out_count <= self._most_out_count:
            return
        self._most_out_count, self._usage_point = out_count, sent

    def acknowledge(self, segment_count: int, widening_count: int, edge: int) -> bool:
        """So many segments have arrived, and all before the edge; say whether the edge moved.

        A message of many segments has widened the window when it was sent.
        """
        self.out_count = max(0, self.out_count - segment_count)
        is_moved = edge > self._edge
        if self.state != OPEN:
            self._repair(segment_count, edge if is_moved else self._edge)
        if is_moved:
            self._edge = edge
            if self.state != RECOVERY and widening_count:
                if self.count >= self.threshold_count:
                    if self.is_limited:
                        self._widen()
                elif self.is_limited or self.count < 2 * self._most_out_count:
                    self.count += 1
        return is_moved

    def lose(self, segment_count: int) -> None:
        """So many are known to be lost."""
        self.out_count = max(0, self.out_count - segment_count)

    def recover(self, sent: int) -> None:
        """Acknowledgements tell of a loss: half the window, until all sent up to now has arrived."""
        if self.state != OPEN:
            return
        self._cut()
        self.state, self._point = RECOVERY, sent
        self._prior_count, self._delivered_count, self._resent_count = self.count, 0, 0
        self._reduce(1, is_moved=False)

    def time_out(self, sent: int) -> None:
        """Nothing came back: a single segment, until all sent up to now has arrived."""
        if self.state == OPEN:
            self._cut()
        self.state, self._point = LOSS, sent
        self.count = self.out_count + 1

    def repaired_by_probe(self) -> None:
        """A probe turned out to have repaired a loss: half the window, and nothing to recover."""
        self._cut()
        self.count = int(self.threshold_count)

    def rest(self, last_s: float, now: float, rto_s: float) -> None:
        """Nothing was sent since `last_s`: half of what is beyond the first window, for each time-out
        (tcp_cwnd_restart).
        """
        if self.count > INITIAL_WINDOW_COUNT:
            self.threshold_count = max(self.threshold_count, 3 * self.count // 4)
            halvings = int(min((now - last_s) / rto_s, 32))
            self.count = max(self.count >> halvings, INITIAL_WINDOW_COUNT)

    def _cut(self) -> None:
        self._gained = 0
        self.threshold_count = max(self.count // 2, LEAST_THRESHOLD_COUNT)

    def _widen(self) -> None:
        """A segment more each round trip."""
        self._gained += 1
        if self._gained >= self.count:
            self._gained = 0
            self.count += 1

    def _repair(self, segment_count: int, edge: int) -> None:
        """Go on repairing, or end it."""
        is_recovery = self.state == RECOVERY
        if edge >= self._point:
            self.state = OPEN
            if is_recovery:
                self.count = int(self.threshold_count)
        elif is_recovery:
            self._reduce(segment_count, is_moved=edge > self._edge)

    def _reduce(self, delivered_count: int, *, is_moved: bool) -> None:
        """Send in proportion to what arrives, and no more than up to the threshold."""
        self._delivered_count += delivered_count
        threshold_count = int(self.threshold_count)
        gap_count = threshold_count - self.out_count
        if gap_count < 0:
            allowed = -(-threshold_count * self._delivered_count // self._prior_count)
            more_count = allowed - self._resent_count
        else:
            more_count = max(self._delivered_count - self._resent_count, delivered_count) + is_moved
            more_count = min(more_count, gap_count)
        self.count = self.out_count + max(more_count, 0 if self._resent_count else 1)
