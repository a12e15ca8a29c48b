"""A whole twin for a reader: what is known of a thing, and how much it is worth."""

from __future__ import annotations

from typing import Any

from twin.errors import RefusedError
from twin.state.alarms import alarms
from twin.state.commands import commands
from twin.state.quality import MaxAges, Standing, described, is_reachable
from twin.state.records import Records, Transaction
from twin.state.registry.things import THING
from twin.state.sessions import KIND as SESSION
from twin.state.shadow import SHADOW

ORDER = ("branch", "read_only", "diverged", "stale", "live")
"""The worst state of a twin first."""
SHOWN = 100


def twin_of(
    thing: str,
    transaction: Transaction,
    types: MaxAges | None = None,
    *,
    has_broker: bool = True,
    is_branch: bool = False,
) -> dict[str, Any]:
    """Everything that is known of a thing. Raises RefusedError 404 if nothing is."""
    records, now_s = transaction.records, transaction.now_s
    standing = Standing(has_broker=has_broker, is_branch=is_branch, types=types)
    registered, session = records.get(THING, thing), records.get(SESSION, thing)
    shadows = {
        name: described(thing, shadow, records, now_s, standing)
        for name, shadow in _shadows(thing, records).items()
    }
    if registered is None and session is None and not shadows:
        raise RefusedError(404, f"nothing is known of {thing!r}")
    states = {shadow["twin"] for shadow in shadows.values()} or {
        _empty(is_branch=is_branch, has_broker=has_broker)
    }
    return {
        "thing": registered,
        "state": next(state for state in ORDER if state in states),
        "reachable": is_reachable(thing, records, standing),
        "session": session,
        "shadow": shadows.pop("", None),
        "named_shadows": shadows,
        "telemetry": records.get("telemetry", thing),
        "alarms": [each.document() for each in alarms(records, thing=thing, is_active=True, limit=SHOWN)],
        "commands": commands(records, thing=thing, is_open=True, limit=SHOWN),
        "timestamp": now_s,
    }


def _shadows(thing: str, records: Records) -> dict[str, Any]:
    """The shadows of a thing by name; the classic one has none."""
    kept = records.of(SHADOW)
    found = {"": kept[thing]} if thing in kept else {}
    above = f"{thing}/"
    return found | {key.removeprefix(above): kept[key] for key in kept if key.startswith(above)}


def _empty(*, is_branch: bool, has_broker: bool) -> str:
    if is_branch:
        return "branch"
    return "live" if has_broker else "read_only"
