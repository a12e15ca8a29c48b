"""Faults of the network: each begins and ends at a time of the run, and ends exactly.

partition     links between groups become black holes that no node sees
region_outage everything in a place becomes a black hole
down          links go down, visibly to the nodes at their ends
hold          links keep what enters and let it go at the end
route_change  the round trip of wide area links changes
conn_reset    connections end, and both ends know at once
conn_stall    connections stay open, nothing moves, and at the end they are closed
slow_close    connections end, and the second end learns it late
limit_data    a connection ends when so many bytes have crossed the link
dns_error     a name does not resolve: no new connections to it
certificate_expiry  no new TLS connections to a node
the rest      layers around the stages of links: see network.impairments
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, Protocol

from network import impairments
from network import topology as topologies
from network.aims import Shape, groups, links, severs
from network.carrier import Network
from network.link import Layer, Link
from network.naming import unknown
from network.wan import Place, WanFigure, given_round_trip, metro, route_event
from twin.errors import InputError
from twin.kernel.randomness import Stream, Streams

RESET: Final = "connection reset"


class Fault(Protocol):
    """Something that goes wrong from one time to another."""

    def begin(self, now: float) -> None:
        """The fault sets in."""
        ...

    def end(self, now: float) -> None:
        """The fault is over; what it changed is as before."""
        ...


class Nested:
    """A fault that may begin again before it has ended: it ends with the last of its ends."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._depth = 0

    def begin(self, now: float) -> None:
        """Begin, unless it is going on."""
        self._depth += 1
        if self._depth == 1:
            self._fault.begin(now)

    def end(self, now: float) -> None:
        """End, if this is the last end."""
        self._depth -= 1
        if not self._depth:
            self._fault.end(now)


class Partition:
    """Groups of nodes cannot reach each other; one-way: only what leaves the first group is lost."""

    def __init__(
        self, network: Network, groups: Sequence[Iterable[str]], *, is_one_way: bool = False
    ) -> None:
        self._network = network
        self._groups = tuple(tuple(group) for group in groups)
        self._is_one_way = is_one_way
        self._cut: topologies.Partition | None = None

    def begin(self, now: float) -> None:
        """Cut."""
        del now
        self._cut = self._network.topology.partition(self._groups, is_one_way=self._is_one_way)

    def end(self, now: float) -> None:
        """Heal."""
        del now
        if self._cut is not None:
            self._cut.heal()


