"""What `--set` says: an input and its values, as a range or a list.

links.uplink.round_trip=50 ms..800 ms/6          six values, evenly spaced
links.uplink.round_trip=50 ms..2 s/6 log         evenly spaced on a logarithmic scale
nodes.rules.confirm=single, double_knock         these values
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from scenarios.format import source
from scenarios.format.issues import ScenarioError
from scenarios.sweeping.results import SweptInput
from twin.errors import InputError
from twin.units import KINDS, NUMBER

MOST_VALUES: Final = 60
USUAL_COUNT: Final = 6
LONGEST: Final = 2_000
EXAMPLE: Final = "'links.uplink.round_trip=50 ms..800 ms/6'"

_RANGE = re.compile(
    r"(?P<low>.+?)\s*\.\.\s*(?P<high>.+?)\s*"
    r"(?:/\s*(?P<count>\d+)|\bin\s+(?P<steps>\d+)(?:\s+(?P<scale>log))?\s+(?:steps|values|points))?"
    r"\s*(?P<law>log|linear)?"
)
_NUMBER = re.compile(rf"({NUMBER})\s*(\D.*)?")


def swept(text: str) -> SweptInput:
    """Read one `KEY=VALUES`. Raises InputError, saying what to write."""
    key, equals, values = (part.strip() for part in text.partition("="))
    if not equals or not key or not values:
        raise InputError(f"--set {text!r}: expected KEY=VALUES such as {EXAMPLE}")
    if len(text) > LONGEST or not text.isprintable():
        raise InputError(f"--set {key}: values are one line of at most {LONGEST} characters")
    found = _RANGE.fullmatch(values) if values.count("..") == 1 else None
    if found is None:
        return _of_list(key, _listed(key, values))
    count = int(found["count"] or found["steps"] or USUAL_COUNT)
    return over(key, found["low"], found["high"], count, is_log="log" in {found["law"], found["scale"]})


def over(key: str, low: str, high: str, count: int, *, is_log: bool = False) -> SweptInput:
    """An input over a range of so many values, the ends among them. Raises InputError."""
    if not 2 <= count <= MOST_VALUES:
        raise InputError(f"--set {key}: a range has 2 to {MOST_VALUES} values; not {count}")
    (first, unit), (last, other) = _split(key, low), _split(key, high)
    last *= _scale(key, other, unit)
    if first == last:
        raise InputError(f"--set {key}: a range needs two different ends; both are {low.strip()}")
    if is_log and min(first, last) <= 0:
        raise InputError(f"--set {key}: a logarithmic range needs ends above zero")
    numbers = _spread(first, last, count, is_log=is_log)
    if _is_whole(low) and _is_whole(high) and not unit:
        numbers = [float(round(number)) for number in numbers]
    numbers = list(dict.fromkeys(_in_wholes(number, unit) for number in numbers))
    values = [value_of(number, unit, is_whole=_is_whole(low) and _is_whole(high)) for number in numbers]
    return SweptInput(key, unit, True, is_log, values, [label_of(value) for value in values], numbers)


def value_of(number: float, unit: str, *, is_whole: bool = False) -> Any:
    """The value as a scenario writes it."""
    if not unit:
        return int(number) if is_whole and number.is_integer() else number
    return f"{number:.12g}{'' if unit.startswith('/') else ' '}{unit}"


def label_of(value: Any) -> str:
    """A value in words."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def between(input_: SweptInput, low: float, high: float) -> tuple[Any, float] | None:
    """The value half-way between two of an input, and its number; None if there is none."""
    middle = _rounded(math.sqrt(low * high) if input_.is_log else (low + high) / 2, high - low)
    is_whole = all(isinstance(value, int) for value in input_.values)
    middle = float(round(middle)) if is_whole else _in_wholes(middle, input_.unit)
    if not min(low, high) < middle < max(low, high):
        return None
    return value_of(middle, input_.unit, is_whole=is_whole), middle


