"""Loading a scenario file: every error of form and meaning in every variant at once, or the scenario."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from scenarios.format import expression
from scenarios.format import source as yaml_source
from scenarios.format.catalogue import Catalogue, Description
from scenarios.format.checks import SystemChecks
from scenarios.format.claims import ClaimChecks, applies
from scenarios.format.forms import described, form_issues
from scenarios.format.issues import Issue, ScenarioError, Span, explain, issue_at, suggestion
from scenarios.format.load_words import is_of_load
from scenarios.format.options import options_of
from scenarios.format.parts import parts_of
from scenarios.format.schema import Form, Requirement, Scenario, Swing, VariantForm
from scenarios.format.source import Keys, Source
from scenarios.format.variants import MULTIPLIERS, Draft, Resolved, expand, override, resolve, swings
from twin.errors import InputError

__all__ = [
    "Catalogue",
    "Description",
    "Issue",
    "ScenarioError",
    "ScenarioFile",
    "Variant",
    "explain",
    "load",
    "parse",
    "with_values",
]


class _Multipliers(Form):
    """The part of a scenario that makes its variants."""

    variants: dict[str, VariantForm] = Field(default_factory=dict)
    matrix: dict[str, list[Any]] = Field(default_factory=dict)
    sensitivity: dict[str, Swing] = Field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """One variant, checked: `fails` names the requirements that are expected to FAIL, if any were named.

    `family` is its name without the values of the matrix, `data` what was written, with all overrides.
    """

    name: str
    family: str
    title: str
    why: str
    fails: tuple[str, ...] | None
    scenario: Scenario
    data: Mapping[str, Any]
    folder: Path

    @cached_property
    def resolved(self) -> Resolved:
        """The variant written out in full as a scenario of its own, and its SHA-256."""
        written = self.data.get("requirements") or []
        names = {self.name, self.family}
        judged = [
            {key: value for key, value in form.items() if key != "variants"}
            for form, each in zip(written, self.scenario.requirements)
            if applies(each, names)
        ]
        return resolve({**self.data, "requirements": judged} if written else self.data)

    @property
    def hash(self) -> str:
        """The SHA-256 of the variant written out in full."""
        return self.resolved.sha256

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """The requirements that are judged in this variant."""
        return tuple(each for each in self._applying if not _is_of_load(each))

    @property
    def load_requirements(self) -> tuple[Requirement, ...]:
        """The requirements of this variant that only a load can judge."""
        return tuple(each for each in self._applying if _is_of_load(each))

    @property
    def _applying(self) -> list[Requirement]:
        names = {self.name, self.family}
        return [each for each in self.scenario.requirements if applies(each, names)]


def _is_of_load(requirement: Requirement) -> bool:
    return is_of_load(expression.parse(requirement.expect))


@dataclass(frozen=True)
class Input:
    """An input whose effect on the margin is asked: the first variant with its low and its high value."""

    key: str
    low: Variant
    high: Variant


@dataclass(frozen=True)
class ScenarioFile:
    """A scenario file without errors: its variants in order, and where everything stands."""

    path: Path
    source: Source
    variants: tuple[Variant, ...]
    inputs: tuple[Input, ...] = ()

    @property
    def title(self) -> str:
        """The scenario's title, or the file's name."""
        return self.variants[0].scenario.title or self.path.name

    @property
    def text(self) -> str:
        """The file's text."""
        return self.source.text

    @cached_property
    def hash(self) -> str:
        """The SHA-256 of all variants written out in full."""
        return hashlib.sha256("".join(each.hash for each in self.variants).encode()).hexdigest()

    def variant(self, name: str) -> Variant:
        """The variant of this name. Raises ScenarioError naming the nearest one."""
        for each in self.variants:
            if each.name == name:
                return each
        names = {each.name for each in self.variants}
        issue = _unknown(self.source.key_at(("variants",)), "E028", "variant", name, names)
        raise ScenarioError([issue], name=self.source.name, text=self.text)

    def line_of(self, *path: str | int) -> int:
        """The line (from 1) of what stands at a path, such as `("requirements", 0)`."""
        return self.source.key_at(path).line


def load(path: Path | str, *, catalogue: Catalogue, name: str = "") -> ScenarioFile:
    """Load and check a scenario file. Raises ScenarioError with all issues at once.

    `name` is what messages and results call it (default: the file's name without its folder).
    """
    file = Path(path)
    return _checked(yaml_source.read(file, name), catalogue, file, file.parent)


def parse(
    text: str, *, catalogue: Catalogue, name: str = "scenario", folder: Path | None = None
) -> ScenarioFile:
    """Check a scenario's text; the files that it names are looked for in `folder`, if at all.

    Raises ScenarioError.
    """
    path = Path(name) if folder is None else folder / Path(name).name
    return _checked(yaml_source.parse(text, name), catalogue, path, folder)


def with_values(
    scenario: ScenarioFile, variant: Variant, values: Mapping[str, Any], catalogue: Catalogue
) -> Variant:
    """The variant with further values, by dotted key. Raises InputError with all that is wrong."""
    draft = Draft(variant.name, variant.family, dict(variant.data), scenario.source)
    issues: list[Issue] = []
    for key, value in values.items():
        override(draft, key, value, issues)
    if not issues:
        issues = _draft_issues(draft, catalogue, variant.folder)
    if issues:
        raise InputError("\n".join(dict.fromkeys(_said(issue) for issue in issues)))
    return replace(variant, scenario=Scenario.model_validate(draft.data), data=draft.data)


def _said(issue: Issue) -> str:
    """An issue in one line, for what stands in no file."""
    more = "; ".join(each for each in (issue.label, issue.help) if each)
    return f"{issue.message}; {more}" if more else issue.message


