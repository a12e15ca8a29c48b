"""Requirement expressions: `max(alarm -> gate_open) < 35 s and count(request_failed) == 0`.

    expression := clause ("and" clause)*
    clause     := value comparison quantity
    value      := function "(" metric ")"               max min mean median count sum last rate p50 ... p99.9
                | "share" "(" metric comparison quantity ")"
                | "bytes" "(" name "," "leaving" name ")"
    metric     := name [("->" | "=>") name] ["during" name | "after" quantity]
    comparison := "<" | "<=" | ">" | ">=" | "==" | "!="

`a -> b` is the time from the first `a` of the run to the first `b` at or after it, a sample for each node
that reports `b`. `a => b` is the time from `a` to `b` along a message chain, a sample for each chain that has
an `a`; a chain without a `b` is left out only if it may still have been under way when the run ended. Read by
recursive descent; nothing is ever evaluated as code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal, NoReturn, TypeAlias

from scenarios.format.issues import nearest
from twin import units
from twin.errors import InputError

LONGEST_EXPRESSION = 500
MOST_CLAUSES = 20

Comparison: TypeAlias = Literal["<", "<=", ">", ">=", "==", "!="]
FUNCTIONS = ("max", "min", "mean", "median", "count", "sum", "last", "rate", "share", "bytes")
QUANTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,6})?)")


class ExpressionError(InputError):
    """A text that is no requirement: what is wrong, where in it (from 0), and what to write."""

    def __init__(self, message: str, column: int, length: int = 1, advice: str = "") -> None:
        super().__init__(f"{message}{f' ({advice})' if advice else ''}")
        self.message = message
        self.column = column
        self.length = length
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Name:
    """A name in the text, and where it stands."""

    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Limit:
    """A quantity in SI units; `kind` is a key of `twin.units.KINDS`, or empty for a plain number."""

    value: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class During:
    """Only while a fault is at work."""

    fault: Name


@dataclass(frozen=True, slots=True)
class After:
    """Only from this time on (seconds)."""

    at_s: float
    text: str


Window: TypeAlias = During | After | None


@dataclass(frozen=True, slots=True)
class Measure:
    """The values of a measure."""

    name: Name
    window: Window = None


@dataclass(frozen=True, slots=True)
class Latency:
    """`start -> end`: from the first start in the run to the end, at each node."""

    start: Name
    end: Name
    window: Window = None


@dataclass(frozen=True, slots=True)
class ChainLatency:
    """`start => end`: from start to end along each message chain."""

    start: Name
    end: Name
    window: Window = None


Metric: TypeAlias = Measure | Latency | ChainLatency


@dataclass(frozen=True, slots=True)
class Statistic:
    """A function of all samples of a metric; `level` is the quantile's, from 0 to 1."""

    function: str
    metric: Metric
    level: float = 0.0


@dataclass(frozen=True, slots=True)
class Share:
    """The share of samples that keep a limit."""

    metric: Metric
    comparison: Comparison
    limit: Limit


@dataclass(frozen=True, slots=True)
class BytesLeaving:
    """Payload bytes of a kind that left a place."""

    kind: Name
    scope: Name


Value: TypeAlias = Statistic | Share | BytesLeaving


@dataclass(frozen=True, slots=True)
class Clause:
    """One comparison of a value with a limit; `text` is what was written."""

    value: Value
    comparison: Comparison
    limit: Limit
    text: str


