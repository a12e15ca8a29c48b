"""Windtunnel: a wind tunnel for IoT systems.

The public API: `load` a scenario file, `run` it, read the verdicts. Everything else is imported from the
packages beside this one and may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from scenarios.public import load, run

__all__ = ["__version__", "load", "run"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that `windtunnel --help` stays fast."""
    if name in {"load", "run"}:
        from scenarios import public

        return getattr(public, name)
    raise AttributeError(f"module 'windtunnel' has no attribute {name!r}")
