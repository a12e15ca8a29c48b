"""The Payload message of Sparkplug B (Eclipse Sparkplug 3.0, sparkplug_b.proto), without a protobuf package.

Fields are read and written as the wire format of Protocol Buffers has them: a key (number * 8 + wire type),
then a varint (0), eight bytes (1), bytes with their length (2) or four bytes (5). Metadata, property sets,
data sets and templates are skipped when read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final

import msgspec

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
LONGEST_VARINT: Final = 10
MASK_32, MASK_64 = 2**32 - 1, 2**64 - 1
METRIC_LIMIT: Final = 100_000


class Datatype(IntEnum):
    """The types of values that are written here, by their numbers in the specification."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    BYTES = 17


SIGNED_BITS: Final = {Datatype.INT8: 32, Datatype.INT16: 32, Datatype.INT32: 32, Datatype.INT64: 64}
LONG: Final = {
    Datatype.UINT32,
    Datatype.INT64,
    Datatype.UINT64,
    Datatype.DATETIME,
}  # field 11, as Tahu has it
TEXTS: Final = {Datatype.STRING, Datatype.TEXT, Datatype.UUID}


class SparkplugError(ValueError):
    """Bytes that are no Payload, or a value that its type cannot hold."""


class Metric(msgspec.Struct, frozen=True):
    """A value under a name, an alias, or both; times are milliseconds since 1970. None is null."""

    name: str = ""
    value: int | float | bool | str | bytes | None = None
    datatype: Datatype | None = None
    alias: int | None = None
    timestamp_ms: int | None = None
    is_historical: bool = False


class Payload(msgspec.Struct, frozen=True):
    """What a Sparkplug message carries."""

    timestamp_ms: int | None = None
    metrics: tuple[Metric, ...] = ()
    seq: int | None = None


def datatype_of(value: float | bool | str | bytes) -> Datatype:
    """The type that holds any value of this kind from JSON."""
    match value:
        case bool():
            return Datatype.BOOLEAN
        case int():
            return Datatype.INT64
        case float():
            return Datatype.DOUBLE
        case bytes():
            return Datatype.BYTES
    return Datatype.STRING


# writing -------------------------------------------------------------------------------------------------


def encode(payload: Payload) -> bytes:
    """The bytes of a payload. Raises SparkplugError for a value that its type cannot hold."""
    parts = [] if payload.timestamp_ms is None else [_number(1, payload.timestamp_ms)]
    parts += [_bytes(2, _metric(each)) for each in payload.metrics]
    if payload.seq is not None:
        parts.append(_number(3, payload.seq))
    return b"".join(parts)


def _metric(metric: Metric) -> bytes:
    parts = [_bytes(1, metric.name.encode())] if metric.name else []
    if metric.alias is not None:
        parts.append(_number(2, metric.alias))
    if metric.timestamp_ms is not None:
        parts.append(_number(3, metric.timestamp_ms))
    kind = metric.datatype
    if kind is None and metric.value is not None:
        kind = datatype_of(metric.value)
    if metric.datatype is not None:
        parts.append(_number(4, metric.datatype))
    if metric.is_historical:
        parts.append(_number(5, 1))
    parts.append(_number(7, 1) if metric.value is None or kind is None else _value(metric.value, kind))
    return b"".join(parts)


def _value(value: Any, kind: Datatype) -> bytes:
    try:
        match kind:
            case Datatype.FLOAT:
                return _key(12, FOUR) + struct.pack("<f", value)
            case Datatype.DOUBLE:
                return _key(13, EIGHT) + struct.pack("<d", value)
            case Datatype.BOOLEAN:
                return _number(14, int(bool(value)))
            case Datatype.STRING | Datatype.TEXT | Datatype.UUID:
                return _bytes(15, value.encode())
            case Datatype.BYTES:
                return _bytes(16, bytes(value))
        return _number(11 if kind in LONG else 10, _whole(value, kind))
    except (struct.error, OverflowError, AttributeError, TypeError, ValueError) as error:
        raise SparkplugError(f"{value!r} is no {kind.name}: {error}") from None