def precision_in(input_: SweptInput, text: str) -> float:
    """A precision such as `10 ms` in the unit of an input. Raises InputError."""
    number, unit = _split("", text, "--refine")
    value = number * _scale(input_.key, unit, input_.unit, "--refine")
    if value <= 0:
        raise InputError(f"--refine: a precision is more than zero; not {text!r}")
    return value


def _listed(key: str, text: str) -> list[Any]:
    """The values of a list, read as a scenario file would."""
    try:
        found = source.parse(f"values: [{text}]").data["values"]
    except ScenarioError as error:
        raise InputError(
            f"--set {key}: {text!r} is no list of values ({error.issues[0].message}); quote what needs it"
        ) from None
    if not all(isinstance(value, str | int | float | bool) for value in found):
        raise InputError(f"--set {key}: each value is a number, a quantity, a word, true or false")
    if not 1 <= len(found) <= MOST_VALUES:
        raise InputError(f"--set {key}: a list has 1 to {MOST_VALUES} values; not {len(found)}")
    labels = [label_of(value) for value in found]
    twice = next((label for index, label in enumerate(labels) if label in labels[:index]), None)
    if twice is not None:
        raise InputError(f"--set {key}: {twice} stands there twice")
    return list(found)


def _of_list(key: str, values: Sequence[Any]) -> SweptInput:
    labels = [label_of(value) for value in values]
    try:
        split = [_split(key, label) for label in labels]
        unit = split[0][1]
        numbers = [number * _scale(key, its, unit) for number, its in split]
    except InputError:
        numbers = [float(index) for index in range(len(values))]
        return SweptInput(key, "", False, False, list(values), labels, numbers)
    order = sorted(range(len(values)), key=numbers.__getitem__)
    numbers = [numbers[index] for index in order]
    is_log = len(numbers) > 2 and _looks_log(numbers)
    return SweptInput(
        key, unit, True, is_log, [values[i] for i in order], [labels[i] for i in order], numbers
    )


def _looks_log(numbers: Sequence[float]) -> bool:
    """Whether each of the values is several times the one before."""
    return numbers[0] > 0 and all(after >= 1.8 * before for before, after in pairwise(numbers))


def _spread(first: float, last: float, count: int, *, is_log: bool) -> list[float]:
    shares = [index / (count - 1) for index in range(count)]
    exact = [
        first * (last / first) ** share if is_log else first + (last - first) * share for share in shares
    ]
    inner = [_rounded(number, number - before) for before, number in pairwise(exact[:-1])]
    return [first, *inner, last]


def _rounded(number: float, step: float) -> float:
    """The number, as exact as a hundredth of the step to its neighbour."""
    return round(number, 2 - math.floor(math.log10(abs(step)))) + 0.0


def _in_wholes(number: float, unit: str) -> float:
    """The nearest number that is a whole one of bytes or messages, if the unit is of such a kind."""
    kind = next((each for each in KINDS.values() if each.whole and unit in each.units), None)
    return number if kind is None else round(number * kind.units[unit].factor) / kind.units[unit].factor


def _is_whole(text: str) -> bool:
    number = _NUMBER.fullmatch(text.strip())
    return number is not None and number[1].lstrip("+-").isdigit()


def _split(key: str, text: str, option: str = "--set") -> tuple[float, str]:
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        where = f"{option} {key}".strip()
        raise InputError(f"{where}: {text.strip()!r} is no number and no quantity such as '50 ms'")
    return float(found[1]), (found[2] or "").strip()


def _scale(key: str, unit: str, wanted: str, option: str = "--set") -> float:
    """How many of the wanted unit one of this unit is."""
    if unit == wanted:
        return 1.0
    for kind in KINDS.values():
        ends = [kind.units[each] for each in (unit, wanted) if each in kind.units]
        if len(ends) == 2 and not any(end.offset for end in ends):
            return ends[0].factor / ends[1].factor
    first, second = (f"'{each}'" if each else "none" for each in (wanted, unit))
    raise InputError(f"{option} {key}: these units do not go together: {first} and {second}")
