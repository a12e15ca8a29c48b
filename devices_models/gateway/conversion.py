"""Protocol conversion: bytes of field protocols (registers, radio frames) to and from JSON, by table.

`data/layouts.csv` lists the fields of each kind's frame in their order: type, scale, source. Numbers
are big-endian; all bits set means that the value is not known.
"""

from __future__ import annotations

import csv
import struct
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from devices_models.publications import fields_of
from twin.errors import InputError
from twin.message import Message

FORMATS = {"bool": "B", "u8": "B", "u16": "H", "u32": "I"}


class Cell(NamedTuple):
    """One field of a frame; the value is the number times `scale`."""

    field: str
    type: str
    scale: float

    @property
    def unknown(self) -> int:
        """The number that stands for an unknown value."""
        return int((1 << 8 * struct.calcsize(FORMATS[self.type])) - 1)

    def number(self, value: float | None) -> int:
        """The number in the frame, kept within what the type can hold."""
        if value is None:
            return self.unknown
        return min(max(round(value / self.scale), 0), self.unknown - 1)

    def value(self, number: int) -> float | bool | None:
        """The value that the number stands for."""
        if number == self.unknown:
            return None
        return bool(number) if self.type == "bool" else round(number * self.scale, 9)


class Layout(NamedTuple):
    """A kind's frame: its fields in order, and their packing."""

    cells: tuple[Cell, ...]
    packing: struct.Struct


@cache
def layouts() -> dict[str, Layout]:
    """The layout of each kind that has one."""
    text = (files(__package__) / "data" / "layouts.csv").read_text(encoding="utf-8")
    cells: dict[str, list[Cell]] = {}
    for row in csv.DictReader(text.splitlines()):
        cells.setdefault(row["kind"], []).append(Cell(row["field"], row["type"], float(row["scale"])))
    return {kind: _layout(tuple(ordered)) for kind, ordered in cells.items()}


def _layout(cells: tuple[Cell, ...]) -> Layout:
    return Layout(cells, struct.Struct(">" + "".join(FORMATS[cell.type] for cell in cells)))


def encode(kind: str, message: Message) -> Message:
    """The same message with the frame of its kind for a payload; the time stamp does not fit in.

    Raises InputError for a kind without a layout.
    """
    layout = layouts().get(kind)
    if layout is None:
        raise InputError(f"no binary layout for {kind!r}; there is one for {', '.join(sorted(layouts()))}")
    fields = fields_of(message.payload) or {}
    numbers = [cell.number(fields.get(cell.field)) for cell in layout.cells]
    return replace(message, payload=layout.packing.pack(*numbers))


def decode(kind: str, payload: bytes, now_s: float) -> dict[str, Any] | None:
    """The fields of a frame, stamped with the time of its arrival; None if it is no frame of this kind."""
    layout = layouts().get(kind)
    if layout is None or len(payload) != layout.packing.size:
        return None
    values = {cell.field: cell.value(n) for cell, n in zip(layout.cells, layout.packing.unpack(payload))}
    return {"ts": round(now_s * 1000.0), **values}


def to_json(kind: str, message: Message, now_s: float) -> Message:
    """The message with a JSON payload if it held a frame of its kind, else as it is."""
    if message.payload[:1] == b"{":
        return message
    fields = decode(kind, message.payload, now_s)
    return message if fields is None else replace(message, payload=msgspec.json.encode(fields))
