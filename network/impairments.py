"""What faults do to the stages of a link: each function makes one layer around them.

Added losses stand behind the link's own stages, so that a fault shifts none of their random draws: a run
with the fault and one without it share their numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from network import netem
from network.link import Layer, Link, Stages
from network.netem import Deviation, Netem, draw_of
from network.netem_stages import Chance, Duplicate, FourStates, Shift
from network.stages.air_time import AirTime, air_time_s
from network.stages.delay import Delay
from network.stages.gilbert_elliott import GilbertElliott
from network.stages.jitter import Jitter
from network.stages.loss import Loss
from network.stages.rate import DEFAULT_QUEUE_BYTES, Rate
from network.stages.trace import Trace
from twin.errors import InputError
from twin.kernel.ports import Stage
from twin.kernel.randomness import Stream

StreamOf = Callable[[str], Stream]
"""A random stream of the link for a purpose."""

BACKGROUND_BYTES: Final = 1500
MOST_BACKGROUND: Final = 5_000
"""Background packets simulated before one message: what came before them has left the queue by then."""
HANDOVER_LOSS: Final = 1.0


def surge(
    link: Link,
    stream_of: StreamOf,
    *,
    factor: float = 1.0,
    add_s: float = 0.0,
    deviation_s: float = 0.0,
    distribution: str = "normal",
    correlation: float = 0.0,
) -> Layer:
    """Delays are multiplied by `factor` and grow by `add_s`, which may vary by `deviation_s`.

    Of a shared medium the mean stands for the delay that is multiplied.
    """
    if factor < 1 or add_s < 0:
        raise InputError(f"a surge makes delays longer, not x {factor} + {add_s} s")
    add_s += (factor - 1) * link.medium_s
    added: Stage = Delay(add_s)
    if deviation_s:
        law, draw = Deviation(add_s, deviation_s, distribution), draw_of(stream_of("surge"), correlation)
        added = Shift(lambda: law.quantile(draw()), add_s)
    stretched: dict[int, Stretched] = {}

    def layer(stages: Stages) -> Stages:
        return (*(_stretched(stretched, at, stage, factor) for at, stage in enumerate(stages)), added)

    return layer


def burst(
    link: Link,
    stream_of: StreamOf,
    *,
    loss_ratio: float = 0.0,
    correlation: float = 0.0,
    gemodel: Sequence[float] = (),
    state: Sequence[float] = (),
) -> Layer:
    """A share of the messages is lost: alone, correlated, or in bursts as netem's chains have them."""
    del link
    stream = stream_of("burst")
    if gemodel:
        return _behind(netem.gilbert_elliott(netem.gemodel(tuple(gemodel)), stream))
    if state:
        return _behind(FourStates(netem.four_state(tuple(state)), stream))
    return _behind(Loss(loss_ratio, stream, correlation))


def corrupt(link: Link, stream_of: StreamOf, *, share: float, correlation: float = 0.0) -> Layer:
    """A share of the messages has a bit error, which a checksum finds: lost, for this cause."""
    del link
    return _behind(Chance(share, draw_of(stream_of("corrupt"), correlation), "corrupt"))


def duplicate(link: Link, stream_of: StreamOf, *, share: float, correlation: float = 0.0) -> Layer:
    """A share of the messages comes twice; TCP and a radio medium drop the copy."""
    if link.medium is not None:
        return lambda stages: stages
    return _behind(Duplicate(share, draw_of(stream_of("duplicate"), correlation)))


def reorder(
    link: Link, stream_of: StreamOf, *, share: float, delay_s: float, correlation: float = 0.0, gap: int = 1
) -> Layer:
    """Messages take `delay_s` longer, but for a share that overtakes the others."""
    del link
    draw = draw_of(stream_of("reorder"), correlation)
    return _behind(Shift(lambda: delay_s, delay_s, share=share, draw=draw, gap=gap, is_ordered=False))


