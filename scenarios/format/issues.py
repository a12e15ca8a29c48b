"""What is wrong with a scenario file: issues with their place, shown as source excerpts with a caret."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from twin.errors import InputError

MOST_ISSUES_SHOWN = 20
WIDEST_EXCERPT = 160


class Span(NamedTuple):
    """A place in the text: line and column from 1, length in characters within that line."""

    line: int
    column: int
    length: int = 1


class Related(NamedTuple):
    """A second place that has to do with an issue, and what is there."""

    span: Span
    label: str


class Issue(NamedTuple):
    """One thing that is wrong: a code to look up, a sentence, a place, and what to do about it.

    `label` stands beside the caret, `help` below the excerpt.
    """

    code: str
    message: str
    line: int
    column: int
    length: int
    label: str = ""
    help: str = ""
    related: tuple[Related, ...] = ()


class ScenarioError(InputError):
    """A scenario file that cannot be used; `issues` says why, all at once."""

    def __init__(self, issues: Sequence[Issue], *, name: str, text: str = "") -> None:
        super().__init__(render(issues, name=name, text=text))
        self.issues = tuple(issues)
        self.name = name


def issue_at(
    span: Span,
    code: str,
    message: str,
    *,
    label: str = "",
    advice: str = "",
    related: Iterable[Related] = (),
) -> Issue:
    """An issue at this place."""
    return Issue(code, message, *span, label=label, help=advice, related=tuple(related))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like this one, or None."""
    by_fold = {candidate.lower(): candidate for candidate in sorted(known)}
    found = difflib.get_close_matches(name.lower(), by_fold, n=1, cutoff=0.6)
    return by_fold[found[0]] if found else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """The words beside the caret: the nearest valid name, if one is near."""
    near = nearest(name, known)
    return f"did you mean '{near}'?" if near else ""


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names in one line, cut after `most`."""
    ordered = sorted(names)
    shown = ", ".join(ordered[:most])
    return f"{shown} and {len(ordered) - most} more" if len(ordered) > most else shown or "none"


def render(issues: Sequence[Issue], *, name: str, text: str = "") -> str:
    """All issues (the first 20) with excerpts of the text, each ending in its help lines."""
    lines = text.splitlines()
    shown = [_render_one(issue, name, lines) for issue in issues[:MOST_ISSUES_SHOWN]]
    if len(issues) > MOST_ISSUES_SHOWN:
        shown.append(f"... and {len(issues) - MOST_ISSUES_SHOWN} more\n")
    return "\n".join(shown).rstrip("\n")


def _render_one(issue: Issue, name: str, lines: Sequence[str]) -> str:
    related = [(place.span, place.label, "-") for place in issue.related]
    places = [(Span(issue.line, issue.column, issue.length), issue.label, "^"), *related]
    width = max(len(str(span.line)) for span, _, _ in places)
    shown = [f"error[{issue.code}]: {issue.message}", f"{' ' * width}--> {name}:{issue.line}:{issue.column}"]
    for span, label, mark in places:
        shown += _excerpt(span, label, mark, width, lines)
    if issue.help:
        shown.append(f"{' ' * width} = help: {issue.help}")
    return "\n".join(shown) + "\n"


def _excerpt(span: Span, label: str, mark: str, width: int, lines: Sequence[str]) -> list[str]:
    if not 1 <= span.line <= len(lines):
        return []
    line = "".join(char if char.isprintable() else " " for char in lines[span.line - 1])
    start = max(0, span.column - 1 - WIDEST_EXCERPT // 2) if len(line) > WIDEST_EXCERPT else 0
    cut = line[start : start + WIDEST_EXCERPT]
    length = max(1, min(span.length, len(cut) - (span.column - 1 - start)))
    caret = " " * (span.column - 1 - start) + mark * length
    gutter = " " * width
    return [f"{gutter} |", f"{span.line:>{width}} | {cut}".rstrip(), f"{gutter} | {caret} {label}".rstrip()]


class Explanation(NamedTuple):
    """What a code means, an example that causes it, and the same lines put right."""

    title: str
    meaning: str
    wrong: str
    right: str


@cache
def explanations() -> dict[str, Explanation]:
    """Every code's explanation."""
    text = files("scenarios").joinpath("data/explanations.toml").read_text("utf-8")
    return {code: Explanation(**entry) for code, entry in tomllib.loads(text).items()}


def explain(code: str) -> str:
    """What the code means, with an example and the fix. Raises InputError for an unknown code."""
    known = explanations()
    found = known.get(code.upper())
    if found is None:
        near = suggestion(code.upper(), known)
        raise InputError(f"no error has the code {code!r}; {near or f'known: {listed(known, 99)}'}")
    wrong, right = (_indented(text) for text in (found.wrong, found.right))
    head = f"{code.upper()}: {found.title}\n\n{found.meaning.strip()}"
    return f"{head}\n\nFor example:\n{wrong}\n\nPut right:\n{right}\n"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.strip("\n").splitlines())
