"""Kafka: one topic, keyed by thing so that a thing's records stay in order; the record's key is a header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from twin.errors import InputError, MissingEnvironmentError
from twin.live.sinks.address import Address
from twin.live.sinks.port import CALL_S, Record, RejectedError
from twin.state.rules.sinks import SinkError

INSTALL: Final = "the Kafka client is not installed; install it: pip install 'windtunnel-iot[kafka]'"
PASSED_ON: Final = ("security.protocol", "sasl.mechanism", "ssl.ca.location", "compression.type")
OPTIONS: Final = ("brokers", *PASSED_ON)
POLL_S: Final = 0.1


@dataclass(slots=True)
class KafkaSink:
    """Written when every in-sync replica has it. What one attempt delivered the next leaves out."""

    address: Address
    _producer: Any = field(init=False, default=None)
    _delivered: set[str] = field(init=False, default_factory=set)
    _refusal: str = field(init=False, default="")

    def open(self) -> None:
        """Connect, and see that somebody answers."""
        try:
            from confluent_kafka import KafkaException, Producer
        except ModuleNotFoundError:
            raise MissingEnvironmentError(INSTALL) from None
        if not self.address.name:
            raise InputError("a Kafka sink needs a topic, as in kafka://host:9092/records")
        self._refusal = ""
        try:
            self._producer = Producer(self._settings())
            self._producer.list_topics(timeout=CALL_S)
        except KafkaException as error:
            if self._refusal:
                raise InputError(f"{self.address.shown} refuses us: {self._refusal}") from None
            raise SinkError(f"{self.address.shown}: {error.args[0].str()}") from None

    def write(self, records: Sequence[Record]) -> None:
        """Produce, and wait for every acknowledgement."""
        failed: list[Any] = []
        for each in records:
            if each.key not in self._delivered:
                self._produce(each, failed)
        left = self._producer.flush(CALL_S + 1.0)
        if left or failed:
            self._give_up(failed)
        self._delivered.clear()

    def close(self) -> None:
        """Forget what was not sent."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(POLL_S)

    def _produce(self, record: Record, failed: list[Any]) -> None:
        from confluent_kafka import KafkaException

        def delivered(error: Any, _message: Any) -> None:
            if error is None:
                self._delivered.add(record.key)
            else:
                failed.append(error)

        headers = {"key": record.key, "topic": record.topic}
        stamp = int(record.at_s * 1000)
        try:
            self._producer.produce(
                self.address.name, record.payload, record.thing, timestamp=stamp, headers=headers,
                on_delivery=delivered,
            )  # fmt: skip
        except BufferError:
            self._producer.poll(POLL_S)
            raise SinkError(f"{self.address.shown}: the client's queue is full") from None
        except KafkaException as error:
            failed.append(error.args[0])

    def _give_up(self, failed: Sequence[Any]) -> None:
        from confluent_kafka import KafkaError

        if any(each.code() in {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG} for each in failed):
            raise RejectedError(failed[0].str())
        why = failed[0].str() if failed else "no answer in time"
        raise SinkError(f"{self.address.shown}: {why}")

    def _settings(self) -> dict[str, Any]:
        where = self.address
        more = where.options.get("brokers", "")
        settings: dict[str, Any] = {
            "bootstrap.servers": ",".join(filter(None, [f"{where.host}:{where.port or 9092}", more])),
            "enable.idempotence": True,
            "message.timeout.ms": int(CALL_S * 1000),
            "socket.timeout.ms": int(CALL_S * 1000),
            "linger.ms": 5,
            "client.id": "windtunnel",
            "log_level": 0,
            "error_cb": self._heard,
        }
        if where.user:
            settings |= {"sasl.username": where.user, "sasl.password": where.password}
            settings |= {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}
        return settings | {name: where.options[name] for name in PASSED_ON if name in where.options}

    def _heard(self, error: Any) -> None:
        from confluent_kafka import KafkaError

        if error.code() in {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}:  # noqa: SLF001
            self._refusal = error.str()
