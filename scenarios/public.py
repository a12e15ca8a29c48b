"""The two functions a user's own code needs: load a scenario, run it."""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Sequence
from pathlib import Path

from scenarios.archive import PRODUCT, package_version
from scenarios.format.loading import ScenarioFile
from scenarios.judging.runner import Plan, simulate
from scenarios.judging.study import study_of
from scenarios.results import Study
from scenarios.shipped import load

__all__ = ["load", "run"]


def run(
    scenario: ScenarioFile | Path | str,
    *,
    variants: Sequence[str] | None = None,
    replications: int | None = None,
    seed: int | None = None,
    workers: int | None = 1,
) -> Study:
    """Simulate a scenario's variants and judge its requirements.

    `replications` is exact (default: as many as decide), `seed` the first seed instead of the file's,
    `workers` the number of processes (None: one a core; the caller's main module must then be importable).
    Raises ScenarioError for an invalid file. Nothing is stored.
    """
    loaded = scenario if isinstance(scenario, ScenarioFile) else load(scenario)
    found = simulate(loaded, Plan(variants, replications, seed, workers))
    return study_of(
        loaded,
        found.runs,
        version=package_version(PRODUCT),
        created=f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
        host=f"{platform.system()} {platform.machine()}",
        wall_s=sum(each.wall_s for each in found.runs),
        sensitivities=found.sensitivities,
    )
