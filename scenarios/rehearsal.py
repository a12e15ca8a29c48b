"""Whether the parts of a scenario go together, found out without running it."""

from __future__ import annotations

from collections.abc import Sequence

from scenarios.format.issues import Issue, ScenarioError
from scenarios.format.loading import ScenarioFile, Variant
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.members import scenes_of
from twin.errors import InputError


def put_together(scenario: ScenarioFile, name: str, variants: Sequence[Variant] | None = None) -> None:
    """Put every variant, or these, together once; raise ScenarioError for the first that cannot be.

    The text alone does not show it: who is there follows from scenes, fleets and rules.
    """
    for variant in scenario.variants if variants is None else variants:
        try:
            scenes = scenes_of(variant.scenario, variant.folder)
            Blueprint.of(variant.scenario, scenes, variant.folder).assemble(1)
        except InputError as error:
            message = f"variant '{variant.name}' cannot be put together: {error}"
            raise ScenarioError([Issue("E054", message, 1, 1, 1)], name=name) from None
