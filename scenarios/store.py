"""Where results live: one folder a run, and a catalogue that can be rebuilt from the folders at any time.

    runs/
      catalogue.sqlite
      20261123-081500-car-park-fire-1f3a/
        scenario.resolved.yaml  manifest.json  metrics.json  study.json  report.html  ...

The folders are the truth. Files appear whole (written beside, then renamed), so a crash leaves a run that
says `running` with a dead process, which is shown as crashed, and never a broken catalogue.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from twin.errors import InputError, MissingEnvironmentError

State = Literal["running", "done", "interrupted", "crashed"]
CATALOGUE = "catalogue.sqlite"
MANIFEST = "manifest.json"
BUSY_TIMEOUT_S = 10.0
BUSY = {"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_FULL", "SQLITE_IOERR"}

T = TypeVar("T")


class Manifest(msgspec.Struct):
    """What a run was: everything needed to repeat it, and how it ended."""

    run: str
    title: str
    state: State
    scenario: str
    scenario_hash: str
    version: str
    python: str
    packages: dict[str, str]
    host: str
    process: int
    started: str
    seed: int
    variants: list[str]
    wall_s: float = 0.0
    verdicts: dict[str, str] = {}


class Store:
    """The folder of runs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def begin(self, manifest: Manifest) -> Path:
        """Make the folder of a new run, named after the time, the title and the scenario's hash."""
        stamp = dt.datetime.now(dt.UTC)
        name = f"{stamp:%Y%m%d-%H%M%S}-{_slug(manifest.title)}-{manifest.scenario_hash[:4]}"
        for attempt in range(1000):
            folder = self.root / (name if attempt == 0 else f"{name}-{attempt + 1}")
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            manifest.run, manifest.started = folder.name, f"{stamp:%Y-%m-%dT%H:%M:%SZ}"
            self.save(manifest)
            return folder
        raise InputError(f"cannot make a folder for the run below {self.root}")

    def save(self, manifest: Manifest) -> None:
        """Write the manifest and its row in the catalogue."""
        path = self.root / manifest.run / MANIFEST
        write(path, msgspec.json.format(msgspec.json.encode(manifest)))
        self._in_catalogue(lambda rows: _insert(rows, manifest, _stamp(path)))

    def list(self) -> list[Manifest]:
        """All runs, newest first; the catalogue is rebuilt when it does not match the folders."""
        found = [_seen(manifest) for manifest in self._in_catalogue(self._known)]
        return sorted(found, key=lambda manifest: (manifest.started, manifest.run), reverse=True)

    def find(self, run: str) -> tuple[Path, Manifest]:
        """A run by its name or an unambiguous beginning of it; `latest` is the newest."""
        if not run:
            raise InputError("the name of a run is empty; give its name, a beginning of it, or 'latest'")
        runs = self.list()
        if run == "latest" and runs:
            return self.root / runs[0].run, runs[0]
        matches = [manifest for manifest in runs if manifest.run.startswith(run)]
        exact = [manifest for manifest in matches if manifest.run == run]
        if len(exact or matches) == 1:
            manifest = (exact or matches)[0]
            return self.root / manifest.run, manifest
        if matches:
            raise InputError(f"{run!r} fits {len(matches)} runs; give more of its name")
        known = ", ".join(manifest.run for manifest in runs[:3]) or "none yet"
        raise InputError(f"no run {run!r} below {self.root} (newest: {known})")

    def remove(self, run: str) -> str:
        """Delete a run's folder and its row; returns its name."""
        folder, manifest = self.find(run)
        shutil.rmtree(folder)
        self._in_catalogue(lambda rows: rows.execute("DELETE FROM runs WHERE run = ?", (manifest.run,)))
        return manifest.run

    def _known(self, rows: sqlite3.Connection) -> Sequence[Manifest]:
        """What the catalogue says of each manifest that is as it was, and what the others say themselves."""
        stamps = {path.parent.name: _stamp(path) for path in self.root.glob(f"*/{MANIFEST}")}
        known = {
            name: (stamp, text) for name, stamp, text in rows.execute("SELECT run, stamp, manifest FROM runs")
        }
        for name in known.keys() - stamps.keys():
            rows.execute("DELETE FROM runs WHERE run = ?", (name,))
        found = []
        for name, stamp in sorted(stamps.items()):
            was, text = known.get(name, ("", b""))
            manifest = _manifest(text, name) if was == stamp else None
            if manifest is None and (manifest := self._read(name)) is not None:
                _insert(rows, manifest, stamp)
            if manifest is not None:
                found.append(manifest)
        return found

    def _read(self, name: str) -> Manifest | None:
        """The manifest in a folder, which gives the run its name; None if it is broken."""
        try:
            return _manifest((self.root / name / MANIFEST).read_bytes(), name)
        except OSError:
            return None

    def _in_catalogue(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in the catalogue; one that is damaged is made anew, as it is an index only."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise InputError(f"{self.root} is a file; the results need a folder") from error
        try:
            return self._done(action)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorname", "") in BUSY:
                is_full = error.sqlite_errorname == "SQLITE_FULL"
                kind = MissingEnvironmentError if is_full else InputError
                raise kind(f"cannot use {self.root / CATALOGUE}: {error}") from error
            (self.root / CATALOGUE).unlink(missing_ok=True)
            return self._done(action)

    def _done(self, action: Callable[[sqlite3.Connection], T]) -> T:
        with closing(sqlite3.connect(self.root / CATALOGUE, timeout=BUSY_TIMEOUT_S)) as rows, rows:
            rows.execute("CREATE TABLE IF NOT EXISTS runs (run TEXT PRIMARY KEY, stamp TEXT, manifest BLOB)")
            return action(rows)


def _insert(rows: sqlite3.Connection, manifest: Manifest, stamp: str) -> None:
    rows.execute(
        "INSERT OR REPLACE INTO runs VALUES (?, ?, ?)",
        (manifest.run, stamp, msgspec.json.encode(manifest)),
    )


def _stamp(path: Path) -> str:
    """Date and size of a file: another stamp, another content."""
    try:
        found = path.stat()
    except OSError:
        return "gone"
    return f"{found.st_mtime_ns} {found.st_size}"


def _manifest(content: object, name: str) -> Manifest | None:
    """The manifest of the run of this name; None if the content is none."""
    if not isinstance(content, bytes):
        return None
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    manifest.run = name
    return manifest


def _seen(manifest: Manifest) -> Manifest:
    """A run that says it is running while its process is gone has crashed."""
    if manifest.state == "running" and not is_alive(manifest.process):
        manifest.state = "crashed"
    return manifest


def is_alive(process: int) -> bool:
    """Whether a process of this number runs on this machine; always true where that cannot be asked."""
    if os.name == "nt":  # signal 0 would end the process there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write(path: Path, content: bytes | str) -> None:
    """Write a file whole: beside its place first, then renamed. Raises OSError with the file's name.

    A device or a pipe, such as /dev/stdout, is written to, and not replaced.
    """
    data = content.encode() if isinstance(content, str) else content
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(data)
            return
        beside.write_bytes(data)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "run"
