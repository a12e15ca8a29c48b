"""SQLite: a file with a table of records; needs nothing. A record that comes twice is kept once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from twin.errors import InputError
from twin.live.sinks.address import Address
from twin.live.sinks.port import CALL_S, Record, RejectedError
from twin.state.rules.sinks import SinkError

MADE: Final = """\
CREATE TABLE IF NOT EXISTS records (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, topic TEXT NOT NULL,
    thing TEXT NOT NULL, at_s REAL NOT NULL, payload BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS records_latest ON records (topic, id DESC);
"""
INSERT: Final = "INSERT OR IGNORE INTO records (key, topic, thing, at_s, payload) VALUES (?, ?, ?, ?, ?)"
LATEST: Final = "SELECT payload FROM records WHERE topic = ? ORDER BY id DESC LIMIT 1"


@dataclass(slots=True)
class SqliteSink:
    """One commit a batch, on disk when it returns."""

    address: Address
    _file: sqlite3.Connection | None = field(init=False, default=None)

    def open(self) -> None:
        """Open the file and make the table if there is none."""
        if not self.address.path:
            raise InputError("a SQLite sink needs a file, as in sqlite:records.sqlite")
        file = None
        try:
            file = sqlite3.connect(self.address.path, timeout=CALL_S)
            file.execute("PRAGMA journal_mode=WAL")
            file.execute("PRAGMA synchronous=FULL")
            file.executescript(MADE)
        except sqlite3.DatabaseError as error:
            if file is not None:
                file.close()
            raise InputError(f"the file {self.address.path} cannot be used: {error}") from None
        self._file = file

    def write(self, records: Sequence[Record]) -> None:
        """Insert those whose key is not there yet."""
        rows = [(each.key, each.topic, each.thing, each.at_s, each.payload) for each in records]
        file = self._opened()
        try:
            with file:
                file.executemany(INSERT, rows)
        except (sqlite3.OperationalError, sqlite3.InternalError) as error:
            raise SinkError(f"{self.address.shown}: {error}") from None
        except (sqlite3.DatabaseError, UnicodeEncodeError, ValueError) as error:
            raise RejectedError(str(error)) from None

    def latest(self, topic: str) -> bytes | None:
        """What came last under the topic."""
        try:
            row = self._opened().execute(LATEST, (topic,)).fetchone()
        except sqlite3.Error as error:
            raise SinkError(f"{self.address.shown}: {error}") from None
        return None if row is None else bytes(row[0])

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _opened(self) -> sqlite3.Connection:
        if self._file is None:
            raise SinkError(f"{self.address.shown} is not open")
        return self._file
