"""The words of Linux netem, from a text such as `delay 100ms 20ms distribution normal loss 1% 25%`.

The words and their defaults are those of tc-netem(8). What they do is done right by default: correlation
by a Gaussian copula, which keeps the loss and the delays that were asked for; `gemodel` clocked in time;
messages in order. `is_compatible` gives netem's own arithmetic instead: the correlated uniform number
`value (1 - rho) + last rho`, chains that step once a packet, and jitter that reorders. Unlike tc, times
need a unit, and the laws `pareto` and `paretonormal` are formulas, not tables of 4,096 rows.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import msgspec

from network.laws import LEAST_U, phi
from network.link import Layer, Stages
from network.naming import unknown
from network.netem_stages import (
    Bounded,
    Chance,
    CopyBeforeLoss,
    Draw,
    Duplicate,
    FourStates,
    Framed,
    PacketChain,
    Shares,
    Shift,
)
from network.stages.gilbert_elliott import GilbertElliott
from network.stages.rate import DEFAULT_QUEUE_BYTES, Rate
from twin.errors import InputError
from twin.kernel.ports import Stage
from twin.kernel.randomness import Stream

PACKET_BYTES: Final = 1500
ROUNDING: Final = 1e-9
MOST_DIGITS: Final = 9
TIME_S: Final = {"s": 1.0, "sec": 1.0, "secs": 1.0, "ms": 1e-3, "msec": 1e-3, "msecs": 1e-3}
TIME_S_SMALL: Final = {"us": 1e-6, "usec": 1e-6, "usecs": 1e-6, "ns": 1e-9, "nsec": 1e-9, "nsecs": 1e-9}
RATE_BPS: Final = {
    unit + end: factor * bits
    for unit, factor in (("", 1), ("k", 1e3), ("m", 1e6), ("g", 1e9), ("t", 1e12))
    for end, bits in (("bit", 1), ("bps", 8))
} | {f"{unit}i{end}": 2.0 ** (10 * power) * bits
     for power, unit in enumerate("kmgt", 1) for end, bits in (("bit", 1), ("bps", 8))}  # fmt: skip
WHOLE: Final = re.compile(r"-?\d+")
NUMBER: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([a-zA-Z%]*)")


class Netem(msgspec.Struct, frozen=True, kw_only=True):
    """What a netem text asks for: seconds, bit/s, shares. A pair is (share, correlation)."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    delay_correlation: float = 0.0
    distribution: str = "uniform"
    loss: tuple[float, float] = (0.0, 0.0)
    gemodel: Shares = ()
    state: Shares = ()
    duplicate: tuple[float, float] = (0.0, 0.0)
    corrupt: tuple[float, float] = (0.0, 0.0)
    reorder: tuple[float, float] = (0.0, 0.0)
    gap: int = 0
    rate_bps: float | None = None
    framing: tuple[int, ...] = ()
    limit_packets: int | None = None


# reading ---------------------------------------------------------------------------------------------------


def parse(text: str) -> Netem:
    """Read a netem text; raise InputError that says which word is wrong."""
    words = _Words(text)
    found: dict[str, object] = {}
    while (word := words.take()) is not None:
        if word not in READERS:
            raise unknown("netem word", word, READERS)
        found |= READERS[word](words)
    if not found:
        raise InputError("netem: nothing is asked for; write for example 'delay 100ms loss 1%'")
    netem = msgspec.convert(found, Netem)
    if netem.reorder[0] and not netem.delay_s:
        raise InputError("netem: reorder needs a delay, for a message that is not delayed to be early")
    if netem.gap and not netem.reorder[0]:
        raise InputError("netem: gap belongs to reorder")
    return netem


