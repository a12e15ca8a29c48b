"""What is wrong with a rule file: every problem with its place, shown with a caret under it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from twin.errors import InputError

MOST_SHOWN: Final = 20
WIDEST_EXCERPT: Final = 160
MOST_WORDS: Final = 8


class Problem(NamedTuple):
    """One thing that is wrong, at `start` to `end` (offsets in the text); `label` stands beside the caret."""

    message: str
    start: int
    end: int
    label: str = ""


class TextError(Exception):
    """A text that is no rule; the parser catches it and goes on with the next rule."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Place(NamedTuple):
    """Line and column from 1, and the length within that line."""

    line: int
    column: int
    length: int


class RulesError(InputError):
    """A rule file that cannot be used; `problems` says why, all at once, `summary` in one line."""

    def __init__(self, problems: Sequence[Problem], text: str, name: str = "") -> None:
        super().__init__(render(problems, text, name))
        self.problems = tuple(problems)
        self.text = text
        self.name = name

    @property
    def places(self) -> tuple[Place, ...]:
        """Where each problem is."""
        return tuple(place_of(each, self.text) for each in self.problems)

    @property
    def summary(self) -> str:
        """The first problem with its place, and how many more there are."""
        first = self.problems[0]
        line, column, _ = place_of(first, self.text)
        more = f"; and {len(self.problems) - 1} more" if len(self.problems) > 1 else ""
        label = f" ({first.label})" if first.label else ""
        return f"{self.name or 'rules'}:{line}:{column}: {first.message}{label}{more}"


def place_of(problem: Problem, text: str) -> Place:
    """The line and column of a problem."""
    start = min(problem.start, len(text))
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", start)
    line_end = len(text) if line_end < 0 else line_end
    length = max(1, min(problem.end, line_end) - start)
    return Place(text.count("\n", 0, start) + 1, start - line_start + 1, length)


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the known word that looks most like this one, or nothing."""
    by_fold = {candidate.lower(): candidate for candidate in sorted(known)}
    found = difflib.get_close_matches(name.lower()[:40], by_fold, n=1, cutoff=0.6)
    return f"did you mean '{by_fold[found[0]]}'?" if found else ""


def listed(words: Iterable[str]) -> str:
    """Words in one line, cut after some."""
    ordered = list(words)
    shown = ordered[:MOST_WORDS]
    if len(ordered) > MOST_WORDS:
        return f"{', '.join(shown)} or {len(ordered) - MOST_WORDS} others"
    return " or ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def render(problems: Sequence[Problem], text: str, name: str = "") -> str:
    """All problems (the first 20), each with the line it is in."""
    shown = [_render_one(each, text, name or "rules") for each in problems[:MOST_SHOWN]]
    if len(problems) > MOST_SHOWN:
        shown.append(f"... and {len(problems) - MOST_SHOWN} more")
    return "\n\n".join(shown)


def _render_one(problem: Problem, text: str, name: str) -> str:
    place = place_of(problem, text)
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    start = max(0, place.column - 1 - WIDEST_EXCERPT // 2) if len(line) > WIDEST_EXCERPT else 0
    cut = "".join(char if char.isprintable() else " " for char in line[start : start + WIDEST_EXCERPT])
    before = place.column - 1 - start
    caret = " " * before + "^" * max(1, min(place.length, len(cut) - before))
    gutter = " " * len(str(place.line))
    shown = [
        f"error: {problem.message}",
        f"{gutter}--> {name}:{place.line}:{place.column}",
        f"{gutter} |",
        f"{place.line} | {cut}".rstrip(),
        f"{gutter} | {caret} {problem.label}".rstrip(),
    ]
    return "\n".join(shown)
