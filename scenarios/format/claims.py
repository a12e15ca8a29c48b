"""What the timeline and the requirements of a variant refer to."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from scenarios.format import expression
from scenarios.format.catalogue import Catalogue, Description
from scenarios.format.checks import not_positive, unknown_name
from scenarios.format.fault_vocabulary import FAULT_NEEDS, OF_WORLD
from scenarios.format.issues import Issue, Related, Span, issue_at, listed, suggestion
from scenarios.format.load_words import is_of_load
from scenarios.format.parts import Parts, declared, device_name
from scenarios.format.schema import (
    FAULT_PARAMETERS,
    FAULT_TARGETS,
    HARDWARE_MEASURES,
    Requirement,
    TimelineEntry,
)
from scenarios.format.source import Keys
from scenarios.format.variants import Draft
from twin.units import format_quantity

MOST_DIGITS = 9
"""Of the number of a device; no fleet has more."""


@dataclass
class ClaimChecks:
    """Checks of the timeline, the requirements and the run of one variant."""

    draft: Draft
    parts: Parts
    catalogue: Catalogue
    issues: list[Issue] = field(default_factory=list)

    def run(self) -> list[Issue]:
        """All issues of meaning."""
        for index, entry in self.parts.timeline.items():
            self._check_times(index, entry)
            self._check_fault(index, entry)
            self._check_target(index, entry)
        self._check_requirements()
        self._check_run()
        return self.issues

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

    # timeline -------------------------------------------------------------------------------------------

    def _check_times(self, index: int, entry: TimelineEntry) -> None:
        path = ("timeline", index)
        for key, value_s in (("for", entry.for_s), ("every", entry.every_s)):
            if value_s == 0:
                self.issues.append(not_positive(self.draft, (*path, key)))
        if entry.until_s is not None and entry.until_s <= entry.at_s:
            message = f"fault '{entry.fault}' ends ('until') before it starts ('at')"
            self._report(self.draft.value_at((*path, "until")), "E046", message)
        if entry.at_s >= self.parts.run.duration_s > 0:
            duration = format_quantity("time", self.parts.run.duration_s)
            message = f"fault '{entry.fault}' starts after the run has ended ({duration})"
            related = (
                [Related(self.draft.value_at(("run", "duration")), "the run")] if self._has_duration else []
            )
            advice = "let it start earlier, or make 'run.duration' longer"
            self._report(self.draft.value_at((*path, "at")), "E046", message, "", advice, related)

    @property
    def _has_duration(self) -> bool:
        return "duration" in declared(self.draft.data, "run")

    def _check_fault(self, index: int, entry: TimelineEntry) -> None:
        path = ("timeline", index)
        parameters = self.catalogue.faults.get(entry.fault)
        if parameters is None:
            message, label = f"unknown fault '{entry.fault}'", suggestion(entry.fault, self.catalogue.faults)
            advice = f"known: {listed(self.catalogue.faults)}"
            self._report(self.draft.value_at((*path, "fault")), "E026", message, label, advice)
            return
        written = self.draft.data["timeline"][index]
        for key in FAULT_PARAMETERS:
            if key in written and key not in parameters:
                message = f"fault '{entry.fault}' takes no '{key}'"
                advice = f"it takes: {listed(parameters)}" if parameters else "it takes no figures"
                label = suggestion(key, parameters)
                self._report(self.draft.key_at((*path, key)), "E041", message, label, advice)
        needed = FAULT_NEEDS.get(entry.fault, ())
        if needed and not any(key in written for key in needed):
            message = f"fault '{entry.fault}' does nothing without a figure"
            self._report(
                self.draft.value_at((*path, "fault")), "E041", message, "", f"it takes: {listed(needed)}"
            )

    def _check_target(self, index: int, entry: TimelineEntry) -> None:
        path = ("timeline", index)
        targets = [key for key in FAULT_TARGETS if getattr(entry, key) is not None]
        if entry.fault in OF_WORLD:
            self._check_world(path, entry, targets)
        elif len(targets) != 1 and not (entry.shape is not None and not targets):
            message = f"fault '{entry.fault}' needs exactly one target; it has {listed(targets)}"
            advice = "write one of 'between: [a, b]', 'link: <name>', 'node: <name>', 'select: smoke-*'"
            self._report(self.draft.key_at((*path, "fault")), "E040", message, "", advice)
        for end, name in enumerate(entry.between or ()):
            if name not in {*self._sites, *self._nodes}:
                known = {*self._sites, *self._nodes}
                self._unknown("E030", (*path, "between", end), "site or node", name, known)
        if entry.between is not None and entry.between[0] == entry.between[1]:
            message = f"fault '{entry.fault}' is between '{entry.between[0]}' and itself"
            self._report(self.draft.value_at((*path, "between")), "E050", message)
        if entry.link is not None and entry.link not in self._links:
            self._unknown("E030", (*path, "link"), "link", entry.link, self._links)
        if entry.node in self.parts.fleets:
            message = f"fault '{entry.fault}' names '{entry.node}' as a node, which is a fleet"
            label = f"write 'fleet: {entry.node}' for all its devices"
            self._report(self.draft.value_at((*path, "node")), "E030", message, label)
        elif entry.node is not None and not self._is_member(entry.node):
            self._unknown("E030", (*path, "node"), "node", entry.node, {*self._nodes, *self._devices})
        places: dict[str, Collection[str]] = {
            "fleet": self.parts.fleets,
            "site": self._sites,
            "tag": self._tags,
        }
        for key, here in places.items():
            name = getattr(entry, key)
            if name is not None and name not in here:
                self._unknown("E030", (*path, key), key, name, here)
        self._check_choice(path, entry)
        if entry.select is not None and not self._selects(entry.select):
            message = f"no node can match the pattern '{entry.select}'"
            label = suggestion(entry.select.rstrip("*-"), self._members)
            advice = "devices are named '<fleet>-001' or as in the scene"
            self._report(self.draft.value_at((*path, "select")), "E030", message, label, advice)

    def _check_world(self, path: Keys, entry: TimelineEntry, targets: Collection[str]) -> None:
        """A fault of the world stands where it says itself, and needs a building."""
        for key in targets:
            message = f"fault '{entry.fault}' is of the world; it takes no '{key}'"
            self._report(self.draft.key_at((*path, key)), "E040", message)
        if not any("scene" in site for site in declared(self.draft.data, "sites").values()):
            message = f"fault '{entry.fault}' needs a building, and no site has a 'scene'"
            self._report(self.draft.value_at((*path, "fault")), "E040", message)

    def _check_choice(self, path: Keys, entry: TimelineEntry) -> None:
        """How many of the selected nodes: said once, and where nodes are selected."""
        if entry.shape is not None and entry.fault != "partition":
            message = f"fault '{entry.fault}' has no shape; only a partition has"
            self._report(self.draft.key_at((*path, "shape")), "E041", message)
        said = {
            "count": entry.mode in {None, "fixed"} if entry.count is not None else entry.mode != "fixed",
            "percent": entry.mode in {None, "percent"}
            if entry.percent is not None
            else entry.mode != "percent",
        }
        if not all(said.values()) or (entry.count is not None and entry.percent is not None):
            message = "how many nodes is said in two ways, or only half"
            advice = "write 'mode: one', 'count: 3' or 'percent: 30 %'"
            self._report(self.draft.key_at((*path, "fault")), "E041", message, "", advice)

    @cached_property
    def _tags(self) -> Collection[str]:
        fleets, nodes = self.parts.fleets.values(), self.parts.nodes.values()
        return {
            *(tag for fleet in fleets for tag in fleet.tags),
            *(tag for node in nodes for tag in node.tags),
        }

    @cached_property
    def _sites(self) -> Collection[str]:
        return declared(self.draft.data, "sites")

    @cached_property
    def _nodes(self) -> Collection[str]:
        return declared(self.draft.data, "nodes")

    @cached_property
    def _devices(self) -> Collection[str]:
        """The first device of each fleet whose names follow from a count."""
        fleets = self.parts.fleets.items()
        return {device_name(name, 1, fleet.count) for name, fleet in fleets if fleet.count is not None}

    @cached_property
    def _members(self) -> Collection[str]:
        return {*self._nodes, *declared(self.draft.data, "fleets")}

    @cached_property
    def _links(self) -> Collection[str]:
        return {*declared(self.draft.data, "fleets"), *(link.title for link in self.parts.links.values())}

    @cached_property
    def _is_drawn(self) -> bool:
        """Whether a scene gives names that are not known here."""
        return any(fleet.placed_by is not None for fleet in self.parts.fleets.values())

    def _is_member(self, name: str) -> bool:
        """Whether a node may have this name: a scene may hold any, but none that looks like a slip."""
        fleet, _, number = name.rpartition("-")
        is_numbered = number.isascii() and number.isdecimal() and len(number) <= MOST_DIGITS
        if name in self._nodes:
            return True
        if is_numbered and fleet in declared(self.draft.data, "fleets"):
            form = self.parts.fleets.get(fleet)
            count = form.count if form is not None else None
            return count is None or name == device_name(fleet, min(max(int(number), 1), count), count)
        return self._is_drawn and not get_close_matches(name, self._members, n=1, cutoff=0.8)

    def _selects(self, pattern: str) -> bool:
        stem = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
        families = [f"{fleet}-" for fleet in self.parts.fleets]
        is_numbered = any(each.startswith(stem) or stem.startswith(each) for each in families)
        return self._is_drawn or is_numbered or any(fnmatchcase(name, pattern) for name in self._members)

    # requirements ---------------------------------------------------------------------------------------

    def _check_requirements(self) -> None:
        seen: dict[str, int] = {}
        for index, requirement in self.parts.requirements.items():
            path = ("requirements", index)
            first = seen.setdefault(requirement.name, index)
            if first != index:
                related = [Related(self.draft.value_at(("requirements", first, "name")), "the first")]
                message = f"two requirements are called '{requirement.name}'"
                self._report(self.draft.value_at((*path, "name")), "E031", message, "", "", related)
            if requirement.probability <= requirement.indifference:
                self._report_indifference(index, requirement)
            if requirement.variants == []:
                message = f"requirement '{requirement.name}' is judged in no variant"
                advice = "name some variants, or leave 'variants' out to judge it in all"
                self._report(self.draft.value_at((*path, "variants")), "E028", message, "", advice)
            parsed = self._parsed((*path, "expect"), requirement.expect)
            if parsed is not None and applies(requirement, {self.draft.name, self.draft.family}):
                self._check_names((*path, "expect"), requirement.expect, parsed)

    def _report_indifference(self, index: int, requirement: Requirement) -> None:
        written = self.draft.data["requirements"][index]
        key = "indifference" if "indifference" in written else "probability"
        asked, least = (
            format_quantity("ratio", each) for each in (requirement.probability, requirement.indifference)
        )
        message = f"the indifference ({least}) must be below the probability ({asked})"
        advice = "between the two the test may say either; the wider the gap, the fewer runs it takes"
        self._report(self.draft.value_at(("requirements", index, key)), "E037", message, "", advice)

    def _parsed(self, path: Keys, text: str) -> expression.Expression | None:
        """The expression, or None if it cannot be read."""
        try:
            return expression.parse(text)
        except expression.ExpressionError as error:
            where = self._within(self.draft.value_at(path), text, error.column, error.length)
            self._report(where, "E038", f"in '{path[-1]}': {error.message}", error.advice)
            return None

    def _check_names(self, path: Keys, text: str, parsed: expression.Expression) -> None:
        place = self.draft.value_at(path)
        for name in () if is_of_load(parsed) else parsed.measures:
            if name.text not in self._measures:
                self._report_measure(self._within(place, text, name.column, len(name.text)), name.text)
        faults = {entry.fault for entry in self.parts.timeline.values()}
        for name in parsed.faults:
            if name.text not in faults:
                message = f"no fault '{name.text}' is in the timeline"
                advice = f"faults here: {listed(faults)}; 'variants' limits a requirement to some variants"
                where = self._within(place, text, name.column, len(name.text))
                self._report(where, "E026", message, suggestion(name.text, faults), advice)
        for name in parsed.scopes:
            if name.text not in self._scopes:
                message = f"no site, metro or country is called '{name.text}'"
                advice = f"here: {listed(self._scopes)}"
                where = self._within(place, text, name.column, len(name.text))
                self._report(where, "E020", message, suggestion(name.text, self._scopes), advice)

    def _report_measure(self, where: Span, name: str) -> None:
        owners = [
            device
            for known in (self.catalogue.devices, self.catalogue.kinds)
            for device, each in known.items()
            if name in each.measures
        ]
        keys = [key for key, measure in HARDWARE_MEASURES.items() if measure == name]
        owners += [f"fleets with '{key}'" for key in keys]
        owners += ["a 'world'"] if name in self.catalogue.world.measures else []
        if owners and not self._is_complete:
            return
        if owners:
            message = f"nothing in this scenario reports '{name}'"
            advice = f"it is reported by: {listed(owners)}"
        else:
            message = f"unknown measure '{name}'"
            advice = f"measures here: {listed(self._measures, 30)}"
        self._report(where, "E027", message, suggestion(name, self._measures), advice)

    def _within(self, place: Span, text: str, column: int, length: int) -> Span:
        """A place inside an expression; the whole of it if it is not written as it is read."""
        lines = self.draft.source.text.splitlines()
        line = lines[place.line - 1] if place.line <= len(lines) else ""
        start = line.find(text, place.column - 1)
        if not text or start < 0 or place.length < len(text):
            return place
        return Span(place.line, start + 1 + column, length)

    @cached_property
    def _measures(self) -> frozenset[str]:
        world = self.catalogue.world if self._has_world else None
        present = [each.measures for each in (*self._described, world) if each is not None]
        fleets = declared(self.draft.data, "fleets").values()
        stations = [each.station for each in self.parts.nodes.values() if each.station is not None]
        written = {key for fleet in fleets if isinstance(fleet, dict) for key in fleet}
        written |= {"mcu" for station in stations if station.mcu is not None}
        made_of = [measure for key, measure in HARDWARE_MEASURES.items() if key in written]
        return frozenset(made_of).union(*present)

    @property
    def _has_world(self) -> bool:
        return self.draft.data.get("world") is not None

    @cached_property
    def _is_complete(self) -> bool:
        """Whether every fleet and node is of a known type, so that what nobody reports is known."""
        return None not in self._described

    @cached_property
    def _described(self) -> list[Description | None]:
        """What reports measures, also if it is not well formed; None for an unknown type."""
        fleets = declared(self.draft.data, "fleets").values()
        nodes = declared(self.draft.data, "nodes").values()
        return [
            *(self.catalogue.devices.get(_text(fleet, "device")) for fleet in fleets),
            *(self.catalogue.kinds.get(_text(node, "kind")) for node in nodes),
        ]

    @cached_property
    def _scopes(self) -> frozenset[str]:
        sites = self.parts.sites.values()
        own = {name for site in sites for name in (site.metro, site.country) if name is not None}
        return frozenset({*self._sites, *own, *self.catalogue.metros, *self.catalogue.countries})

    # the run --------------------------------------------------------------------------------------------

    def _check_run(self) -> None:
        run = self.parts.run
        if run.duration_s == 0:
            self.issues.append(not_positive(self.draft, ("run", "duration")))
        elif run.warm_up_s >= run.duration_s:
            message = "the warm-up is as long as the run, so nothing would be judged"
            self._report(self.draft.value_at(("run", "warm_up")), "E046", message)
        if run.stop_when is not None:
            path = ("run", "stop_when")
            parsed = self._parsed(path, run.stop_when)
            if parsed is not None:
                self._check_names(path, run.stop_when, parsed)


def _text(form: Any, key: str) -> str:
    """A text in a map that may not be well formed."""
    found = form.get(key) if isinstance(form, dict) else None
    return found if isinstance(found, str) else ""


def applies(requirement: Requirement, names: Collection[str]) -> bool:
    """Whether a requirement is judged in a variant that goes by these names."""
    return requirement.variants is None or not set(requirement.variants).isdisjoint(names)
