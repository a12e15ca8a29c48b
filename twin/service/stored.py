"""Stores by their names: opened for reading, looked through, checked and exported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from twin.service import backup
from twin.service.opening import OnDamage, open_store
from twin.service.postgres_store import PostgresHistory, PostgresStore
from twin.service.sql import SqlHistory
from twin.service.sql_store import Keeping
from twin.service.sqlite_store import SqliteHistory, SqliteStore
from twin.state.branch import branch_at, moment
from twin.state.journal import Entry, History, StoreError, Wanted, thing_of, walk
from twin.state.records import Tree
from twin.state.standard import standard_twins

POSTGRES: Final = ("postgresql://", "postgres://")
MOST_PROBLEMS: Final = 20
TELEMETRY: Final = "telemetry"
EVENT: Final = "event/"


Reader: TypeAlias = SqliteHistory | PostgresHistory


def reader(name: str) -> Reader:
    """The history of a store, which may be in use; raises InputError if there is none."""
    return PostgresHistory(name) if name.startswith(POSTGRES) else SqliteHistory(Path(name))


def opened(
    name: str, keeping: Keeping | None = None, *, on_damage: OnDamage = "restore"
) -> tuple[SqliteStore | PostgresStore, list[str]]:
    """A store to write, and what was found wrong with it; raises InputError if it is in use or unusable.

    With `on_damage` "stop" a damaged file is left alone, which is a DamagedStoreError.
    """
    kept = keeping or Keeping()
    if name.startswith(POSTGRES):
        store = PostgresStore(name, kept)
        return store, store.findings()
    return open_store(Path(name), kept, on_damage=on_damage)


def span(history: History, begin: str | None, end: str | None) -> tuple[int, int | None]:
    """The sequences after which, and up to which, entries are asked for."""
    after = moment(history, begin) if begin else 0
    return after, moment(history, end) if end else None


# showing -------------------------------------------------------------------------------------------------


def overview(history: History) -> Tree:
    """How many records there are of each kind, and how far the journal reaches."""
    counts: dict[str, int] = {}
    for row in history.rows():
        counts[row.kind] = counts.get(row.kind, 0) + 1
    bounds = history.bounds()
    return {
        "entries": f"{bounds.first} to {bounds.last}",
        "snapshots": ", ".join(str(mark.sequence) for mark in history.snapshots()),
        "messages that wait": sum(len(each.messages) for each in history.outbox()),
        **dict(sorted(counts.items())),
    }


def about_thing(history: History, thing: str, at: str) -> Tree:
    """Every record that is about a thing, by kind and key."""
    if at == "now":
        rows = ((row.kind, row.key, msgspec.json.decode(row.record)) for row in history.rows())
    else:
        records = branch_at(history, standard_twins().kinds, at).records
        rows = ((kind, key, msgspec.to_builtins(record)) for kind, key, record in records)
    return {
        f"{kind} {key}": tree for kind, key, tree in rows if (tree.get("thing") or thing_of(key)) == thing
    }


def shown(entry: Entry) -> Tree:
    """An entry for people and programs."""
    record = msgspec.Raw(entry.record) if entry.record else None
    return {**entry._asdict(), "record": record}


# exporting -----------------------------------------------------------------------------------------------


def exported(history: History, after: int, until: int | None, *, is_all: bool) -> Iterator[bytes]:
    """Lines of JSON, each with `at_s`, `topic` and `payload`, oldest first.

    Telemetry is said again as the device said it, as far as its type let it through. With `is_all` every
    entry is there, below `journal/`.
    """
    places: dict[str, tuple[str, str]] = {}
    for entry in walk(history, Wanted(until=until)):
        if entry.kind == "thing" and entry.what == "put":
            about = msgspec.json.decode(entry.record)
            places[entry.key] = about.get("site") or "-", about.get("type") or "-"
        if entry.sequence <= after:
            continue
        if is_all:
            yield msgspec.json.encode(
                {
                    "at_s": entry.at_s,
                    "topic": f"journal/{entry.kind}/{entry.key}",
                    "payload": msgspec.Raw(entry.record or b"null"),
                    "what": entry.what,
                    "sequence": entry.sequence,
                }
            )
        elif entry.kind == TELEMETRY and entry.what == "put":
            yield from _telemetry(entry, places.get(entry.key, ("-", "-")))


def _telemetry(entry: Entry, place: tuple[str, str]) -> Iterator[bytes]:
    """What arrived with this entry: readings in one line, each event in one of its own."""
    values = msgspec.json.decode(entry.record).get("values", {})
    fresh = {name: value for name, value in values.items() if value[2] == entry.at_s}
    readings = {name: value for name, value in fresh.items() if not name.startswith(EVENT)}
    field = f"site/{place[0]}/{place[1]}/{entry.key}"
    if readings:
        payload = {name: value[0] for name, value in readings.items()}
        yield _line(entry.at_s, f"{field}/telemetry", payload, max(each[1] for each in readings.values()))
    for name, value in fresh.items():
        if name.startswith(EVENT):
            said = value[0] if isinstance(value[0], dict) else {"value": value[0]}
            yield _line(entry.at_s, f"{field}/{name}", said, value[1])


def _line(at_s: float, topic: str, payload: Tree, event_s: float) -> bytes:
    said = {"ts": round(event_s * 1000.0), **payload}
    return msgspec.json.encode({"at_s": at_s, "topic": topic, "payload": said})


# checking ------------------------------------------------------------------------------------------------


class CheckReport(NamedTuple):
    """What was looked at, and what is not as it should be."""

    first: int
    last: int
    base: int
    entries: int
    records: int
    waiting: int
    problems: list[str]


def checked_through(history: SqlHistory) -> CheckReport:
    """Replay the journal from the oldest usable snapshot and compare it with the records."""
    problems: list[str] = []
    with history.one_moment():
        bounds = history.bounds()
        base = _base(history, bounds.first)
        state = _snapshot(history, base, problems)
        count, is_whole = _replayed(history, base, bounds.last, state, problems)
        stored = {(row.kind, row.key): row.record for row in _rows(history, problems)}
        waiting = _waiting(history, problems)
    if state is not None and is_whole:
        _compare(state, stored, problems)
    if isinstance(history, SqliteHistory):
        problems += _snapshot_problems(history.path)
    return CheckReport(bounds.first, bounds.last, base, count, len(stored), waiting, problems[:MOST_PROBLEMS])


State = dict[tuple[str, str], bytes]


def _base(history: History, first: int) -> int:
    usable = [mark.sequence for mark in history.snapshots() if mark.sequence >= first - 1]
    return 0 if first == 1 else min(usable, default=first - 1)


def _snapshot(history: History, base: int, problems: list[str]) -> State | None:
    """The records at the base; None if nothing is left to compare with."""
    if base == 0:
        return {}
    try:
        return {(row.kind, row.key): row.record for row in history.rows(base)}
    except (StoreError, OSError) as error:
        problems.append(f"the snapshot at {base} cannot be read: {error}")
        return None


def _replayed(
    history: SqlHistory, base: int, last: int, state: State | None, problems: list[str]
) -> tuple[int, bool]:
    """How many entries could be read, and whether all could."""
    expected, count, is_whole = history.bounds().first, 0, True
    for piece in history.pieces(Wanted(until=last)):
        if piece.first != expected:
            problems.append(f"entries {expected} to {piece.first - 1} are missing")
        expected = piece.last + 1
        try:
            entries = piece.read()
        except StoreError as error:
            problems.append(str(error))
            is_whole = False
            continue
        count += len(entries)
        for entry in entries:
            if state is None or entry.sequence <= base:
                continue
            if entry.what == "put":
                state[entry.kind, entry.key] = entry.record
            elif entry.what == "remove":
                state.pop((entry.kind, entry.key), None)
    return count, is_whole


def _rows(history: SqlHistory, problems: list[str]) -> Iterator[Any]:
    try:
        yield from history.rows()
    except StoreError as error:
        problems.append(str(error))


def _waiting(history: History, problems: list[str]) -> int:
    try:
        return sum(len(each.messages) for each in history.outbox())
    except StoreError as error:
        problems.append(str(error))
        return 0


def _compare(state: State, stored: State, problems: list[str]) -> None:
    for kind, key in sorted(state.keys() | stored.keys()):
        if state.get((kind, key)) != stored.get((kind, key)):
            problems.append(f"the {kind} {key!r} is another than the journal leads to")


def _snapshot_problems(store: Path) -> list[str]:
    problems = []
    for sequence in backup.numbered(store, "snapshot"):
        try:
            backup.read_snapshot(backup.snapshot_path(store, sequence))
        except (StoreError, OSError) as error:
            problems.append(f"the snapshot at {sequence} is damaged: {error}")
    for sequence in backup.numbered(store, "tail"):
        _, problem = backup.read_tail(backup.tail_path(store, sequence))
        if problem:
            problems.append(f"the tail after {sequence} is damaged or being written: {problem}")
    return problems
