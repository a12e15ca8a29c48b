"""What netem's words do to a message: stages that lose, copy, delay and bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import TypeAlias

from network.stages.rate import Rate
from twin.errors import InputError
from twin.kernel.ports import Stage
from twin.kernel.randomness import Stream

Draw: TypeAlias = Callable[[], float]
Shares: TypeAlias = tuple[float, ...]


class Chance:
    """Loses a share of the messages, for a cause."""

    __slots__ = ("_draw", "cause", "share")

    def __init__(self, share: float, draw: Draw, cause: str = "loss") -> None:
        if not 0 <= share <= 1:
            raise InputError(f"a share lies from 0 to 100 %, not at {share:.0%}")
        self.share = share
        self.cause = cause
        self._draw = draw

    def release(self, now: float, size_bytes: int) -> float | None:
        """Now, or None if it is lost."""
        del size_bytes
        return None if self._draw() < self.share else now


class Duplicate:
    """Stops a share of the messages, at `at_s`, so that the carrier lets them go on twice."""

    __slots__ = ("_draw", "at_s", "share")
    cause = "duplicate"

    def __init__(self, share: float, draw: Draw) -> None:
        if not 0 <= share <= 1:
            raise InputError(f"a share lies from 0 to 100 %, not at {share:.0%}")
        self.share = share
        self.at_s = 0.0
        self._draw = draw

    def release(self, now: float, size_bytes: int) -> float | None:
        """Now, or None if it goes on twice."""
        del size_bytes
        if self._draw() < self.share:
            self.at_s = now
            return None
        return now


class Shift:
    """A delay, which of every `gap` messages at most one (a `share` of them) is spared: it comes early."""

    __slots__ = ("_count", "_delay", "_draw", "_gap", "_is_ordered", "_last_release_s", "_share", "mean_s")
    cause = "delay"

    def __init__(
        self,
        delay: Draw,
        mean_s: float,
        *,
        share: float = 0.0,
        draw: Draw | None = None,
        gap: int = 1,
        is_ordered: bool = True,
    ) -> None:
        self.mean_s = mean_s
        self._delay = delay
        self._share = share
        self._draw = draw
        self._gap = gap
        self._count = 0
        self._is_ordered = is_ordered
        self._last_release_s = -math.inf

    def release(self, now: float, size_bytes: int) -> float:
        """Seconds at which the message leaves."""
        del size_bytes
        if self._draw is not None and self._count >= self._gap - 1 and self._draw() < self._share:
            self._count = 0
            return now
        self._count += 1
        release_s = now + self._delay()
        if self._is_ordered:
            release_s = self._last_release_s = max(release_s, self._last_release_s)
        return release_s


class PacketChain:
    """netem's `loss gemodel`: two states, one step a packet."""

    __slots__ = ("_is_bad", "_shares", "_stream")
    cause = "burst"

    def __init__(self, shares: Shares, stream: Stream) -> None:
        self._shares = shares
        self._stream = stream
        self._is_bad = False

    def release(self, now: float, size_bytes: int) -> float | None:
        """Now, or None if it is lost."""
        del size_bytes
        p, r, bad_ratio, good_ratio = self._shares
        was_bad = self._is_bad
        if self._stream.uniform() < (r if was_bad else p):
            self._is_bad = not was_bad
        return None if self._stream.uniform() < (bad_ratio if was_bad else good_ratio) else now


class FourStates:
    """netem's `loss state`: 1 good, 2 good within a burst, 3 lost within a burst, 4 lost alone."""

    __slots__ = ("_shares", "_state", "_stream")
    cause = "burst"

    def __init__(self, shares: Shares, stream: Stream) -> None:
        self._shares = shares
        self._stream = stream
        self._state = 1

    def release(self, now: float, size_bytes: int) -> float | None:
        """Now, or None if it is lost."""
        del size_bytes
        self._state = self._after(self._state, self._stream.uniform())
        return None if self._state in {3, 4} else now

    def _after(self, state: int, u: float) -> int:
        p13, p31, p32, p23, p14 = self._shares
        match state:
            case 1:
                return 4 if u < p14 else 3 if u < p14 + p13 else 1
            case 2:
                return 3 if u < p23 else 2
            case 3:
                return 2 if u < p32 else 1 if u < p32 + p31 else 3
        return 1


class CopyBeforeLoss:
    """netem's own order: whether a message is copied is drawn first, then whether one of the two is lost.

    As in Linux netem_enqueue, a copied message that meets a loss goes on once, and a copy comes back to the
    top of the queue, where it may be lost itself but is not copied again.
    """

    __slots__ = ("_draw", "_losses", "at_s", "cause", "share")

    def __init__(self, share: float, draw: Draw, losses: Sequence[Stage]) -> None:
        self.share = share
        self.at_s = 0.0
        self.cause = Duplicate.cause
        self._draw = draw
        self._losses = losses

    def release(self, now: float, size_bytes: int) -> float | None:
        """Now, or None if it is lost or goes on twice."""
        is_copied = self._draw() < self.share
        cause = self._lost(now, size_bytes)
        if not is_copied:
            self.cause = cause or self.cause
            return None if cause else now
        if cause or self._lost(now, size_bytes):
            return now
        self.cause, self.at_s = Duplicate.cause, now
        return None

    def _lost(self, now: float, size_bytes: int) -> str | None:
        """The cause of a loss, if there is one."""
        for loss in self._losses:
            if loss.release(now, size_bytes) is None:
                return str(getattr(loss, "cause", "loss"))
        return None


class Bounded:
    """A delay with room for so many messages: one that comes while they are all inside is dropped."""

    __slots__ = ("_delay", "_inside_s", "limit_packets")
    cause = Rate.cause

    def __init__(self, delay: Shift, limit_packets: int) -> None:
        self.limit_packets = limit_packets
        self._delay = delay
        self._inside_s: list[float] = []

    @property
    def mean_s(self) -> float:
        """That of the delay."""
        return self._delay.mean_s

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the message leaves, or None if there is no room."""
        inside_s = self._inside_s
        while inside_s and inside_s[0] <= now:
            heappop(inside_s)
        if len(inside_s) >= self.limit_packets:
            return None
        at_s = self._delay.release(now, size_bytes)
        heappush(inside_s, at_s)
        return at_s


class Framed:
    """A rate that sends `overhead_bytes` more with each message, in whole cells with an overhead of their
    own: netem's packet_time_ns.
    """

    __slots__ = ("_cell_bytes", "_cell_overhead_bytes", "_overhead_bytes", "_rate")
    cause = Rate.cause

    def __init__(
        self, rate: Rate, overhead_bytes: int, cell_bytes: int = 0, cell_overhead_bytes: int = 0
    ) -> None:
        self._rate = rate
        self._overhead_bytes = overhead_bytes
        self._cell_bytes = cell_bytes
        self._cell_overhead_bytes = cell_overhead_bytes

    @property
    def mean_s(self) -> float:
        """That of the rate."""
        return self._rate.mean_s

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the last bit leaves, or None when the queue has no room."""
        return self._rate.release(now, self.wire_bytes(size_bytes))

    def wire_bytes(self, size_bytes: int) -> int:
        """Bytes that a message takes of the rate."""
        framed_bytes = max(size_bytes + self._overhead_bytes, 0)
        if not self._cell_bytes:
            return framed_bytes
        cells = -(-framed_bytes // self._cell_bytes)
        return cells * (self._cell_bytes + self._cell_overhead_bytes)
