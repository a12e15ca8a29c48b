"""Keeps a fidelity report among the other runs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from scenarios.archive import REPORT, new_manifest
from scenarios.fidelity.page import page
from scenarios.fidelity.running import Fidelity
from scenarios.results import decode, encode
from scenarios.store import Store, write
from twin.errors import InputError

FIDELITY: Final = "fidelity.json"


def keep(root: Path, found: Fidelity) -> Path:
    """Write the report and its data as a run below `root`; returns its folder."""
    title = f"Fidelity of {found.title}"
    manifest = new_manifest(title, found.scenario, f"{found.seed:04x}", found.seed, [found.variant])
    manifest.host, manifest.wall_s = found.host, found.duration_s
    manifest.verdicts = {"fidelity": found.comparison.verdict}
    store = Store(root)
    folder = store.begin(manifest)
    write(folder / FIDELITY, encode(found))
    write(folder / REPORT, page(found))
    manifest.state = "done"
    store.save(manifest)
    return folder


def read_fidelity(folder: Path) -> Fidelity | None:
    """The comparison in a run's folder; None if that run was none. Raises InputError if it cannot be read."""
    path = folder / FIDELITY
    if not path.exists():
        return None
    try:
        return decode(path.read_bytes(), Fidelity)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a comparison: {error}") from error
