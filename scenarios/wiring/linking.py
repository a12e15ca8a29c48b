"""From the scenario's sites, fleets and links to a topology of links with stages.

A node that runs on another is joined to it without delay, a device to its `via` node by its own link, nodes
of one site by a LAN, and everything else by the scenario's `links`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Final

from devices_models.catalogue import DEVICES
from network.catalogue import link_figures
from network.laws import ShiftedLognormal
from network.link import Link
from network.media.cells import Cells, gives_way
from network.record import read_trace
from network.stages.delay import Delay
from network.stages.gilbert_elliott import GilbertElliott
from network.stages.jitter import Jitter
from network.stages.loss import Loss
from network.stages.rate import DEFAULT_QUEUE_BYTES, Rate
from network.stages.trace import Trace
from network.topology import Topology
from network.wan import Place, metro
from scenarios.format import schema
from scenarios.wiring.members import Member
from scenarios.wiring.transports import transport_of
from twin.kernel.ports import Stage
from twin.kernel.randomness import Streams

LAN: Final = "ethernet"
FLOOR_OF_DELAY: Final = 0.9
"""Least delay as a share of the median where a scenario gives median and jitter only."""


def build_topology(
    scenario: schema.Scenario, members: Iterable[Member], streams: Streams, folder: Path
) -> Topology:
    """The topology of a scenario; `folder` is where its trace files are."""
    topology = Topology()
    everyone = {member.node: member for member in members}
    for member in everyone.values():
        site = scenario.sites.get(member.site)
        topology.place(member.node, member.site, place_of(site).country if site else "")
    for link in _all_links(scenario, everyone, streams, folder):
        topology.add_link(link)
    return topology


def place_of(site: schema.Site) -> Place:
    """Where a site is: its metro, or its country with coordinates."""
    if site.metro is not None:
        return metro(site.metro)
    latitude, longitude = site.coordinates or (0.0, 0.0)
    return Place("", site.country or "", latitude, longitude)


def _all_links(
    scenario: schema.Scenario, members: dict[str, Member], streams: Streams, folder: Path
) -> Iterator[Link]:
    cells = Cells(streams)
    for member in members.values():
        if member.host:
            yield Link(f"{member.node}>{member.host}", member.node, member.host)
            yield Link(f"{member.host}>{member.node}", member.host, member.node)
        elif member.fleet:
            yield from _field_links(member, scenario, members, cells)
    for form in scenario.links:
        yield from _declared_links(form, scenario, members, streams, folder)
    yield from _local_links(scenario, members, streams)


def _field_links(
    member: Member, scenario: schema.Scenario, members: dict[str, Member], cells: Cells
) -> Iterator[Link]:
    """The link of a device to its `via` node, up and down, in the medium that the node's devices share."""
    form, streams = access_of(scenario.fleets[member.fleet]), cells.streams
    is_wan = form.path == "wan"
    round_trip_s = None if is_wan else form.round_trip_s
    is_timed = any(each is not None for each in (form.delay_s, round_trip_s, form.jitter_s))
    is_rated = form.rate_bps is not None or form.queue_limit is not None
    is_plain = gives_way(form.medium, to_delay=is_timed, to_rate=is_rated)
    for source, to, is_down in ((member.node, member.via, False), (member.via, member.node, True)):
        name = f"{source}>{to}"
        rules = transport_of(form, name, streams)
        link = Link.access(name, source, to, form.medium, streams, is_down=is_down, hops=form.hops, tcp=rules)
        if not is_plain:
            cells.join(
                link,
                form.medium,
                is_down=is_down,
                hops=form.hops,
                on_duty_cycle=form.duty_cycle,
                handover_every_s=form.handover_every_s,
                around=f"site {member.site}" if is_wan else "",
            )
        link.stages = overridden(link.stages, form, name, streams)
        if is_wan:
            places = (place_of(scenario.sites[members[end].site]) for end in (source, to))
            _prolong(link, form, tuple(places), streams)
        yield link


