"""Where a watched run takes orders: a socket file that its folder names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from twin.errors import InputError
from twin.live.folders import temporary_folder

WATCH: Final = "watch.json"
SOCKET: Final = "control.sock"
LONGEST_SOCKET_BYTES: Final = 100
"""The system's bound on the path of a socket file is 107 bytes."""


@contextmanager
def socket_path(folder: Path) -> Iterator[Path]:
    """In the run's folder, unless its path is too long for a socket."""
    path = (folder / SOCKET).absolute()
    if len(str(path).encode()) <= LONGEST_SOCKET_BYTES:
        yield path
        return
    with temporary_folder() as short:
        yield short / SOCKET


def desk_of(folder: Path) -> Path:
    """Where a watched run takes orders. Raises InputError for a folder of no such run."""
    try:
        return Path(json.loads((folder / WATCH).read_bytes())["control"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{folder} is no watched run that takes orders") from None
