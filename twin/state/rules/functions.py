"""What a compiled rule calls: operators and functions that know Undefined and never raise.

Undefined is the empty tuple: false in a test, and no value of JSON. A condition is True, False or Undefined.
A number is an int or float, never a bool; integers beyond 64 bits become floats, and what is not finite is
Undefined, so nothing grows without bound.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

U: Final[Any] = ()
LONGEST_TEXT: Final = 65_536
LONGEST_NAME: Final = 128
LARGEST_INT: Final = 2**63
_NUMBERS: Final = (int, float)
_DECIMAL: Final = re.compile(
    r"[-+]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][-+]?[0-9]{1,3})?"
)


def is_number(value: Any) -> bool:
    """Whether a value is a number; a truth value is none."""
    return value.__class__ in _NUMBERS


def bounded(value: Any) -> Any:
    """A number as the language keeps it."""
    if value.__class__ is int:
        return value if -LARGEST_INT <= value <= LARGEST_INT else to_float(value)
    return value if math.isfinite(value) else U


def to_float(value: int) -> Any:
    """A whole number as a float, Undefined if there is none."""
    try:
        return float(value)
    except OverflowError:
        return U


def decimal(value: Any) -> Any:
    """AWS's conversion: a number, or the number that a text looks like."""
    if is_number(value):
        return value
    if value.__class__ is str and len(value) < 400 and _DECIMAL.fullmatch(value.strip()):
        number = float(value)
        if number == int_of(number) and "." not in value and "e" not in value.lower():
            return int(number) if abs(number) < 2**53 else number
        return bounded(number)
    return U


def int_of(number: float) -> Any:
    """The whole number that a finite float is nearest to zero."""
    return math.trunc(number) if math.isfinite(number) else U


# conditions ----------------------------------------------------------------------------------------------


def logical(value: Any) -> Any:
    """A value where a condition stands: anything but true and false is Undefined."""
    return value if value.__class__ is bool else U


def aws_logical(value: Any) -> Any:
    """The same with AWS's conversion: the texts `true` and `false` count."""
    if value.__class__ is str:
        return {"true": True, "false": False}.get(value.lower(), U) if len(value) < 6 else U
    return logical(value)


def aws_and(*values: Any) -> Any:
    """AWS's AND: Undefined if one is."""
    found = [aws_logical(each) for each in values]
    return U if any(each is U for each in found) else all(found)


def aws_or(*values: Any) -> Any:
    """AWS's OR: Undefined if one is."""
    found = [aws_logical(each) for each in values]
    return U if any(each is U for each in found) else any(found)


def aws_not(value: Any) -> Any:
    """AWS's NOT."""
    found = aws_logical(value)
    return U if found is U else not found


_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def ordering(sign: str) -> Callable[[Any, Any], Any]:
    """A comparison of two numbers or two texts; anything else is Undefined."""
    holds = _ORDERS[sign]

    def compare(a: Any, b: Any) -> Any:
        if a.__class__ in _NUMBERS and b.__class__ in _NUMBERS:
            return holds(a, b)
        return holds(a, b) if a.__class__ is str and b.__class__ is str else U

    return compare


def aws_ordering(sign: str) -> Callable[[Any, Any], Any]:
    """AWS's comparison: both sides as numbers."""
    holds = _ORDERS[sign]

    def compare(a: Any, b: Any) -> Any:
        a, b = decimal(a), decimal(b)
        return U if a is U or b is U else holds(a, b)

    return compare


def equal(a: Any, b: Any) -> Any:
    """Equal in kind and value, whatever is inside; Undefined if one side is."""
    if a is U or b is U:
        return U
    waiting = [(a, b)]
    while waiting:
        a, b = waiting.pop()
        if a.__class__ in _NUMBERS and b.__class__ in _NUMBERS:
            if a != b:
                return False
        elif a.__class__ is not b.__class__ or (a.__class__ in (list, dict) and len(a) != len(b)):
            return False
        elif a.__class__ is list:
            waiting += zip(a, b)
        elif a.__class__ is dict:
            if a.keys() != b.keys():
                return False
            waiting += ((a[key], b[key]) for key in a)
        elif a != b:
            return False
    return True


def unequal(a: Any, b: Any) -> Any:
    """The opposite of equal."""
    found = equal(a, b)
    return U if found is U else not found