class _Words:
    """The words of a text, taken one by one."""

    def __init__(self, text: str) -> None:
        self._words = text.lower().split()
        self._at = 0

    def take(self) -> str | None:
        word = self._words[self._at] if self._at < len(self._words) else None
        self._at += 1
        return word

    def number(self) -> tuple[str, str, str] | None:
        """The next word as (word, number, unit), if it is a number."""
        word = self._words[self._at] if self._at < len(self._words) else ""
        match = NUMBER.fullmatch(word)
        if match is None:
            return None
        self._at += 1
        return word, match[1], match[2]

    def whole(self) -> int | None:
        """The next word, if it is a whole number."""
        word = self._words[self._at] if self._at < len(self._words) else ""
        if WHOLE.fullmatch(word) is None:
            return None
        self._at += 1
        if len(word) > MOST_DIGITS:
            raise InputError(f"netem: {word!r} is too large for a number of bytes")
        return int(word)

    def share(self, before: str) -> float:
        found = self.optional_share()
        if found is None:
            raise InputError(f"netem: a percentage is wanted after {before!r}, for example '{before} 1%'")
        return found

    def optional_share(self) -> float | None:
        found = self.number()
        if found is None:
            return None
        word, number, unit = found
        if unit not in {"", "%"} or not float(number) <= 100:
            raise InputError(f"netem: {word!r} is no percentage from 0 to 100 %")
        return float(number) / 100

    def measure(self, before: str, units: dict[str, float], example: str) -> float:
        found = self.number()
        if found is None or found[2] not in units:
            word = "nothing" if found is None else repr(found[0])
            raise InputError(
                f"netem: {before!r} wants a number with a unit, such as {example}, and finds {word}"
            )
        return float(found[1]) * units[found[2]]


def _read_delay(words: _Words) -> dict[str, object]:
    times = TIME_S | TIME_S_SMALL
    found: dict[str, object] = {"delay_s": words.measure("delay", times, "100ms")}
    after = words.number()
    if after is not None:
        if after[2] not in times:
            raise InputError(f"netem: the jitter {after[0]!r} needs a unit, such as 20ms")
        found["jitter_s"] = float(after[1]) * times[after[2]]
        correlation = words.optional_share()
        if correlation is not None:
            found["delay_correlation"] = correlation
    return found


def _read_distribution(words: _Words) -> dict[str, object]:
    name = words.take() or ""
    if name not in SHAPES:
        raise unknown("netem distribution", name, SHAPES)
    return {"distribution": name}


def _read_loss(words: _Words) -> dict[str, object]:
    share = words.optional_share()
    if share is not None:
        return {"loss": (share, words.optional_share() or 0.0)}
    kind = words.take()
    if kind == "random":
        return {"loss": (words.share("loss random"), words.optional_share() or 0.0)}
    if kind == "gemodel":
        return {"gemodel": gemodel(_shares(words, "loss gemodel", 4))}
    if kind == "state":
        return {"state": four_state(_shares(words, "loss state", 5))}
    raise InputError(
        f"netem: loss wants a percentage, 'random', 'state' or 'gemodel', not {kind or 'nothing'!r}"
    )


def _shares(words: _Words, before: str, most: int) -> Shares:
    found = [words.share(before)]
    while len(found) < most and (share := words.optional_share()) is not None:
        found.append(share)
    return tuple(found)


def gemodel(shares: Shares) -> Shares:
    """(p, r, 1-h, 1-k) with netem's defaults: r = 1 - p, 1-h = 1, 1-k = 0."""
    p = shares[0]
    return (*shares, *(1.0 - p, 1.0, 0.0)[len(shares) - 1 :])


def four_state(shares: Shares) -> Shares:
    """(p13, p31, p32, p23, p14) with netem's defaults: p31 = 1 - p13, p32 = 0, p23 = 1, p14 = 0.

    Raise InputError where the ways out of a state have more than 100 % together.
    """
    p13, p31, p32, p23, p14 = (*shares, *(1.0 - shares[0], 0.0, 1.0, 0.0)[len(shares) - 1 :])
    for state, ways, whole in ((1, "p13 and p14", p13 + p14), (3, "p31 and p32", p31 + p32)):
        if whole > 1 + ROUNDING:
            raise InputError(
                f"loss state: {ways}, the ways out of state {state}, are {whole:.4g} of at most 1 together"
            )
    return p13, p31, p32, p23, p14


def _pair(name: str) -> Callable[[_Words], dict[str, object]]:
    return lambda words: {name: (words.share(name), words.optional_share() or 0.0)}


def _read_gap(words: _Words) -> dict[str, object]:
    return {"gap": _count(words, "gap")}


def _read_limit(words: _Words) -> dict[str, object]:
    return {"limit_packets": _count(words, "limit")}


