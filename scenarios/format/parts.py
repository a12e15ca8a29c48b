"""The well-formed parts of a variant, so that its meaning can be checked beside its form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from scenarios.format.schema import Fleet, Form, Link, Node, Requirement, RunForm, Site, TimelineEntry

AnyForm = TypeVar("AnyForm", bound=Form)


@dataclass(slots=True, kw_only=True)
class Parts:
    """The well-formed parts of a variant, by name or index."""

    sites: dict[str, Site]
    fleets: dict[str, Fleet]
    nodes: dict[str, Node]
    links: dict[int, Link]
    timeline: dict[int, TimelineEntry]
    requirements: dict[int, Requirement]
    run: RunForm

    def site_of(self, node: str) -> str | None:
        """The site of a node, through what it runs on; None if it has no single known one."""
        for _ in range(len(self.nodes) + 1):
            found = self.nodes.get(node)
            if found is None:
                return None
            if found.at is not None or found.runs_on is None:
                return found.at
            node = found.runs_on
        return None


def parts_of(data: Mapping[str, Any]) -> Parts:
    """Every part of a variant that is well formed by itself."""
    run = data.get("run") or {}
    return Parts(
        sites=dict(_named(data, "sites", Site)),
        fleets=dict(_named(data, "fleets", Fleet)),
        nodes=dict(_named(data, "nodes", Node)),
        links=dict(_listed(data, "links", Link)),
        timeline=dict(_listed(data, "timeline", TimelineEntry)),
        requirements=dict(_listed(data, "requirements", Requirement)),
        run=_read(RunForm, run) or RunForm(),
    )


def _read(form: type[AnyForm], written: Any) -> AnyForm | None:
    try:
        return form.model_validate(written)
    except ValidationError:
        return None


def _named(data: Mapping[str, Any], section: str, form: type[AnyForm]) -> Iterator[tuple[str, AnyForm]]:
    written = data.get(section)
    for name, item in written.items() if isinstance(written, dict) else ():
        if (found := _read(form, item)) is not None:
            yield name, found


def _listed(data: Mapping[str, Any], section: str, form: type[AnyForm]) -> Iterator[tuple[int, AnyForm]]:
    written = data.get(section)
    for index, item in enumerate(written if isinstance(written, list) else ()):
        if (found := _read(form, item)) is not None:
            yield index, found


def declared(data: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """All names of a section, also of parts that are not well formed."""
    written = data.get(section)
    return written if isinstance(written, dict) else {}


def device_name(fleet: str, number: int, count: int) -> str:
    """The node of the device with this number from 1, in a fleet of so many."""
    digits = max(3, len(str(count)))
    return f"{fleet}-{number:0{digits}d}"