def _checked(source: Source, catalogue: Catalogue, path: Path, folder: Path | None) -> ScenarioFile:
    issues = _multiplier_issues(source)
    drafts: list[Draft] = []
    inputs: list[tuple[str, Draft, Draft]] = []
    if not issues:
        drafts, issues = expand(source)
        inputs, more = swings(source)
        issues += [*more, *_margin_issues(source)]
    else:
        drafts = [
            Draft("base", "base", {k: v for k, v in source.data.items() if k not in MULTIPLIERS}, source)
        ]
    checked = [*drafts, *(draft for _, low, high in inputs for draft in (low, high))]
    issues += _merged([_draft_issues(draft, catalogue, folder) for draft in checked], checked)
    issues += _name_issues(source, drafts)
    if issues:
        ordered = sorted(issues, key=lambda each: (each.line, each.column, each.code))
        raise ScenarioError(ordered, name=source.name, text=source.text)
    return ScenarioFile(
        path,
        source,
        tuple(_variant(draft, path.parent) for draft in drafts),
        tuple(Input(key, *(_variant(end, path.parent) for end in ends)) for key, *ends in inputs),
    )


def _margin_issues(source: Source) -> list[Issue]:
    """What moves the margin can be asked only where people have one."""
    if not source.data.get("sensitivity") or source.data.get("world"):
        return []
    message = "'sensitivity' asks what moves the people's margin, but the scenario has no world"
    return [
        issue_at(
            source.key_at(("sensitivity",)), "E051", message, advice="add 'world' with a fire and people"
        )
    ]


def _multiplier_issues(source: Source) -> list[Issue]:
    if not isinstance(source.data, dict):
        message = f"a scenario is a map of keys; found {described(source.data)}"
        issue = issue_at(source.value_at(()), "E013", message, advice="the first line is 'scenario: 1'")
        raise ScenarioError([issue], name=source.name, text=source.text)
    source.data = _without_extensions({key: value for key, value in source.data.items() if value is not None})
    written = {key: source.data[key] for key in MULTIPLIERS if key in source.data}
    if isinstance(written.get("variants"), dict):
        written["variants"] = {
            name: {} if each is None else each for name, each in written["variants"].items()
        }
    return form_issues(_Multipliers, written, (), Draft("base", "base", source.data, source))


def _without_extensions(data: Any) -> Any:
    """The data without the keys that belong to other tools."""
    if isinstance(data, dict):
        return {key: _without_extensions(each) for key, each in data.items() if not key.startswith("x-")}
    return [_without_extensions(each) for each in data] if isinstance(data, list) else data


def _draft_issues(draft: Draft, catalogue: Catalogue, folder: Path | None) -> list[Issue]:
    """All issues of one variant."""
    parts = parts_of(draft.data)
    of_form = form_issues(Scenario, draft.data, (), draft)
    return [
        *of_form,
        *SystemChecks(draft, parts, catalogue, folder, is_well_formed=not of_form).run(),
        *ClaimChecks(draft, parts, catalogue).run(),
    ]


def _merged(found: list[list[Issue]], drafts: list[Draft]) -> list[Issue]:
    """Each issue once; one that not every variant has says which variants do."""
    where: dict[Issue, list[str]] = {}
    for issues, draft in zip(found, drafts):
        for issue in dict.fromkeys(issues):
            where.setdefault(issue, []).append(draft.name)
    return [
        issue
        if len(names) == len(drafts)
        else issue._replace(message=f"{issue.message} ({_in_variants(names)})")
        for issue, names in where.items()
    ]


def _in_variants(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"in variant{'s' if len(names) > 1 else ''} {shown}{more}"


def _name_issues(source: Source, drafts: list[Draft]) -> list[Issue]:
    """Names of variants in requirements, and of requirements in variants."""
    variants = {name for draft in drafts for name in (draft.name, draft.family)}
    requirements = source.data.get("requirements")
    written = (
        [each for each in requirements if isinstance(each, dict)] if isinstance(requirements, list) else []
    )
    issues = [
        _unknown(source.value_at(("requirements", i, "variants", j)), "E028", "variant", name, variants)
        for i, each in enumerate(requirements if isinstance(requirements, list) else ())
        for j, name in enumerate(_texts(each, "variants"))
        if name not in variants
    ]
    names = {str(each["name"]) for each in written if "name" in each}
    forms = source.data.get("variants")
    for variant, form in forms.items() if isinstance(forms, dict) else ():
        place: Keys = ("variants", variant, "fails")
        issues += [
            _unknown(source.value_at((*place, i)), "E029", "requirement", name, names)
            for i, name in enumerate(_texts(form, "fails"))
            if name not in names
        ]
    return issues


def _texts(form: Any, key: str) -> list[str]:
    """The texts in a list that may not be well formed."""
    written = form.get(key) if isinstance(form, dict) else None
    return [each if isinstance(each, str) else "" for each in written] if isinstance(written, list) else []


def _unknown(span: Span, code: str, what: str, name: str, known: set[str]) -> Issue:
    return issue_at(
        span,
        code,
        f"no {what} is called '{name}'",
        label=suggestion(name, known),
        advice=f"{what}s: {', '.join(sorted(known))}",
    )


def _variant(draft: Draft, folder: Path) -> Variant:
    written = (draft.source.data.get("variants") or {}).get(draft.family) or {}
    form = VariantForm.model_validate(written)
    scenario = Scenario.model_validate(draft.data)
    fails = None if form.fails is None else tuple(form.fails)
    return Variant(
        draft.name, draft.family, form.title or "", form.why or "", fails, scenario, draft.data, folder
    )


def read_options(known: Description, written: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments for the data class of a device type, kind or world, in SI units."""
    return options_of(known.options, known.given).read(written)[0]
