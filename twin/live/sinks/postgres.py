"""PostgreSQL: a table of records. A record that comes twice is kept once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from twin.errors import InputError, MissingEnvironmentError
from twin.live.sinks.address import Address
from twin.live.sinks.port import CALL_S, Record, RejectedError, cut_off, document_of
from twin.state.rules.sinks import SinkError

INSTALL: Final = "psycopg is not installed; install it: pip install 'windtunnel-iot[postgres]'"
OPTIONS: Final = ("table", "sslmode", "sslrootcert", "sslcert", "sslkey")
TABLE: Final = "windtunnel_records"
TABLE_MADE: Final = (
    "CREATE TABLE IF NOT EXISTS {table} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " key text NOT NULL UNIQUE, topic text NOT NULL, thing text NOT NULL, at timestamptz NOT NULL,"
    " document json, payload bytea)"
)
INDEX_MADE: Final = "CREATE INDEX IF NOT EXISTS {index} ON {table} (topic, id DESC)"
INSERT: Final = (
    "INSERT INTO {table} (key, topic, thing, at, document, payload)"
    " SELECT key, topic, thing, to_timestamp(at), document::json, payload FROM"
    " unnest(%s::text[], %s::text[], %s::text[], %s::float8[], %s::text[], %s::bytea[])"
    " AS given (key, topic, thing, at, document, payload) ON CONFLICT (key) DO NOTHING"
)
LATEST: Final = "SELECT document::text, payload FROM {table} WHERE topic = %s ORDER BY id DESC LIMIT 1"
HOPELESS: Final = ("authentication failed", "no password supplied", "does not exist", "no pg_hba.conf entry")


@dataclass(slots=True)
class PostgresSink:
    """One statement a batch; JSON is kept as `document` with its text as it came, all else as `payload`."""

    address: Address
    _connection: Any = field(init=False, default=None)

    def open(self) -> None:
        """Connect, and make the table if there is none."""
        try:
            import psycopg
        except ModuleNotFoundError:
            raise MissingEnvironmentError(INSTALL) from None
        where = self.address
        given: dict[str, Any] = {name: value for name, value in where.options.items() if name != "table"}
        try:
            self._connection = psycopg.connect(
                host=where.host.strip("[]"),
                port=where.port or 5432,
                user=where.user or None,
                password=where.password or None,
                dbname=where.name or None,
                connect_timeout=int(CALL_S),
                application_name="windtunnel",
                autocommit=True,
                **given,
            )
            with cut_off(self._connection.fileno()):
                self._make()
        except psycopg.OperationalError as error:
            text = str(error).strip().splitlines()[-1]
            if any(part in text for part in HOPELESS):
                raise InputError(f"{where.shown} refuses us: {text}") from None
            raise SinkError(f"{where.shown}: {text}") from None
        except psycopg.Error as error:
            raise InputError(f"{where.shown}: the table cannot be made or used: {error}") from None

    def write(self, records: Sequence[Record]) -> None:
        """Insert those whose key is not there yet."""
        columns: list[list[Any]] = [[], [], [], [], [], []]
        for each in records:
            document = document_of(each.payload)
            row = (each.key, each.topic, each.thing, each.at_s, document)
            for column, value in zip(columns, (*row, each.payload if document is None else None)):
                column.append(value)
        self._execute(INSERT, columns)

    def latest(self, topic: str) -> bytes | None:
        """What came last under the topic, byte for byte."""
        row = self._execute(LATEST, [topic]).fetchone()
        if row is None:
            return None
        return bytes(row[1]) if row[0] is None else str(row[0]).encode()

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _make(self) -> None:
        """Only if absent: who may write need not be allowed to create."""
        if self._connection.execute("SELECT to_regclass(%s)", [self._name()]).fetchone()[0] is None:
            for statement in (TABLE_MADE, INDEX_MADE):
                self._connection.execute(self._filled(statement))

    def _execute(self, statement: str, values: Sequence[Any]) -> Any:
        import psycopg

        try:
            with cut_off(self._connection.fileno()):
                return self._connection.execute(self._filled(statement), values)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise RejectedError(str(error).splitlines()[0]) from None
        except psycopg.Error as error:
            raise SinkError(f"{self.address.shown}: {(str(error) or 'no answer').splitlines()[0]}") from None

    def _name(self) -> str:
        from psycopg.sql import Identifier

        parts = self.address.options.get("table", TABLE).split(".")
        return Identifier(*parts).as_string()

    def _filled(self, statement: str) -> Any:
        from psycopg.sql import SQL, Identifier

        parts = self.address.options.get("table", TABLE).split(".")
        names = {"table": Identifier(*parts), "index": Identifier(f"{parts[-1]}_latest")}
        return SQL(statement).format(**names)
