"""Stages by their YAML name. Each file of this package registers the stage it defines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twin.kernel.ports import Stage

STAGES: dict[str, type[Stage]] = {}

S = TypeVar("S", bound=Stage)


def register(name: str) -> Callable[[type[S]], type[S]]:
    """Class decorator: make the stage known under this name."""

    def keep(stage: type[S]) -> type[S]:
        STAGES[name] = stage
        return stage

    return keep
