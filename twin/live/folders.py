"""Temporary folders that do not outlive us: what a kill left behind goes when the next one is made.

Each holds a locked file while its owner lives. A folder of ours whose lock is free has no owner any more;
that holds across process ids that are used again, and across namespaces.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PREFIX: Final = "windtunnel-"
LOCK: Final = ".owner"


@dataclass(slots=True)
class Folder:
    """A temporary folder of ours; `remove` takes it away."""

    path: Path
    lock: int | None

    def remove(self) -> None:
        """Delete the folder and let go of its lock; the second time does nothing."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def new_folder() -> Folder:
    """A folder of our own; those of owners that are gone are removed first."""
    _sweep(Path(tempfile.gettempdir()))
    path = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = _locked(path / f"{LOCK}.new", os.O_CREAT)
    if lock is not None:
        (path / f"{LOCK}.new").rename(path / LOCK)  # whoever sweeps sees it locked or not at all
    return Folder(path, lock)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """The same, removed at the end."""
    folder = new_folder()
    try:
        yield folder.path
    finally:
        folder.remove()


def _sweep(place: Path) -> None:
    with suppress(OSError):
        for lock in place.glob(f"{PREFIX}*/{LOCK}"):
            with suppress(OSError):
                if lock.is_symlink() or lock.parent.is_symlink() or lock.stat().st_uid != _us():
                    continue
                held = _locked(lock, 0)
                if held is not None:
                    Folder(lock.parent, held).remove()


def _us() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _locked(path: Path, flags: int) -> int | None:
    """The lock, None if somebody else has it or there is none on this system."""
    try:
        import fcntl
    except ImportError:
        return None
    descriptor = os.open(path, os.O_RDWR | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
