"""Waiting for sockets or a time, finer than the whole milliseconds that epoll knows."""

from __future__ import annotations

import select
import selectors
from typing import Final

COARSE_S: Final = 0.002
EARLY_S: Final = 0.0015
"""The selector may wait a whole millisecond too long, and the machine wakes up late: the rest is waited for
by `select`, to the microsecond."""
SELECT_LIMIT: Final = 1_024


def wait_for(selector: selectors.BaseSelector, wait_s: float) -> list[tuple[selectors.SelectorKey, int]]:
    """What is ready within so many seconds; it may come back early, so ask again."""
    if wait_s <= 0:
        return selector.select(0)
    if wait_s > COARSE_S:
        return selector.select(wait_s - EARLY_S)
    descriptor = getattr(selector, "fileno", lambda: SELECT_LIMIT)()
    if descriptor >= SELECT_LIMIT:
        return selector.select(wait_s)
    select.select([descriptor], [], [], wait_s)
    return selector.select(0)
