"""What is wrong with the text, in the words of the command line, and which cell or node it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from scenarios.format import source as yaml_source
from scenarios.format.issues import Issue, ScenarioError, render
from scenarios.format.loading import ScenarioFile, parse
from scenarios.format.source import Keys, Source
from scenarios.format.variants import MULTIPLIERS, Draft, expand
from scenarios.rehearsal import put_together
from scenarios.wiring.vocabulary import Vocabulary
from twin.errors import InputError
from ui.design.tree import NoPlaceError, Place, path_at, read_places


@dataclass
class Checked:
    """A text with all that is known of it.

    `source` is None if it is no YAML, `scenario` if anything is wrong. `places` are the texts' values.
    """

    text: str
    name: str
    source: Source | None = None
    scenario: ScenarioFile | None = None
    issues: tuple[Issue, ...] = ()
    places: Place | None = None
    _paths: dict[Issue, Keys] = field(default_factory=dict)

    @property
    def data(self) -> Mapping[str, Any]:
        """What the text says, whether right or wrong; empty if it is no map."""
        found = self.source.data if self.source is not None else None
        return found if isinstance(found, dict) else {}

    @property
    def is_valid(self) -> bool:
        """Whether the command line would accept it."""
        return not self.issues

    @cached_property
    def message(self) -> str:
        """The issues as the command line prints them."""
        return render(self.issues, name=self.name, text=self.text)

    def path_of(self, issue: Issue) -> Keys:
        """The value that an issue is about."""
        if issue not in self._paths:
            self._paths[issue] = self._path(issue)
        return self._paths[issue]

    def _path(self, issue: Issue) -> Keys:
        if self.places is None:
            return ()
        start = 0
        for _ in range(issue.line - 1):
            start = self.text.find("\n", start) + 1
        return path_at(self.places, start + issue.column - 1)

    def problems_at(self, path: Keys) -> list[Issue]:
        """The issues about a value and everything in it."""
        return [issue for issue in self.issues if self.path_of(issue)[: len(path)] == path]

    @cached_property
    def drafts(self) -> dict[str, Draft]:
        """The variants by name, without the values of the matrix; none if they cannot be made."""
        if self.source is None or not isinstance(self.source.data, dict):
            return {}
        try:
            found, _ = expand(
                Source(self.name, self.text, dict(self.data), self.source.values, self.source.keys)
            )
        except (AttributeError, TypeError, ValueError):  # not well formed, which the issues say
            return {}
        drafts: dict[str, Draft] = {}
        for draft in found:
            drafts.setdefault(draft.family, draft)
        return drafts

    def seen(self, variant: str) -> Mapping[str, Any]:
        """The data of a variant, or of the base."""
        draft = self.drafts.get(variant)
        if draft is not None:
            return draft.data
        return {key: value for key, value in self.data.items() if key not in MULTIPLIERS}


def check(text: str, name: str, folder: Path | None, variant: str = "") -> Checked:
    """Read and check a text, and put one variant of it together."""
    checked = Checked(text, name)
    try:
        checked.source = yaml_source.parse(text, name)
        checked.places = read_places(text)
    except ScenarioError as error:
        checked.issues = error.issues
        return checked
    except NoPlaceError:
        pass
    try:
        checked.scenario = parse(text, catalogue=Vocabulary(), name=name, folder=folder)
        if folder is not None:
            chosen = [each for each in checked.scenario.variants if each.family == variant]
            put_together(checked.scenario, name, (chosen or checked.scenario.variants)[:1])
    except ScenarioError as error:
        checked.issues = error.issues
    except InputError as error:  # said without a place
        checked.issues = (Issue("E054", str(error), 1, 1, 1),)
    return checked


def check_all(checked: Checked) -> Checked:
    """Put every variant together too, as `windtunnel validate` does."""
    if checked.scenario is not None and checked.is_valid:
        try:
            put_together(checked.scenario, checked.name)
        except ScenarioError as error:
            checked.issues = error.issues
    return checked
