"""The words of the rule language: one pass over the text, no step back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from lark import Token
from lark.lexer import Lexer

from twin.state.rules.problems import Problem, TextError

HARD: Final = frozenset({
    "RULE", "SELECT", "FROM", "WHERE", "FOR", "THEN", "WHEN", "AND", "OR", "NOT", "IN", "LIKE",
    "BETWEEN", "IS", "CASE", "ELSE", "END", "NULL", "TRUE", "FALSE", "AS", "DISTINCT",
})  # fmt: skip
"""Words that are never names; in double quotes or after a dot they are."""
SOFT: Final = frozenset({
    "PRIORITY", "AT", "STRICT", "AWS", "ON", "EVENT", "TIME", "LATE", "COOLDOWN", "ABSENT",
    "WINDOW", "TUMBLING", "HOPPING", "SLIDING", "SESSION", "COUNT", "STATE", "EVERY", "WITHIN",
    "UNTIL", "BY", "HAVING", "FILTER", "DESIRE", "SET", "EXPIRES", "ALARM", "PUBLISH", "QOS",
    "COMMAND", "TIMEOUT", "FORWARD", "MASK", "CLEAR", "UNDEFINED",
})  # fmt: skip
"""Words of the language that may be names of fields as well."""
SECONDS: Final = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
SIGNS: Final = {
    ",": "COMMA", ";": "SEMICOLON", "(": "LPAR", ")": "RPAR", "[": "LSQB", "]": "RSQB", "{": "LBRACE",
    "}": "RBRACE", ":": "COLON", ".": "DOT", "+": "PLUS", "-": "MINUS", "*": "STAR", "/": "SLASH",
    "%": "PERCENT", "=": "EQUAL", "<": "COMP", ">": "COMP", "<=": "COMP", ">=": "COMP", "<>": "COMP",
    "!=": "COMP",
}  # fmt: skip

_TOKEN: Final = re.compile(
    r"""
    (?P<skip>   \s+ | --[^\n]*                                    )
  | (?P<string> '(?:[^'\n]|'')*'                                  )
  | (?P<quoted> "[^"\n]{1,100}"                                   )
  | (?P<time>   [0-9]+(?:\.[0-9]+)?[ ]?(?:ms|sec|s|min|m|h|d)\b   )
  | (?P<number> [0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?(?![A-Za-z_]) )
  | (?P<word>   [A-Za-z_][A-Za-z0-9_]*                            )
  | (?P<sign>   <> | <= | >= | != | [,;()\[\]{}:.+*/%=<>-]        )
    """,
    re.VERBOSE,
)


class RuleLexer(Lexer):
    """Cuts a text into the terminals of the grammar."""

    def __init__(self, conf: Any) -> None:
        """Lark hands over its configuration, of which nothing is needed."""

    def lex(self, data: str) -> Iterator[Token]:  # type: ignore[override]  # a text
        """The tokens of a text. Raises TextError where there is none."""
        position, was_dot = 0, False
        while position < len(data):
            found = _TOKEN.match(data, position)
            if found is None:
                raise TextError(_unknown(data, position))
            kind, text = found.lastgroup or "", found[0]
            if kind != "skip":
                type_ = _type(kind, text, was_dot)
                yield Token(type_, text, position, end_pos=found.end())
                was_dot = type_ == "DOT"
            position = found.end()


def _type(kind: str, text: str, was_dot: bool) -> str:
    """The terminal that a text is."""
    match kind:
        case "word":
            word = text.upper()
            return word if word in HARD | SOFT and not was_dot else "NAME"
        case "sign":
            return SIGNS[text]
        case "time":
            return "DURATION"
    return {"string": "STRING", "quoted": "QUOTED", "number": "NUMBER"}[kind]


def _unknown(data: str, position: int) -> Problem:
    char = data[position]
    if char in "'\"":
        end = data.find("\n", position)
        return Problem(
            f"a text that begins with {char} does not end on its line", position, max(end, position)
        )
    if char.isdigit():
        end = position + len(re.match(r"\w*", data[position:])[0])  # type: ignore[index]
        message = f"{data[position : min(end, position + 40)]!r} is neither a number nor a duration"
        return Problem(message, position, end, f"durations end in {', '.join(SECONDS)}")
    hint = {"&": "write AND", "|": "write OR", "!": "write NOT or !=", "$": "put topics in quotes"}
    shown = char if char.isprintable() else f"U+{ord(char):04X}"
    return Problem(f"{shown!r} cannot stand here", position, position + 1, hint.get(char, ""))


def seconds_of(text: str) -> float:
    """The duration that a token says."""
    found = re.fullmatch(r"([0-9.]+) ?([a-z]+)", text)
    if found is None:  # the lexer lets nothing else through
        raise ValueError(text)
    factor = SECONDS[found[2]]
    return float(found[1]) / 1000.0 if factor == 1e-3 else float(found[1]) * factor


def text_of(token: str) -> str:
    """What stands in quotes."""
    return token[1:-1].replace("''", "'") if token[0] == "'" else token[1:-1]
