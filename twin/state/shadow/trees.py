"""JSON trees that are never mutated: merge, delta, and metadata aligned with the state by path.

The stamp of a value is the time it was received (seconds), or `[received, event]` if its sender said when
it arose. A stamp stands where the state has a leaf, so that no key of a user can be taken for metadata; an
array is replaced as a whole and has one. An object whose leaves all came at once has one stamp in place of
an object of stamps; an empty one has none, which is an empty object. Documents show
`{"timestamp": whole seconds}` for each leaf and each element of an array.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from twin.state.records import Tree

Stamp: TypeAlias = float | list[float]
Stamps: TypeAlias = Any
"""One stamp for a value and all below it, or an object of stamps where the state has an object."""
Path: TypeAlias = tuple[str, ...]
MISSING: Final = object()
NOTHING: Final[Tree] = {}
DEEP: Final = 1_000
Merged: TypeAlias = tuple[Tree, Stamps, Tree]
"""An object with a patch merged into it, its stamps, and the metadata of the patch."""


def merge(
    old: Tree, old_stamps: Stamps, patch: Tree, stamp: Stamp, mark: Any = None, levels: int = DEEP
) -> Merged:
    """Objects merge, null removes, everything else replaces.

    Nulls inside a new object are not stored, nor a new object that holds nothing else. The metadata has a
    mark at every leaf. Raises ValueError for a null in an array, or more levels than are allowed.
    """
    if not levels:
        raise ValueError("levels")
    if len(patch) >= len(old) and old.keys() <= patch.keys():
        return _replaced(old, old_stamps, patch, stamp, mark, levels)
    state, metadata = old.copy(), dict.fromkeys(patch, mark)
    stamps = old_stamps.copy() if type(old_stamps) is dict else dict.fromkeys(old, old_stamps)
    for key, value in patch.items():
        kind = type(value)
        if kind is dict:
            there = state.get(key)
            if type(there) is dict:
                merged = merge(there, stamps[key], value, stamp, mark, levels - 1)
            else:
                merged = merge(NOTHING, NOTHING, value, stamp, mark, levels - 1)
                if value and not merged[0]:
                    value = None  # nothing but nulls  # noqa: PLW2901
            metadata[key] = merged[2]
            if value is not None:
                state[key], stamps[key], _ = merged
                continue
        elif kind is list:
            metadata[key] = marked_elements(value, mark, levels - 1)
        if value is not None:
            state[key], stamps[key] = value, stamp
        elif key in state:
            del state[key], stamps[key]
    return state, stamps, metadata


def _replaced(old: Tree, old_stamps: Stamps, patch: Tree, stamp: Stamp, mark: Any, levels: int) -> Merged:
    """The same where the patch gives every member: it is the new state itself as far as it can be."""
    state, metadata = patch, dict.fromkeys(patch, mark)
    others: Tree = {}  # stamps that are not simply the new one
    for key, value in patch.items():
        kind = type(value)
        if kind is str or kind is float:
            continue
        if kind is dict:
            there, below_stamps = old.get(key), NOTHING
            if type(there) is dict:
                below_stamps = member(old_stamps, key)
            else:
                there = NOTHING
            below, stamps, metadata[key] = merge(there, below_stamps, value, stamp, mark, levels - 1)
            if below is value and stamps is stamp:
                continue
            state = patch.copy() if state is patch else state
            if below or there is not NOTHING or not value:
                state[key] = below
                if stamps is not stamp:
                    others[key] = stamps
            else:
                del state[key]
        elif value is None:
            state = patch.copy() if state is patch else state
            del state[key]
        elif kind is list:
            metadata[key] = marked_elements(value, mark, levels - 1)
    if state and not others:
        return state, stamp, metadata
    return state, dict.fromkeys(state, stamp) | others, metadata


def marked_elements(value: list[Any], mark: Any, levels: int) -> list[Any]:
    """A mark for every leaf of an array; ValueError for a null in it, or more levels than are allowed."""
    if not levels:
        raise ValueError("levels")
    if None in value:
        raise ValueError("null")
    metadata: list[Any] = [mark] * len(value)
    for index, below in enumerate(value):
        if type(below) is dict:
            metadata[index] = _marked_members(below, mark, levels - 1)
        elif type(below) is list:
            metadata[index] = marked_elements(below, mark, levels - 1)
    return metadata


def _marked_members(value: Tree, mark: Any, levels: int) -> Tree:
    if not levels:
        raise ValueError("levels")
    metadata: Tree = dict.fromkeys(value, mark)
    for key, below in value.items():
        if type(below) is dict:
            metadata[key] = _marked_members(below, mark, levels - 1)
        elif type(below) is list:
            metadata[key] = marked_elements(below, mark, levels - 1)
    return metadata


def member(stamps: Stamps, key: str) -> Stamps:
    """The stamps of a member of an object."""
    return stamps[key] if type(stamps) is dict else stamps


def shown(value: Any, stamps: Stamps) -> Any:
    """The metadata of a value as documents show it."""
    return _shown(value, stamps, {})


def _shown(value: Any, stamps: Stamps, marks: dict[float, Tree]) -> Any:
    """The same; one mark for all that came at the same time, as most of it did."""
    if type(stamps) is dict:
        return {key: _shown(value[key], below, marks) for key, below in stamps.items()}
    moment_s = stamps[0] if type(stamps) is list else stamps
    mark = marks.get(moment_s)
    if mark is None:
        mark = marks[moment_s] = {"timestamp": int(moment_s)}
    return marked(value, mark)


def marked(value: Any, mark: Any) -> Any:
    """The value's shape with a mark at every leaf, one for each element of an array."""
    if type(value) is dict:
        metadata = dict.fromkeys(value, mark)
        for key, below in value.items():
            if type(below) is dict or type(below) is list:
                metadata[key] = marked(below, mark)
        return metadata
    if type(value) is list:
        return [marked(element, mark) for element in value]
    return mark