def rate(
    link: Link, stream_of: StreamOf, *, rate_bps: float, queue_bytes: float = DEFAULT_QUEUE_BYTES
) -> Layer:
    """A bottleneck of this rate, with its queue, before the link."""
    del link, stream_of
    narrow = Rate(rate_bps, queue_bytes)
    return lambda stages: (narrow, *stages)


def words(link: Link, stream_of: StreamOf, *, netem: Netem, is_compatible: bool = False) -> Layer:
    """Everything a netem text asks for."""
    if netem.duplicate[0] and link.medium is not None:
        raise InputError(f"link {link.name!r}: a shared radio medium drops copies; leave 'duplicate' out")
    return _netem_layer(netem, stream_of, is_compatible=is_compatible)


def handover(link: Link, stream_of: StreamOf) -> Layer:
    """The radio moves to another cell: nothing passes meanwhile."""
    del link, stream_of
    return _behind(Chance(HANDOVER_LOSS, lambda: 0.0, "handover"))


def fade(
    link: Link, stream_of: StreamOf, *, bad_s: float = 2.0, good_s: float = 8.0, loss_ratio: float = 1.0
) -> Layer:
    """The radio fades again and again: bad and good times of these means, exponential, clocked in time."""
    del link
    if not (bad_s > 0 < good_s):
        raise InputError(f"bad and good times of a fade are above zero, not {bad_s} s and {good_s} s")
    pps = max(1 / bad_s, 1 / good_s)
    p, r = 1 / good_s / pps, 1 / bad_s / pps
    chain = GilbertElliott(p, r, stream_of("fade"), loss_in_bad_ratio=loss_ratio, reference_pps=pps)
    return _behind(chain)


def data_cap(link: Link, stream_of: StreamOf, *, limit_bytes: float) -> Layer:
    """The link carries so many bytes more, then nothing until the fault ends."""
    del link, stream_of
    return _before(Cap(limit_bytes))


def duty_cycle(link: Link, stream_of: StreamOf, *, share: float, rate_bps: float | None = None) -> Layer:
    """The sender may be on the air for a share of the time; what it wants to send while it must be silent
    is refused. The air time is that of the link's own transmitter, or given by a rate.
    """
    del stream_of
    if not 0 < share <= 1:
        raise InputError(f"a duty cycle is a share above 0 %, not {share:.0%}")
    return _before(Silence(share, _air_time(link, rate_bps)))


def congestion(
    link: Link,
    stream_of: StreamOf,
    *,
    load: float,
    rate_bps: float | None = None,
    queue_bytes: float = DEFAULT_QUEUE_BYTES,
) -> Layer:
    """Other traffic takes this share of the link's rate: packets of 1,500 bytes at random times, which stand
    in the same queue.
    """
    if not 0 < load <= 4:
        raise InputError(f"a load lies above 0 % and up to 400 %, not at {load:.0%}")
    stream = stream_of("congestion")
    if rate_bps is not None:
        return _before(Crowded(Rate(rate_bps, queue_bytes), load, stream))
    own: Any = next((stage for stage in link.stages if hasattr(stage, "rate_bps")), None)
    if own is None:
        raise InputError(f"link {link.name!r} has no rate to congest; give 'rate'")
    crowded = Crowded(own, load, stream)

    def layer(stages: Stages) -> Stages:
        at = next((at for at, stage in enumerate(stages) if hasattr(stage, "rate_bps")), None)
        if at is None:
            return stages
        crowded.inner = stages[at]
        return (*stages[:at], crowded, *stages[at + 1 :])

    return layer


# stages ----------------------------------------------------------------------------------------------------


