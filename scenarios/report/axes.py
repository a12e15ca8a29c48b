"""Scales of charts: from a value to a place, round tick values, and text that fits the room it has."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_LEAST_LENGTH = 1e-9
_NARROW = frozenset("iljtfrI.,:;|!'()[] \u00a0\u202f")
_WIDE = frozenset("mwMW@%")


@dataclass(frozen=True, slots=True)
class Axis:
    """Values `low`..`high` laid on `start`..`end` (drawing units), linear or logarithmic.

    Values outside are drawn at the edge, so that nothing leaves the chart; an unknown value at the low edge.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def at(self, value: float) -> float:
        """Where the value stands."""
        clamped = min(self.high, max(self.low, value))
        if self.is_log:
            share = math.log(clamped / self.low) / math.log(self.high / self.low)
        else:
            share = (clamped - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values on the axis, at most about so many."""
        return log_ticks(self.low, self.high, most) if self.is_log else nice_ticks(self.low, self.high, most)


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within low..high, at most `most` + 1 of them.

    With `most` of 3 or more there is always at least one.
    """
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Powers of ten within low..high, with 2 and 5 between them where there is room."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = _within(low, high, (factor * 10.0**decade for decade in decades for factor in factors))
        if len(ticks) <= most:
            return ticks
    return ticks[:: math.ceil(len(ticks) / most)]


def _within(low: float, high: float, values: Iterable[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]


def linear_axis(values: Iterable[float], start: float, end: float) -> Axis:
    """An axis from round value to round value around zero and all values; never of zero length."""
    known = [0.0, *(value for value in values if math.isfinite(value))]
    low, high = min(known), max(known)
    if high - low < _LEAST_LENGTH:
        low, high = 0.0, 1.0
    ticks = nice_ticks(low, high)
    step = ticks[1] - ticks[0]
    return Axis(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, start, end)


def log_axis(values: Iterable[float], start: float, end: float) -> Axis:
    """A logarithmic axis around all positive values, at least half a decade long."""
    known = [value for value in values if math.isfinite(value) and value > 0]
    low, high = min(known, default=0.1), max(known, default=10.0)
    if high < low * 3:
        low, high = low / 2, high * 2
    return Axis(low, high, start, end, is_log=True)


def text_width(text: str, size: float) -> float:
    """The width the text will take at most, in drawing units, in any common sans-serif face."""
    return size * sum(_share(character) for character in text)


def _share(character: str) -> float:
    if character in _NARROW:
        return 0.38
    if ord(character) > 0x2E7F:
        return 1.05
    return 0.9 if character in _WIDE else 0.72 if character.isupper() else 0.6


def fit(text: str, room: float, size: float) -> str:
    """The text, cut with an ellipsis where it is wider than the room; empty where nothing fits."""
    if text_width(text, size) <= room:
        return text
    while text and text_width(text + "\u2026", size) > room:
        text = text[:-1]
    return text.rstrip() + "\u2026" if text else ""
