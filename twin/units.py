"""Quantities: text with a unit outside, SI numbers inside.

Written `250 ms`, `2 Mbit/s`, `64 kB`, `95 %`; read once, at the edge, into seconds, bit/s, bytes, shares
(0..1), metres, watts and joules. The annotated aliases at the end mark the fields of data classes and
pydantic models; pydantic itself is imported only when a schema is asked for.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from twin.errors import InputError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

MAX_TEXT_LENGTH = 60


class QuantityError(InputError, ValueError):
    """A text that is no quantity of the kind asked for; the message proposes what to write."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit: SI value = `factor` * number + `offset`; shown from `least` of its own units on."""

    factor: float
    offset: float = 0.0
    least: float | None = 1.0


@dataclass(frozen=True, slots=True)
class Kind:
    """What is measured: its name with an article, its units (smallest first), the usual ones, its limits."""

    noun: str
    units: dict[str, Unit]
    usual: tuple[str, ...]
    is_signed: bool = False
    whole: str = ""
    most: float = math.inf


def _spelling(factor: float, offset: float = 0.0) -> Unit:
    """A unit that is read, and never written."""
    return Unit(factor, offset, least=None)


KINDS: dict[str, Kind] = {
    "time": Kind(
        "a duration",
        {
            "ns": Unit(1e-9),
            "us": Unit(1e-6),
            "µs": _spelling(1e-6),
            "ms": Unit(1e-3),
            "s": Unit(1.0),
            "min": Unit(60.0, least=2.0),
            "h": Unit(3600.0, least=2.0),
            "d": Unit(86400.0, least=2.0),
        },
        ("ms", "s"),
    ),
    "rate": Kind(
        "a bit rate",
        {
            "bit/s": Unit(1.0),
            "kbit/s": Unit(1e3),
            "Mbit/s": Unit(1e6),
            "Gbit/s": Unit(1e9),
            "B/s": _spelling(8.0),
            "kB/s": _spelling(8e3),
            "MB/s": _spelling(8e6),
            "GB/s": _spelling(8e9),
        },
        ("kbit/s", "Mbit/s"),
    ),
    "size": Kind(
        "a size",
        {
            "B": Unit(1.0),
            "kB": Unit(1e3),
            "MB": Unit(1e6),
            "GB": Unit(1e9),
            "KiB": _spelling(1024.0),
            "MiB": _spelling(1024.0**2),
            "GiB": _spelling(1024.0**3),
        },
        ("B", "kB"),
        whole="bytes",
    ),
    "ratio": Kind("a share", {"%": Unit(0.01)}, ("%",), most=1.0),
    "distance": Kind(
        "a distance",
        {"mm": Unit(1e-3), "cm": _spelling(1e-2), "m": Unit(1.0), "km": Unit(1e3)},
        ("m", "km"),
    ),
    "celsius": Kind(
        "a temperature",
        {"C": Unit(1.0), "°C": _spelling(1.0), "K": _spelling(1.0, -273.15)},
        ("C",),
        is_signed=True,
    ),
    "kelvin": Kind(
        "a temperature",
        {"K": Unit(1.0), "C": _spelling(1.0, 273.15), "°C": _spelling(1.0, 273.15)},
        ("C", "K"),
    ),
    "power": Kind(
        "a power", {"mW": Unit(1e-3), "W": Unit(1.0), "kW": Unit(1e3), "MW": Unit(1e6)}, ("W", "kW")
    ),
    "energy": Kind(
        "an energy",
        {"J": Unit(1.0), "kJ": Unit(1e3), "MJ": Unit(1e6), "GJ": Unit(1e9), "Wh": _spelling(3600.0)},
        ("kJ", "MJ"),
    ),
    "charge": Kind(
        "a charge",
        {"mAh": Unit(3.6), "Ah": _spelling(3600.0), "C": _spelling(1.0)},
        ("mAh",),
    ),
    "frequency": Kind(
        "a frequency",
        {"/d": _spelling(1 / 86400), "/h": _spelling(1 / 3600), "/min": _spelling(1 / 60), "/s": Unit(1.0)},
        ("/s", "/min"),
    ),
    "messages": Kind(
        "a number of messages",
        {"messages": Unit(1.0), "message": _spelling(1.0)},
        ("messages",),
        whole="messages",
    ),
}
"""Every kind of quantity by the name that `parse`, `format_quantity` and `Quantity` take."""

NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
_QUANTITY = re.compile(rf"({NUMBER})\s*(\D.*)?")


def parse(kind: str, text: object) -> float:
    """The SI value of a text such as `250 ms`. A share may also be a bare number from 0 to 1.

    Raises QuantityError, saying what to write, for anything that is no such quantity.
    """
    known = KINDS[kind]
    number, unit = _split(kind, text)
    value = number * unit.factor + unit.offset
    if unit.factor < 1 and (inverse := round(1 / unit.factor)) * unit.factor == 1:
        value = number / inverse + unit.offset  # 231 ms is 0.231 s, and not 0.23100000000000001
    if not math.isfinite(value):
        raise QuantityError(f"{text!r} is too large")
    if value < 0 and not known.is_signed and kind != "time":
        raise QuantityError(f"{known.noun} cannot be negative")
    if value > known.most:
        raise QuantityError(f"{known.noun} cannot be more than {format_quantity(kind, known.most)}")
    if known.whole:
        value = round(value, 6)  # 67.1 MB is 67100000 bytes, and not 67099999.99999999
    if known.whole and value != int(value):
        raise QuantityError(f"{known.noun} is a whole number of {known.whole}; {text!r} is not")
    return value


