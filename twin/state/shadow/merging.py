"""Three-way merge of JSON trees, leaf by leaf, and the patch that leads from one tree to another.

`base` is what both sides agreed on last. `pending` is what one side sent since without hearing whether it
was taken: a leaf of the cloud that is as pending was not changed by anybody else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from twin.state.records import Tree
from twin.state.shadow.document import SECTIONS
from twin.state.shadow.trees import MISSING, is_same


class Sides(NamedTuple):
    """One value as both sides have it, as they had it, and as it was sent."""

    local: Any
    cloud: Any
    base: Any
    pending: Any

    def below(self, key: str) -> Sides:
        """The values of one member."""
        return Sides(*(side.get(key, MISSING) if type(side) is dict else MISSING for side in self))

    @property
    def is_local_changed(self) -> bool:
        """Whether the local value is not what it was, or was sent as."""
        return not _is_same(self.local, self.base) or not _is_same(self.local, self.pending)

    @property
    def is_cloud_changed(self) -> bool:
        """Whether the cloud has a value that did not come from here."""
        return not _is_same(self.cloud, self.base) and not _is_same(self.cloud, self.pending)


def merged(local: Tree, cloud: Tree, base: Tree, pending: Tree | None = None) -> Tree:
    """One state of both sides: what one side changed is taken from it; where both did, reported is taken
    from the local side and desired from the cloud.
    """
    four = (local, cloud, base, base if pending is None else pending)
    sections = {
        name: _merged(Sides(*(side.get(name, {}) for side in four)), is_local_first=name == "reported")
        for name in SECTIONS
    }
    return {name: section for name, section in sections.items() if section}


def _merged(sides: Sides, *, is_local_first: bool) -> Any:
    local, cloud = sides.local, sides.cloud
    if type(local) is dict and type(cloud) is dict:
        keys = dict.fromkeys((*local, *cloud))
        below = {key: _merged(sides.below(key), is_local_first=is_local_first) for key in keys}
        return {key: value for key, value in below.items() if value is not MISSING}
    if sides.is_local_changed and (is_local_first or not sides.is_cloud_changed):
        return local
    return cloud


def agreed(base: Tree | None, pending: Tree | None, cloud: Tree | None) -> Tree | None:
    """The base after it became known what the cloud has: what was pending and is there, both sides had."""
    if pending is None or cloud is None:
        return base
    result = _agreed(Sides(None, cloud, base or {}, pending))
    return result if result or base is not None else None


def _agreed(sides: Sides) -> Any:
    if type(sides.cloud) is dict and type(sides.pending) is dict:
        base = sides.base if type(sides.base) is dict else {}
        below = {
            key: _agreed(sides.below(key)) for key in dict.fromkeys((*base, *sides.cloud, *sides.pending))
        }
        return {key: value for key, value in below.items() if value is not MISSING}
    return sides.pending if _is_same(sides.cloud, sides.pending) else sides.base


def _is_same(one: Any, other: Any) -> bool:
    if one is MISSING or other is MISSING:
        return one is other
    return is_same(one, other)


def patch(old: Tree, new: Tree) -> Tree:
    """The update of a shadow that makes `new` of `old`: null removes."""
    changes: Tree = {key: None for key in old if key not in new}
    for key, value in new.items():
        there = old.get(key, MISSING)
        if type(value) is dict and type(there) is dict:
            below = patch(there, value)
            if below:
                changes[key] = below
        elif not _is_same(value, there):
            changes[key] = value
    return changes