def _count(words: _Words, before: str) -> int:
    found = words.number()
    if found is None or not found[0].isdigit() or int(found[0]) < 1:
        raise InputError(f"netem: a whole number of packets is wanted after {before!r}")
    return int(found[0])


def _read_rate(words: _Words) -> dict[str, object]:
    rate_bps = words.measure("rate", RATE_BPS, "1mbit")
    if not rate_bps > 0:
        raise InputError("netem: a rate must be above zero")
    framing = tuple(itertools.islice(iter(words.whole, None), 3))
    if len(framing) > 1 and framing[1] < 0:
        raise InputError("netem: the cell size of a rate is a number of bytes, 0 for none")
    if len(framing) > 2 and framing[1] and framing[1] + framing[2] <= 0:
        raise InputError("netem: the cell overhead of a rate leaves nothing of its cells")
    return {"rate_bps": rate_bps, "framing": framing}


def _refuse(why: str) -> Callable[[_Words], dict[str, object]]:
    def read(words: _Words) -> dict[str, object]:
        del words
        raise InputError(f"netem: {why}")

    return read


READERS: dict[str, Callable[[_Words], dict[str, object]]] = {
    "delay": _read_delay,
    "distribution": _read_distribution,
    "loss": _read_loss,
    "drop": _read_loss,
    "duplicate": _pair("duplicate"),
    "corrupt": _pair("corrupt"),
    "reorder": _pair("reorder"),
    "gap": _read_gap,
    "rate": _read_rate,
    "limit": _read_limit,
    "ecn": _refuse("ECN marking is not modelled; leave 'ecn' out, and what is lost is dropped"),
    "slot": _refuse("slots are not modelled; leave 'slot' out"),
}


# numbers ---------------------------------------------------------------------------------------------------


class Copula:
    """Uniform numbers whose normal scores are an AR(1) with this correlation: their law stays uniform."""

    __slots__ = ("_correlation", "_innovation", "_stream", "_z")

    def __init__(self, stream: Stream, correlation: float) -> None:
        self._stream = stream
        self._correlation = correlation
        self._innovation = math.sqrt(1 - correlation**2)
        self._z = stream.normal()

    def __call__(self) -> float:
        """The next number."""
        self._z = self._correlation * self._z + self._innovation * self._stream.normal()
        return phi(self._z)


class Recursion:
    """netem's `get_crandom`: value (1 - rho) + last rho, which is not uniform any more."""

    __slots__ = ("_correlation", "_last", "_stream")

    def __init__(self, stream: Stream, correlation: float) -> None:
        self._stream = stream
        self._correlation = correlation
        self._last = stream.uniform()

    def __call__(self) -> float:
        """The next number."""
        value = self._stream.uniform()
        self._last = value * (1 - self._correlation) + self._last * self._correlation
        return self._last


def draw_of(stream: Stream, correlation: float, *, is_compatible: bool = False) -> Draw:
    """Numbers from 0 to 1 with this correlation from one to the next."""
    if not 0 <= correlation < 1:
        raise InputError(f"a correlation lies from 0 to below 100 %, not at {correlation:.0%}")
    if not correlation:
        return stream.uniform
    return Recursion(stream, correlation) if is_compatible else Copula(stream, correlation)


def _normal(u: float) -> float:
    return NormalDist().inv_cdf(min(max(u, LEAST_U), 1 - LEAST_U))


def _pareto(u: float) -> float:
    """The Pareto law of shape 3 around its mean, as netem's table has it: 4/3 (v^(-1/3) - 3/2), v = 1 - u."""
    return float(4 / 3 * (max(1 - u, LEAST_U) ** (-1 / 3) - 1.5))


