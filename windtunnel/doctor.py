"""What this machine has, and the line that installs what is missing."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

CORE = ("numpy", "simpy", "networkx", "pydantic", "msgspec", "pyyaml")
EXTRAS = {"pytest": "running scenarios as tests"}
OLDEST = (3, 11)


class Finding(NamedTuple):
    """One thing looked at."""

    name: str
    is_good: bool
    is_optional: bool
    detail: str


def findings() -> list[Finding]:
    """Everything worth knowing before a first run, in order of importance."""
    python = Finding(
        "python", sys.version_info >= OLDEST, is_optional=False, detail=platform.python_version()
    )
    core = [_package(name, is_optional=False, use="core") for name in CORE]
    extras = [_package(name, is_optional=True, use=use) for name, use in EXTRAS.items()]
    return [python, *core, *extras, _cores(), _folder()]


def _package(name: str, *, is_optional: bool, use: str) -> Finding:
    try:
        return Finding(name, is_good=True, is_optional=is_optional, detail=version(name))
    except PackageNotFoundError:
        advice = f"for {use}: pip install {name}"
        return Finding(name, is_good=False, is_optional=is_optional, detail=advice)


def _cores() -> Finding:
    count = os.cpu_count() or 1
    return Finding(
        "processors", is_good=True, is_optional=True, detail=f"{count}; replications use all of them"
    )


def _folder() -> Finding:
    is_good = os.access(".", os.W_OK)
    detail = "results go to ./runs" if is_good else "this folder is not writable; use --runs DIR"
    return Finding("results folder", is_good, is_optional=True, detail=detail)
