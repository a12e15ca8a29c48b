"""Reports for machines and consoles: JUnit XML, Markdown for a CI summary, a terminal table, JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from scenarios.report.markup import display_width, escape, one_line, shorten
from scenarios.report.wording import (
    LIMITS,
    SYMBOLS,
    expectations,
    headline,
    judgement,
    repeat_command,
    requirement_names,
    requirement_of,
    signed,
)
from scenarios.results import RequirementResult, Study, VariantResult, Verdict, encode

LEAST_WIDTH = 40
MOST_LINES = 4
INDENT = "    "
_COLOURS: dict[Verdict, str] = {"PASS": "\x1b[32m", "FAIL": "\x1b[31m", "INCONCLUSIVE": "\x1b[33m"}
_PLAIN = "\x1b[0m"
_MARKDOWN_SIGNS = re.compile(r"([\\`*_{}\[\]()#+!|~$@:.-])")
_BETWEEN_WORDS = re.compile(r"(?<!\d) +| +(?![%\u00b5a-zA-Z])")  # a figure keeps its unit
_GAP = 2
Detail = Literal["value", "word", "symbol"]
_DETAILS: tuple[Detail, ...] = ("value", "word", "symbol")
Judged = tuple[VariantResult, RequirementResult]


def as_json(study: Study) -> bytes:
    """The study as JSON with sorted keys; `scenarios.results.decode` reads it."""
    return encode(study)


def _judged(study: Study) -> list[Judged]:
    return [(variant, requirement) for variant in study.variants for requirement in variant.requirements]


# JUnit XML


def junit(study: Study) -> str:
    """JUnit XML: a suite a variant, a case a requirement.

    FAIL is a failure, INCONCLUSIVE an error (never a silent pass). As with pytest's xfail, a failure the
    author expected is skipped, and a pass where a failure was expected is a failure.
    """
    suites = "".join(_suite(study, variant) for variant in study.variants)
    outcomes = [_outcome(variant, requirement) for variant, requirement in _judged(study)]
    name = escape(one_line(study.scenario_title))
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites name="{name}" {_counts(outcomes)} '
        f'time="{study.duration_s:.3f}">\n{suites}</testsuites>\n'
    )


def _suite(study: Study, variant: VariantResult) -> str:
    outcomes = [_outcome(variant, requirement) for requirement in variant.requirements]
    cases = "".join(_case(study, variant, requirement) for requirement in variant.requirements)
    return (
        f' <testsuite name="{escape(one_line(variant.name))}" {_counts(outcomes)} '
        f'time="{variant.wall_s:.3f}" timestamp="{escape(one_line(study.created))}">\n{cases} </testsuite>\n'
    )


def _counts(outcomes: Sequence[str]) -> str:
    failures, errors, skipped = (outcomes.count(kind) for kind in ("failure", "error", "skipped"))
    return f'tests="{len(outcomes)}" failures="{failures}" errors="{errors}" skipped="{skipped}"'


def _outcome(variant: VariantResult, requirement: RequirementResult) -> str:
    if requirement.verdict == "INCONCLUSIVE":
        return "error"
    match variant.expectation(requirement):
        case "expected":
            return "skipped"
        case "unexpected":
            return "failure"
        case _:
            return "failure" if requirement.verdict == "FAIL" else ""


def _case(study: Study, variant: VariantResult, requirement: RequirementResult) -> str:
    outcome = _outcome(variant, requirement)
    name, suite = escape(one_line(requirement.name)), escape(one_line(variant.name))
    content = ""
    if outcome:
        surprise = " but expected to fail" if requirement.verdict == "PASS" else ""
        message = escape(f"{requirement.verdict}{surprise}: {one_line(judgement(requirement))}")
        repeat = escape(one_line(repeat_command(study, variant.name, requirement.worst_seed)))
        content = (
            f'\n   <{outcome} type="{requirement.verdict}" message="{message}">'
            f"{escape(one_line(requirement.expect))}\nrepeat: {repeat}</{outcome}>\n  "
        )
    return f'  <testcase classname="{suite}" name="{name}">{content}</testcase>\n'


# Markdown


def markdown(study: Study) -> str:
    """Markdown for a CI summary: the answer, the matrix, one line for each requirement not met."""
    names = requirement_names(study)
    lines = [f"## {_inert(study.scenario_title)}", "", f"**{headline(study)}** {expectations(study)}".strip()]
    lines += ["", _markdown_row(["Variant", *map(_inert, names)]), "|---" * (len(names) + 1) + "|"]
    lines += [
        _markdown_row([_inert(v.name), *(_markdown_cell(v, name) for name in names)]) for v in study.variants
    ]
    lines += ["", *(_markdown_reason(study, v, r) for v, r in _judged(study) if r.verdict != "PASS")]
    lines += ["", f"Repeat: {_code(repeat_command(study))}", "", LIMITS]
    return "\n".join(lines) + "\n"


def _inert(text: str) -> str:
    """The text on one line with every sign of Markdown and HTML taken literally."""
    return _MARKDOWN_SIGNS.sub(r"\\\1", escape(one_line(text)).replace("&#x27;", "'").replace("&quot;", '"'))


def _code(text: str) -> str:
    """The text as a code span: fenced by more backticks than it holds."""
    line = one_line(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(variant: VariantResult, name: str) -> str:
    requirement = requirement_of(variant, name)
    if requirement is None:
        return "not asked"
    said = variant.expectation(requirement)
    note = {"expected": " (expected)", "unexpected": " (**not expected**)", "": ""}[said]
    return f"{SYMBOLS[requirement.verdict]} {requirement.verdict}{note}"


def _markdown_reason(study: Study, variant: VariantResult, requirement: RequirementResult) -> str:
    repeat = repeat_command(study, variant.name, requirement.worst_seed)
    what = _inert(judgement(requirement))
    return f"- **{_inert(variant.name)}**, {_inert(requirement.name)}: {what}. {_code(repeat)}"


# Terminal


def terminal_table(study: Study, *, is_colour: bool, width: int) -> str:
    """A table of variants and verdicts that keeps within `width` columns, then why each was not met."""
    room = max(width, LEAST_WIDTH)
    names = requirement_names(study)
    parts = [
        [shorten(one_line(study.scenario_title), room), shorten(headline(study), room), ""],
        _matrix(study, names, room, is_colour=is_colour),
        ["", *(line for index, name in enumerate(names, 1) for line in _legend(study, index, name, room))],
        ["", *(line for pair in _judged(study) for line in _reason(study, *pair, room))],
    ]
    return "\n".join(line.rstrip() for part in parts for line in part).rstrip() + "\n"


def _matrix(study: Study, names: Sequence[str], room: int, *, is_colour: bool) -> list[str]:
    """The table with as much detail as the room allows; the variants' names give way last."""
    for detail in _DETAILS:
        rows = _cells(study, names, detail)
        widths = [max(display_width(row[i]) for row in rows) + _GAP for i in range(len(rows[0]))]
        left = room - sum(widths[1:])
        if left >= min(widths[0], 16):
            break
    widths[0] = min(widths[0], max(left, 8))
    return [_row(row, widths, is_colour=is_colour) for row in rows]


