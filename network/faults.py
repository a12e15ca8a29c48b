"""Faults of the network: each begins and ends at a time of the run.

partition     links between groups become black holes that no node sees
down          links go down, visibly to the nodes at their ends
hold          links keep what enters and let it go at the end
route_change  the round trip of wide area links changes
surge         delays grow
burst         messages are lost
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from network import topology as topologies
from network.carrier import Network
from network.link import Link
from network.naming import unknown
from network.stages.delay import Delay
from network.stages.jitter import Jitter
from network.stages.loss import Loss
from network.stages.trace import Trace
from network.topology import Topology
from network.wan import Place, WanFigure, given_round_trip, metro, route_event
from twin.errors import InputError
from twin.kernel.ports import Stage
from twin.kernel.randomness import Streams


class Fault(Protocol):
    """Something that goes wrong from one time to another."""

    def begin(self, now: float) -> None:
        """The fault sets in."""
        ...

    def end(self, now: float) -> None:
        """The fault is over; what it changed is as before."""
        ...


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


class Down:
    """Links are down; the nodes at both ends notice at once, and paths lead around where they can."""

    def __init__(self, network: Network, links: Sequence[Link]) -> None:
        self._topology = network.topology
        self._links = tuple(links)

    def begin(self, now: float) -> None:
        """Take the links down."""
        del now
        self._topology.set_up(self._links, is_up=False)

    def end(self, now: float) -> None:
        """Bring the links back."""
        del now
        self._topology.set_up(self._links, is_up=True)


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
        self._before: list[WanFigure] = []
        for link in self._links:
            _check_route(link, event, self._target_s(link))

    def begin(self, now: float) -> None:
        """Take the detour."""
        del now
        self._before = [
            link.wide_area.change_route(self._target_s(link)) for link in self._links if link.wide_area
        ]
        self._topology.refresh()

    def end(self, now: float) -> None:
        """Return to the old route."""
        del now
        for link, figure in zip(self._links, self._before):
            if link.wide_area is not None:
                link.wide_area.restore_route(figure)
        self._before = []
        self._topology.refresh()

    def _target_s(self, link: Link) -> float:
        if self._round_trip_s is not None:
            return self._round_trip_s
        return (self._ratio or 1.0) * (link.wide_area.figure.rtt_s if link.wide_area else math.nan)


class Surge:
    """Delays are multiplied by `factor` and grow by `add_s` seconds."""

    def __init__(
        self, network: Network, links: Sequence[Link], *, factor: float = 1.0, add_s: float = 0.0
    ) -> None:
        if factor < 1 or add_s < 0:
            raise InputError(f"a surge makes delays longer, not x {factor} + {add_s} s")
        self._topology = network.topology
        self._links = tuple(links)
        self._factor = factor
        self._added = Delay(add_s)

    def begin(self, now: float) -> None:
        """Let the delays grow."""
        del now
        for link in self._links:
            link.stages = (*(self._stretched(stage) for stage in link.stages), self._added)
        self._topology.refresh()

    def end(self, now: float) -> None:
        """Take the growth back."""
        del now
        for link in self._links:
            stages = [stage for stage in link.stages if _innermost(stage) is not self._added]
            link.stages = tuple(self._unstretched(stage) for stage in stages)
        self._topology.refresh()

    def _stretched(self, stage: Stage) -> Stage:
        is_delay = isinstance(stage, Delay | Jitter | Trace | _Stretched)
        return _Stretched(stage, self._factor, self) if is_delay else stage

    def _unstretched(self, stage: Stage) -> Stage:
        """Take this surge's own stretch out, wherever other surges stand around it."""
        if not isinstance(stage, _Stretched):
            return stage
        if stage.owner is self:
            return stage.inner
        stage.inner = self._unstretched(stage.inner)
        return stage


class Burst:
    """A share of the messages that enter the links is lost."""

    def __init__(self, links: Sequence[Link], streams: Streams, *, loss_ratio: float) -> None:
        self._losses = [(link, Loss(loss_ratio, streams.stream(link.name, "fault burst"))) for link in links]

    def begin(self, now: float) -> None:
        """Start to lose."""
        del now
        for link, loss in self._losses:
            link.stages = (loss, *link.stages)

    def end(self, now: float) -> None:
        """Stop losing."""
        del now
        for link, loss in self._losses:
            link.stages = tuple(stage for stage in link.stages if stage is not loss)


class _Stretched:
    """A delay stage made longer by a factor; keeps the order of messages."""

    __slots__ = ("_factor", "_last_release_s", "inner", "owner")
    cause = "surge"

    def __init__(self, inner: Stage, factor: float, owner: Surge) -> None:
        self.inner = inner
        self.owner = owner
        self._factor = factor
        self._last_release_s = -math.inf

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the message leaves."""
        release_s = self.inner.release(now, size_bytes)
        if release_s is None:
            return None
        self._last_release_s = max(now + self._factor * (release_s - now), self._last_release_s)
        return self._last_release_s

    @property
    def mean_s(self) -> float:
        """Mean delay in seconds."""
        return self._factor * float(getattr(self.inner, "mean_s", 0.0))


def _innermost(stage: Stage) -> Stage:
    while isinstance(stage, _Stretched):
        stage = stage.inner
    return stage


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
    """The fault of this name on what is aimed at; `figures` are the keyword arguments of its class.

    Raise InputError for an unknown verb, aim or figure.
    """
    if verb not in FAULTS:
        raise unknown("network fault", verb, FAULTS)
    topology = network.topology
    try:
        if verb == "partition":
            parts = groups(topology, between=between, isolate=isolate, is_halves=is_halves)
            return Partition(network, parts, is_one_way=is_one_way, **figures)
        aim = links(topology, name=link, between=between, is_one_way=is_one_way)
        if verb == "burst":
            return Burst(aim, streams, **figures)
        return FAULTS[verb](network, aim, **figures)
    except TypeError as error:
        raise InputError(f"fault {verb}: {error}") from None


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


FAULTS: dict[str, Callable[..., Fault]] = {
    "partition": Partition,
    "down": Down,
    "hold": Hold,
    "route_change": RouteChange,
    "surge": Surge,
    "burst": Burst,
}


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
