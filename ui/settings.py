"""Where the user interface reads and writes: set once by `windtunnel ui`, read by every page and route."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

RUNS: Final = "WINDTUNNEL_UI_RUNS"
SCENARIOS: Final = "WINDTUNNEL_UI_SCENARIOS"
SERVICE: Final = "WINDTUNNEL_UI_SERVICE_"


class Service(NamedTuple):
    """A running `windtunnel serve`: its address, its authority's file, a token's file and its store.

    Empty where nobody said. With a token's file everybody who opens the pages acts with that token.
    """

    address: str = ""
    authority: str = ""
    token_file: str = ""
    store: str = ""


class Settings(NamedTuple):
    """The folders a page may touch: of the stored runs, and of the scenarios that may be edited."""

    runs: Path
    scenarios: Path
    service: Service = Service()

    def as_environment(self) -> dict[str, str]:
        """What the server's environment must say for `settings` to answer this."""
        folders = {RUNS: str(self.runs), SCENARIOS: str(self.scenarios)}
        return folders | {f"{SERVICE}{name.upper()}": text for name, text in self.service._asdict().items()}


def settings(environment: Mapping[str, str] | None = None) -> Settings:
    """What `windtunnel ui` was started with; `runs` and the working folder where nobody said."""
    said = os.environ if environment is None else environment
    service = Service(*(said.get(f"{SERVICE}{name.upper()}", "") for name in Service._fields))
    runs, scenarios = Path(said.get(RUNS, "runs")), Path(said.get(SCENARIOS, "."))
    return Settings(runs.absolute(), scenarios.absolute(), service)