SHAPES: dict[str, Callable[[float], float]] = {
    "uniform": lambda u: 2 * u - 1,
    "normal": _normal,
    "pareto": _pareto,
    "paretonormal": lambda u: 0.25 * _normal(u) + 0.75 * _pareto(u),
}
"""Quantile functions of the deviation from the delay, in units of the jitter."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """A delay law: delay + jitter * shape, never below zero."""

    delay_s: float
    jitter_s: float
    distribution: str = "normal"

    def __post_init__(self) -> None:
        if self.distribution not in SHAPES:
            raise unknown("distribution", self.distribution, SHAPES)

    def quantile(self, u: float) -> float:
        """Delay not exceeded with probability u."""
        return max(0.0, self.delay_s + self.jitter_s * SHAPES[self.distribution](u))

    def mean(self) -> float:
        """Mean delay, but for what zero cuts off."""
        return self.delay_s


# stages ----------------------------------------------------------------------------------------------------


def layer(netem: Netem, stream_of: Callable[[str], Stream], *, is_compatible: bool = False) -> Layer:
    """The stages of a netem text around those of a link; `stream_of` gives a stream for each purpose."""
    before: Stages = ()
    if netem.rate_bps is not None:
        limit_bytes = netem.limit_packets * PACKET_BYTES if netem.limit_packets else DEFAULT_QUEUE_BYTES
        rate = Rate(netem.rate_bps, limit_bytes)
        before = (Framed(rate, *netem.framing) if netem.framing else rate,)
    behind = tuple(_behind(netem, stream_of, is_compatible=is_compatible))
    return lambda stages: (*before, *stages, *behind)


def _behind(netem: Netem, stream_of: Callable[[str], Stream], *, is_compatible: bool) -> Iterator[Stage]:
    def draw(purpose: str, correlation: float) -> Draw:
        return draw_of(stream_of(purpose), correlation, is_compatible=is_compatible)

    losses = tuple(_losses(netem, stream_of, is_compatible=is_compatible))
    twice = draw("duplicate", netem.duplicate[1]) if netem.duplicate[0] else None
    if twice is not None and is_compatible:
        yield CopyBeforeLoss(netem.duplicate[0], twice, losses)
    else:
        yield from losses
    if netem.corrupt[0]:
        yield Chance(netem.corrupt[0], draw("corrupt", netem.corrupt[1]), "corrupt")
    if netem.delay_s or netem.jitter_s:
        shift = _shift(netem, draw, is_compatible=is_compatible)
        yield Bounded(shift, netem.limit_packets) if netem.limit_packets else shift
    if twice is not None and not is_compatible:
        yield Duplicate(netem.duplicate[0], twice)


def _losses(netem: Netem, stream_of: Callable[[str], Stream], *, is_compatible: bool) -> Iterator[Stage]:
    if netem.loss[0]:
        draw = draw_of(stream_of("loss"), netem.loss[1], is_compatible=is_compatible)
        yield Chance(netem.loss[0], draw)
    if netem.gemodel:
        yield gilbert_elliott(netem.gemodel, stream_of("gemodel"), is_compatible=is_compatible)
    if netem.state:
        yield FourStates(netem.state, stream_of("state"))


def _shift(netem: Netem, draw: Callable[[str, float], Draw], *, is_compatible: bool) -> Shift:
    has_early = bool(netem.reorder[0])
    return Shift(
        delay_draw(netem, draw("delay", netem.delay_correlation), is_compatible=is_compatible),
        netem.delay_s,
        share=netem.reorder[0],
        draw=draw("reorder", netem.reorder[1]) if has_early else None,
        gap=netem.gap or 1,
        is_ordered=not (has_early or is_compatible),
    )


def gilbert_elliott(shares: Shares, stream: Stream, *, is_compatible: bool = False) -> Stage:
    """Bursty loss with (p, r, 1-h, 1-k): clocked in time, or with netem once a packet."""
    if is_compatible:
        return PacketChain(shares, stream)
    p, r, bad_ratio, good_ratio = shares
    return GilbertElliott(p, r, stream, loss_in_bad_ratio=bad_ratio, loss_in_good_ratio=good_ratio)


def delay_draw(netem: Netem, draw: Draw, *, is_compatible: bool = False) -> Draw:
    """Delays of a text, in seconds. netem itself takes the remainder of a 32-bit number: the jitter in
    nanoseconds for the uniform law, the row of a table of 4,096 for the others.
    """
    if not netem.jitter_s:
        return lambda: netem.delay_s
    law = Deviation(netem.delay_s, netem.jitter_s, netem.distribution)
    if not is_compatible:
        return lambda: law.quantile(draw())
    rows = round(2e9 * netem.jitter_s) if netem.distribution == "uniform" else 4096
    return lambda: law.quantile((int(draw() * 2**32) % rows + 0.5) / rows)