def among(value: Any, *choices: Any) -> Any:
    """Whether a value equals one of the choices."""
    found = [equal(value, each) for each in choices]
    if True in found:
        return True
    return U if any(each is U for each in found) else False


_AT_LEAST, _AT_MOST = ordering(">="), ordering("<=")
_AWS_AT_LEAST, _AWS_AT_MOST = aws_ordering(">="), aws_ordering("<=")


def between(value: Any, low: Any, high: Any) -> Any:
    """Whether a value lies between two others, or is one of them."""
    return _both(_AT_LEAST(value, low), _AT_MOST(value, high))


def aws_between(value: Any, low: Any, high: Any) -> Any:
    """The same with AWS's conversions."""
    return _both(_AWS_AT_LEAST(value, low), _AWS_AT_MOST(value, high))


def _both(a: Any, b: Any) -> Any:
    if a is False or b is False:
        return False
    return U if a is U or b is U else True


def glob(pattern: str) -> Callable[[str], bool]:
    """Whether a text fits a pattern of `*` (any text) and `?` (one character); time grows with the text only.

    Each part between two `*` is taken at the first place where it fits, which is always right.
    """
    texts = pattern.split("*")
    parts = ["".join("." if char == "?" else re.escape(char) for char in each) for each in texts]
    first, *middle = [re.compile(part, re.DOTALL) for part in parts]
    last = middle.pop() if middle else None
    last_length = len(texts[-1])

    def fits(text: str) -> bool:
        if last is None:
            return first.fullmatch(text) is not None
        found = first.match(text)
        for part in middle:
            found = found and part.search(text, found.end())
        end = len(text) - last_length
        return found is not None and end >= found.end() and last.fullmatch(text, end) is not None

    return fits


def like(value: Any, fits: Callable[[str], bool]) -> Any:
    """LIKE: of texts only."""
    return fits(value) if value.__class__ is str else U


# values --------------------------------------------------------------------------------------------------


def get(value: Any, key: str) -> Any:
    """A member of an object."""
    return value.get(key, U) if value.__class__ is dict else U


def item(value: Any, index: int) -> Any:
    """An element of an array."""
    return value[index] if value.__class__ is list and index < len(value) else U


