"""Whether the parts of a scenario go together, found out without running it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from scenarios.format.issues import ScenarioError, Span, issue_at
from scenarios.format.loading import ScenarioFile, Variant
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.members import scenes_of
from twin.errors import InputError

NAMED: Final = re.compile(r"'([^']{1,200})'|^([a-z_]+:)")
"""What a message quotes, or the key with which it begins."""


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
            place = _place(str(error), scenario.text)
            text = scenario.text if place is not None else ""
            raise ScenarioError(
                [issue_at(place or Span(1, 1), "E054", message)], name=name, text=text
            ) from None


def _place(message: str, text: str) -> Span | None:
    """Where the text has what the message names before its advice: the rarest word, of equals the last.

    The lower layers know no places; None if nothing that they name stands in the text.
    """
    lines = [
        line.partition(" #")[0] if not line.lstrip().startswith("#") else "" for line in text.splitlines()
    ]
    found: list[list[Span]] = []
    for quoted, key in NAMED.findall(message.partition(";")[0]):
        word = quoted or key
        whole = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
        places = [
            Span(number, match.start() + 1, len(word))
            for number, line in enumerate(lines, start=1)
            for match in whole.finditer(line)
        ]
        found += [places] if places else []
    return min(reversed(found), key=len)[0] if found else None
