"""How much a twin is worth: the age and quality of every reported value, and the state of the twin.

Both are worked out when somebody reads, and never stored. A value is

    good     young enough, of a thing whose session is not known to be dead, while the broker is there
    stale    reported, but not good
    unknown  never reported: desired, or known to the device type, and that is all

A twin of which nothing else is known is `live`, or `stale` if a reported value is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from twin.state.records import Records, Tree
from twin.state.sessions import KIND as SESSION
from twin.state.shadow.document import Shadow
from twin.state.shadow.trees import (
    MISSING,
    Path,
    Stamp,
    at,
    event_s,
    leaves,
    pointer,
    received_s,
    stamps_at,
    youngest,
)

Quality: TypeAlias = Literal["good", "stale", "unknown"]
TwinState: TypeAlias = Literal["live", "stale", "read_only", "diverged", "branch"]

CLOCK_TOLERANCE_S: Final = 1.0
"""An event this much later than its receipt tells of a wrong clock, and is not believed."""


class MaxAges(Protocol):
    """What the types of the things say about how old a value may be."""

    def max_ages_s(self, thing: str, records: Records) -> Mapping[str, float]:
        """The greatest age (seconds) of each property the thing ought to report, by top-level key."""
        ...


class Judged(NamedTuple):
    """The age of a value (seconds, None: it was never reported) and its quality."""

    age_s: float | None
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the host knows of itself: whether it is a branch, has its broker, and which twins are wrong.

    `max_age_s` is for values of which no type says more; `is_event_time_trusted` lets age count from the
    device's own clock. `diverged` names the things whose twin is known to differ from the device.
    """

    is_branch: bool = False
    has_broker: bool = True
    is_event_time_trusted: bool = True
    max_age_s: float = math.inf
    types: MaxAges | None = None
    diverged: frozenset[str] = field(default_factory=frozenset)

    def max_ages_s(self, thing: str, records: Records) -> Mapping[str, float]:
        """The greatest age (seconds) of the properties that the thing's type knows."""
        return {} if self.types is None else self.types.max_ages_s(thing, records)


def age_s(stamp: Stamp, now_s: float, *, is_event_time_trusted: bool = True) -> float:
    """The age of a value (seconds): since it arose if its sender can be believed, else since its receipt."""
    since_s, said_s = received_s(stamp), event_s(stamp)
    if is_event_time_trusted and said_s is not None and said_s <= since_s + CLOCK_TOLERANCE_S:
        since_s = min(said_s, since_s)
    return max(0.0, now_s - since_s)


def quality_of(age_s: float | None, max_age_s: float, *, is_reachable: bool) -> Quality:
    """The quality of a value of this age (seconds; None: never reported)."""
    if age_s is None:
        return "unknown"
    return "good" if is_reachable and age_s <= max_age_s else "stale"


def is_reachable(thing: str, records: Records, standing: Standing) -> bool:
    """Whether nothing says that the thing is away: no dead session, and no broker lost."""
    session = records.get(SESSION, thing)
    return standing.has_broker and (session is None or session.is_online)


def qualities(
    thing: str, shadow: Shadow, records: Records, now_s: float, standing: Standing
) -> dict[Path, Judged]:
    """Age and quality of every reported value by path, and of what ought to be reported and is not."""
    reported = shadow.state.reported
    stamps = shadow.metadata.reported
    max_ages_s = standing.max_ages_s(thing, records)
    reaches = is_reachable(thing, records, standing)
    judged: dict[Path, Judged] = {}
    for path, _ in leaves(reported):
        age = _age_s(youngest(stamps_at(stamps, path)), now_s, standing)
        max_age_s = max_ages_s.get(path[0], standing.max_age_s)
        judged[path] = Judged(age, quality_of(age, max_age_s, is_reachable=reaches))
    missing = [path for path, _ in leaves(shadow.state.desired)] + [(name,) for name in max_ages_s]
    for path in missing:
        if path not in judged and at(reported, path) is MISSING:
            judged[path] = Judged(None, "unknown")
    return judged


def _age_s(stamp: Stamp | None, now_s: float, standing: Standing) -> float:
    """An empty object has no stamp; nothing is known of its age, so it is as old as can be."""
    if stamp is None:
        return math.inf
    return age_s(stamp, now_s, is_event_time_trusted=standing.is_event_time_trusted)


def twin_state(thing: str, judged: Mapping[Path, Judged], standing: Standing) -> TwinState:
    """The one word for a twin; the first that applies of branch, read_only, diverged, stale, live."""
    if standing.is_branch:
        return "branch"
    if not standing.has_broker:
        return "read_only"
    if thing in standing.diverged:
        return "diverged"
    return "stale" if any(each.quality == "stale" for each in judged.values()) else "live"


def described(thing: str, shadow: Shadow, records: Records, now_s: float, standing: Standing) -> Tree:
    """The whole document for a reader: with delta, the state of the twin, and age and quality of each value.

    `quality` has JSON pointers into the reported section; an age is in seconds, or null if nothing was
    reported or the age is not known.
    """
    document = shadow.document()
    delta, _ = shadow.delta()
    if delta:
        document["state"] = {**shadow.state.tree(), "delta": delta}
    return {**document, "timestamp": int(now_s), **worth(thing, shadow, records, now_s, standing)}


def worth(thing: str, shadow: Shadow, records: Records, now_s: float, standing: Standing) -> Tree:
    """What a reader may think of the document: the state of the twin, and age and quality as `described`."""
    judged = qualities(thing, shadow, records, now_s, standing)
    return {
        "twin": twin_state(thing, judged, standing),
        "quality": {
            pointer(path): {
                "age_s": age if age is not None and math.isfinite(age) else None,
                "quality": quality,
            }
            for path, (age, quality) in judged.items()
        },
    }
