"""Edits while a variant is shown: into the base scenario, or as an override of the variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from scenarios.format.schema import VariantForm, written_keys
from scenarios.format.source import Keys
from ui.design import edits
from ui.design.checking import Checked
from ui.design.edits import EditError

Change = Callable[[str], str]


class Target(NamedTuple):
    """Which variant is shown ('' for the base), and whether edits go into it."""

    shown: str = ""
    is_into_variant: bool = False


def overridden(checked: Checked, variant: str, path: Keys) -> list[str]:
    """The keys below a path that the variant overrides, dotted, without the path itself."""
    draft = checked.drafts.get(variant) if variant else None
    if draft is None:
        return []
    found = [
        ".".join(map(str, each[len(path) :])) or "all of it"
        for each, origin in draft.origins.items()
        if origin[:1] == ("variants",) and _is_below(each, path)
    ]
    return sorted(found)


def _is_below(path: Keys, outer: Keys) -> bool:
    return path[: len(outer)] == outer or outer[: len(path)] == path


def put(checked: Checked, target: Target, path: Keys, value: Any) -> Change:
    """Put a value where edits go."""
    if target.is_into_variant and target.shown:
        place = override_path(checked, target.shown, path)
        return lambda text: edits.set_value(text, place, value)
    _require_in_base(checked, target, path)
    return lambda text: edits.set_value(text, path, value)


def take_out(checked: Checked, target: Target, path: Keys) -> Change:
    """Take a value out of where edits go; in a variant, what the base says holds again."""
    if not (target.is_into_variant and target.shown):
        _require_in_base(checked, target, path)
        return lambda text: _without(text, path)
    place = override_path(checked, target.shown, path)
    if _there(checked.data, place):
        return lambda text: edits.remove(text, place)
    return lambda text: edits.set_value(text, place, None)


def _without(text: str, path: Keys) -> str:
    return edits.remove(text, path)


def _require_in_base(checked: Checked, target: Target, path: Keys) -> None:
    """A part that only the variant has, or has at another index, cannot be edited in the base."""
    if not target.shown:
        return
    shown, base = checked.seen(target.shown), checked.data
    mine, its = _at(shown, path[:2]), _at(base, path[:2])
    if its is None or (isinstance(path[1], int) and _title(mine) != _title(its)):
        raise EditError("this part belongs to the variant; edit the variant, or the YAML")


def _title(item: Any) -> Any:
    return (item.get("name"), item.get("between")) if isinstance(item, Mapping) else item


def _at(data: Any, path: Keys) -> Any:
    for step in path:
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def _there(data: Any, path: Keys) -> bool:
    inner = _at(data, path[:-1])
    return isinstance(inner, Mapping) and path[-1] in inner


def override_path(checked: Checked, variant: str, path: Keys) -> Keys:
    """Where the variant says, or would say, the value at a path: below an override that covers it already."""
    written = (checked.data.get("variants") or {}).get(variant) or {}
    steps = _addressed(checked.seen(""), path)
    reserved = set(written_keys(VariantForm))
    for key in written if isinstance(written, Mapping) else ():
        parts = tuple(key.split("."))
        if key not in reserved and steps[: len(parts)] == parts and len(parts) < len(steps):
            if not isinstance(written[key], Mapping):
                raise EditError(f"the variant says all of '{key}'; change it in the YAML")
            return ("variants", variant, key, *steps[len(parts) :])
    return ("variants", variant, ".".join(steps))


def _addressed(base: Any, path: Keys) -> tuple[str, ...]:
    """The path with items of lists by their name where they have one; ends of a link go together."""
    steps: list[str] = []
    data = base
    for step in path:
        if isinstance(step, int):
            item = data[step] if isinstance(data, list) and step < len(data) else None
            name = item.get("name") if isinstance(item, Mapping) else None
            is_clear = isinstance(name, str) and "." not in name
            steps.append(str(name) if is_clear else str(step))
            data = item
        else:
            steps.append(step)
            data = data.get(step) if isinstance(data, Mapping) else None
    return tuple(steps)