def _split(kind: str, text: object) -> tuple[float, Unit]:
    known = KINDS[kind]
    if isinstance(text, int | float) and not isinstance(text, bool):
        return _bare(kind, text), Unit(1.0)
    if not isinstance(text, str) or len(text) > MAX_TEXT_LENGTH:
        raise QuantityError(f"expected {known.noun} such as {_examples(known, '5')}")
    found = _QUANTITY.fullmatch(text.strip())
    if found is None:
        raise QuantityError(f"{text!r} is not {known.noun}; write one such as {_examples(known, '5')}")
    if found[2] is None:
        return _bare(kind, float(found[1]), found[1]), Unit(1.0)
    name = found[2].strip()
    if name not in known.units:
        raise QuantityError(_unknown_unit(known, found[1], name))
    return float(found[1]), known.units[name]


def _bare(kind: str, number: float, text: str | None = None) -> float:
    """A number without unit: right for a share from 0 to 1 only."""
    known = KINDS[kind]
    shown = text or f"{number:g}"
    if kind != "ratio":
        raise QuantityError(f"{known.noun} needs a unit: write {_examples(known, shown)}")
    if not 0 <= number <= 1:
        raise QuantityError(f"a share lies between 0 and 1: write '{shown} %' if {shown} % is meant")
    return number


def _examples(known: Kind, number: str) -> str:
    return " or ".join(f"'{number}{'' if unit[0] == '/' else ' '}{unit}'" for unit in known.usual)


def _unknown_unit(known: Kind, number: str, name: str) -> str:
    same = {unit.lower(): unit for unit in known.units}
    near = same.get(name.lower()) or same.get(_SLIPS.get(name.lower(), ""))
    advice = f"did you mean '{number} {near}'? " if near else ""
    return f"unknown unit '{name}' for {known.noun}; {advice}known: {', '.join(known.units)}"


_SLIPS = {
    "m": "min", "mins": "min", "minute": "min", "minutes": "min", "sec": "s", "secs": "s", "second": "s",
    "seconds": "s", "msec": "ms", "hour": "h", "hours": "h", "hr": "h", "day": "d", "days": "d",
    "bps": "bit/s", "kbps": "kbit/s", "mbps": "mbit/s", "gbps": "gbit/s", "kb/s": "kb/s", "mb": "mb",
    "byte": "b", "bytes": "b", "percent": "%", "meter": "m", "metre": "m", "meters": "m", "metres": "m",
    "msg": "messages", "msgs": "messages", "hz": "/s",
}  # fmt: skip
"""Spellings people use, and the unit (lower case) they mean."""


def format_quantity(kind: str, value: float) -> str:
    """The SI value in its most readable unit, with three significant digits: `0.231` -> `231 ms`."""
    if not math.isfinite(value):
        return "infinite"
    shown = [(name, unit) for name, unit in KINDS[kind].units.items() if unit.least is not None]
    name, unit = shown[0] if value else next((pair for pair in shown if pair[1].factor == 1), shown[0])
    for candidate, its_unit in shown[1:]:
        if value and abs(value) >= _threshold(its_unit):
            name, unit = candidate, its_unit
    return f"{_three_digits((value - unit.offset) / unit.factor)}{'' if name == '/s' else ' '}{name}"


def _threshold(unit: Unit) -> float:
    """From this SI value on the unit is used; half of the last digit below it rounds up into it."""
    return unit.factor * (unit.least or 1.0) * (1 - 5e-4)


def _three_digits(number: float) -> str:
    if abs(number) < 1e-4 or abs(number) >= 1e9:
        return f"{number:.3g}"
    return f"{float(f'{number:.3g}'):.7f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Quantity:
    """Marks a field as a quantity of a kind: text with a unit outside, an SI number inside."""

    kind: str
    is_signed: bool = False

    def read(self, text: object) -> float | int:
        """The SI number; an int for sizes and counts. Raises QuantityError."""
        known = KINDS[self.kind]
        value = parse(self.kind, text)
        if value < 0 and not (self.is_signed or known.is_signed):
            raise QuantityError(f"{known.noun} cannot be negative here")
        return int(value) if known.whole else value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return json_schema(self.kind)


def json_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of a quantity as it is written: a string with one of the units."""
    known = KINDS[kind]
    names = "|".join(re.escape(name).replace(r"\%", "%") for name in known.units)
    text = {"type": "string", "pattern": rf"^\s*{NUMBER}\s*({names})\s*$"}
    shown = {
        "description": f"{known.noun} with its unit: {', '.join(known.units)}",
        "examples": [f"5 {unit}" for unit in known.usual],
    }
    if kind == "ratio":
        return {"anyOf": [text, {"type": "number", "minimum": 0, "maximum": 1}], **shown}
    return {**text, **shown}


Seconds: TypeAlias = Annotated[float, Quantity("time")]
SignedSeconds: TypeAlias = Annotated[float, Quantity("time", is_signed=True)]
Bytes: TypeAlias = Annotated[int, Quantity("size")]
BitsPerSecond: TypeAlias = Annotated[float, Quantity("rate")]
Ratio: TypeAlias = Annotated[float, Quantity("ratio")]
Metres: TypeAlias = Annotated[float, Quantity("distance")]
Celsius: TypeAlias = Annotated[float, Quantity("celsius")]
Kelvin: TypeAlias = Annotated[float, Quantity("kelvin")]
Watts: TypeAlias = Annotated[float, Quantity("power")]
Joules: TypeAlias = Annotated[float, Quantity("energy")]
Coulombs: TypeAlias = Annotated[float, Quantity("charge")]
PerSecond: TypeAlias = Annotated[float, Quantity("frequency")]
MessageCount: TypeAlias = Annotated[int, Quantity("messages")]
