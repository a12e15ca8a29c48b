"""The results of a QA suite as plain data: what pytest found of many scenarios, kept as a run of its own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final, Literal

import msgspec

from scenarios.results import decode
from twin.errors import InputError

SUITE: Final = "suite.json"
JUNIT: Final = "junit.xml"

Outcome = Literal["passed", "failed", "skipped", "error"]


class Case(msgspec.Struct, frozen=True):
    """One requirement in one variant of one file, as pytest judged it.

    It passed if the verdict was the one its author expected. `text` is what was printed of a failure.
    """

    file: str
    line: int
    variant: str
    requirement: str
    outcome: Outcome
    verdict: str = ""
    value_text: str = ""
    limit_text: str = ""
    replications: int = 0
    seeds: str = ""
    duration_s: float = 0.0
    text: str = ""


class Suite(msgspec.Struct, frozen=True):
    """All cases of one call of pytest, in the order they were run."""

    arguments: list[str]
    cases: list[Case]
    duration_s: float = 0.0

    def counts(self) -> dict[str, int]:
        """How many cases ended how."""
        return dict(Counter(case.outcome for case in self.cases))


def as_text(suite: Suite) -> str:
    """A line a case, the failures with their text, and the counts."""
    lines = []
    for case in suite.cases:
        name = "::".join(part for part in (case.file, case.variant, case.requirement) if part)
        lines.append(f"{case.outcome:8}  {name}  {case.value_text}".rstrip())
        lines += [f"          {line}" for line in case.text.splitlines()]
    counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(suite.counts().items()))
    return "\n".join([*lines, f"{counted} in {suite.duration_s:.1f} s"])


def read_suite(folder: Path) -> Suite | None:
    """The suite in a run's folder; None if that run was none. Raises InputError if it cannot be read."""
    path = folder / SUITE
    if not path.exists():
        return None
    try:
        return decode(path.read_bytes(), Suite)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a suite: {error}") from error
