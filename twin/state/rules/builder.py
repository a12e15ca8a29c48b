"""What the parser calls for each reduction: from tokens to expressions and the parts of a rule."""
# ruff: noqa: D102  (every method of the builder is named after the rule of the grammar that it reads)

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from lark import Token, Transformer

from twin.state.rules.lexer import seconds_of, text_of
from twin.state.rules.problems import Problem, TextError
from twin.state.rules.syntax import DEEPEST, MOST_NODES, Expr, Window, node

LARGEST_NUMBER: Final = 1e300
ARITHMETIC: Final = {"PLUS": "add", "MINUS": "sub", "STAR": "mul", "SLASH": "div", "PERCENT": "mod"}


class Name(NamedTuple):
    """A name and where it stands."""

    text: str
    start: int
    end: int


class Call(NamedTuple):
    """A call as it is written; with `has_filter` the last argument is the filter's condition."""

    name: str
    is_star: bool = False
    is_distinct: bool = False
    has_filter: bool = False


class Part(NamedTuple):
    """A header, clause or action: what it is, what it holds, where it stands."""

    what: str
    values: tuple[Any, ...]
    start: int
    end: int


@dataclass(slots=True)
class Draft:
    """A rule as it was read, before it was checked."""

    name: Name
    source: Token
    headers: list[Part] = field(default_factory=list)
    columns: list[Part] = field(default_factory=list)
    clauses: list[Part] = field(default_factory=list)
    actions: list[Part] = field(default_factory=list)
    clear: Part | None = None


def _span(children: list[Any]) -> tuple[int, int]:
    """From the first child to the last."""
    return _start(children[0]), _end(children[-1])


def _start(child: Any) -> int:
    if isinstance(child, Token):
        return child.start_pos or 0
    return _start(child[0]) if type(child) in {list, tuple} else int(child.start)


def _end(child: Any) -> int:
    if isinstance(child, Token):
        return child.end_pos or 0
    return _end(child[-1]) if type(child) in {list, tuple} else int(child.end)


def _only(children: list[Any], kind: type[Any]) -> list[Any]:
    return [child for child in children if type(child) is kind]


def _made(op: str, args: list[Expr], value: Any, children: list[Any]) -> Expr:
    """A node over its children, within the limits of a rule."""
    start, end = _span(children)
    made = node(op, *args, value=value, start=start, end=end)
    if made.depth > DEEPEST:
        raise TextError(Problem(f"the expression is nested deeper than {DEEPEST} levels", start, start + 1))
    if made.size > MOST_NODES:
        raise TextError(Problem(f"the expression has more than {MOST_NODES} parts", start, start + 1))
    return made


def _part(what: str, children: list[Any], *values: Any) -> Part:
    return Part(what, values, *_span(children))


def _has(children: list[Any], kind: str) -> bool:
    return any(isinstance(child, Token) and child.type == kind for child in children)


def _tokens(children: list[Any], kind: str) -> list[Token]:
    return [child for child in children if isinstance(child, Token) and child.type == kind]


def _durations(children: list[Any]) -> list[float]:
    return [seconds_of(each) for each in _tokens(children, "DURATION")]


