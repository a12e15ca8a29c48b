"""InfluxDB's line protocol over HTTP: InfluxDB 1, 2 and 3, QuestDB, VictoriaMetrics; no client package.

A point is told from another by its measurement, tags and time. What a service takes in at once has one time:
so the time is kept to the millisecond, and its last six digits, in nanoseconds, come from the record's key.
Records of one moment stay as many, and one sent twice stays one.
"""

from __future__ import annotations

import http.client
import zlib
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from twin.errors import InputError
from twin.live.sinks.address import Address
from twin.live.sinks.port import CALL_S, Record, RejectedError
from twin.state.rules.sinks import SinkError

OPTIONS: Final = ("org", "measurement")
MEASUREMENT: Final = "windtunnel"
PORT: Final = 8086
OK_CODES: Final = (200, 204)
REJECTED_CODES: Final = (400, 413, 422)
REFUSED_CODES: Final = (401, 403)
TAG: Final = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ ", "\n": "_", "\r": "_", "\t": "\\t", "\\": "/"})
TEXT: Final = str.maketrans({'"': '\\"', "\\": "\\\\"})
MILLISECONDS: Final = 1_000
KEYS: Final = 1_000_000
"""Nanoseconds of a millisecond, which tell records of one moment apart."""


@dataclass(slots=True)
class InfluxSink:
    """With `org` the URL's password is a token and the path a bucket (2 and later), else a database (1)."""

    address: Address
    _connection: http.client.HTTPConnection | None = field(init=False, default=None)

    def open(self) -> None:
        """Connect; whether we may write is known with the first record."""
        where = self.address
        if not where.name:
            raise InputError("an InfluxDB sink needs a database, as in influx+http://host:8086/records")
        is_tls = where.scheme.endswith("https")
        make = http.client.HTTPSConnection if is_tls else http.client.HTTPConnection
        self._connection = make(where.host, where.port or PORT, timeout=CALL_S)
        self._ask("GET", "/ping")

    def write(self, records: Sequence[Record]) -> None:
        """One request a batch."""
        where = self.address
        measurement = where.options.get("measurement", MEASUREMENT)
        body = "\n".join(points_of(records, measurement)).encode()
        if org := where.options.get("org"):
            query = {"org": org, "bucket": where.name, "precision": "ns"}
            status, text = self._ask("POST", f"/api/v2/write?{urlencode(query)}", body)
        else:
            status, text = self._ask(
                "POST", f"/write?{urlencode({'db': where.name, 'precision': 'ns'})}", body
            )
        if status in REJECTED_CODES:
            raise RejectedError(text)
        if status in REFUSED_CODES:
            raise SinkError(f"{where.shown} refuses us: {text}")
        if status not in OK_CODES:
            raise SinkError(f"{where.shown}: {status} {text}")

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        if self._connection is None:
            raise SinkError(f"{self.address.shown} is not open")
        try:
            self._connection.request(method, path, body, self._headers())
            answer = self._connection.getresponse()
            return answer.status, answer.read(2_000).decode(errors="replace").strip()
        except (OSError, http.client.HTTPException) as error:
            raise SinkError(f"{self.address.shown}: {error or type(error).__name__}") from None

    def _headers(self) -> dict[str, str]:
        where = self.address
        if "org" in where.options:
            return {"Authorization": f"Token {where.password}"}
        if where.user:
            secret = b64encode(f"{where.user}:{where.password}".encode()).decode()
            return {"Authorization": f"Basic {secret}"}
        return {}


def points_of(records: Sequence[Record], measurement: str) -> Iterator[str]:
    """The lines of a batch; where two would be one point, the later one is a nanosecond on."""
    taken: set[tuple[str, str, int]] = set()
    for record in records:
        moment = int(record.at_s * MILLISECONDS) * KEYS + zlib.crc32(record.key.encode()) % KEYS
        while (record.thing, record.topic, moment) in taken:
            moment += 1
        taken.add((record.thing, record.topic, moment))
        yield f"{_point(record, measurement)} {moment}"


def _point(record: Record, measurement: str) -> str:
    """A record as a line without its time: thing and topic are tags, the leaves of its document fields.

    Its key is one field more.

    JSON does not tell 1 from 1.0, so every number is a float: a field must not change its type.
    """
    tags = "".join(
        f",{name}={text}"
        for name, text in (("thing", _tag(record.thing)), ("topic", _tag(record.topic)))
        if text
    )
    try:
        document = msgspec.json.decode(record.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = {"payload": b64encode(record.payload).decode()}
    fields = {name: value for name, value in _leaves(document, "") if name != "key"}
    written = ",".join(f"{_tag(name)}={value}" for name, value in fields.items())
    key = f"key={_text(record.key)}"
    return f"{_tag(measurement)}{tags} {f'{written},{key}' if written else key}"


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for name, inner in value.items():
                yield from _leaves(inner, f"{path}.{name}" if path else name)
        case list():
            for index, inner in enumerate(value):
                yield from _leaves(inner, f"{path}.{index}" if path else str(index))
        case bool():
            yield path or "value", "true" if value else "false"
        case int() | float():
            yield path or "value", repr(float(value))
        case str():
            yield path or "value", _text(value)


def _tag(text: str) -> str:
    return text.translate(TAG)


def _text(text: str) -> str:
    return f'"{text.translate(TEXT)}"'