def _cells(study: Study, names: Sequence[str], detail: Detail) -> list[list[str]]:
    has_margin = detail != "symbol"
    head = ["variant", *(f"[{index}]" for index in range(1, len(names) + 1))]
    rows = [head + ["margin"] * has_margin]
    for variant in study.variants:
        cells = [_cell(requirement_of(variant, name), detail) for name in names]
        rows.append([one_line(variant.name), *cells, *[_margin(variant)] * has_margin])
    return rows


def _cell(requirement: RequirementResult | None, detail: Detail) -> str:
    if requirement is None:
        return "-"
    parts = [SYMBOLS[requirement.verdict]]
    if detail != "symbol":
        parts.append(requirement.verdict)
    if detail == "value":
        parts.append(one_line(requirement.value_text))
    return " ".join(part for part in parts if part)


def _margin(variant: VariantResult) -> str:
    if variant.aset_s is None or variant.rset_s is None:
        return "-"
    return signed(variant.aset_s - variant.rset_s, "s")


def _row(cells: Sequence[str], widths: Sequence[int], *, is_colour: bool) -> str:
    texts = [shorten(cell, width - _GAP) for cell, width in zip(cells, widths)]
    padded = [text + " " * (width - display_width(text)) for text, width in zip(texts, widths)]
    return "".join(_painted(text) if is_colour and index else text for index, text in enumerate(padded))


def _painted(text: str) -> str:
    verdict = next((v for v, symbol in SYMBOLS.items() if text.startswith(f"{symbol} ")), None)
    return f"{_COLOURS[verdict]}{text}{_PLAIN}" if verdict else text


def _wrapped(text: str, room: int) -> list[str]:
    """The text on lines of at most `room` columns, broken between words; what is too long is cut."""
    lines = [""]
    for word in _BETWEEN_WORDS.split(one_line(text).strip()):
        longer = f"{lines[-1]} {word}" if lines[-1].strip() else lines[-1] + word
        if display_width(longer) <= room or not lines[-1].strip():
            lines[-1] = longer
        elif len(lines) == MOST_LINES:
            lines[-1] = longer + " \u2026"
            break
        else:
            lines.append(INDENT + word)
    return [shorten(line, room) for line in lines]


def _legend(study: Study, index: int, name: str, room: int) -> list[str]:
    first = next(r for _, r in _judged(study) if r.name == name)
    return _wrapped(f"[{index}] {name}: {first.expect}", room)


def _reason(study: Study, variant: VariantResult, requirement: RequirementResult, room: int) -> list[str]:
    if requirement.verdict == "PASS":
        return []
    said = {"expected": " (expected)", "unexpected": " (not expected)", "": ""}[
        variant.expectation(requirement)
    ]
    what = (
        f"{SYMBOLS[requirement.verdict]} {variant.name}, {requirement.name}{said}: {judgement(requirement)}"
    )
    repeat = repeat_command(study, variant.name, requirement.worst_seed)
    return [*_wrapped(what, room), f"  {one_line(repeat)}"]
