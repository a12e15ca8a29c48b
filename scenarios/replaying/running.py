"""Runs one replication of a stored run again, recorded: the same variant and seed give the same result."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from scenarios.archive import METRICS, RESOLVED, STUDY, read_study
from scenarios.by_hand import with_timeline
from scenarios.format import loading
from scenarios.format.issues import listed, suggestion
from scenarios.format.loading import Variant
from scenarios.judging.outcome import Outcome, ending, outcome_of
from scenarios.judging.runner import Watcher, blueprint_of, uncollected
from scenarios.replaying.document import Replay
from scenarios.replaying.recorder import Recorder
from scenarios.results import RequirementResult, VariantResult, decode, encode
from scenarios.shipped import find
from scenarios.store import Manifest, write
from scenarios.wiring.vocabulary import Vocabulary
from twin.errors import InputError

REPLAYS, DOCUMENT, TRAJECTORY = "replays", "replay.json", "trajectory.bin.gz"
LIVE, WATCH, TIMELINE = "live.json", "watch.json", "timeline.yaml"
"""Files of a run that was live, of one that was watched, and of faults by hand in either."""
_HEAD: Final = re.compile(r"^# variant (.*), sha256 [0-9a-f]{64}$", re.MULTILINE)
_PLAIN: Final = re.compile(r"[^A-Za-z0-9._=+-]+")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which replication of a run is meant."""

    variant: Variant
    seed: int

    @property
    def name(self) -> str:
        """The name of its folder below `replays`."""
        return replay_name(self.variant.name, self.seed)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A replication that was recorded; `is_same` says whether the run had measured the same, if it did."""

    outcome: Outcome
    document: Replay
    trajectory: bytes
    is_same: bool | None = None

    def keep(self, folder: Path) -> None:
        """Write what `keep` writes."""
        keep(folder, self.document, self.trajectory)


def keep(folder: Path, document: Replay, trajectory: bytes) -> None:
    """Write the document and, if there is one, the trajectory; the document last: it makes a replay."""
    folder.mkdir(parents=True, exist_ok=True)
    if trajectory:
        write(folder / TRAJECTORY, trajectory)
    write(folder / DOCUMENT, encode(document))


def replay_name(variant: str, seed: int) -> str:
    """The name of a replay's folder: the variant's, made fit for a path, and the seed."""
    plain = _PLAIN.sub("_", variant).lstrip(".") or "_"
    if plain != variant:
        plain = f"{plain}-{hashlib.sha256(variant.encode()).hexdigest()[:6]}"
    return f"{plain}-{seed}"


# which one ---------------------------------------------------------------------------------------------


def choose(
    folder: Path, manifest: Manifest, *, variant: str | None, seed: int | None, requirement: str | None
) -> Choice:
    """The replication that is asked for; what is not said is that which shows a missed requirement best.

    Without a requirement, that is the first one that the run failed. Raises InputError for an unknown name.
    """
    _check(variant, manifest.variants, f"run {folder.name!r} has no variant")
    named, missed = _missed(folder, variant, requirement)
    chosen = variant or named or manifest.variants[0]
    worst = None if missed is None else missed.worst_seed
    return Choice(
        stored_variant(folder, manifest, chosen),
        next(each for each in (seed, worst, manifest.seed) if each is not None),
    )


def _missed(
    folder: Path, variant: str | None, requirement: str | None
) -> tuple[str, RequirementResult | None]:
    """The variant and the requirement to show; a run without a study has none."""
    if not (folder / STUDY).is_file():
        if requirement is not None:
            raise InputError(f"run {folder.name!r} has judged nothing, so no requirement can be looked up")
        return "", None
    variants = [each for each in read_study(folder).variants if variant in (None, each.name)]
    rows = [(each, row) for each in variants for row in each.requirements]
    if requirement is not None:
        names = list(dict.fromkeys(row.name for _, row in rows))
        _check(requirement, names, f"run {folder.name!r} has no requirement")
        rows = [(each, row) for each, row in rows if row.name == requirement]
    return _worst(rows)


def _worst(rows: list[tuple[VariantResult, RequirementResult]]) -> tuple[str, RequirementResult | None]:
    failed = [each for each in rows if each[1].verdict == "FAIL"]
    missed = [each for each in rows if each[1].met < each[1].runs]
    found = next(iter(failed or missed or rows), None)
    return ("", None) if found is None else (found[0].name, found[1])


def _check(name: str | None, known: list[str], words: str) -> None:
    if name is not None and name not in known:
        raise InputError(f"{words} {name!r}; {suggestion(name, known) or f'it has: {listed(known)}'}")


def stored_variant(folder: Path, manifest: Manifest, name: str) -> Variant:
    """A variant of a stored run, as it was run: from the text that was kept with the results.

    Files that it names, such as the scene, are read from beside the scenario. Raises InputError.
    """
    path = folder / RESOLVED
    if not path.is_file():
        raise InputError(f"run {folder.name!r} keeps no scenario ({RESOLVED}), so it cannot be run again")
    parts = _HEAD.split(path.read_text(encoding="utf-8"))
    texts = dict(zip(parts[1::2], parts[2::2]))
    if name not in texts:
        raise InputError(f"run {folder.name!r} keeps no variant {name!r}; it has: {listed(texts)}")
    origin = find(manifest.scenario)
    text = texts[name].removesuffix("\n---\n")
    (found,) = loading.parse(text, catalogue=Vocabulary(), name=str(origin)).variants
    named = replace(found, name=name, family=name.partition("[")[0])
    return with_timeline(named, _by_hand(folder / TIMELINE))


def _by_hand(path: Path) -> list[dict[str, Any]]:
    """The faults that were begun by hand, as entries of a timeline."""
    return list(yaml.safe_load(path.read_bytes())["timeline"]) if path.is_file() else []


def kept_replay(folder: Path, choice: Choice) -> Replay | None:
    """The replay of a run that was watched: it was recorded then, with whoever gave orders."""
    path = folder / REPLAYS / choice.name / DOCUMENT
    if not (folder / WATCH).is_file() or not path.is_file():
        return None
    try:
        return decode(path.read_bytes(), Replay)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a replay: {error}") from error


# running it again ----------------------------------------------------------------------------------------


def replay(variant: Variant, seed: int, watcher: Watcher | None = None) -> Replayed:
    """Run one replication of a variant, traced and recorded. `watcher` is told of the simulated seconds."""
    blueprint, nodes_of = blueprint_of(variant)
    with uncollected():
        assembly = blueprint.assemble(seed, is_traced=True)
        recorder = Recorder(assembly, variant, seed)
        is_over = ending(variant.scenario.run.stop_when, recorder.record)
        planned_s = round(variant.scenario.run.duration_s)
        assembly.run(_told(is_over, watcher, lambda: assembly.kernel.now, planned_s, variant.name))
        outcome = outcome_of(assembly, seed, nodes_of, variant.requirements, has_series=False)
        document = msgspec.structs.replace(recorder.document(), metrics=outcome.metrics)
        return Replayed(outcome, document, recorder.trajectory())


def replay_stored(folder: Path, choice: Choice, watcher: Watcher | None = None) -> Replayed:
    """Replay a replication of the run in this folder, and compare it with what the run had measured."""
    found = replay(choice.variant, choice.seed, watcher)
    measured = _measured(folder, choice)
    is_same = None if measured is None else measured == msgspec.json.decode(encode(found.outcome.metrics))
    return replace(found, is_same=is_same)


def _told(
    is_over: Callable[[], bool] | None,
    watcher: Watcher | None,
    now_s: Callable[[], float],
    planned_s: int,
    label: str,
) -> Callable[[], bool] | None:
    """The end of the run, with the watcher told how far it is."""
    if watcher is None:
        return is_over

    def ask() -> bool:
        watcher.advance(label, round(now_s()), planned_s)
        return is_over is not None and is_over()

    return ask


def _measured(folder: Path, choice: Choice) -> Any:
    """The metrics that the run has kept of this replication; None for a live one, whose times were real."""
    path = folder / METRICS
    if not path.is_file() or (folder / LIVE).is_file():
        return None
    try:
        rows = msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise InputError(f"{path} cannot be read as metrics: {error}") from error
    wanted = (choice.variant.name, choice.seed)
    return next((row["metrics"] for row in rows if (row["variant"], row["seed"]) == wanted), None)
