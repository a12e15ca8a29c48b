"""The store in PostgreSQL, behind the same port: for a testbed where several processes read one history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from twin.errors import InputError, MissingEnvironmentError
from twin.service.backup import KEPT_SNAPSHOTS
from twin.service.planning import Statements
from twin.service.sql import SCHEMA_VERSION, TABLES, SqlHistory, of_another_version
from twin.service.sql_store import Keeping, SqlStore
from twin.state.journal import BrokenStoreError, Mark, Row, StoreError

if TYPE_CHECKING:
    import psycopg

SCHEMA: Final = "windtunnel"
LOCK: Final = 0x57544E4C
LOCK_WAIT: Final = "3s"
CONNECT_TIMEOUT_S: Final = 5
COLUMN_TYPES: Final = {
    "integer": "BIGINT",
    "real": "DOUBLE PRECISION",
    "bytes": "BYTEA",
    "clustered": "",
}
MORE_TABLES: Final = """
CREATE TABLE snapshot (sequence BIGINT PRIMARY KEY, at_s DOUBLE PRECISION NOT NULL);
CREATE TABLE snapshot_record (
    snapshot BIGINT NOT NULL, made BIGINT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
    record BYTEA NOT NULL, PRIMARY KEY (snapshot, made, kind, key)
);
"""
COPIED: Final = (
    "INSERT INTO snapshot_record (snapshot, made, kind, key, record)"
    " SELECT ?, r.made, s.kind, s.key, r.record FROM record r JOIN subject s ON s.number = r.subject"
)
COUNTED: Final = "UPDATE about SET value = ? WHERE name = 'commits'"


def connect(url: str) -> psycopg.Connection[Any]:
    """A connection whose statements take effect one by one unless a transaction is begun.

    Raises InputError for a URL that is none, MissingEnvironmentError for a server that does not let us in.
    """
    try:
        import psycopg
    except ImportError:
        raise MissingEnvironmentError(
            "a store in PostgreSQL needs psycopg; install it with: pip install 'windtunnel-iot[postgres]'"
        ) from None
    try:
        return psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            options=f"-c search_path={SCHEMA} -c synchronous_commit=on",
        )
    except psycopg.ProgrammingError as error:
        raise InputError(f"this is no address of PostgreSQL: {_line(error)}") from None
    except psycopg.Error as error:
        raise MissingEnvironmentError(f"PostgreSQL cannot be reached: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _put(statement: str) -> str:
    """A statement with the placeholders of psycopg."""
    return statement.replace("%", "%%").replace("?", "%s")


class PostgresHistory(SqlHistory):
    """Reads a store, also while a service writes it."""

    join = "JOIN"

    def __init__(self, url: str, connection: psycopg.Connection[Any] | None = None) -> None:
        self.url = url
        self.connection = connection or connect(url)
        if connection is None:
            try:
                identify(self.connection)
            except BaseException:
                self.connection.close()
                raise

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of an answer."""
        import psycopg

        try:
            with self.connection.cursor(binary=True) as cursor:
                return cursor.execute(_put(statement), values).fetchall()
        except psycopg.Error as error:
            raise StoreError(f"PostgreSQL did not answer: {_line(error)}") from error

    def scan(self, statement: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a long answer."""
        return iter(self.query(statement, values))

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """Several queries that see the store as it is at one moment."""
        with self.connection.transaction():
            with suppress(Exception):
                self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield

    def snapshots(self) -> list[Mark]:
        """The snapshots, oldest first."""
        return [Mark(*row) for row in self.query("SELECT sequence, at_s FROM snapshot ORDER BY sequence")]

    def snapshot_rows(self, snapshot: int) -> Iterator[Row]:
        """Every record as a snapshot has it."""
        return (
            Row(*row)
            for row in self.query(
                "SELECT kind, key, record FROM snapshot_record WHERE snapshot = ? ORDER BY made", (snapshot,)
            )
        )

    def close(self) -> None:
        """Let go of the database."""
        self.connection.close()


def identify(connection: psycopg.Connection[Any]) -> None:
    """Raise InputError if there is no store, or one of a newer version."""
    found = connection.execute(
        "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = 'about'", (SCHEMA,)
    ).fetchone()
    if found is None:
        raise InputError(f"the database has no store of windtunnel (no schema {SCHEMA!r})")
    row = connection.execute("SELECT value FROM about WHERE name = 'schema_version'").fetchone()
    version = int(row[0]) if row else 0
    if version != SCHEMA_VERSION:
        raise InputError(f"the store in PostgreSQL has {of_another_version(version)}")


class PostgresStore(SqlStore, PostgresHistory):
    """Keeps transactions in the schema `windtunnel` of a database, which it makes when there is none.

    Damage on a disk, backup and replication are PostgreSQL's own business; snapshots are tables here.
    """

    def __init__(self, url: str, keeping: Keeping = Keeping()) -> None:  # noqa: B008  (immutable)
        PostgresHistory.__init__(self, url, connect(url))
        try:
            self._claim()
            self._make()
            identify(self.connection)
            self._commits = self.about("commits") or 0.0
            self.begin(keeping)
        except BaseException:
            self.connection.close()
            raise

    def reader(self) -> PostgresHistory:
        """A history of its own for another thread; whoever asks closes it."""
        return PostgresHistory(self.url)

    def findings(self) -> list[str]:
        """What makes the server keep less than it says."""
        (setting,) = self.query("SHOW fsync")[0]
        return (
            []
            if setting == "on"
            else ["PostgreSQL runs with fsync off: a power failure may lose what was accepted"]
        )

    def close(self) -> None:
        """Keep what is settled and let go of the store."""
        try:
            self.finish()
        finally:
            PostgresHistory.close(self)

    def write(self, statements: Statements) -> None:
        """Carry out all statements durably, or none of them and raise StoreError."""
        import psycopg

        if self.connection.closed:
            self._come_back(self._commits)
        counted: Statements = [*statements, (COUNTED, [(self._commits + 1.0,)])]
        try:
            with self.connection.transaction(), self.connection.cursor() as cursor:
                for statement, rows in counted:
                    cursor.executemany(_put(statement), rows)
        except psycopg.OperationalError as error:
            if not self.connection.closed and not self.connection.broken:
                raise StoreError(f"PostgreSQL kept nothing: {_line(error)}") from error
            self._come_back(self._commits + 1.0, error)
        except psycopg.Error as error:
            raise StoreError(f"PostgreSQL kept nothing: {_line(error)}") from error
        self._commits += 1.0

    def _come_back(self, expected: float, cause: Exception | None = None) -> None:
        """Connect anew; a commit whose answer was lost counts as kept if the database has it."""
        why = f" ({_line(cause)})" if cause else ""
        self.connection.close()
        try:
            self.connection = connect(self.url)
            self._claim()
            commits = self.about("commits")
        except (InputError, MissingEnvironmentError, StoreError) as error:
            self.connection.close()
            raise StoreError(f"the connection to PostgreSQL was lost{why}; {error}") from error
        if commits == expected:
            return
        if commits == self._commits:
            raise StoreError(f"the connection to PostgreSQL was lost{why}; nothing was accepted") from cause
        raise BrokenStoreError(
            "the database has other commits than this service knows of: one whose answer was lost was kept,"
            " or another service writes it; restart the service"
        )

    def take_snapshot(self) -> None:
        """Copy all records into the table of snapshots, and forget older ones."""
        sequence, at_s = self.last
        old = self.query(
            "SELECT sequence FROM snapshot WHERE sequence <> ? ORDER BY sequence DESC OFFSET ?",
            (sequence, KEPT_SNAPSHOTS - 1),
        )
        gone = [*old, (sequence,)]
        self.write(
            [
                ("DELETE FROM snapshot_record WHERE snapshot = ?", gone),
                ("DELETE FROM snapshot WHERE sequence = ?", gone),
                ("INSERT INTO snapshot (sequence, at_s) VALUES (?, ?)", [(sequence, at_s)]),
                (COPIED, [(sequence,)]),
            ]
        )

    def _claim(self) -> None:
        """Two services never write one store; a lock that a dead one left ends with its connection."""
        import psycopg

        try:
            self.connection.execute(f"SET lock_timeout = '{LOCK_WAIT}'")
            self.connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
            self.connection.execute("SET lock_timeout = 0")
        except psycopg.errors.LockNotAvailable:
            raise InputError(
                "the store in PostgreSQL is in use: another process writes it; stop that one, or use another"
                " database"
            ) from None

    def _make(self) -> None:
        with self.connection.transaction():
            self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            found = self.connection.execute("SELECT to_regclass('about')").fetchone()
            if found is not None and found[0] is not None:
                return
            for statement in (TABLES.format(**COLUMN_TYPES) + MORE_TABLES).split(";"):
                if statement.strip():
                    self.connection.execute(statement)
            for name, value in (("schema_version", SCHEMA_VERSION), ("commits", 0)):
                self.connection.execute("INSERT INTO about (name, value) VALUES (%s, %s)", (name, value))
