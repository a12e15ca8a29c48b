"""JSON trees that are never mutated: merge, delta, and metadata aligned with the state by path.

The stamp of a value is the time it was received (seconds), or `[received, event]` if its sender said when
it arose. A stamp stands where the state has a leaf, so that no key of a user can be taken for metadata; an
array is replaced as a whole and has one. Documents show `{"timestamp": whole seconds}`, for each element.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from twin.state.records import Tree

Stamp: TypeAlias = float | list[float]
Path: TypeAlias = tuple[str, ...]
MISSING: Final = object()


def merge(old: Tree, old_stamps: Tree, patch: Tree, stamp: Stamp) -> tuple[Tree, Tree]:
    """New state and stamps: objects merge, null removes, everything else replaces.

    Nulls inside a new object are not stored, nor a new object that holds nothing else.
    """
    state, stamps = old.copy(), old_stamps.copy()
    for key, value in patch.items():
        if type(value) is dict:
            there = state.get(key)
            if type(there) is dict:
                state[key], stamps[key] = merge(there, stamps[key], value, stamp)
                continue
            below, below_stamps = merge({}, {}, value, stamp)
            if below or not value:
                state[key], stamps[key] = below, below_stamps
            elif key in state:
                del state[key], stamps[key]
        elif value is None:
            if key in state:
                del state[key], stamps[key]
        else:
            state[key], stamps[key] = value, stamp
    return state, stamps


def shown(value: Any, stamps: Any) -> Any:
    """The metadata of a value as documents show it."""
    if type(stamps) is dict:
        return _shown_members(value, stamps, {})
    return marked(value, {"timestamp": int(received_s(stamps))})


def _shown_members(value: Tree, stamps: Tree, marks: dict[float, Tree]) -> Tree:
    """The metadata of an object; one mark for all that came at the same time, as most of it did."""
    metadata: Tree = {}
    for key, stamp in stamps.items():
        if type(stamp) is dict:
            metadata[key] = _shown_members(value[key], stamp, marks)
            continue
        moment_s = stamp[0] if type(stamp) is list else stamp
        mark = marks.get(moment_s)
        if mark is None:
            mark = marks[moment_s] = {"timestamp": int(moment_s)}
        below = value[key]
        metadata[key] = marked(below, mark) if type(below) is list else mark
    return metadata


def marked(value: Any, mark: Tree) -> Any:
    """The value's shape with a mark at every leaf, one for each element of an array."""
    if type(value) is dict:
        return {key: marked(below, mark) for key, below in value.items()}
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


def youngest(stamps: Any) -> Stamp | None:
    """The latest of the stamps below; an empty object has none."""
    if type(stamps) is not dict:
        return stamps  # type: ignore[no-any-return]  # where no object is, there is one stamp
    below = [found for each in stamps.values() if (found := youngest(each)) is not None]
    return max(below, key=moment_s, default=None)


def delta(desired: Tree, reported: Tree, stamps: Tree) -> tuple[Tree, Tree]:
    """Members of desired that reported lacks (whole) or has otherwise (objects: the differing leaves),
    and their metadata as shown.
    """
    differing: Tree = {}
    metadata: Tree = {}
    for key, value in desired.items():
        there = reported.get(key, MISSING)
        kind = type(value)
        if kind is dict and type(there) is dict:
            below, below_metadata = delta(value, there, stamps[key])
            if below:
                differing[key], metadata[key] = below, below_metadata
        elif kind is str or kind is float:
            if value != there or type(there) is bool:
                stamp = stamps[key]
                differing[key] = value
                metadata[key] = {"timestamp": int(stamp[0] if type(stamp) is list else stamp)}
        elif not is_same(value, there):
            differing[key], metadata[key] = value, shown(value, stamps[key])
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


def pointer(path: Path) -> str:
    """A path as JSON pointer (RFC 6901)."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def read_pointer(text: str) -> Path:
    """The path that a JSON pointer names."""
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in text.split("/")[1:])


def without(tree: Tree, paths: Iterable[Path]) -> Tree:
    """The tree without some of its members, and without objects that are empty through that."""
    for path in paths:
        tree = _without(tree, path)
    return tree


def _without(tree: Tree, path: Path) -> Tree:
    head, rest = path[0], path[1:]
    if head not in tree:
        return tree
    rest_of_tree = tree.copy()
    below = _without(tree[head], rest) if rest else {}
    if below:
        rest_of_tree[head] = below
    else:
        del rest_of_tree[head]
    return rest_of_tree