def received_s(stamp: Stamp) -> float:
    """When the value was received."""
    return stamp[0] if isinstance(stamp, list) else stamp


def event_s(stamp: Stamp) -> float | None:
    """When the value arose, if its sender said so."""
    return stamp[1] if isinstance(stamp, list) else None


def moment_s(stamp: Stamp) -> float:
    """When the value arose as far as is known."""
    said_s = event_s(stamp)
    return received_s(stamp) if said_s is None else said_s


def youngest(stamps: Stamps) -> Stamp | None:
    """The latest of the stamps below; an empty object has none."""
    if type(stamps) is not dict:
        return stamps  # type: ignore[no-any-return]  # where no object is, there is one stamp
    below = [found for each in stamps.values() if (found := youngest(each)) is not None]
    return max(below, key=moment_s, default=None)


def delta(desired: Tree, reported: Tree, stamps: Stamps) -> tuple[Tree, Tree]:
    """Members of desired that reported lacks (whole) or has otherwise (objects: the differing leaves),
    and their metadata as shown.
    """
    differing: Tree = {}
    metadata: Tree = {}
    for key, value in desired.items():
        there = reported.get(key, MISSING)
        kind = type(value)
        if kind is dict and type(there) is dict:
            below, below_metadata = delta(value, there, member(stamps, key))
            if below:
                differing[key], metadata[key] = below, below_metadata
        elif kind is str or kind is float:
            if value != there or type(there) is bool:
                stamp = member(stamps, key)
                differing[key] = value
                metadata[key] = {"timestamp": int(stamp[0] if type(stamp) is list else stamp)}
        elif not is_same(value, there):
            differing[key], metadata[key] = value, shown(value, member(stamps, key))
    return differing, metadata


def is_same(one: Any, other: Any) -> bool:
    """Equal as JSON values: 1 equals 1.0, and true is no number."""
    if type(one) is bool or type(other) is bool:
        return one is other
    if type(one) is list and type(other) is list:
        return len(one) == len(other) and all(map(is_same, one, other))
    if type(one) is dict and type(other) is dict:
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    return bool(one == other)


def leaves(tree: Tree, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is no object, or an empty one, with its path."""
    for key, value in tree.items():
        if type(value) is dict and value:
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key), value


def at(tree: Any, path: Path) -> Any:
    """What stands at a path, or MISSING."""
    for key in path:
        if type(tree) is not dict or key not in tree:
            return MISSING
        tree = tree[key]
    return tree


def stamps_at(stamps: Stamps, path: Path) -> Stamps:
    """The stamps of the value at a path, or MISSING; one that stands for more is that of all below it."""
    for key in path:
        if type(stamps) is not dict:
            return stamps
        if key not in stamps:
            return MISSING
        stamps = stamps[key]
    return stamps


def pointer(path: Path) -> str:
    """A path as JSON pointer (RFC 6901)."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def read_pointer(text: str) -> Path:
    """The path that a JSON pointer names."""
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in text.split("/")[1:])


def without(tree: Tree, stamps: Stamps, paths: Iterable[Path]) -> tuple[Tree, Stamps]:
    """The tree without some of its members, and without objects that are empty through that; its stamps."""
    for path in paths:
        tree, stamps = _without(tree, stamps, path)
    return tree, stamps if tree else {}


def _without(tree: Tree, stamps: Stamps, path: Path) -> tuple[Tree, Stamps]:
    head, rest = path[0], path[1:]
    if head not in tree:
        return tree, stamps
    rest_of_tree = tree.copy()
    rest_of_stamps = stamps.copy() if type(stamps) is dict else stamps
    below, below_stamps = _without(tree[head], member(stamps, head), rest) if rest else (NOTHING, NOTHING)
    if below:
        rest_of_tree[head] = below
        if type(stamps) is dict:
            rest_of_stamps[head] = below_stamps
    else:
        del rest_of_tree[head]
        if type(stamps) is dict:
            del rest_of_stamps[head]
    return rest_of_tree, rest_of_stamps
