"""Keeps a run: its folder with the resolved scenario, manifest, metrics, study, messages and report."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import msgspec

from scenarios import report
from scenarios.format.loading import ScenarioFile, Variant
from scenarios.judging.runner import Findings, Plan, VariantRun
from scenarios.judging.study import study_of
from scenarios.results import Study, decode, encode
from scenarios.store import Manifest, State, Store, write
from twin.errors import InputError

PRODUCT: Final = "windtunnel-iot"
PACKAGES: Final = ("numpy", "simpy", "networkx", "pydantic", "msgspec", "pyyaml")
STUDY, METRICS, MESSAGES, REPORT = "study.json", "metrics.json", "messages.json", "report.html"
RESOLVED: Final = "scenario.resolved.yaml"
PROGRESS: Final = "progress.json"
"""How far a run is that goes on."""


@dataclass(slots=True)
class Archive:
    """A run that is being kept: opened before the first replication, closed after the last."""

    store: Store
    manifest: Manifest
    folder: Path
    scenario: ScenarioFile
    began_s: float
    profile: str = ""

    @classmethod
    def open(cls, root: Path, scenario: ScenarioFile, plan: Plan, profile: str = "") -> Archive:
        """Make the run's folder, which says that the run is going on; `profile` is the file it uses."""
        store = Store(root)
        names = plan.variants or [variant.name for variant in scenario.variants]
        for name in names:
            scenario.variant(name)
        seed = _first_seed(scenario, plan)
        manifest = new_manifest(scenario.title, str(scenario.path), scenario.hash, seed, names)
        folder = store.begin(manifest)
        archive = cls(store, manifest, folder, scenario, time.monotonic(), profile)
        archive.keep_scenario([variant for variant in scenario.variants if variant.name in names])
        return archive

    def keep_scenario(self, variants: Sequence[Variant]) -> None:
        """Write the variants out in full, as they are run."""
        texts = [f"# variant {each.name}, sha256 {each.hash}\n{each.resolved.text}" for each in variants]
        write(self.folder / RESOLVED, "\n---\n".join(texts))

    def close(self, found: Findings, state: State) -> Study | None:
        """Write results and reports; None, and no folder left, if not one replication was finished."""
        finished = [run for run in found.runs if run.outcomes]
        if not finished:
            self.discard()
            return None
        self.manifest.wall_s = time.monotonic() - self.began_s
        study = study_of(
            self.scenario,
            finished,
            version=self.manifest.version,
            created=self.manifest.started,
            host=self.manifest.host,
            wall_s=self.manifest.wall_s,
            sensitivities=found.sensitivities,
            profile=self.profile,
        )
        write(self.folder / METRICS, metrics_text(finished))
        write(self.folder / MESSAGES, _messages_text(finished))
        write(self.folder / STUDY, report.as_json(study))
        write(self.folder / REPORT, report.html(study))
        self.manifest.verdicts = {
            f"{variant.name}: {each.name}": each.verdict
            for variant in study.variants
            for each in variant.requirements
        }
        self.manifest.state = state
        self.store.save(self.manifest)
        (self.folder / PROGRESS).unlink(missing_ok=True)
        return study

    def discard(self) -> None:
        """Leave nothing of a run that could not begin."""
        self.store.remove(self.manifest.run)


def new_manifest(
    title: str, scenario: str, scenario_hash: str, seed: int, variants: Sequence[str]
) -> Manifest:
    """That of a run which begins now, in this process; the store gives it its name and date."""
    return Manifest(
        run="",
        title=title,
        state="running",
        scenario=scenario,
        scenario_hash=scenario_hash,
        version=package_version(PRODUCT),
        python=platform.python_version(),
        packages={name: package_version(name) for name in PACKAGES},
        host=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        process=os.getpid(),
        started="",
        seed=seed,
        variants=list(variants),
    )


def metrics_text(runs: Sequence[VariantRun]) -> bytes:
    """Every replication's metrics and judgements; equal bytes for equal scenario, seeds and versions."""
    rows = [
        {
            "variant": run.variant.name,
            "seed": outcome.seed,
            "metrics": outcome.metrics,
            "judgements": {name: judgement._asdict() for name, judgement in outcome.judgements.items()},
            "ledger": msgspec.to_builtins(outcome.tally),
            "border_bytes": outcome.border_bytes,
        }
        for run in runs
        for outcome in run.outcomes
    ]
    return msgspec.json.format(encode(rows), indent=1)


def _messages_text(runs: Sequence[VariantRun]) -> bytes:
    """The message chains of the replications that missed a requirement."""
    chains = {
        f"{run.variant.name}: {name}": {"seed": outcome.seed, "chain": outcome.chains.get(name, [])}
        for run in runs
        for name, outcome in run.traced.items()
    }
    return msgspec.json.format(encode(chains), indent=1)


def read_study(folder: Path) -> Study:
    """The study of a stored run; raise InputError if the run has none, or one that cannot be read."""
    path = folder / STUDY
    if not path.exists():
        raise InputError(f"run {folder.name} has no results: it was not finished")
    try:
        return decode(path.read_bytes(), Study)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as results: {error}") from error


def _first_seed(scenario: ScenarioFile, plan: Plan) -> int:
    return scenario.variants[0].scenario.run.seed if plan.seed is None else plan.seed


def package_version(package: str) -> str:
    """The installed version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
