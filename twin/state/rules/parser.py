"""From the text of a rule file to rules: every rule on its own, so that one mistake hides no other."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, Final

from lark import Lark, Token, UnexpectedToken

from twin.state.rules.builder import Builder, Draft
from twin.state.rules.checks import checked
from twin.state.rules.lexer import HARD, SOFT, RuleLexer
from twin.state.rules.problems import Problem, RulesError, TextError, listed, nearest
from twin.state.rules.syntax import LONGEST_RULE, MOST_RULES_A_TOPIC, Expr, Rule

LONGEST_FILE: Final = 1_000_000
"""Characters of one rule file."""
MOST_RULES: Final = 1_000
"""Rules of one file, and of one engine."""
MOST_PROBLEMS: Final = 200

_HEAD: Final = re.compile(r"^[ \t]*RULE\b", re.IGNORECASE | re.MULTILINE)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_REMARK: Final = re.compile(r"--[^\n]*")
_NAMES: Final = {
    "NAME": "a name", "STRING": "a text in quotes", "NUMBER": "a number", "DURATION": "a duration such as 2s",
    "COMMA": "','", "SEMICOLON": "';'", "LPAR": "'('", "RPAR": "')'", "LSQB": "'['", "RSQB": "']'",
    "LBRACE": "'{'", "RBRACE": "'}'", "COLON": "':'", "EQUAL": "'='", "$END": "the end of the rule",
}  # fmt: skip
_SILENT: Final = {"QUOTED", "DOT", "PLUS", "MINUS", "STAR", "SLASH", "PERCENT", "COMP"}
_OPERAND: Final = {"NUMBER", "STRING", "NAME", "CASE", "TRUE", "NULL", "LPAR"}
_CONTINUED: Final = {"AND", "OR", "IN", "LIKE", "BETWEEN", "IS", "LSQB", "EQUAL", "LPAR", "FILTER", "NOT"}


def parse_rules(text: str, name: str = "") -> list[Rule]:
    """The rules of a file in their order. Raises RulesError with every problem that there is."""
    problems: list[Problem] = []
    rules: list[Rule] = []
    if len(text) > LONGEST_FILE:
        message = f"the file has {len(text):,} characters; the limit is {LONGEST_FILE:,}"
        raise RulesError([Problem(message, 0, 1)], text[:200], name)
    if (half := _SURROGATE.search(text)) is not None:
        message = f"U+{ord(half[0]):04X} is half of a character"
        raise RulesError([Problem(message, half.start(), half.end())], text, name)
    for start, end in _pieces(text, problems):
        try:
            rules.append(_parse_one(text, start, end))
        except TextError as error:
            problems.append(error.problem)
        except RulesError as error:
            problems += error.problems
        if len(problems) >= MOST_PROBLEMS:
            break
    problems += _clashes(rules)
    if problems:
        raise RulesError(problems, text, name)
    return rules


def parse_rule(text: str, name: str = "") -> Rule:
    """The only rule of a text. Raises RulesError."""
    rules = parse_rules(text, name)
    if len(rules) != 1:
        raise RulesError([Problem(f"one rule was expected, not {len(rules)}", 0, 1)], text, name)
    return rules[0]


def parse_expression(text: str, offset: int) -> Expr:
    """An expression that stands inside a text, at this offset of the file. Raises TextError."""
    found: Expr = _read(text, offset, "expr")
    return found


def _pieces(text: str, problems: list[Problem]) -> list[tuple[int, int]]:
    """Where each rule begins and ends; a line that begins with RULE begins one."""
    starts = [found.start() for found in _HEAD.finditer(text)]
    before = _REMARK.sub("", text[: starts[0] if starts else None]).strip()
    if before or not starts:
        found = re.search(r"\S", _REMARK.sub(lambda each: " " * len(each[0]), text))
        start = found.start() if found else 0
        word = text[start : start + 40].split(maxsplit=1)[0] if found else ""
        label = nearest(word, ["RULE"]) if word else ""
        shown = f", not {word!r}" if word else "; the file has none"
        problems.append(Problem(f"a rule begins with RULE and its name{shown}", start, start + 1, label))
    if len(starts) > MOST_RULES:
        message = f"the file has {len(starts):,} rules; the limit is {MOST_RULES:,}"
        problems.append(Problem(message, starts[MOST_RULES], starts[MOST_RULES] + 4))
        starts = starts[: MOST_RULES + 1]
        return list(pairwise(starts))
    return list(zip(starts, [*starts[1:], len(text)]))


def _parse_one(text: str, start: int, end: int) -> Rule:
    piece = text[start:end].rstrip()
    if len(piece) > LONGEST_RULE:
        message = f"the rule has {len(piece):,} characters; the limit is {LONGEST_RULE:,}"
        raise TextError(Problem(message, start, start + 4))
    draft: Draft = _read(piece, start, "start")
    return checked(draft, piece, start)


def _read(piece: str, offset: int, what: str) -> Any:
    """Parse a piece; every place in it is moved to where the piece stands in the file."""
    try:
        return _lark().parse(piece, start=what)
    except TextError as error:
        problem = error.problem
    except UnexpectedToken as error:
        problem = _unexpected(error, piece)
    moved = problem._replace(start=problem.start + offset, end=problem.end + offset)
    raise TextError(moved)


@cache
def _lark() -> Lark:
    grammar = files("twin.state.rules").joinpath("grammar.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", lexer=RuleLexer, start=["start", "expr"], transformer=Builder())


def _unexpected(error: UnexpectedToken, piece: str) -> Problem:
    token: Token = error.token
    accepted = set(error.accepts or error.expected)
    is_end = token.type == "$END"
    start = len(piece.rstrip()) if is_end else token.start_pos or 0
    end = start + 1 if is_end else token.end_pos or start + 1
    shown = f"{str(token)[:40]!r}"
    words = accepted & (HARD if "NAME" in accepted else HARD | SOFT)
    label = "" if is_end or not str(token)[0].isalpha() else nearest(str(token), words)
    reserved = token.type in HARD and "NAME" in accepted and not label
    if reserved:
        label = f'in double quotes it is a name: "{token}"'
    expected = _expected(accepted)
    message = (
        f"the rule ends too early; expected {expected}" if is_end else f"expected {expected}, not {shown}"
    )
    return Problem(message, start, end, label)


def _expected(accepted: set[str]) -> str:
    """The terminals in words that a reader of rules knows."""
    if accepted >= _OPERAND:
        return "a value: a field, a number, a text in quotes, a function or '('"
    if "THEN" in accepted:
        accepted = accepted - _CONTINUED
    if "NAME" in accepted:
        accepted = accepted - SOFT
    words = sorted(accepted & (HARD | SOFT), key=lambda word: (word != "THEN", word))
    others = [_NAMES[each] for each in sorted(accepted - HARD - SOFT - _SILENT) if each in _NAMES]
    return listed([*others, *words]) or "something else"


def _clashes(rules: Iterable[Rule]) -> list[Problem]:
    """Names given twice, and topics with too many rules."""
    problems: list[Problem] = []
    names: set[str] = set()
    per_source: dict[str, int] = {}
    for rule in rules:
        if rule.name in names:
            message = f"two rules are called '{rule.name}'"
            problems.append(Problem(message, rule.offset, rule.offset + 4, "give one another name"))
        names.add(rule.name)
        count = per_source[rule.source] = per_source.get(rule.source, 0) + 1
        if count == MOST_RULES_A_TOPIC + 1:
            message = f"more than {MOST_RULES_A_TOPIC} rules take '{rule.source}'"
            problems.append(Problem(message, rule.offset, rule.offset + 4))
    return problems
