"""An S3-compatible object store: one object of JSON lines a batch, named after what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final

from twin.errors import InputError, MissingEnvironmentError
from twin.live.sinks.address import Address
from twin.live.sinks.lines import line_of
from twin.live.sinks.port import CALL_S, Record
from twin.state.rules.sinks import SinkError

INSTALL: Final = "boto3 is not installed; install it: pip install 'windtunnel-iot[s3]'"
OPTIONS: Final = ("endpoint", "region")
CLIENT_ERROR: Final = 500


@dataclass(slots=True)
class S3Sink:
    """A batch that comes again has the same name, and so the same object."""

    address: Address
    _client: Any = field(init=False, default=None)

    def open(self) -> None:
        """See that the bucket is there."""
        try:
            import boto3  # type: ignore[import-untyped]
            from botocore.config import Config  # type: ignore[import-untyped]
            from botocore.exceptions import (  # type: ignore[import-untyped]
                BotoCoreError,
                ClientError,
                NoCredentialsError,
            )
        except ModuleNotFoundError:
            raise MissingEnvironmentError(INSTALL) from None
        where = self.address
        try:
            self._client = boto3.client(
                "s3",
                endpoint_url=where.options.get("endpoint"),
                region_name=where.options.get("region"),
                aws_access_key_id=where.user or None,
                aws_secret_access_key=where.password or None,
                config=Config(
                    connect_timeout=CALL_S,
                    read_timeout=CALL_S,
                    retries={"total_max_attempts": 1},  # the worker tries again, and counts it
                    s3={"addressing_style": "path" if "endpoint" in where.options else "auto"},
                ),
            )
            self._client.head_bucket(Bucket=where.host)
        except (NoCredentialsError, ValueError) as error:
            raise InputError(f"{where.shown}: {error}") from None
        except ClientError as error:
            code = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if code < CLIENT_ERROR:
                raise InputError(f"{where.shown} refuses us, or there is no such bucket: {error}") from None
            raise SinkError(f"{where.shown}: {error}") from None
        except BotoCoreError as error:
            raise SinkError(f"{where.shown}: {error}") from None

    def write(self, records: Sequence[Record]) -> None:
        """Put one object."""
        from botocore.exceptions import BotoCoreError, ClientError

        body = b"".join(line_of(each) for each in records)
        try:
            self._client.put_object(
                Bucket=self.address.host,
                Key=self._key(records),
                Body=body,
                ContentType="application/x-ndjson",
            )
        except (BotoCoreError, ClientError) as error:
            raise SinkError(f"{self.address.shown}: {error}") from None

    def close(self) -> None:
        """Let go of the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _key(self, records: Sequence[Record]) -> str:
        name = blake2b("\n".join(each.key for each in records).encode(), digest_size=12).hexdigest()
        day = datetime.fromtimestamp(records[0].at_s, UTC).strftime("%Y/%m/%d/%H%M%S")
        folder = f"{self.address.name}/" if self.address.name else ""
        return f"{folder}{day}-{name}.jsonl"