class Builder(Transformer[Token, Any]):
    """One method for each rule of the grammar; the parser calls them from the leaves up."""

    # expressions ------------------------------------------------------------------------------------------

    def name(self, c: list[Any]) -> Name:
        token: Token = c[0]
        text = text_of(token) if token.type == "QUOTED" else str(token)
        return Name(text, token.start_pos or 0, token.end_pos or 0)

    def field(self, c: list[Any]) -> Expr:
        return _made("field", [], c[0].text, c)

    def number(self, c: list[Any]) -> Expr:
        return _made("literal", [], _number(c[0]), c)

    def string(self, c: list[Any]) -> Expr:
        return _made("literal", [], text_of(c[0]), c)

    def true(self, c: list[Any]) -> Expr:
        return _made("literal", [], True, c)

    def false(self, c: list[Any]) -> Expr:
        return _made("literal", [], False, c)

    def null(self, c: list[Any]) -> Expr:
        return _made("literal", [], None, c)

    def disjunction(self, c: list[Any]) -> Expr:
        return _made("or", _only(c, Expr), None, c)

    def conjunction(self, c: list[Any]) -> Expr:
        return _made("and", _only(c, Expr), None, c)

    def negation(self, c: list[Any]) -> Expr:
        return _made("not", _only(c, Expr), None, c)

    def compare(self, c: list[Any]) -> Expr:
        sign = "!=" if c[1] == "<>" else str(c[1])
        return _made("compare", [c[0], c[2]], sign, c)

    def arithmetic(self, c: list[Any]) -> Expr:
        return _made(ARITHMETIC[c[1].type], [c[0], c[2]], None, c)

    def negative(self, c: list[Any]) -> Expr:
        if c[1].op == "literal" and isinstance(c[1].value, int | float):
            return _made("literal", [], -c[1].value, c)
        return _made("neg", [c[1]], None, c)

    def among(self, c: list[Any]) -> Expr:
        return _maybe_not(c, _made("in", _only(c, Expr), None, c))

    def like(self, c: list[Any]) -> Expr:
        return _maybe_not(c, _made("like", [c[0]], text_of(c[-1]), c))

    def between(self, c: list[Any]) -> Expr:
        return _maybe_not(c, _made("between", _only(c, Expr), None, c))

    def is_what(self, c: list[Any]) -> Expr:
        return _maybe_not(c, _made("is", [c[0]], c[-1].type.lower(), c))

    def member(self, c: list[Any]) -> Expr:
        key = text_of(c[2]) if c[2].type == "QUOTED" else str(c[2])
        return _made("get", [c[0]], key, c)

    def item(self, c: list[Any]) -> Expr:
        if not c[2].isdigit() or len(c[2]) > 6:
            raise TextError(Problem("an index is a whole number from 0", _start(c[2]), _end(c[2])))
        return _made("item", [c[0]], int(c[2]), c)

    def bracket(self, c: list[Any]) -> Expr:
        return c[1]  # type: ignore[no-any-return]

    def array(self, c: list[Any]) -> Expr:
        return _made("array", _only(c, Expr), None, c)

    def entry(self, c: list[Any]) -> tuple[str, Expr]:
        key = c[0].text if isinstance(c[0], Name) else text_of(c[0])
        return key, c[2]

    def object(self, c: list[Any]) -> Expr:
        entries = _only(c, tuple)
        return _made("object", [value for _, value in entries], tuple(key for key, _ in entries), c)

    def case(self, c: list[Any]) -> Expr:
        """`CASE x WHEN v` is the same as `CASE WHEN x = v`."""
        operand = c[1] if isinstance(c[1], Expr) else None
        rest = _only(c, Expr)[1 if operand else 0 :]
        has_else = _has(c, "ELSE")
        last = rest.pop() if has_else else None
        args: list[Expr] = []
        for when, then in zip(rest[::2], rest[1::2]):
            args += [
                when if operand is None else _made("compare", [operand, when], "=", [operand, when]),
                then,
            ]
        return _made("case", [*args, *([last] if last is not None else [])], has_else, c)

    def filter(self, c: list[Any]) -> Part:
        return _part("filter", c, c[3])

    def call(self, c: list[Any]) -> Expr:
        filters = [part.values[0] for part in _only(c, Part)]
        call = Call(c[0].text.lower(), _has(c, "STAR"), _has(c, "DISTINCT"), bool(filters))
        return _made("call", [*_only(c, Expr), *filters], call, c)

    # the parts of a rule ----------------------------------------------------------------------------------

    def signed(self, c: list[Any]) -> Expr:
        value = _number(c[-1])
        return _made("literal", [], -value if len(c) > 1 else value, c)

    def priority(self, c: list[Any]) -> Part:
        return _part("PRIORITY", c, c[1].value)

    def place(self, c: list[Any]) -> Part:
        return _part("AT", c, c[1])

    def strict(self, c: list[Any]) -> Part:
        return _part("STRICT AWS", c)

    def everything(self, c: list[Any]) -> Part:
        return _part("column", c, None, None)

    def column(self, c: list[Any]) -> Part:
        return _part("column", c, c[0], None)

    def named_column(self, c: list[Any]) -> Part:
        return _part("column", c, c[0], c[2])

    def source(self, c: list[Any]) -> Part:
        return _part("ON EVENT TIME", c, *_durations(c))

    def where(self, c: list[Any]) -> Part:
        return _part("WHERE", c, c[1])

    def holds(self, c: list[Any]) -> Part:
        return _part("FOR", c, *_durations(c))

    def cooldown(self, c: list[Any]) -> Part:
        return _part("COOLDOWN", c, *_durations(c))

    def absent(self, c: list[Any]) -> Part:
        return _part("ABSENT FOR", c, *_durations(c))

    def windowed(self, c: list[Any]) -> Part:
        return _part("WINDOW", c, c[1].values[0], c[3] if len(c) > 2 else None)

    def having(self, c: list[Any]) -> Part:
        return _part("HAVING", c, c[1])

    def tumbling(self, c: list[Any]) -> Part:
        return _part("window", c, Window("tumbling", _durations(c)[0]))

    def hopping(self, c: list[Any]) -> Part:
        return _part("window", c, Window("hopping", _durations(c)[0], _durations(c)[1]))

    def sliding(self, c: list[Any]) -> Part:
        return _part("window", c, Window("sliding", _durations(c)[0]))

    def session(self, c: list[Any]) -> Part:
        times = _durations(c)
        return _part("window", c, Window("session", times[0], most_s=times[1] if len(times) > 1 else 0.0))

    def count(self, c: list[Any]) -> Part:
        counts = [_whole(each) for each in _tokens(c, "NUMBER")]
        window = Window("count", size_count=counts[0], every_count=counts[1] if len(counts) > 1 else 0)
        return _part("window", c, window)

    def state(self, c: list[Any]) -> Part:
        return _part("window", c, Window("state", opens=c[2], closes=c[4]))

    def pair(self, c: list[Any]) -> tuple[Name, Expr]:
        return c[0], c[2]

    def payload(self, c: list[Any]) -> Any:
        return c[0]

    def desire(self, c: list[Any]) -> Part:
        times = _durations(c)
        return _part("DESIRE", c, c[1], _only(c, tuple), times[0] if times else None)

    def alarm(self, c: list[Any]) -> Part:
        texts = _tokens(c, "STRING")
        thing = texts.pop() if _has(c[2:], "ON") else None
        return _part("ALARM", c, c[1], texts[0], texts[1] if len(texts) > 1 else None, thing)

    def publish(self, c: list[Any]) -> Part:
        payload = c[2] if len(c) > 2 and (isinstance(c[2], Expr) or c[2].type == "STRING") else None
        qos = _tokens(c, "NUMBER")
        return _part("PUBLISH", c, c[1], payload, qos[0] if qos else None)

    def command(self, c: list[Any]) -> Part:
        times = _durations(c)
        return _part("COMMAND", c, c[1], c[2], _only(c, tuple), times[0] if times else None)

    def forward(self, c: list[Any]) -> Part:
        names = _only(c, Name)
        return _part("FORWARD", c, names[0], names[1:])

    def actions(self, c: list[Any]) -> list[Part]:
        return _only(c, Part)

    def clear(self, c: list[Any]) -> Part:
        times = _durations(c)
        actions = c[-1] if isinstance(c[-1], list) else []
        return Part("CLEAR", (c[2], times[0] if times else 0.0, actions), _start(c[0]), _end(c[-1]))

    def rule(self, c: list[Any]) -> Draft:
        parts = _only(c, Part)
        draft = Draft(c[1], _tokens(c, "STRING")[0])
        for part in parts:
            if part.what in {"PRIORITY", "AT", "STRICT AWS", "ON EVENT TIME"}:
                draft.headers.append(part)
            elif part.what == "CLEAR":
                draft.clear = part
            else:
                (draft.columns if part.what == "column" else draft.clauses).append(part)
        draft.actions = next(child for child in c if isinstance(child, list))
        return draft

    def start(self, c: list[Any]) -> Draft:
        return c[0]  # type: ignore[no-any-return]


def _maybe_not(children: list[Any], made: Expr) -> Expr:
    return _made("not", [made], None, children) if _has(children, "NOT") else made


def _number(token: Token) -> int | float:
    if token.isdigit():
        if len(token) > 18:
            raise TextError(Problem("a whole number has at most 18 digits", _start(token), _end(token)))
        return int(token)
    value = float(token)
    if value > LARGEST_NUMBER:
        raise TextError(Problem(f"a number is at most {LARGEST_NUMBER:g}", _start(token), _end(token)))
    return value


def _whole(token: Token) -> int:
    if not token.isdigit() or len(token) > 9:
        raise TextError(Problem("a count is a whole number", _start(token), _end(token)))
    return int(token)
