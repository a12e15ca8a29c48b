"""Who is joined to whom: nodes, their sites and countries, links, shortest paths and partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import networkx as nx

from network.link import Link
from twin.errors import InputError

Path = tuple[Link, ...]
Listener = Callable[[str, str, bool], None]
PORT_MARK = "#"


def node_of(end: str) -> str:
    """The node of one end of a connection: `gateway#7` is connection 7 of the node `gateway`.

    A simulated node has one connection with another and needs no number; a real one has many.
    """
    return end.partition(PORT_MARK)[0]


class Topology:
    """A directed graph of nodes and links; between two nodes may stand several links of one direction.

    Paths are the shortest by expected delay over links that are up. They are found once for each
    destination and kept until something changes.
    """

    def __init__(self) -> None:
        self.graph: nx.DiGraph[str] = nx.DiGraph()
        self.links: dict[str, Link] = {}
        self.version = 0
        self._sites: dict[str, str] = {}
        self._countries: dict[str, str] = {}
        self._listeners: list[Listener] = []
        self._core: nx.DiGraph[str] | None = None
        self._trees: dict[str, dict[str, Link]] = {}

    # building ------------------------------------------------------------------------------------------

    def place(self, node: str, site: str = "", country: str = "") -> None:
        """Say where a node stands; the country is a two-letter code, or empty where unknown."""
        self.graph.add_node(node)
        self._sites[node] = site
        self._countries[node] = country

    def add_link(self, link: Link) -> None:
        """Add one direction; raise InputError for a name that is taken."""
        if link.name in self.links:
            raise InputError(f"two links are called {link.name!r}")
        self.links[link.name] = link
        if self.graph.has_edge(link.source, link.to):
            self.graph.edges[link.source, link.to]["links"].append(link)
        else:
            self.graph.add_edge(link.source, link.to, links=[link])
        self.refresh()

    def refresh(self) -> None:
        """Forget all paths: to be called after the delays of a link were changed."""
        self.version += 1
        self._core = None
        self._trees.clear()

    # asking --------------------------------------------------------------------------------------------

    def site(self, node: str) -> str:
        """The node's site, or an empty text."""
        return self._sites.get(node, "")

    def country(self, node: str) -> str:
        """The node's country, or an empty text."""
        return self._countries.get(node, "")

    def group(self, name: str) -> frozenset[str]:
        """The nodes of the site of this name, or the node of this name; raise InputError if there is none."""
        members = frozenset(node for node, site in self._sites.items() if site == name)
        if members:
            return members
        if name in self.graph:
            return frozenset((name,))
        raise InputError(f"{name!r} is neither a site nor a node of the network")

    def links_between(self, one: str, other: str, *, is_one_way: bool = False) -> tuple[Link, ...]:
        """The links that join two sites or nodes, from `one` to `other` and, unless one-way, back."""
        a, b = self.group(one), self.group(other)
        forward = [link for link in self.links.values() if link.source in a and link.to in b]
        back = [link for link in self.links.values() if link.source in b and link.to in a]
        return tuple(forward if is_one_way else forward + back)

    def path(self, source: str, to: str) -> Path | None:
        """The links from source to destination, or None if none are up."""
        source, to = node_of(source), node_of(to)
        if source == to:
            return ()
        tail: dict[str, Link] = {}
        while to != source and (gate := self._only_entry(to)) is not None:
            link = self._best(gate, to)
            if link is None or to in tail:
                return None
            tail[to] = link
            to = gate
        head = self._through_core(source, to)
        return None if head is None else (*head, *reversed(tail.values()))

    def nominal_path(self, source: str, to: str) -> Path | None:
        """The path if every link were up: what the transport of a pair is decided by."""
        source, to = node_of(source), node_of(to)
        if source not in self.graph or to not in self.graph:
            return None
        try:
            nodes = nx.dijkstra_path(self.graph, source, to, weight=_nominal_weight)
        except nx.NetworkXNoPath:
            return None
        return tuple(_fastest(self.graph.edges[edge]["links"]) for edge in nx.utils.pairwise(nodes))

    def expected_delay_s(self, path: Path | None) -> float:
        """Mean delay of a small message along the path; infinite if there is none."""
        return float("inf") if path is None else sum(link.expected_delay_s for link in path)

    def countries_crossed(self, path: Path) -> tuple[str, ...]:
        """The countries a message enters along the path, in order, without repeats in a row."""
        nodes = [link.source for link in path[:1]] + [link.to for link in path]
        crossed: list[str] = []
        for country in map(self.country, nodes):
            if country and crossed[-1:] != [country]:
                crossed.append(country)
        return tuple(crossed)

    # changing during a run -----------------------------------------------------------------------------

    def on_link_changed(self, listener: Listener) -> None:
        """Call `listener(node, peer, is_up)` when a node's own interface goes down or comes back."""
        self._listeners.append(listener)

    def set_up(self, links: Iterable[Link], *, is_up: bool) -> None:
        """Take links down or bring them back: paths change, and the nodes at both ends notice."""
        self._set_down(dict.fromkeys(links, 0 if is_up else 1))

    def add_down(self, links: Iterable[Link], count: int) -> None:
        """One thing more (1) or less (-1) keeps the links down, for faults that overlap."""
        self._set_down({link: max(link.down_count + count, 0) for link in links})

    def tell(self, node: str, peer: str, *, is_up: bool) -> None:
        """Let a node notice what happened to its way to a peer."""
        for listener in self._listeners:
            listener(node, peer, is_up)

    def _set_down(self, counts: dict[Link, int]) -> None:
        ends: dict[tuple[str, str], bool] = {}
        for link, count in counts.items():
            if link.is_up != (not count):
                ends[link.source, link.to] = ends[link.to, link.source] = not count
            link.set_down(count)
        self.refresh()
        for (node, peer), is_up in ends.items():
            self.tell(node, peer, is_up=is_up)

    def partition(self, groups: Sequence[Iterable[str]], *, is_one_way: bool = False) -> Partition:
        """Make the links between the groups black holes, which no node can see. Nodes of no group are
        joined to all. One-way: only what leaves the first group is lost.
        """
        member = {node: index for index, group in enumerate(groups) for node in group}
        crossing = [
            link
            for link in self.links.values()
            if link.source in member and link.to in member and member[link.source] != member[link.to]
        ]
        if is_one_way:
            crossing = [link for link in crossing if member[link.source] == 0]
        return Partition(tuple(crossing))

    def halves(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """All nodes in two groups: the first half by name, and the rest."""
        nodes = sorted(self.graph)
        return tuple(nodes[: len(nodes) // 2]), tuple(nodes[len(nodes) // 2 :])

    def isolate(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Two groups: the node or site of this name, and all the others."""
        alone = self.group(name)
        return tuple(sorted(alone)), tuple(sorted(set(self.graph) - alone))

    # paths ---------------------------------------------------------------------------------------------

    def _only_entry(self, node: str) -> str | None:
        """The one neighbour through which a leaf is reached; leaves never carry transit traffic."""
        if node not in self.graph or self.graph.in_degree(node) != 1:
            return None
        gate: str = next(self.graph.predecessors(node))
        return gate

    def _best(self, source: str, to: str) -> Link | None:
        up = [link for link in self.graph.edges[source, to]["links"] if link.is_up]
        return _fastest(up) if up else None

    def _through_core(self, source: str, to: str) -> list[Link] | None:
        """Follow the tree of best next links towards `to`, which is no leaf."""
        if source == to:
            return []
        if source not in self.graph or to not in self.graph:
            return None
        next_link = self._tree(to)
        first = None if source in self._core_graph() else self._leave_leaf(source)
        links = [] if first is None else [first]
        node = source if first is None else first.to
        while node != to:
            if node not in next_link:
                return None
            links.append(next_link[node])
            node = links[-1].to
        return links

    def _leave_leaf(self, node: str) -> Link | None:
        """The way out of a node with one neighbour, which stands outside the core."""
        neighbours = list(self.graph.successors(node))
        return self._best(node, neighbours[0]) if neighbours else None

    def _tree(self, to: str) -> dict[str, Link]:
        """For each core node the first link on its best path to `to`."""
        found = self._trees.get(to)
        if found is None:
            core = self._core_graph()
            steps, _ = (
                nx.dijkstra_predecessor_and_distance(core, to, weight="delay_s") if to in core else ({}, 0)
            )
            # the core is kept reversed, so a node's predecessor is its next hop
            found = self._trees[to] = {
                node: core.edges[after[0], node]["link"] for node, after in steps.items() if after
            }
        return found

    def _core_graph(self) -> nx.DiGraph[str]:
        """Links that are up between nodes that may carry transit traffic, reversed."""
        if self._core is None:
            self._core = nx.DiGraph()
            inner = [node for node in self.graph if self._is_inner(node)]
            self._core.add_nodes_from(inner)
            for node in inner:
                for after in self.graph.successors(node):
                    link = self._best(node, after)
                    if link is not None and after in self._core:
                        self._core.add_edge(after, node, link=link, delay_s=link.expected_delay_s)
        return self._core

    def _is_inner(self, node: str) -> bool:
        """Whether the node is more than a leaf, which has one neighbour."""
        neighbours = set(self.graph.predecessors(node)) | set(self.graph.successors(node))
        return len(neighbours) > 1


class Partition:
    """A cut in force: the links between groups of nodes are black holes until `heal`."""

    __slots__ = ("_is_healed", "links")

    def __init__(self, links: tuple[Link, ...]) -> None:
        self.links = links
        self._is_healed = False
        for link in links:
            link.cut()

    def heal(self) -> None:
        """Let messages pass again; a second call does nothing."""
        if not self._is_healed:
            self._is_healed = True
            for link in self.links:
                link.mend()


def _fastest(links: Sequence[Link]) -> Link:
    if len(links) == 1:
        return links[0]
    return min(links, key=lambda link: link.expected_delay_s)


def _nominal_weight(_source: str, _to: str, edge: dict[str, list[Link]]) -> float:
    return _fastest(edge["links"]).expected_delay_s
