"""Measured traces: record the time TCP connections take to a host, and read such a file again.

The file is CSV with the header `seconds,round_trip_s`; an empty round trip means that no answer came.
"""

from __future__ import annotations

import csv
import math
import socket
import time
from itertools import pairwise
from pathlib import Path

from twin.errors import InputError

MOST_SAMPLES = 10_000
CONNECT_TIMEOUT_S = 5.0
MOST_FILE_BYTES = 5_000_000
HEADER = ["seconds", "round_trip_s"]

TracePoint = tuple[float, float | None]


def record(
    host: str,
    port: int,
    samples: int,
    interval_s: float,
    out: Path,
    *,
    timeout_s: float = CONNECT_TIMEOUT_S,
) -> list[TracePoint]:
    """Connect `samples` times, one each `interval_s` seconds, write the trace and return it.

    The duration of connect() is one round trip. Raise InputError for a host that is not known and for
    bounds that are exceeded.
    """
    if not 1 <= samples <= MOST_SAMPLES:
        raise InputError(f"a recording takes 1 to {MOST_SAMPLES} samples, not {samples}")
    if not interval_s > 0:
        raise InputError(f"the interval of a recording must be above zero, not {interval_s} s")
    address = _resolve(host, port)
    start_s = time.perf_counter()
    points: list[TracePoint] = []
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for number in range(samples):
            time.sleep(max(0.0, start_s + number * interval_s - time.perf_counter()))
            seconds = round(time.perf_counter() - start_s, 6)
            round_trip_s = _connect_s(address, timeout_s)
            points.append((seconds, round_trip_s))
            writer.writerow([f"{seconds:.6f}", "" if round_trip_s is None else f"{round_trip_s:.6f}"])
            file.flush()
    return points


def read_trace(path: Path) -> list[TracePoint]:
    """The points of a trace file; raise InputError that names the file and the line."""
    lines = _lines(path)
    if not lines or lines[0] != HEADER:
        raise InputError(f"{path}:1: a trace begins with the header {','.join(HEADER)}")
    numbered = [(row, _point(path, row, cells)) for row, cells in enumerate(lines[1:], start=2) if cells]
    if not numbered:
        raise InputError(f"{path}: a trace needs a measurement or more after its header")
    for (_, before), (row, after) in pairwise(numbered):
        if after[0] <= before[0]:
            raise InputError(f"{path}:{row}: {after[0]} s is not later than the {before[0]} s before it")
    return [point for _, point in numbered]


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str | int, ...]]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InputError(f"the host {host!r} is not known: {error}") from None
    return family, address  # type: ignore[return-value]


def _connect_s(address: tuple[socket.AddressFamily, tuple[str | int, ...]], timeout_s: float) -> float | None:
    """Seconds a connection took, None if there was none within the time-out."""
    family, where = address
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        start_s = time.perf_counter()
        try:
            connection.connect(where)
        except OSError:
            return None
        return time.perf_counter() - start_s


def _lines(path: Path) -> list[list[str]]:
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise InputError(f"{path}: a trace of more than {MOST_FILE_BYTES} bytes is too long")
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: this is no CSV text: {error}") from None


def _point(path: Path, number: int, cells: list[str]) -> TracePoint:
    if len(cells) != 2:
        raise InputError(f"{path}:{number}: two columns are wanted, {len(cells)} found")
    seconds = _number(path, number, cells[0])
    return seconds, _number(path, number, cells[1]) if cells[1].strip() else None


def _number(path: Path, number: int, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise InputError(f"{path}:{number}: {cell!r} is no number of seconds (0 or more)")
    return value
