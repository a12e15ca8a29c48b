"""What a fault aims at: groups of nodes, and links."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias

from network.link import Link
from network.naming import unknown
from network.topology import Topology
from twin.errors import InputError

Shape: TypeAlias = Literal["halves", "bridge", "majorities_ring", "minority_third"]
SHAPES: tuple[Shape, ...] = ("halves", "bridge", "majorities_ring", "minority_third")
LEAST_NODES = {"halves": 2, "bridge": 3, "majorities_ring": 4, "minority_third": 4}


def groups(
    topology: Topology, *, between: Sequence[str] = (), isolate: str | None = None, is_halves: bool = False
) -> tuple[tuple[str, ...], ...]:
    """The groups of a partition: sites or nodes by name, one of them against all others, or two halves."""
    if is_halves:
        return topology.halves()
    if isolate is not None:
        return topology.isolate(isolate)
    if len(between) < 2:
        raise InputError("a partition wants two sites or nodes to stand between")
    return tuple(tuple(sorted(topology.group(name))) for name in between)


def severs(shape: Shape, nodes: Iterable[str]) -> Callable[[str, str], bool]:
    """Whether two nodes of a group cannot reach each other, by a shape that Jepsen's users know.

    halves           the first half by name against the rest
    bridge           two halves, and one node between them that both can reach
    majorities_ring  every node reaches a majority, itself included, and no two the same
    minority_third   the last nodes by name, fewer than a third, against the others

    Raise InputError for too few nodes.
    """
    places = {node: place for place, node in enumerate(sorted(nodes))}
    count = len(places)
    if count < LEAST_NODES[shape]:
        raise InputError(
            f"a partition in the shape {shape!r} wants {LEAST_NODES[shape]} nodes or more, not {count}"
        )
    sides = _ring_reach(count) if shape == "majorities_ring" else _two_sides(shape, count)

    def is_severed(a: str, b: str) -> bool:
        return a in places and b in places and sides(places[a], places[b])

    return is_severed


def _two_sides(shape: Shape, count: int) -> Callable[[int, int], bool]:
    """Severed are two places of which one is before the first border, the other not before the second."""
    half = count // 2
    borders = {"halves": (half, half), "bridge": (half, half + 1)}
    first, second = borders.get(shape, (count - (count - 1) // 3,) * 2)
    return lambda a, b: min(a, b) < first and max(a, b) >= second


def _ring_reach(count: int) -> Callable[[int, int], bool]:
    reach = (count // 2 + 1) // 2
    return lambda a, b: reach < abs(a - b) < count - reach


def links(
    topology: Topology, *, name: str | None = None, between: Sequence[str] = (), is_one_way: bool = False
) -> tuple[Link, ...]:
    """The links a fault acts on: the one of this name, or all that join two sites or nodes.

    Raise InputError for an unknown name, and where nothing joins the two.
    """
    if name is not None:
        if name not in topology.links:
            raise unknown("link", name, topology.links)
        return (topology.links[name],)
    if len(between) != 2:
        raise InputError("a fault of links wants a link, or two sites or nodes to stand between")
    found = topology.links_between(between[0], between[1], is_one_way=is_one_way)
    if not found:
        raise InputError(f"no link joins {between[0]!r} and {between[1]!r}")
    return found


def links_at(
    topology: Topology, nodes: Iterable[str], *, is_one_way: bool = False, is_inner: bool = True
) -> tuple[Link, ...]:
    """The links of nodes: all that begin or end at one; one-way only those that begin there; not inner
    only those whose other end is none of them.
    """
    own = frozenset(nodes)
    return tuple(
        link
        for link in topology.links.values()
        if (link.source in own or (link.to in own and not is_one_way))
        and (is_inner or link.source not in own or link.to not in own)
    )
