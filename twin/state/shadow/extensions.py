"""What we add to the shadow of AWS: desired values that end, and updates under a condition.

A desired value ends when its time is over, when the device reports it (if it is cleared on report), or when
the device changed the value by itself later (if newer reports are kept).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from twin.state.records import Records, Tree
from twin.state.shadow.document import Shadow
from twin.state.shadow.requests import RejectedError, Request
from twin.state.shadow.settings import Schema, ShadowSettings
from twin.state.shadow.trees import (
    MISSING,
    Path,
    at,
    is_same,
    leaves,
    moment_s,
    pointer,
    read_pointer,
    stamps_at,
    youngest,
)

COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": is_same,
    "!=": lambda one, other: not is_same(one, other),
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


# conditions ------------------------------------------------------------------------------------------


def check_condition(request: Request, shadow: Shadow | None) -> None:
    """Raise RejectedError 412 unless all of the condition holds, 400 if it cannot be read.

    A condition has values by dotted path (`reported.gate`, `version`, `versions.desired`) or JSON pointer;
    null means that nothing stands there. An object of comparisons (`{"<": 5}`) compares.
    """
    if request.condition is None:
        return
    known = {} if shadow is None else _facts(shadow)
    for path, wanted in request.condition.items():
        actual = at(known, _path(path))
        if not _holds(actual, wanted, request.token):
            said = "nothing" if actual is MISSING else msgspec.json.encode(actual).decode()
            raise RejectedError(412, f"Condition does not hold: '{path}' is {said}", request.token)


def _facts(shadow: Shadow) -> Tree:
    versions = {"desired": shadow.desired_version, "reported": shadow.reported_version}
    return {**shadow.state.tree(), "version": shadow.version, "versions": versions}


def _path(text: str) -> Path:
    if text.startswith("/"):
        return read_pointer(text)
    return tuple(text.split("."))


def _holds(actual: Any, wanted: Any, token: str | None) -> bool:
    if wanted is None:
        return actual is MISSING
    if not (isinstance(wanted, dict) and wanted and wanted.keys() <= COMPARISONS.keys()):
        return actual is not MISSING and is_same(actual, wanted)
    if actual is MISSING:
        return False
    try:
        return all(
            COMPARISONS[sign](actual, value) and not _is_mixed(actual, value)
            for sign, value in wanted.items()
        )
    except TypeError:
        raise RejectedError(400, "Invalid condition: values of different kinds are compared", token) from None


def _is_mixed(one: Any, other: Any) -> bool:
    """Python orders true and 1; JSON does not."""
    return isinstance(one, bool) is not isinstance(other, bool)


# desired values that end -----------------------------------------------------------------------------


def is_plain(settings: ShadowSettings, schema: Schema | None) -> bool:
    """Whether desired values end only if their request says so; with the service of AWS it cannot."""
    return (
        schema is None
        and settings.desired_expiry_s == math.inf
        and not settings.is_cleared_on_report
        and not settings.keeps_newer_reports
    )


class Endings:
    """Which desired values of a thing's shadow end by one update, and when the others will."""

    __slots__ = ("_records", "_schema", "_settings", "_thing")

    def __init__(self, settings: ShadowSettings, schema: Schema | None, thing: str, records: Records) -> None:
        self._settings, self._schema = settings, schema
        self._thing, self._records = thing, records

    def apply(self, before: Shadow, after: Shadow, request: Request, now_s: float) -> tuple[Shadow, int]:
        """The updated shadow with its expiries, and how many desired values ended."""
        patch = request.state or {}
        desired, reported = patch.get("desired") or {}, patch.get("reported") or {}
        ended: list[Path] = []
        if self._settings.keeps_newer_reports:
            ended += self._overtaken(before, after, reported)
            ended += self._late(before, after, desired, request.event_s)
        ended += self._met(after, reported | desired)
        if ended:
            after = after.without_desired(ended)
        expiries = _kept(before.expiries, desired, after) | self._begun(after, desired, request, now_s)
        due_s = min(expiries.values(), default=math.inf)
        return replace(after, expiries=expiries, due_s=due_s), len(ended)

    def _overtaken(self, before: Shadow, after: Shadow, reported: Tree) -> list[Path]:
        """Desired values older than a change that the device made by itself."""
        wishes, known = after.state.desired, before.state.reported
        overtaken = []
        for path, value in leaves(reported):
            wish, old = at(wishes, path), at(known, path)
            is_change = value is not None and old is not MISSING and not is_same(value, old)
            if wish is MISSING or not is_change or is_same(value, wish):
                continue
            if _moment_at_s(after, "reported", path) > _moment_at_s(after, "desired", path):
                overtaken.append(path)
        return overtaken

    def _late(self, before: Shadow, after: Shadow, desired: Tree, said_s: float | None) -> list[Path]:
        """Desired values of a request that was made before the device reported something else."""
        if said_s is None:
            return []
        wishes, known = after.state.desired, before.state.reported
        return [
            path
            for path, value in leaves(desired)
            if at(wishes, path) is not MISSING
            and (there := at(known, path)) is not MISSING
            and not is_same(value, there)
            and _moment_at_s(before, "reported", path) > said_s
        ]

    def _met(self, after: Shadow, changes: Tree) -> list[Path]:
        """Desired values that the device has reported, if they are cleared by that."""
        wishes, known = after.state.desired, after.state.reported
        cleared = {key for key in changes if self._is_cleared(key)}
        if not wishes or not cleared:
            return []
        return [
            path
            for path, wish in leaves(wishes)
            if path[0] in cleared and (there := at(known, path)) is not MISSING and is_same(wish, there)
        ]

    def _is_cleared(self, name: str) -> bool:
        if self._settings.is_cleared_on_report:
            return True
        return self._schema is not None and self._schema.is_cleared_on_report(
            self._thing, name, self._records
        )

    def _begun(self, after: Shadow, desired: Tree, request: Request, now_s: float) -> dict[str, float]:
        """The ends of the values that this request desires: the earliest that anybody asks for."""
        wishes = after.state.desired
        begun = {}
        for path, value in leaves(desired):
            there = at(wishes, path)
            if there is MISSING or value is None or (value == {} and there != {}):
                continue
            rest_s = min(self._expiry_s(path[0]), request.expires_s or math.inf)
            if rest_s != math.inf:
                begun[pointer(path)] = now_s + rest_s
        return begun

    def _expiry_s(self, name: str) -> float:
        own_s = self._settings.desired_expiry_s
        if self._schema is None:
            return own_s
        return min(own_s, self._schema.desired_expiry_s(self._thing, name, self._records))


def _moment_at_s(shadow: Shadow, section: str, path: Path) -> float:
    """When the value at a path of a section arose as far as is known; long ago if it has no stamp."""
    stamps = stamps_at(getattr(shadow.metadata, section), path)
    stamp = None if stamps is MISSING else youngest(stamps)
    return -math.inf if stamp is None else moment_s(stamp)


def _kept(expiries: dict[str, float], desired: Tree, after: Shadow) -> dict[str, float]:
    """The ends of older values that still stand and were not desired anew."""
    wishes = after.state.desired
    kept = {}
    for text, due_s in expiries.items():
        path = read_pointer(text)
        if at(wishes, path) is not MISSING and not _is_touched(desired, path):
            kept[text] = due_s
    return kept


def _is_touched(patch: Any, path: Path) -> bool:
    """Whether a patch gives a value at, above or below the path."""
    for key in path:
        if type(patch) is not dict:
            return True
        if key not in patch:
            return False
        patch = patch[key]
    return bool(patch != {})
