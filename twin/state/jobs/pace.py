"""How many things a step of a rollout may tell, so that no minute has more than the rate.

A minute has sixty ticks of a second. The n-th tick takes what the rate makes due after it, rounded up, less
what was due before: any sixty ticks in a row take the rate exactly. Ticks lie at least a second apart, and
one that comes late is not made up for.
"""

from __future__ import annotations

from typing import Final, NamedTuple

TICKS_A_MINUTE: Final = 60
TICK_S: Final = 1.0
BATCH: Final = 1000
STEP_S: Final = 0.01
"""Without a rate: so many things a step, so far apart, that a transaction stays small (seconds)."""


class Step(NamedTuple):
    """What a step may tell now, the carry for the next one, and when that comes (seconds from now)."""

    things_count: int
    carry: int
    wait_s: float


def next_step(per_minute: int | None, carry: int) -> Step:
    """The step that is due: at least one thing."""
    if per_minute is None:
        return Step(BATCH, 0, STEP_S)
    count, carry = _tick(per_minute, carry)
    ticks = 1
    while (following := _tick(per_minute, carry))[0] == 0:
        carry = following[1]
        ticks += 1
    return Step(count, carry, ticks * TICK_S)


def _tick(per_minute: int, carry: int) -> tuple[int, int]:
    """Things of one tick, and the sixtieths of a thing that are due already."""
    due = carry + per_minute
    count = -(-due // TICKS_A_MINUTE) - -(-carry // TICKS_A_MINUTE)
    return count, due % TICKS_A_MINUTE