class Stretched:
    """A delay stage made longer by a factor; keeps the order of messages."""

    __slots__ = ("_factor", "_last_release_s", "inner")
    cause = "surge"

    def __init__(self, inner: Stage, factor: float) -> None:
        self.inner = inner
        self._factor = factor
        self._last_release_s = -math.inf

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the message leaves."""
        release_s = self.inner.release(now, size_bytes)
        if release_s is None:
            return None
        self._last_release_s = max(now + self._factor * (release_s - now), self._last_release_s)
        return self._last_release_s

    @property
    def mean_s(self) -> float:
        """Mean delay in seconds."""
        return self._factor * float(getattr(self.inner, "mean_s", 0.0))


class Cap:
    """Lets a number of bytes pass, then nothing."""

    __slots__ = ("left_bytes",)
    cause = "data cap"

    def __init__(self, limit_bytes: float) -> None:
        self.left_bytes = limit_bytes

    def release(self, now: float, size_bytes: int) -> float | None:
        """Now, or None when the message exceeds what is left."""
        if size_bytes > self.left_bytes:
            self.left_bytes = 0.0
            return None
        self.left_bytes -= size_bytes
        return now


class Silence:
    """Refuses what comes before the silence after the last message is over."""

    __slots__ = ("_air_s", "_free_s", "_share")
    cause = "duty cycle"

    def __init__(self, share: float, air_s: Callable[[int], float]) -> None:
        self._share = share
        self._air_s = air_s
        self._free_s = -math.inf

    def release(self, now: float, size_bytes: int) -> float | None:
        """Now, or None during the silence."""
        if now < self._free_s:
            return None
        self._free_s = now + self._air_s(size_bytes) / self._share
        return now


class Crowded:
    """A transmitter that also sends background packets, a Poisson process."""

    __slots__ = ("_load", "_next_s", "_stream", "inner")
    cause = "queue full"

    def __init__(self, inner: Any, load: float, stream: Stream) -> None:
        self.inner = inner
        self._load = load
        self._stream = stream
        self._next_s = -math.inf

    @property
    def rate_bps(self) -> float:
        """Rate of the transmitter."""
        return float(self.inner.rate_bps)

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the last bit leaves, or None when the queue has no room."""
        mean_gap_s = BACKGROUND_BYTES * 8 / self.rate_bps / self._load
        at_s = self._next_s
        if now - at_s > MOST_BACKGROUND * mean_gap_s:
            at_s = max(now - MOST_BACKGROUND * mean_gap_s, 0.0) + self._stream.exponential(mean_gap_s)
        while at_s <= now:
            self.inner.release(at_s, BACKGROUND_BYTES)
            at_s += self._stream.exponential(mean_gap_s)
        self._next_s = at_s
        released_s: float | None = self.inner.release(now, size_bytes)
        return released_s

    @property
    def mean_s(self) -> float:
        """Mean delay of the transmitter without the load."""
        return float(getattr(self.inner, "mean_s", 0.0))


def _behind(stage: Stage) -> Layer:
    return lambda stages: (*stages, stage)


def _before(stage: Stage) -> Layer:
    return lambda stages: (stage, *stages)


def _netem_layer(spec: Netem, stream_of: StreamOf, *, is_compatible: bool) -> Layer:
    return netem.layer(spec, stream_of, is_compatible=is_compatible)


def _stretched(known: dict[int, Stretched], at: int, stage: Stage, factor: float) -> Stage:
    """The stretched stage of this place, whatever now stands inside it; it remembers the order."""
    if not isinstance(stage, Delay | Jitter | Trace | Stretched | Shift):
        return stage
    found = known.setdefault(at, Stretched(stage, factor))
    found.inner = stage
    return found


def _air_time(link: Link, rate_bps: float | None) -> Callable[[int], float]:
    if rate_bps is not None:
        return partial(_transmission_s, rate_bps)
    spreading_factor = getattr(getattr(link.medium, "device", None), "spreading_factor", None)
    if spreading_factor is not None:
        return partial(air_time_s, spreading_factor)
    for stage in link.stages:
        if isinstance(stage, AirTime):
            return partial(air_time_s, stage.spreading_factor)
        own_bps = getattr(stage, "rate_bps", None)
        if own_bps is not None:
            return partial(_transmission_s, own_bps)
    raise InputError(f"link {link.name!r} has no transmitter whose air time is known; give 'rate'")


def _transmission_s(rate_bps: float, size_bytes: int) -> float:
    return size_bytes * 8 / rate_bps
