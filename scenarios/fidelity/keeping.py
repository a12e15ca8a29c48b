"""Keeps a fidelity report among the other runs."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

import msgspec

from scenarios.archive import PACKAGES, PRODUCT, REPORT, package_version
from scenarios.fidelity.page import page
from scenarios.fidelity.running import Fidelity
from scenarios.results import decode, encode
from scenarios.store import Manifest, Store, write
from twin.errors import InputError

FIDELITY: Final = "fidelity.json"


def keep(root: Path, found: Fidelity) -> Path:
    """Write the report and its data as a run below `root`; returns its folder."""
    manifest = Manifest(
        run="",
        title=f"Fidelity of {found.title}",
        state="running",
        scenario=found.scenario,
        scenario_hash=f"{found.seed:04x}",
        version=package_version(PRODUCT),
        python=platform.python_version(),
        packages={name: package_version(name) for name in PACKAGES},
        host=found.host,
        process=os.getpid(),
        started="",
        seed=found.seed,
        variants=[found.variant],
        wall_s=found.duration_s,
        verdicts={"fidelity": found.comparison.verdict},
    )
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