def _arithmetic(work: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def calculate(a: Any, b: Any) -> Any:
        if a.__class__ not in _NUMBERS or b.__class__ not in _NUMBERS:
            return U
        try:
            return bounded(work(a, b))
        except (ZeroDivisionError, OverflowError):
            return U

    return calculate


subtract = _arithmetic(operator.sub)
multiply = _arithmetic(operator.mul)
divide = _arithmetic(operator.truediv)
_plus = _arithmetic(operator.add)
remainder = _arithmetic(
    lambda a, b: math.fmod(a, b) if float in (a.__class__, b.__class__) else _whole_rest(a, b)
)


def _whole_rest(a: int, b: int) -> int:
    """The rest with the sign of the dividend, as SQL has it."""
    return a - b * _truncated(a, b)


def _truncated(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def add(a: Any, b: Any) -> Any:
    """The sum of two numbers, or two texts one after the other."""
    if a.__class__ is str and b.__class__ is str:
        return a + b if len(a) + len(b) <= LONGEST_TEXT else U
    return _plus(a, b)


def aws_add(a: Any, b: Any) -> Any:
    """AWS's +: with a text on one side, the other becomes a text."""
    if a.__class__ is str or b.__class__ is str:
        return concat(a, b)
    return _plus(a, b)


def aws_arithmetic(work: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """An operator with AWS's conversion of texts."""
    return lambda a, b: work(decimal(a), decimal(b))


def aws_divide(a: Any, b: Any) -> Any:
    """AWS's /: two whole numbers give a whole number."""
    a, b = decimal(a), decimal(b)
    if a.__class__ is int and b.__class__ is int:
        return _truncated(a, b) if b else U
    return divide(a, b)


def negative(value: Any) -> Any:
    """The opposite of a number."""
    return bounded(-value) if is_number(value) else U


def text(value: Any) -> Any:
    """A value as text; JSON for arrays and objects."""
    if value.__class__ is str:
        return value
    if value is U:
        return U
    found = msgspec.json.encode(value).decode()
    return found if len(found) <= LONGEST_TEXT else U


def concat(*values: Any) -> Any:
    """Texts one after the other."""
    parts = [text(each) for each in values]
    if any(each is U for each in parts) or sum(map(len, parts)) > LONGEST_TEXT:
        return U
    return "".join(parts)


def shown(*values: Any) -> Any:
    """A text for people: what is Undefined is said to be."""
    return concat(*("undefined" if each is U else each for each in values))


def safe(value: Any) -> Any:
    """A value that is put into the name of a thing or one level of a topic: no wildcard, no further level."""
    found = text(value) if value.__class__ in {str, int} else U
    is_unsafe = not 0 < len(found) <= LONGEST_NAME or any(c in "*?+#/" or not c.isprintable() for c in found)
    return U if is_unsafe else found


def safe_topic(value: Any) -> Any:
    """A whole topic that is put into another one: no wildcard."""
    return U if value.__class__ is not str or any(char in "+#\0" for char in value) else value


def make_object(keys: tuple[str, ...], *values: Any) -> dict[str, Any]:
    """An object without the members that are Undefined."""
    return {key: value for key, value in zip(keys, values) if value is not U}


def make_array(*values: Any) -> list[Any]:
    """An array; what is Undefined becomes null."""
    return [None if value is U else value for value in values]


# functions -----------------------------------------------------------------------------------------------


def _of_number(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: bounded(work(value)) if is_number(value) else U


def _of_text(work: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda value: work(value) if value.__class__ is str else U


def rounded(value: Any, digits: Any = 0) -> Any:
    """To so many digits (0 to 12), halves away from zero."""
    if not is_number(value) or digits.__class__ is not int or not 0 <= digits <= 12:
        return U
    scaled = abs(value) * 10**digits
    if not scaled < 2**53:
        return value
    whole = math.floor(scaled + 0.5)
    return math.copysign(whole / 10**digits, value) if digits else int(math.copysign(whole, value))


def length(value: Any) -> Any:
    """Characters of a text, elements of an array."""
    return len(value) if value.__class__ in (str, list) else U


def substring(value: Any, start: Any, end: Any = None) -> Any:
    """From one position (from 0) up to another one, or to the end."""
    is_whole = start.__class__ is int and (end is None or end.__class__ is int)
    if value.__class__ is not str or not is_whole or start < 0 or (end or 0) < 0:
        return U
    return value[start:] if end is None else value[start:end]


def coalesce(*values: Any) -> Any:
    """The first value that is neither Undefined nor null."""
    return next((each for each in values if each is not U and each is not None), U)


def two_texts(work: Callable[[str, str], Any]) -> Callable[[Any, Any], Any]:
    """A function of two texts."""
    return lambda a, b: work(a, b) if a.__class__ is str and b.__class__ is str else U


class Function(NamedTuple):
    """A function: its usual name, how many arguments it takes, whether it asks the message."""

    name: str
    work: Callable[..., Any]
    least: int
    most: int
    asks_message: bool = False
    is_condition: bool = False


_ALL: Final = (
    Function("abs", _of_number(abs), 1, 1),
    Function("ceil", _of_number(math.ceil), 1, 1),
    Function("clientid", lambda m: m.client or U, 0, 0, asks_message=True),
    Function("coalesce", coalesce, 1, 20),
    Function("concat", concat, 1, 20),
    Function("endswith", two_texts(str.endswith), 2, 2, is_condition=True),
    Function("floor", _of_number(math.floor), 1, 1),
    Function("indexof", two_texts(str.find), 2, 2),
    Function("is_null", lambda value: value is None, 1, 1, is_condition=True),
    Function("is_undefined", lambda value: value is U, 1, 1, is_condition=True),
    Function("length", length, 1, 1),
    Function("lower", _of_text(str.lower), 1, 1),
    Function("now", lambda m: m.now_s, 0, 0, asks_message=True),
    Function("number", decimal, 1, 1),
    Function("round", rounded, 1, 2),
    Function("shadow", lambda m, thing, path: m.shadow(thing, path), 2, 2, asks_message=True),
    Function("startswith", two_texts(str.startswith), 2, 2, is_condition=True),
    Function("substring", substring, 2, 3),
    Function("text", text, 1, 1),
    Function("thing", lambda m: m.thing or U, 0, 0, asks_message=True),
    Function("timestamp", lambda m: round(m.now_s * 1000.0), 0, 0, asks_message=True),
    Function("topic", lambda m, level=0: m.level(level), 0, 1, asks_message=True),
    Function("upper", _of_text(str.upper), 1, 1),
)
FUNCTIONS: Final = {each.name.replace("_", ""): each for each in _ALL}
"""Every function by its name in small letters without underscores."""
