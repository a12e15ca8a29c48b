"""What hangs on what: the relationships as a typed graph, and who is affected if a thing fails."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from twin.state.records import Records
from twin.state.registry.things import RELATIONSHIP, THING, RegistryError, Relationship, Thing, unknown

if TYPE_CHECKING:
    import networkx as nx

CONTAINS: Final = "contains"
SPEAKS_FOR: Final = "speaks_for"
FORWARD: Final = frozenset({CONTAINS, "feeds", "controls", "powers", "monitors", SPEAKS_FOR})
"""Kinds in which the target suffers when the source fails; `depends_on` is the other way round."""
DEPENDS_ON: Final = "depends_on"


class Effect(NamedTuple):
    """A thing that is affected, and the way from what failed, as (kind, thing) steps."""

    thing: str
    steps: tuple[tuple[str, str], ...]


def graph(records: Records) -> nx.MultiDiGraph[str]:
    """Things as nodes with their type and site, relationships as edges keyed by their kind.

    The gateway of a thing has an edge `speaks_for` to it.
    """
    import networkx as nx

    made: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    things: dict[str, Thing] = records.of(THING)
    for thing in things.values():
        made.add_node(thing.name, type=thing.type, site=thing.site, level=thing.level)
    for thing in things.values():
        if thing.via:
            made.add_edge(thing.via, thing.name, key=SPEAKS_FOR)
    edges: dict[str, Relationship] = records.of(RELATIONSHIP)
    for edge in edges.values():
        made.add_edge(edge.source, edge.target, key=edge.kind)
    return made


def affected(records: Records, name: str, kinds: Iterable[str] = ()) -> list[Effect]:
    """Who is affected if a thing fails, nearest first, along edges of these kinds (none given: all).

    Raises RegistryError 404 if there is no such thing.
    """
    if records.get(THING, name) is None:
        raise RegistryError(404, unknown("thing", name, records.of(THING)))
    wanted = frozenset(kinds) or FORWARD | {DEPENDS_ON}
    made = graph(records)
    ways: dict[str, tuple[tuple[str, str], ...]] = {name: ()}
    level = [name]
    while level:
        following: list[str] = []
        for source in level:
            for kind, target in _suffering(made, source):
                if kind in wanted and target not in ways:
                    ways[target] = (*ways[source], (kind, target))
                    following.append(target)
        level = following
    return [Effect(thing, steps) for thing, steps in ways.items() if steps]


def _suffering(made: nx.MultiDiGraph[str], source: str) -> list[tuple[str, str]]:
    out = [(kind, target) for _, target, kind in made.out_edges(source, keys=True) if kind in FORWARD]
    back = [(kind, target) for target, _, kind in made.in_edges(source, keys=True) if kind == DEPENDS_ON]
    return sorted(out + back)