def _whole(value: int, kind: Datatype) -> int:
    """A whole number as the unsigned one that stands for it."""
    bits = {"8": 8, "6": 16, "2": 32, "4": 64}[kind.name[-1]] if kind is not Datatype.DATETIME else 64
    is_signed = kind in SIGNED_BITS
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    if not low <= value <= high or value != int(value):
        raise ValueError(f"expected a whole number from {low} to {high}")
    return int(value) & (MASK_64 if kind in LONG else MASK_32)


def _key(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def _number(number: int, value: int) -> bytes:
    return _key(number, VARINT) + varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _key(number, BYTES) + varint(len(value)) + value


def varint(value: int) -> bytes:
    """An unsigned number, seven bits a byte, the lowest first."""
    if not 0 <= value <= MASK_64:
        raise SparkplugError(f"{value} does not fit into 64 bits")
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


# reading -------------------------------------------------------------------------------------------------


def decode(data: bytes) -> Payload:
    """The payload of bytes. Raises SparkplugError for those that are none."""
    timestamp_ms = seq = None
    metrics: list[Metric] = []
    for number, value in _fields(data):
        match number, value:
            case 1, int():
                timestamp_ms = value
            case 2, bytes() if len(metrics) < METRIC_LIMIT:
                metrics.append(_read_metric(value))
            case 3, int():
                seq = value
    return Payload(timestamp_ms, tuple(metrics), seq)


def _read_metric(data: bytes) -> Metric:
    found = dict(_fields(data))
    kind = found.get(4)
    known = {each.value for each in Datatype}
    datatype = Datatype(kind) if isinstance(kind, int) and kind in known else None
    return Metric(
        name=_text(found.get(1, b"")),
        value=None if found.get(7) else _read_value(found, datatype),
        datatype=datatype,
        alias=_whole_or_none(found.get(2)),
        timestamp_ms=_whole_or_none(found.get(3)),
        is_historical=bool(found.get(5)),
    )


def _whole_or_none(value: int | bytes | None) -> int | None:
    return value if isinstance(value, int) else None


def _read_value(found: dict[int, int | bytes], kind: Datatype | None) -> Any:
    """The value, whichever field has it; without a type a whole number stays unsigned."""
    for number in (10, 11, 12, 13, 14, 15, 16):
        if number not in found:
            continue
        value = found[number]
        match number, value:
            case 10 | 11, int():
                bits = SIGNED_BITS.get(kind) if kind is not None else None
                return value - 2**bits if bits and value >= 2 ** (bits - 1) else value
            case 12, bytes() if len(value) == struct.calcsize("<f"):
                return struct.unpack("<f", value)[0]
            case 13, bytes() if len(value) == struct.calcsize("<d"):
                return struct.unpack("<d", value)[0]
            case 14, int():
                return bool(value)
            case 15, bytes():
                return _text(value)
            case 16, bytes():
                return value
        raise SparkplugError(f"field {number} of a metric has a wire type of another")
    return None


def _text(value: int | bytes) -> str:
    if not isinstance(value, bytes):
        raise SparkplugError("a number stands where a text is expected")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise SparkplugError("a text is not UTF-8") from None


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        if wire == BYTES:
            size, at = _read_varint(data, at)
        elif wire in (EIGHT, FOUR):
            size = 8 if wire == EIGHT else 4
        else:
            raise SparkplugError(f"wire type {wire} is none of Sparkplug's")
        if at + size > len(data):
            raise SparkplugError(f"field {number} goes on after the end")
        yield number, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(LONGEST_VARINT):
        if at + index >= len(data):
            raise SparkplugError("the payload ends within a number")
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value & MASK_64, at + index + 1
    raise SparkplugError("a number is longer than ten bytes")