def _prolong(link: Link, form: schema.Access, places: tuple[Place, ...], streams: Streams) -> None:
    """Let a wide area path follow the device's medium, or come before it on the way down."""
    name = f"{link.name} wan"
    middle = Link.wan(
        places[0],
        places[1],
        streams,
        source=link.source,
        to=link.to,
        name=name,
        round_trip_s=form.round_trip_s,
        is_public=form.is_public,
    )
    link.stages = (*link.stages, *middle.stages)
    link.wide_area = middle.wide_area
    link.provenance = f"{link.provenance}; {middle.provenance}"


def access_of(fleet: schema.Fleet) -> schema.Access:
    """The fleet's link; the usual one of its device type where the scenario names none."""
    if isinstance(fleet.link, schema.Access):
        return fleet.link
    return schema.Access.model_validate({"medium": fleet.link or DEVICES[fleet.device].link})


def _local_links(scenario: schema.Scenario, members: dict[str, Member], streams: Streams) -> Iterator[Link]:
    """A LAN between the nodes of one site that are joined in no other way."""
    declared = {frozenset(form.between) for form in scenario.links}
    standing = [member for member in members.values() if not member.fleet and not member.host]
    for a, b in combinations(standing, 2):
        if a.site == b.site and frozenset((a.node, b.node)) not in declared:
            yield Link.access(f"{a.node}>{b.node}", a.node, b.node, LAN, streams)
            yield Link.access(f"{b.node}>{a.node}", b.node, a.node, LAN, streams, is_down=True)


def _declared_links(
    form: schema.Link, scenario: schema.Scenario, members: dict[str, Member], streams: Streams, folder: Path
) -> Iterator[Link]:
    a, b = form.between
    for source, to, is_down in ((a, b, False), (b, a, True)):
        name = form.title + ("/back" if is_down else "")
        tcp = transport_of(form, name, streams)
        if form.path == "wan":
            link = Link.wan(
                place_of(scenario.sites[members[source].site]),
                place_of(scenario.sites[members[to].site]),
                streams,
                source=source,
                to=to,
                name=name,
                access=form.access,
                is_down=is_down,
                round_trip_s=form.round_trip_s,
                is_public=form.is_public,
                tcp=tcp,
            )
        else:
            technology = LAN if form.path == "direct" else form.path
            link = Link.access(name, source, to, technology, streams, is_down=is_down, tcp=tcp)
        link.stages = overridden(link.stages, form, name, streams)
        if form.trace is not None:
            traced = [stage for stage in link.stages if not isinstance(stage, Delay | Jitter)]
            link.stages = (*traced, Trace(read_trace(folder / form.trace)))
        yield link


def overridden(
    stages: tuple[Stage, ...], figures: schema.Figures, name: str, streams: Streams
) -> tuple[Stage, ...]:
    """The stages of a technology with the figures that the scenario gives instead."""
    if figures.rate_bps is not None or figures.queue_limit is not None:
        earlier = next((stage for stage in stages if isinstance(stage, Rate)), None)
        rate_bps = figures.rate_bps or (earlier.rate_bps if earlier else link_figures(LAN).up_bps)
        rate = Rate(rate_bps, figures.queue_limit or DEFAULT_QUEUE_BYTES)
        stages = (rate, *(stage for stage in stages if not isinstance(stage, Rate)))
    if figures.loss_ratio is not None:
        loss = Loss(figures.loss_ratio, streams.stream(name, "loss"))
        stages = (*(stage for stage in stages if not isinstance(stage, GilbertElliott | Loss)), loss)
    is_wan = getattr(figures, "path", "") == "wan"
    delay_s = figures.delay_s
    if delay_s is None and figures.round_trip_s is not None and not is_wan:
        delay_s = figures.round_trip_s / 2
    if delay_s is None and figures.jitter_s is not None:
        delay_s = sum(getattr(stage, "mean_s", 0.0) for stage in stages if isinstance(stage, Delay | Jitter))
    if delay_s is not None:
        kept = (stage for stage in stages if not isinstance(stage, Delay | Jitter))
        stages = (*kept, _delay(delay_s, figures.jitter_s, name, streams))
    return stages


def _delay(delay_s: float, jitter_s: float | None, name: str, streams: Streams) -> Stage:
    if not jitter_s:
        return Delay(delay_s)
    law = ShiftedLognormal(FLOOR_OF_DELAY * delay_s, delay_s, delay_s + jitter_s)
    return Jitter(law, streams.stream(name, "jitter"))
