"""Redis: the latest state, a hash for each thing with a field for each topic; a stream of all, if asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from twin.errors import InputError, MissingEnvironmentError
from twin.live.sinks.address import Address
from twin.live.sinks.port import CALL_S, Record, RejectedError, thing_of
from twin.state.rules.sinks import SinkError

INSTALL: Final = "the Redis client is not installed; install it: pip install 'windtunnel-iot[redis]'"
OPTIONS: Final = ("prefix", "stream", "keep")
PREFIX: Final = "windtunnel:"
STREAM_KEPT: Final = 1_000_000


@dataclass(slots=True)
class RedisSink:
    """`{prefix}latest:{thing}` has the latest payload by topic, `{prefix}{stream}` every record."""

    address: Address
    _client: Any = field(init=False, default=None)

    def open(self) -> None:
        """Connect."""
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ModuleNotFoundError:
            raise MissingEnvironmentError(INSTALL) from None
        where = self.address
        if where.name and not where.name.isdigit():
            raise InputError(f"a database of Redis is a number, as in redis://host/0; not {where.name!r}")
        if not where.options.get("keep", "1").isdigit():
            raise InputError(f"keep= is how many records the stream keeps, not {where.options['keep']!r}")
        self._client = redis.Redis(
            host=where.host.strip("[]"),
            port=where.port or 6379,
            db=int(where.name or 0),
            username=where.user or None,
            password=where.password or None,
            ssl=where.scheme == "rediss",
            socket_timeout=CALL_S,
            socket_connect_timeout=CALL_S,
            retry=Retry(NoBackoff(), 0),  # the worker tries again, and counts it
        )
        try:
            self._client.ping()
        except redis.exceptions.AuthenticationError as error:
            raise InputError(f"{where.shown} refuses us: {error}") from None
        except redis.exceptions.RedisError as error:
            raise SinkError(f"{where.shown}: {error}") from None

    def write(self, records: Sequence[Record]) -> None:
        """All of them in one transaction."""
        import redis

        pipeline = self._client.pipeline(transaction=True)
        latest: dict[str, dict[str, bytes]] = {}
        for each in records:
            latest.setdefault(each.thing, {})[each.topic] = each.payload
        for thing, fields in latest.items():
            pipeline.hset(f"{self._prefix}latest:{thing}", mapping=fields)
        if stream := self.address.options.get("stream"):
            kept = int(self.address.options.get("keep", STREAM_KEPT))
            for each in records:
                pipeline.xadd(f"{self._prefix}{stream}", _entry(each), maxlen=kept, approximate=True)
        try:
            pipeline.execute()
        except redis.exceptions.DataError as error:
            raise RejectedError(str(error)) from None
        except redis.exceptions.RedisError as error:
            raise SinkError(f"{self.address.shown}: {error}") from None

    def latest(self, topic: str) -> bytes | None:
        """What came last under the topic."""
        import redis

        try:
            value: bytes | None = self._client.hget(f"{self._prefix}latest:{thing_of(topic)}", topic)
        except redis.exceptions.RedisError as error:
            raise SinkError(f"{self.address.shown}: {error}") from None
        return value

    def close(self) -> None:
        """Let go of the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    @property
    def _prefix(self) -> str:
        return self.address.options.get("prefix", PREFIX)


def _entry(record: Record) -> dict[Any, Any]:
    return {
        "key": record.key,
        "topic": record.topic,
        "thing": record.thing,
        "at_s": repr(record.at_s),
        "payload": record.payload,
    }