class Blackout:
    """Links are black holes, which no node sees."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = tuple(links)

    @classmethod
    def shaped(cls, network: Network, shape: Shape, nodes: Iterable[str]) -> Blackout:
        """A partition of the nodes in this shape; nodes outside are joined to all."""
        is_severed = severs(shape, nodes)
        return cls([each for each in network.topology.links.values() if is_severed(each.source, each.to)])

    def begin(self, now: float) -> None:
        """Cut."""
        del now
        for link in self._links:
            link.cut()

    def end(self, now: float) -> None:
        """Heal."""
        del now
        for link in self._links:
            link.mend()


class Down:
    """Links are down; the nodes at both ends notice at once, and paths lead around where they can."""

    def __init__(self, network: Network, links: Sequence[Link]) -> None:
        self._topology = network.topology
        self._links = tuple(links)

    def begin(self, now: float) -> None:
        """Take the links down."""
        del now
        self._topology.add_down(self._links, 1)

    def end(self, now: float) -> None:
        """Bring the links back."""
        del now
        self._topology.add_down(self._links, -1)


class Hold:
    """Links keep what enters them and release it, in order, when the fault ends."""

    def __init__(self, network: Network, links: Sequence[Link]) -> None:
        self._network = network
        self._links = tuple(links)

    def begin(self, now: float) -> None:
        """Hold."""
        del now
        for link in self._links:
            link.hold()

    def end(self, now: float) -> None:
        """Release."""
        del now
        for link in self._links:
            link.unhold()
            self._network.release_held(link)


class RouteChange:
    """Wide area links take another route: a given round trip (s), a recorded event, or a ratio of theirs.

    Raise InputError unless exactly one of the three is given, for a link that is no wide area link, for
    a round trip below the fibre floor, and for an event of another pair of metros.
    """

    def __init__(
        self,
        network: Network,
        links: Sequence[Link],
        *,
        round_trip_s: float | None = None,
        event: str | None = None,
        ratio: float | None = None,
    ) -> None:
        if [round_trip_s, event, ratio].count(None) != 2:
            raise InputError("a route change wants one of: a round trip, an event, a ratio")
        self._topology = network.topology
        self._links = [link for link in links if link.wide_area is not None]
        if not self._links:
            raise InputError("a route change needs a wide area link")
        self._round_trip_s = round_trip_s if event is None else float(route_event(event)["after_ms"]) / 1e3
        self._ratio = ratio
        self._detours: list[WanFigure] = []
        for link in self._links:
            _check_route(link, event, self._target_s(link))

    def begin(self, now: float) -> None:
        """Take the detour."""
        del now
        self._detours = [
            link.wide_area.change_route(self._target_s(link)) for link in self._links if link.wide_area
        ]
        self._topology.refresh()

    def end(self, now: float) -> None:
        """Return to the old route, or to a later detour that has not ended."""
        del now
        for link, detour in zip(self._links, self._detours):
            if link.wide_area is not None:
                link.wide_area.restore_route(detour)
        self._detours = []
        self._topology.refresh()

    def _target_s(self, link: Link) -> float:
        if self._round_trip_s is not None:
            return self._round_trip_s
        return (self._ratio or 1.0) * (link.wide_area.figure.rtt_s if link.wide_area else math.nan)


class Impairment:
    """Links have a layer around their stages, made anew at each begin."""

    def __init__(self, network: Network, links: Sequence[Link], make: Callable[[Link], Layer]) -> None:
        self._topology = network.topology
        self._links = tuple(links)
        self._make = make
        self._layers: list[tuple[Link, Layer]] = []
        for link in self._links:
            make(link)  # figures that cannot be are refused before the run

    def begin(self, now: float) -> None:
        """Put the layers on."""
        del now
        self._layers = [(link, self._make(link)) for link in self._links]
        for link, layer in self._layers:
            link.impair(layer)
        self._topology.refresh()

    def end(self, now: float) -> None:
        """Take the layers off."""
        del now
        for link, layer in self._layers:
            link.relieve(layer)
        self._layers = []
        self._topology.refresh()


class Reset:
    """TCP connections that cross the links end; `late_s` later than the first end the second learns it.

    What is lost on the way, and what comes after it, is lost; both ends connect again by their own rules.
    """

    def __init__(self, network: Network, links: Sequence[Link], *, late_s: float = 0.0) -> None:
        self._network = network
        self._links = tuple(links)
        self._late_s = late_s

    def begin(self, now: float) -> None:
        """End the connections."""
        del now
        for source, to in self._network.reset(self._links, RESET):
            first, second = self._in_order(source, to)
            self._network.topology.tell(first, second, is_up=False)
            if self._late_s:
                self._tell_late(second, first)
            else:
                self._network.topology.tell(second, first, is_up=False)

    def end(self, now: float) -> None:
        """Nothing is left to undo."""
        del now

    def _in_order(self, source: str, to: str) -> tuple[str, str]:
        """The node at which the first link begins learns it first."""
        return (to, source) if self._links and self._links[0].source == to else (source, to)

    def _tell_late(self, node: str, peer: str) -> None:
        """A connection that was opened meanwhile is another one, and not concerned."""
        opened = self._network.connect_count(node, peer)

        def tell() -> None:
            if self._network.connect_count(node, peer) == opened:
                self._network.topology.tell(node, peer, is_up=False)

        self._network.later(self._late_s, tell)


class Stall:
    """Connections stay open and nothing moves; at the end they are closed, and what was held is lost."""

    def __init__(self, network: Network, links: Sequence[Link]) -> None:
        self._hold = Hold(network, links)
        self._reset = Reset(network, links)

    def begin(self, now: float) -> None:
        """Let nothing move."""
        self._hold.begin(now)

    def end(self, now: float) -> None:
        """Close."""
        self._reset.begin(now)
        self._hold.end(now)


class LimitData:
    """A connection ends when so many bytes have crossed a link, again and again."""

    def __init__(self, network: Network, links: Sequence[Link], *, limit_bytes: float) -> None:
        self._network = network
        self._limit_bytes = limit_bytes
        self._impairment = Impairment(network, links, self._layer)

    def begin(self, now: float) -> None:
        """Begin to count."""
        self._impairment.begin(now)

    def end(self, now: float) -> None:
        """Count no more."""
        self._impairment.end(now)

    def _layer(self, link: Link) -> Layer:
        counter = _Counter(self._limit_bytes, partial(self._reached, link))
        return lambda stages: (counter, *stages)

    def _reached(self, link: Link) -> None:
        self._network.later(0.0, partial(Reset(self._network, [link]).begin, 0.0))


class _Counter:
    """Counts bytes; calls back at the limit, loses that message and begins anew."""

    __slots__ = ("_count_bytes", "_limit_bytes", "_reached")
    cause = RESET

    def __init__(self, limit_bytes: float, reached: Callable[[], None]) -> None:
        self._limit_bytes = limit_bytes
        self._reached = reached
        self._count_bytes = 0

    def release(self, now: float, size_bytes: int) -> float | None:
        """Now, or None for the message that exceeds the limit."""
        self._count_bytes += size_bytes
        if self._count_bytes <= self._limit_bytes:
            return now
        self._count_bytes = 0
        self._reached()
        return None


class Refused:
    """New connections to some nodes fail; those that are open go on. `tls_only` spares plain TCP."""

    def __init__(self, network: Network, nodes: Iterable[str], cause: str, *, tls_only: bool = False) -> None:
        self._network = network
        self._nodes = frozenset(nodes)
        self._cause = cause
        self._tls_only = tls_only
        self._rule = self._refusal

    def begin(self, now: float) -> None:
        """Refuse."""
        del now
        self._network.refuse(self._rule)

    def end(self, now: float) -> None:
        """Accept again."""
        del now
        self._network.accept(self._rule)

    def _refusal(self, source: str, to: str, transport: Any) -> str | None:
        del source
        has_tls = getattr(transport, "is_secured", False)
        is_meant = to in self._nodes and (has_tls or not self._tls_only)
        return self._cause if is_meant else None


def fault(
    verb: str,
    network: Network,
    streams: Streams,
    *,
    link: str | None = None,
    between: Sequence[str] = (),
    isolate: str | None = None,
    is_halves: bool = False,
    is_one_way: bool = False,
    **figures: Any,
) -> Fault:
    """The fault of this name on what is aimed at; `figures` are the keyword arguments of its class or layer.

    Raise InputError for an unknown verb, aim or figure.
    """
    if verb not in (*FAULTS, "partition"):
        raise unknown("network fault", verb, (*FAULTS, "partition"))
    topology = network.topology
    try:
        if verb == "partition":
            parts = groups(topology, between=between, isolate=isolate, is_halves=is_halves)
            return Partition(network, parts, is_one_way=is_one_way, **figures)
        aim = links(topology, name=link, between=between, is_one_way=is_one_way)
        return fault_of_links(verb, network, streams, aim, **figures)
    except TypeError as error:
        raise InputError(f"fault {verb}: {error}") from None


def fault_of_links(
    verb: str,
    network: Network,
    streams: Streams,
    aim: Sequence[Link],
    *,
    title: str = "fault",
    **figures: Any,
) -> Fault:
    """The fault of this name on these links; `title` names its random streams.

    Raise InputError for a figure that cannot be, TypeError for one that the fault does not take.
    """
    make = LAYERS.get(verb)
    if make is None:
        found: Fault = FAULTS[verb](network, aim, **figures)
        return found

    def layer(link: Link) -> Layer:
        def stream_of(purpose: str) -> Stream:
            return streams.stream(link.name, f"{title} {purpose}")

        return make(link, stream_of, **figures)

    return Impairment(network, aim, layer)


LAYERS: Final[dict[str, Callable[..., Layer]]] = {
    "surge": impairments.surge,
    "burst": impairments.burst,
    "duplicate": impairments.duplicate,
    "corrupt": impairments.corrupt,
    "reorder": impairments.reorder,
    "rate": impairments.rate,
    "netem": impairments.words,
    "handover": impairments.handover,
    "fade": impairments.fade,
    "data_cap": impairments.data_cap,
    "duty_cycle": impairments.duty_cycle,
    "congestion": impairments.congestion,
}
"""Faults that are a layer around the stages of links."""

FAULTS: Final[dict[str, Callable[..., Any]]] = {
    "down": Down,
    "hold": Hold,
    "route_change": RouteChange,
    "conn_reset": Reset,
    "conn_stall": Stall,
    "slow_close": Reset,
    "limit_data": LimitData,
    **LAYERS,
}
"""Faults of links by name."""


def _check_route(link: Link, event: str | None, target_s: float) -> None:
    if link.wide_area is None:
        return
    ends = [_place(end) for end in link.wide_area.metros]
    if event is not None:
        pair = route_event(event)["pair_or_scope"]
        if {end.name for end in ends} != set(pair.split("-")):
            raise InputError(
                f"event {event!r} is about {pair}, but link {link.name!r} joins {ends[0].name} and "
                f"{ends[1].name}; give a ratio instead"
            )
    given_round_trip(ends[0], ends[1], target_s)


def _place(end: str | Place) -> Place:
    return metro(end) if isinstance(end, str) else end
