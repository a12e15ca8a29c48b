"""From a URL to a sink: the scheme chooses the adapter."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Final, NamedTuple

from twin.errors import InputError
from twin.live.sinks.address import Address, address
from twin.live.sinks.port import RecordSink
from twin.live.sinks.worker import Batching, SinkWorker


class Kind(NamedTuple):
    """A kind of backend: its adapter, the client package and extra it needs, how it is written to."""

    module: str
    sink: str
    form: str
    package: str = ""
    extra: str = ""
    batching: Batching = Batching()
    can_answer: bool = False


KINDS: Final = {
    "postgresql": Kind(
        "postgres", "PostgresSink", "postgresql://user@host/database", "psycopg", "postgres", can_answer=True
    ),
    "redis": Kind("redis_state", "RedisSink", "redis://host/0", "redis", "redis", can_answer=True),
    "kafka": Kind("kafka", "KafkaSink", "kafka://host:9092/topic", "confluent_kafka", "kafka"),
    "s3": Kind("s3", "S3Sink", "s3://bucket/folder", "boto3", "s3", Batching(5_000, 1.0)),
    "influx+http": Kind("influx", "InfluxSink", "influx+http://host:8086/database"),
    "sqlite": Kind("sqlite", "SqliteSink", "sqlite:records.sqlite", can_answer=True),
    "file": Kind("lines", "LinesSink", "file:records.jsonl"),
}
ALIASES: Final = {"postgres": "postgresql", "rediss": "redis", "influx+https": "influx+http"}


def kind_of(url: str) -> Kind:
    """The kind of backend that a URL means. Raises InputError with the nearest that there is."""
    scheme, colon, _ = url.partition(":")
    name = ALIASES.get(scheme, scheme)
    if colon and name in KINDS:
        return KINDS[name]
    near = difflib.get_close_matches(scheme, KINDS, 1)
    hint = f"; did you mean {KINDS[near[0]].form}?" if near else ";"
    forms = ", ".join(kind.form for kind in KINDS.values())
    raise InputError(f"{scheme if colon else url!r} is no backend{hint} There are: {forms}")


def is_installed(kind: Kind) -> bool:
    """Whether the client package of a kind is there."""
    return not kind.package or find_spec(kind.package) is not None


def opened(name: str, url: str) -> tuple[RecordSink, Address]:
    """The sink of a URL, not connected yet, and where it is. Raises InputError."""
    kind = kind_of(url)
    module = import_module(f"twin.live.sinks.{kind.module}")
    make: Callable[..., RecordSink] = getattr(module, kind.sink)
    known: Sequence[str] = getattr(module, "OPTIONS", ())
    where = address(url, name, known)
    return make(where), where


def worker(name: str, url: str, report: Callable[[str], None] = lambda _: None) -> SinkWorker:
    """A sink with its thread, not started yet. Raises InputError."""
    sink, where = opened(name, url)
    return SinkWorker(name, sink, kind_of(url).batching, report=report, shown=where.shown)
