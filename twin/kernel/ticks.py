"""The times on which orders from outside fall: sums of them are exact, and no event has one by plan."""

from __future__ import annotations

import math
from typing import Final

TICK_S: Final = 2.0**-10


def tick_between(after_s: float, before_s: float, wish_s: float) -> float | None:
    """The odd multiple of half a tick nearest to the wish and strictly between the two, if there is one."""
    lowest = math.floor(after_s / TICK_S - 0.5) + 1
    highest = math.ceil(before_s / TICK_S - 0.5) - 1
    if lowest > highest:
        return None
    return (min(max(round(wish_s / TICK_S - 0.5), lowest), highest) + 0.5) * TICK_S