@dataclass(frozen=True, slots=True)
class Expression:
    """Clauses that must all hold."""

    clauses: tuple[Clause, ...]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric used."""
        return tuple(c.value.metric for c in self.clauses if not isinstance(c.value, BytesLeaving))

    @property
    def measures(self) -> tuple[Name, ...]:
        """Every measure named."""
        named = ((m.name,) if isinstance(m, Measure) else (m.start, m.end) for m in self.metrics)
        return tuple(name for names in named for name in names)

    @property
    def faults(self) -> tuple[Name, ...]:
        """Every fault named after `during`."""
        return tuple(m.window.fault for m in self.metrics if isinstance(m.window, During))

    @property
    def scopes(self) -> tuple[Name, ...]:
        """Every place named after `leaving`."""
        return tuple(c.value.scope for c in self.clauses if isinstance(c.value, BytesLeaving))


_TOKEN = re.compile(
    rf"""\s*(?:
    (?P<quantity>{units.NUMBER}\s*(?:%|/[a-z]+|(?!and\b|or\b|during\b|after\b)°?[A-Za-zµ]+(?:/[a-z]+)?)?)
  | (?P<name>[A-Za-z_]\w*(?:[.-]\w+)*)
  | (?P<sign>->|=>|<=|>=|==|!=|[<>(),])
  | (?P<end>$)
  )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    position = 0
    while not found or found[-1].kind != "end":
        match = _TOKEN.match(text, position)
        if match is None:
            column = position + len(text[position:]) - len(text[position:].lstrip())
            advice = "write '==' for equal" if text[column] == "=" else ""
            raise ExpressionError(f"'{text[column]}' cannot stand here", column, advice=advice)
        kind = match.lastgroup or ""
        found.append(_Token(kind, match[kind].strip(), match.start(kind)))
        position = match.end()
    return found


@cache
def parse(text: str) -> Expression:
    """The expression in a text. Raises ExpressionError with the place of what is wrong."""
    if len(text) > LONGEST_EXPRESSION:
        message = f"the expression has {len(text)} characters; the limit is {LONGEST_EXPRESSION}"
        raise ExpressionError(message, 0, len(text))
    return _Parser(text).expression()


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0

    def expression(self) -> Expression:
        clauses = [self._clause()]
        while self._take("and"):
            clauses.append(self._clause())
            if len(clauses) > MOST_CLAUSES:
                raise ExpressionError(f"more than {MOST_CLAUSES} clauses", 0, len(self._text))
        token = self._peek()
        if token.text in {"during", "after"}:
            self._fail(
                f"'{token.text}' belongs inside the brackets", advice="write max(a -> b during partition)"
            )
        if token.kind != "end":
            self._fail("expected 'and' or the end")
        return Expression(tuple(clauses))

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _advance(self) -> _Token:
        token = self._peek()
        self._next += 1
        return token

    def _take(self, text: str) -> bool:
        if self._peek().text != text:
            return False
        self._next += 1
        return True

    def _fail(self, message: str, *, advice: str = "") -> NoReturn:
        token = self._peek()
        found = f"; found '{token.text}'" if token.kind != "end" else "; the text ends"
        shown = message if "belongs" in message else f"{message}{found}"
        raise ExpressionError(shown, token.column, max(1, len(token.text)), advice)

    def _expect(self, text: str, advice: str = "") -> None:
        if not self._take(text):
            self._fail(f"expected '{text}'", advice=advice)

    def _name(self, what: str) -> Name:
        if self._peek().kind != "name":
            self._fail(f"expected {what}")
        token = self._advance()
        return Name(token.text, token.column)

    def _clause(self) -> Clause:
        start = self._peek().column
        value = self._value()
        comparison = self._comparison()
        limit = self._limit(_kind_of(value))
        last = self._tokens[self._next - 1]
        return Clause(value, comparison, limit, self._text[start : last.column + len(last.text)])

    def _value(self) -> Value:
        function = self._name("a function such as max, p99, count or share")
        level = _quantile_level(function.text)
        if function.text not in FUNCTIONS and level is None:
            _unknown_function(function, self._peek().text)
        self._expect("(", f"write {function.text}(...)")
        if function.text == "bytes":
            value: Value = self._bytes()
        elif function.text == "share":
            metric = self._metric()
            value = Share(metric, self._comparison(), self._limit(_kind_of_samples(metric)))
        else:
            value = Statistic(function.text if level is None else "quantile", self._metric(), level or 0.0)
        self._expect(")")
        return value

    def _bytes(self) -> BytesLeaving:
        kind = self._name("a kind of bytes, such as 'personal'")
        if kind.text not in {"personal", "all"}:
            message = f"no bytes are counted as '{kind.text}'"
            raise ExpressionError(message, kind.column, len(kind.text), "write 'personal' or 'all'")
        self._expect(",", "write bytes(personal, leaving singapore)")
        self._expect("leaving", "write bytes(personal, leaving singapore)")
        return BytesLeaving(kind, self._name("a site, metro or country"))

    def _metric(self) -> Metric:
        first = self._name("the name of a measure")
        if self._take("->"):
            second = self._name("the measure that ends the latency")
            return Latency(first, second, self._window())
        if self._take("=>"):
            second = self._name("the measure that ends the chain")
            return ChainLatency(first, second, self._window())
        return Measure(first, self._window())

    def _window(self) -> Window:
        if self._take("during"):
            return During(self._name("the name of a fault"))
        if self._take("after"):
            text = self._peek().text
            return After(self._limit("time").value, text)
        return None

    def _comparison(self) -> Comparison:
        text = self._peek().text
        if text not in {"<", "<=", ">", ">=", "==", "!="}:
            self._fail("expected a comparison (< <= > >= == !=)")
        self._next += 1
        return text  # type: ignore[return-value]  # one of the six, as tested above

    def _limit(self, kind: str | None) -> Limit:
        token = self._peek()
        if token.kind != "quantity":
            self._fail("expected a quantity such as '35 s', '95 %' or '0'")
        self._next += 1
        try:
            return _read_limit(kind, token.text)
        except units.QuantityError as error:
            raise ExpressionError(str(error), token.column, len(token.text)) from error


