"""Where the user interface reads and writes: set once by `windtunnel ui`, read by every page and route."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

RUNS: Final = "WINDTUNNEL_UI_RUNS"
SCENARIOS: Final = "WINDTUNNEL_UI_SCENARIOS"


class Settings(NamedTuple):
    """The folders a page may touch: of the stored runs, and of the scenarios that may be edited."""

    runs: Path
    scenarios: Path

    def as_environment(self) -> dict[str, str]:
        """What the server's environment must say for `settings` to answer this."""
        return {RUNS: str(self.runs), SCENARIOS: str(self.scenarios)}


def settings(environment: Mapping[str, str] | None = None) -> Settings:
    """What `windtunnel ui` was started with; `runs` and the working folder where nobody said."""
    said = os.environ if environment is None else environment
    return Settings(Path(said.get(RUNS, "runs")).absolute(), Path(said.get(SCENARIOS, ".")).absolute())
