"""The actions of a rule, read: texts become templates, names of severities and things are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from lark import Token

from twin.state.rules.builder import Name, Part
from twin.state.rules.lexer import text_of
from twin.state.rules.problems import Problem, TextError, nearest
from twin.state.rules.syntax import (
    AlarmAction,
    CommandAction,
    DesireAction,
    Expr,
    ForwardAction,
    PublishAction,
    RuleAction,
    node,
)

SEVERITIES: Final = ("critical", "major", "minor", "warning")
MOST_ACTIONS: Final = 20
MOST_PIECES: Final = 20
LONGEST_TIME_S: Final = 366 * 86400.0

Resolve = Callable[[Expr], Expr]
Report = Callable[..., None]


def read_actions(parts: list[Part], resolve: Resolve, report: Report) -> Iterator[RuleAction]:
    """The actions in their order. Raises TextError for what is no template."""
    if len(parts) > MOST_ACTIONS:
        report(f"a rule has at most {MOST_ACTIONS} actions", parts[MOST_ACTIONS])
    for part in parts[:MOST_ACTIONS]:
        for value in part.values:
            if isinstance(value, float) and not 0 < value <= LONGEST_TIME_S:
                report("a duration is longer than nothing, and at most 366 days", part)
        yield _read(part, resolve, report)


def _read(part: Part, resolve: Resolve, report: Report) -> RuleAction:
    values = part.values
    match part.what:
        case "DESIRE":
            pairs = _pairs(values[1], resolve, report)
            return DesireAction(_template(values[0], resolve), pairs, values[2])
        case "ALARM":
            return _alarm(part, resolve, report)
        case "PUBLISH":
            return _publish(part, resolve, report)
        case "COMMAND":
            pairs = _pairs(values[2], resolve, report)
            return CommandAction(_template(values[0], resolve), values[1].text, pairs, values[3])
    return ForwardAction(values[0].text, tuple(name.text for name in values[1]))


def _alarm(part: Part, resolve: Resolve, report: Report) -> AlarmAction:
    severity, type_, text, thing = part.values
    word = severity.text.lower()
    if word not in SEVERITIES:
        message = f"an alarm is CRITICAL, MAJOR, MINOR or WARNING, not '{severity.text}'"
        report(message, severity, nearest(word, SEVERITIES).upper().replace("DID YOU MEAN", "did you mean"))
    read = [None if each is None else _template(each, resolve) for each in (text, thing)]
    return AlarmAction(word, _template(type_, resolve), read[0], read[1])


def _publish(part: Part, resolve: Resolve, report: Report) -> PublishAction:
    topic, payload, qos = part.values
    if qos is not None and qos not in ("0", "1", "2"):
        report("a QoS is 0, 1 or 2", qos)
        qos = None
    value = payload
    if isinstance(payload, Token):
        value = _template(payload, resolve)
    elif payload is not None:
        value = resolve(payload)
    return PublishAction(_template(topic, resolve), value, 1 if qos is None else int(qos))


def _pairs(
    written: list[tuple[Name, Expr]], resolve: Resolve, report: Report
) -> tuple[tuple[str, Expr], ...]:
    names: set[str] = set()
    for name, _ in written:
        if name.text in names:
            report(f"'{name.text}' is set twice", name)
        names.add(name.text)
    return tuple((name.text, resolve(value)) for name, value in written)


def _template(token: Token, resolve: Resolve) -> Expr:
    """A text with `${expression}` in it: a literal if there is none, else its pieces."""
    from twin.state.rules.parser import parse_expression

    text, start, end = text_of(token), token.start_pos or 0, token.end_pos or 0
    pieces: list[Expr] = []
    position = 0
    while (opened := text.find("${", position)) >= 0:
        closed = _closing(text, opened + 2)
        place = start + 1 + opened + text.count("'", 0, opened)
        if closed < 0:
            raise TextError(Problem("'${' has no '}'", place, place + 2))
        if opened > position:
            pieces.append(node("literal", value=text[position:opened], start=start, end=end))
        pieces.append(resolve(parse_expression(text[opened + 2 : closed], place + 2)))
        position = closed + 1
        if len(pieces) > MOST_PIECES:
            raise TextError(Problem(f"a text has at most {MOST_PIECES} pieces", start, end))
    if not pieces:
        return node("literal", value=text, start=start, end=end)
    if position < len(text):
        pieces.append(node("literal", value=text[position:], start=start, end=end))
    return node("template", *pieces, start=start, end=end)


def _closing(text: str, position: int) -> int:
    """Where the expression ends: at a brace outside of quotes that was not opened inside."""
    depth, is_quoted = 0, False
    for index in range(position, len(text)):
        char = text[index]
        if char == "'":
            is_quoted = not is_quoted
        elif not is_quoted and char == "{":
            depth += 1
        elif not is_quoted and char == "}":
            if depth == 0:
                return index
            depth -= 1
    return -1
