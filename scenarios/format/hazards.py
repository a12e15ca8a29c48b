"""Designs that a scenario may have and that are known to hurt people: warnings, not errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scenarios.format.schema import Fleet, Node, Scenario

TWIN_DEFENCES = ("desired_expiry", "clear_on_report", "keep_newer_reports")


def stale_wishes(scenarios: Sequence[tuple[str, Scenario]]) -> Iterator[str]:
    """One sentence for each twin of the named variants whose wishes stand for ever.

    A wish that nobody takes back undoes what a hand does at the device, long after: the gate hazard.
    """
    found: dict[str, list[str]] = {}
    for name, scenario in scenarios:
        fleets = [fleet for fleet in scenario.fleets.values() if _follows_old_wishes(fleet)]
        for node, form in scenario.nodes.items() if fleets else ():
            is_defended = any(map(form.options.get, TWIN_DEFENCES))
            if form.kind == "twin" and not is_defended and _has_lasting_wishes(scenario, form):
                found.setdefault(node, []).append(name)
    for node, names in found.items():
        yield (
            f"wishes at twin '{node}' stand for ever and undo what is changed by hand ({', '.join(names)});"
            " write 'desired_expiry: 5 min', 'clear_on_report: true' or 'keep_newer_reports: true'"
        )


def _follows_old_wishes(fleet: Fleet) -> bool:
    """Whether hands change the devices, and an older wish would undo it."""
    return bool(fleet.options.get("by_hand")) and fleet.options.get("by_hand_wins", "never") == "never"


def _has_lasting_wishes(scenario: Scenario, twin: Node) -> bool:
    """A wish says in vain that it expires where the twin does not read it."""
    heeds = bool(twin.options.get("shadow_extensions"))
    wishes = [wish for node in scenario.nodes.values() for wish in _wishes(node)]
    return any(not (heeds and wish.get("expires")) for wish in wishes if isinstance(wish, dict))


def _wishes(node: Node) -> list[Any]:
    wishes = node.options.get("wishes") if node.kind == "operator" else None
    return wishes if isinstance(wishes, list) else []