def _unknown_function(function: Name, following: str) -> NoReturn:
    if following != "(":
        message = f"the measure '{function.text}' needs a function around it"
        advice = f"write max({function.text}{' -> ...' if following in {'->', '=>'} else ''})"
        raise ExpressionError(message, function.column, len(function.text), advice)
    near = nearest(function.text, (*FUNCTIONS, "p50", "p90", "p95", "p99"))
    advice = f"did you mean '{near}'?" if near else f"known: {', '.join(FUNCTIONS)}, p50, p90, p99, p99.9"
    raise ExpressionError(f"unknown function '{function.text}'", function.column, len(function.text), advice)


def _quantile_level(text: str) -> float | None:
    found = QUANTILE.fullmatch(text)
    return float(found[1]) / 100 if found and float(found[1]) > 0 else None


def _kind_of_samples(metric: Metric) -> str | None:
    """The kind of quantity of a metric's samples; None if only the observer knows."""
    return None if isinstance(metric, Measure) else "time"


def _kind_of(value: Value) -> str | None:
    """The kind of quantity a value is compared with; an empty text is a plain number."""
    if isinstance(value, BytesLeaving):
        return "size"
    if isinstance(value, Share):
        return "ratio"
    known = {"count": "", "rate": "frequency"}
    return known.get(value.function, _kind_of_samples(value.metric))


_FREE_KINDS = (
    "time",
    "size",
    "ratio",
    "rate",
    "distance",
    "kelvin",
    "power",
    "energy",
    "frequency",
    "messages",
)


def _read_limit(kind: str | None, text: str) -> Limit:
    """A limit of this kind; with kind None, any unit or none is right."""
    is_plain = re.fullmatch(units.NUMBER, text.strip()) is not None
    if is_plain and (not kind or (kind == "size" and float(text) == 0)):
        return Limit(float(text), kind or "", text)
    if kind == "":
        raise units.QuantityError(f"a count is a plain number; '{text}' has a unit")
    if kind is None:
        unit = re.sub(rf"^{units.NUMBER}\s*", "", text)
        kind = next((each for each in _FREE_KINDS if unit in units.KINDS[each].units), "time")
    return Limit(units.parse(kind, text), kind, text)
