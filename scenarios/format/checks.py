"""What the names of sites, fleets, nodes and links refer to, and whether those that must talk can.

The checks run on the parts that are well formed, so that form and meaning are reported at once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from scenarios.format.catalogue import Catalogue, Description, FileContent
from scenarios.format.forms import issues_of, thing
from scenarios.format.issues import Issue, Related, Span, issue_at, listed, suggestion
from scenarios.format.parts import Parts, declared
from scenarios.format.schema import Access, Fleet, Form, Link, Node, written_keys
from scenarios.format.source import Keys
from scenarios.format.variants import Draft
from twin.units import format_quantity

WIRED_PATHS = frozenset({"wan", "direct"})
OF_SYSTEM = frozenset({"E020", "E021", "E030"})
"""Codes of names that the file itself declares, where one of another section may have been meant."""
SECTIONS = {"sites": "site", "fleets": "fleet", "nodes": "node"}
PERIODS = frozenset({"every", "for", "duration", "period", "interval"})


@dataclass
class SystemChecks:
    """Checks of sites, fleets, nodes and links; `folder` is where the files that it names are looked for."""

    draft: Draft
    parts: Parts
    catalogue: Catalogue
    folder: Path | None = None
    is_well_formed: bool = True
    issues: list[Issue] = field(default_factory=list)

    def run(self) -> list[Issue]:
        """All issues of meaning."""
        for check in (
            self._check_sites,
            self._check_fleets,
            self._check_nodes,
            self._check_hosts,
            self._check_links,
            self._check_world,
        ):
            check()
        if self.is_well_formed and not self.issues:
            self._check_paths()  # with a name misspelt, every path that it cuts would be reported too
        return self.issues

    # names ----------------------------------------------------------------------------------------------

    @cached_property
    def _sites(self) -> Mapping[str, Any]:
        return declared(self.draft.data, "sites")

    @cached_property
    def _nodes(self) -> Mapping[str, Any]:
        return declared(self.draft.data, "nodes")

    @cached_property
    def _fleets(self) -> Mapping[str, Any]:
        return declared(self.draft.data, "fleets")

    def _report(
        self,
        span: Span,
        code: str,
        message: str,
        label: str = "",
        advice: str = "",
        related: Iterable[Related] = (),
    ) -> None:
        self.issues.append(issue_at(span, code, message, label=label, advice=advice, related=related))

    def _unknown(self, code: str, path: Keys, what: str, name: str, known: Collection[str]) -> None:
        self.issues.append(unknown_name(self.draft, code, path, what, name, known))

    # sites, fleets, nodes -------------------------------------------------------------------------------

    def _check_sites(self) -> None:
        for name, site in self.parts.sites.items():
            path = ("sites", name)
            has_place = site.country is not None and site.coordinates is not None
            has_part = site.country is not None or site.coordinates is not None
            if (site.metro is not None) == has_part or (has_part and not has_place):
                advice = "write 'metro: singapore', or 'country: SG' with 'coordinates: [1.35, 103.8]'"
                message = f"site '{name}' needs either a metro, or a country with coordinates"
                self._report(self.draft.key_at(path), "E044", message, "", advice)
            if site.metro is not None and site.metro not in self.catalogue.metros:
                self._unknown("E025", (*path, "metro"), "metro", site.metro, self.catalogue.metros)
            if site.coordinates is not None:
                self._check_coordinates(name, *site.coordinates)
            if isinstance(site.scene, str):
                self._check_file((*path, "scene"), site.scene, "scene")

    def _check_coordinates(self, name: str, latitude: float, longitude: float) -> None:
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
            message = f"the coordinates of site '{name}' are on no map: [{latitude}, {longitude}]"
            advice = "latitude (-90 to 90) comes first, then longitude (-180 to 180)"
            self._report(self.draft.value_at(("sites", name, "coordinates")), "E016", message, "", advice)

    def _check_file(self, path: Keys, name: str, content: FileContent) -> None:
        if self.folder is None:
            return
        is_beside = not Path(name).is_absolute() and ".." not in Path(name).parts
        try:
            is_there = is_beside and (self.folder / name).is_file()
        except (OSError, ValueError):
            is_there = False
        if not is_there:
            message = f"the file '{name}' is not beside the scenario"
            near = suggestion(name, [each.name for each in self.folder.iterdir() if each.is_file()])
            self._report(
                self.draft.value_at(path),
                "E047",
                message,
                near,
                "a path is relative to the scenario's folder",
            )
        elif problem := self.catalogue.file_problem(content, self.folder / name):
            self._report(self.draft.value_at(path), "E052", f"the file cannot be used: {problem}")
        else:
            for node in self.catalogue.nodes_in_file(content, self.folder / name):
                if node not in self._nodes:
                    self._unknown("E021", path, "node", node, self._nodes)

    def _check_alone(self, path: Keys, written: Mapping[str, Any], known: Description, key: str) -> None:
        """Options of what is built in do nothing for a file, so nobody should think they do."""
        for other in sorted(known.of_built_in & set(written)):
            message = f"'{other}' goes with the built-in '{key}: {min(known.built_in)}' only"
            related = [Related(self.draft.value_at((*path, key)), "the file")]
            self._report(self.draft.key_at((*path, other)), "E052", message, related=related)

    def _check_fleets(self) -> None:
        for name, fleet in self.parts.fleets.items():
            path = ("fleets", name)
            if fleet.at not in self._sites:
                self._unknown("E020", (*path, "at"), "site", fleet.at, self._sites)
            self._check_via(name, fleet)
            if isinstance(fleet.link, Access):
                self._check_technology((*path, "link", "medium"), fleet.link.medium)
                if fleet.link.path == "wan":
                    ends = (fleet.at, self.parts.site_of(fleet.via or ""))
                    self._check_floor((*path, "link"), fleet.link, ends)
            elif fleet.link is not None:
                self._check_technology((*path, "link"), fleet.link)
            if name in self._nodes:
                related = [Related(self.draft.key_at(("nodes", name)), "the node")]
                message = f"'{name}' is the name of a fleet and of a node"
                self._report(
                    self.draft.key_at(path), "E031", message, "", "give one of them another name", related
                )
            device = self.catalogue.devices.get(fleet.device)
            if device is None:
                known = self.catalogue.devices
                self._unknown("E022", (*path, "device"), "device type", fleet.device, known)
            else:
                known_before = len(self.issues)
                self._check_options(path, fleet.options, device, Fleet)
                if len(self.issues) == known_before:  # a misspelt `count` is reported as such
                    self._check_members(name, fleet)
                self._check_senses(name, fleet, device)
                self._check_carriage(name, fleet, device)

    def _check_members(self, name: str, fleet: Fleet) -> None:
        path = ("fleets", name)
        if (fleet.count is None) == (fleet.placed_by is None):
            message = f"fleet '{name}' needs either 'count' or 'placed_by: scene'"
            advice = (
                "'count: 100' makes 100 devices; 'placed_by: scene' takes those drawn in the site's scene"
            )
            self._report(self.draft.key_at(path), "E049", message, "", advice)
        site = self.parts.sites.get(fleet.at)
        if fleet.placed_by is not None and site is not None and site.scene is None:
            message = f"fleet '{name}' is placed by a scene, but site '{fleet.at}' has none"
            related = [Related(self.draft.key_at(("sites", fleet.at)), "the site")]
            advice = "add 'scene: <file>.geojson' to the site, or write 'count' instead of 'placed_by'"
            self._report(self.draft.value_at((*path, "placed_by")), "E048", message, "", advice, related)

    def _check_senses(self, name: str, fleet: Fleet, device: Description) -> None:
        """What senses the world needs one, and a place in it."""
        site = self.parts.sites.get(fleet.at)
        is_somewhere = self.draft.data.get("world") and (site is None or site.scene is not None)
        if not device.senses or (is_somewhere and fleet.placed_by is not None):
            return
        message = f"fleet '{name}' senses '{device.senses[0]}', but it is nowhere in a world"
        advice = "give the site a 'scene', the scenario a 'world', and the fleet 'placed_by: scene'"
        self._report(self.draft.value_at(("fleets", name, "device")), "E053", message, "", advice)

    def _check_carriage(self, name: str, fleet: Fleet, device: Description) -> None:
        """Whether the fleet's link can do what is asked of it."""
        link = fleet.link
        technology = link.medium if isinstance(link, Access) else link
        if technology is not None and technology not in self.catalogue.technologies:
            return
        asked: dict[str, Keys] = {"payload": ("payload",)}
        if fleet.battery_c is not None:
            asked["battery"] = ("battery",)
        if isinstance(link, Access) and link.handover_every_s is not None:
            asked["handover_every"] = ("link", "handover_every")
        payload_bytes = _payload_bytes(fleet, device)
        for key, inside in asked.items():
            problem = self.catalogue.link_problem(fleet.device, technology, payload_bytes, key)
            if problem:
                is_written = key != "payload" or "payload" in fleet.options
                place = ("fleets", name, *inside)
                span = self.draft.value_at(place) if is_written else self.draft.key_at(place[:2])
                self._report(span, "E060", f"the link of fleet '{name}' cannot do this: {problem}")

    def _check_via(self, name: str, fleet: Fleet) -> None:
        path = ("fleets", name)
        if fleet.via is None:
            gateways = [node for node, each in self.parts.nodes.items() if each.kind == "gateway"]
            message = f"fleet '{name}' does not say where its messages go"
            advice = f"add 'via: {gateways[0] if gateways else '<node>'}', the node they go to first"
            self._report(self.draft.key_at(path), "E032", message, "", advice)
        else:
            kinds = [kind for kind, each in self.catalogue.kinds.items() if each.takes_devices]
            self._check_partner((*path, "via"), fleet.via, kinds)

    def _check_partner(self, path: Keys, name: str, kinds: Collection[str]) -> None:
        """A node that is named there is declared, and of one of these kinds."""
        known = [each for each in self._nodes if self._kind_of(each) in {*kinds, None}]
        kind = self._kind_of(name)
        if name not in self._nodes:
            self._unknown("E021", path, "node", name, known)
        elif name not in known:
            owner = thing(path[:-1], self.draft.data)
            message = f"{owner} names '{name}' in '{path[-1]}', which is a node of kind {kind}"
            label = f"expected a node of kind {' or '.join(sorted(kinds))}"
            self._report(self.draft.value_at(path), "E055", message, label, f"here: {listed(known)}")

    def _kind_of(self, node: str) -> str | None:
        """The kind of a node, also of one that is not well formed; None if that is not known."""
        written = self._nodes.get(node)
        kind = written.get("kind") if isinstance(written, dict) else None
        return kind if isinstance(kind, str) and kind in self.catalogue.kinds else None

    def _check_technology(self, path: Keys, name: str) -> None:
        if name not in self.catalogue.technologies:
            self._unknown("E024", path, "link technology", name, self.catalogue.technologies)

    def _check_nodes(self) -> None:
        for name, node in self.parts.nodes.items():
            path = ("nodes", name)
            if node.at is not None and node.at not in self._sites:
                self._unknown("E020", (*path, "at"), "site", node.at, self._sites)
            if node.runs_on is not None and node.runs_on not in self._nodes:
                self._unknown("E021", (*path, "runs_on"), "node", node.runs_on, set(self._nodes) - {name})
            if node.at is None and node.runs_on is None:
                message = f"node '{name}' is nowhere: it needs 'at' or 'runs_on'"
                advice = "write 'at: <site>', or 'runs_on: <node>' for what runs on another node"
                self._report(self.draft.key_at(path), "E045", message, "", advice)
            kind = self.catalogue.kinds.get(node.kind)
            if kind is None:
                self._unknown("E023", (*path, "kind"), "node kind", node.kind, self.catalogue.kinds)
            else:
                self._check_options(path, node.options, kind, Node)

    def _check_options(
        self, path: Keys, written: Mapping[str, Any], known: Description, form: type[Form] | None
    ) -> None:
        """The free keys of a fleet, node or world: against the data class, without the keys of the format."""
        options = known.form
        found, errors = options.read(written)
        beside = written_keys(form) if form is not None else ()

        def keys_at(inside: Keys) -> Collection[str]:
            return options.keys_at(inside) if inside else {*options.keys, *beside}

        self.issues += issues_of(errors, dict(written), path, self.draft, keys_at)
        for key in sorted(PERIODS & set(written)):
            if found.get(options.attributes.get(key, ""), 1) == 0:
                self.issues.append(not_positive(self.draft, (*path, key)))
        for key, content in known.names_files.items():
            name = written.get(key)
            if isinstance(name, str) and name not in known.built_in:
                self._check_file((*path, key), name, content)
                self._check_alone(path, written, known, key)
        for key in sorted(known.names_nodes & set(written)):
            names = written[key] if isinstance(written[key], list) else [written[key]]
            for name in names:
                if isinstance(name, str):
                    self._check_partner((*path, key), name, [key])

    def _check_hosts(self) -> None:
        """Nobody runs on itself, also not in a circle."""
        reported: set[str] = set()
        for name in self.parts.nodes:
            circle = self._circle(name)
            if circle and not reported & set(circle):
                reported |= set(circle)
                shown = " -> ".join([*circle, circle[0]])
                places = [
                    Related(self.draft.value_at(("nodes", each, "runs_on")), "and here")
                    for each in circle[1:]
                ]
                message = f"nodes run on each other in a circle: {shown}"
                advice = "one of them needs a site ('at') instead"
                place = self.draft.value_at(("nodes", circle[0], "runs_on"))
                self._report(place, "E033", message, "", advice, places)

    def _circle(self, name: str) -> list[str]:
        chain = [name]
        while (node := self.parts.nodes.get(chain[-1])) is not None and node.runs_on is not None:
            if node.runs_on == name:
                return chain
            if node.runs_on in chain:
                return []
            chain.append(node.runs_on)
        return []

    # links, paths, world --------------------------------------------------------------------------------

    def _check_links(self) -> None:
        titles: dict[str, int] = {}
        for index, link in self.parts.links.items():
            path = ("links", index)
            known = self._nodes
            for end, name in enumerate(link.between):
                if name not in known:
                    self._unknown("E021", (*path, "between", end), "node", name, known)
            if link.between[0] == link.between[1]:
                message = f"a link joins '{link.between[0]}' with itself"
                self._report(self.draft.value_at((*path, "between")), "E050", message)
            if link.path not in WIRED_PATHS:
                technologies = {*self.catalogue.technologies, *WIRED_PATHS}
                if link.path not in technologies:
                    self._unknown("E024", (*path, "path"), "link technology", link.path, technologies)
            if link.access is not None:
                self._check_technology((*path, "access"), link.access)
            if link.trace is not None:
                self._check_file((*path, "trace"), link.trace, "trace")
            first = titles.setdefault(link.title, index)
            if first != index:
                related = [Related(self.draft.key_at(("links", first)), "the first")]
                message = f"two links are called '{link.title}'"
                self._report(self.draft.key_at(path), "E031", message, "", "give one a 'name'", related)
            self._check_floor(path, link, tuple(self.parts.site_of(each) for each in link.between))

    def _check_floor(self, path: Keys, link: Link | Access, names: tuple[str | None, ...]) -> None:
        """No signal is faster than light in fibre."""
        sites = [self.parts.sites.get(name or "") for name in names]
        if any(site and site.metro and site.metro not in self.catalogue.metros for site in sites):
            return  # where it is has been reported as unknown
        asked = [("round_trip", link.round_trip_s, 1), ("delay", link.delay_s, 2)]
        for key, value_s, ways in asked:
            if value_s is None or sites[0] is None or sites[1] is None or sites[0] == sites[1]:
                continue
            floor_s = math.ceil(self.catalogue.fibre_floor_s(sites[0], sites[1]) / ways * 1e3) / 1e3
            if value_s < floor_s:
                shown, least = (format_quantity("time", each) for each in (value_s, floor_s))
                what = "round trip" if key == "round_trip" else "delay"
                places = " - ".join(map(str, names))
                message = f"a {what} of {shown} is faster than light in fibre ({places}: at least {least})"
                place = self.draft.value_at((*path, key))
                self._report(place, "E035", message, f"write '{least}' or more")

    def _check_world(self) -> None:
        written = self.draft.data.get("world")
        if isinstance(written, dict):
            self._check_options(("world",), written, self.catalogue.world, None)

    def _check_paths(self) -> None:
        """Pairs that must talk: a fleet and its `via`, a node and what its kind or its options name."""
        reach = _Reach(self.parts)
        for name, fleet in self.parts.fleets.items():
            via_site = self.parts.site_of(fleet.via or "")
            if (
                fleet.link is None
                and via_site is not None
                and via_site != fleet.at
                and fleet.at in self._sites
            ):
                message = f"fleet '{name}' at '{fleet.at}' has no link to '{fleet.via}' at '{via_site}'"
                related = [Related(self.draft.key_at(("nodes", fleet.via or "")), "the node")]
                advice = "add 'link: <technology>' to the fleet, or a gateway at its site"
                self._report(
                    self.draft.value_at(("fleets", name, "via")), "E034", message, "", advice, related
                )
        for name, node in self.parts.nodes.items():
            kind = self.catalogue.kinds.get(node.kind)
            if kind is not None:
                self._check_partners(name, node, kind, reach)

    def _check_partners(self, name: str, node: Node, kind: Description, reach: _Reach) -> None:
        for wanted in sorted(kind.reaches):
            partners = self._by_kind.get(wanted, [])
            if partners and not any(reach.joins(name, partner) for partner in partners):
                self._no_path(name, partners[0], self.draft.key_at(("nodes", name)))
        for key in sorted(kind.names_nodes & set(node.options)):
            partner = node.options[key]
            if isinstance(partner, str) and partner in self.parts.nodes and not reach.joins(name, partner):
                self._no_path(name, partner, self.draft.value_at(("nodes", name, key)))

    @cached_property
    def _by_kind(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, node in self.parts.nodes.items():
            found.setdefault(node.kind, []).append(name)
        return found

    def _no_path(self, name: str, partner: str, place: Span) -> None:
        sites = [self.parts.site_of(each) for each in (name, partner)]
        if None in sites:
            return
        message = f"'{name}' must talk to '{partner}', but no link joins '{sites[0]}' with '{sites[1]}'"
        advice = f"add a link: - {{between: [{name}, {partner}], path: wan}}"
        related = [Related(self.draft.key_at(("nodes", partner)), "the other end")]
        self._report(place, "E034", message, "", advice, related)


class _Reach:
    """Which nodes are joined by links, by a common site, or by running on each other."""

    def __init__(self, parts: Parts) -> None:
        self._group: dict[str, str] = {}
        for link in parts.links.values():
            self._join(*(f"node {end}" for end in link.between))
        for name, node in parts.nodes.items():
            site = parts.site_of(name)
            if site is not None:
                self._join(f"node {name}", f"site {site}")
            if node.runs_on is not None:
                self._join(f"node {name}", f"node {node.runs_on}")

    def joins(self, first: str, second: str) -> bool:
        """Whether a message can get from one to the other."""
        return self._find(f"node {first}") == self._find(f"node {second}")

    def _find(self, name: str) -> str:
        while (above := self._group.setdefault(name, name)) != name:
            self._group[name] = name = self._group.get(above, above)
        return name

    def _join(self, first: str, second: str) -> None:
        self._group[self._find(first)] = self._find(second)


def _payload_bytes(fleet: Fleet, device: Description) -> int | None:
    """The payload that every device of the fleet sends; 0 for JSON of its own making, None if not known."""
    fields = {each.name: each.default for each in dataclasses.fields(device.options)}
    known = fields | device.form.read(fleet.options)[0]
    size = known.get("payload_bytes", 0)
    return None if known.get("encoding") == "binary" or not isinstance(size, int) else size


def unknown_name(draft: Draft, code: str, path: Keys, what: str, name: str, known: Collection[str]) -> Issue:
    """A name that nobody has declared, at this path of the variant."""
    owner = thing(path[:-1] if isinstance(path[-1], str) else path[:-2], draft.data)
    message = f"{owner} names an unknown {what} '{name}'"
    advice = f"known: {listed(known)}"
    sections = SECTIONS.items() if code in OF_SYSTEM else ()
    other = next((word for section, word in sections if name in declared(draft.data, section)), "")
    label = f"this is a {other}" if other else suggestion(name, known)
    return issue_at(draft.value_at(path), code, message, label=label, advice=advice)


def not_positive(draft: Draft, path: Keys) -> Issue:
    """A time that must be longer than nothing."""
    message = f"'{path[-1]}' of {thing(path[:-1], draft.data)} must be longer than nothing"
    return issue_at(draft.value_at(path), "E036", message)
