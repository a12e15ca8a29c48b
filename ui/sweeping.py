"""What the page Sweep shows and asks, worked out without drawing."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from scenarios.archive import PROGRESS
from scenarios.format.loading import ScenarioFile, with_values
from scenarios.report.wording import SYMBOLS, humanise
from scenarios.shipped import SUFFIX, load
from scenarios.store import Manifest, Store, write
from scenarios.sweeping.keeping import read_sweep, read_task
from scenarios.sweeping.knees import holds
from scenarios.sweeping.page import is_good
from scenarios.sweeping.parameters import Parameter, parameters_of
from scenarios.sweeping.ranges import over, swept
from scenarios.sweeping.results import SWEEP, Knee, Sweep, SweepPoint, SweptInput, SweptRequirement
from scenarios.sweeping.wording import measured, of_input, verdict_text
from scenarios.wiring.vocabulary import Vocabulary
from twin.errors import InputError
from ui.settings import Settings
from ui.shelf import files

USUAL_REPLICATIONS: Final = 10
_PROPOSAL: Final = re.compile(r"(.+?)\.\.(.+)/(\d+)( log)?")


class Range(NamedTuple):
    """A range as four fields have it."""

    low: str
    high: str
    number: int
    is_log: bool


class Order(NamedTuple):
    """What is to be swept."""

    scenario: Path
    variant: str
    inputs: tuple[str, ...]
    replications: int
    refine: str = ""

    def arguments(self, runs: Path) -> list[str]:
        """The command that does it."""
        words = ["sweep", str(self.scenario), "--variant", self.variant]
        for each in self.inputs:
            words += ["--set", each]
        words += ["--replications", str(self.replications)]
        words += ["--refine", self.refine] if self.refine else []
        return [*words, "--runs", str(runs), "--quiet"]

    def line(self) -> str:
        """The same for who wants to type it."""
        words = ["windtunnel", "sweep", self.scenario.name.removesuffix(SUFFIX), "--variant", self.variant]
        for each in self.inputs:
            words += ["--set", each]
        words += ["--replications", str(self.replications)]
        return shlex.join([*words, *(["--refine", self.refine] if self.refine else [])])


def scenarios(settings: Settings) -> dict[str, Path]:
    """The scenarios that can be swept, by name: the user's own before shipped ones of the same name."""
    found: dict[str, Path] = {}
    for name, path in files(settings.scenarios):
        found.setdefault(name, path)
    return found


@lru_cache(maxsize=16)
def _loaded(path: Path, _stamp: int) -> ScenarioFile:
    return load(path)


def loaded(path: Path) -> ScenarioFile:
    """The scenario in a file. Raises ScenarioError for what is wrong with it."""
    return _loaded(path, path.stat().st_mtime_ns)


def parameters(scenario: ScenarioFile, variant: str) -> dict[str, Parameter]:
    """The numeric inputs of a variant by key."""
    return {each.key: each for each in parameters_of(scenario, scenario.variant(variant))}


def described(parameter: Parameter) -> str:
    """An input with what it is now."""
    return f"{parameter.key}   (now {parameter.now})" if parameter.now else parameter.key


def proposed(parameter: Parameter) -> Range:
    """The range that is proposed for an input."""
    found = _PROPOSAL.fullmatch(parameter.proposal)
    if found is None:
        return Range(parameter.now, parameter.now, 2, is_log=False)
    return Range(found[1], found[2], int(found[3]), bool(found[4]))


def ranged(key: str, chosen: Range) -> SweptInput:
    """The values of a range. Raises InputError."""
    return over(key, chosen.low, chosen.high, chosen.number, is_log=chosen.is_log)


def written(key: str, chosen: Range) -> str:
    """A range as `--set` has it."""
    return (
        f"{key}={chosen.low.strip()}..{chosen.high.strip()}/{chosen.number}{' log' if chosen.is_log else ''}"
    )


def listed(key: str, values: str) -> SweptInput:
    """The values of a list. Raises InputError."""
    return swept(f"{key}={values}")


# stored sweeps ---------------------------------------------------------------------------------------------


def sweeps(root: Path) -> list[Manifest]:
    """The runs that are sweeps, newest first."""
    return [each for each in Store(root).list() if (root / each.run / "sweep.task.json").exists()]


def document(root: Path, run: str) -> Sweep:
    """What a sweep found so far. Raises InputError if there is no such sweep."""
    folder, _ = Store(root).find(run)
    read_task(folder)
    stamp = (folder / SWEEP).stat().st_mtime_ns if (folder / SWEEP).exists() else 0
    return _document(folder, stamp)


@lru_cache(maxsize=16)
def _document(folder: Path, _stamp: int) -> Sweep:
    return read_sweep(folder)


def progress(folder: Path) -> tuple[int, int, str]:
    """Replications done and planned, and the point at work."""
    try:
        state = json.loads((folder / PROGRESS).read_text("utf-8"))
        return int(state["done"]), int(state["planned"]), str(state["label"])
    except (OSError, ValueError, KeyError):
        return 0, 0, ""


def metrics(sweep: Sweep) -> list[str]:
    """What can be shown: what is shown first, requirements, then everything else that was measured."""
    measured_ = {name for point in sweep.points for name in point.metrics}
    first = [*sweep.shown, *(each.name for each in sweep.requirements)]
    return [name for name in dict.fromkeys([*first, *sorted(measured_)]) if name in measured_]


def requirement(sweep: Sweep, name: str) -> SweptRequirement | None:
    """The requirement of this name."""
    return next((each for each in sweep.requirements if each.name == name), None)


def curve(sweep: Sweep, name: str) -> list[dict[str, Any]]:
    """Rows of a metric over the one input: finite means, with their intervals and verdicts."""
    rows = []
    for point in sweep.points:
        found = point.metrics.get(name)
        if found is None or not math.isfinite(found.mean):
            continue
        is_wide = not (math.isfinite(found.low) and math.isfinite(found.high))
        rows.append(
            {
                "x": point.numbers[0],
                "label": point.labels[0],
                "mean": found.mean,
                "low": found.mean if is_wide else found.low,
                "high": found.mean if is_wide else found.high,
                "text": measured(found),
                "verdict": _side(sweep, point, name),
            }
        )
    return rows


def _side(sweep: Sweep, point: SweepPoint, name: str) -> str:
    """The verdict of the requirement that is shown; whether all hold, if it is a metric."""
    if name in point.verdicts:
        return point.verdicts[name].verdict
    good = is_good(sweep, point, name)
    return "measured" if good is None else "every requirement holds" if good else "not every one holds"


def cells(sweep: Sweep, name: str) -> list[dict[str, Any]]:
    """Rows of a metric over both inputs; `column` and `row` count from 0."""
    first, second = sweep.inputs
    rows = []
    for point in sweep.points:
        found = point.metrics.get(name)
        if found is None:
            continue
        good = is_good(sweep, point, name)
        rows.append(
            {
                "column": first.labels.index(point.labels[0]),
                "row": second.labels.index(point.labels[1]),
                "first": point.labels[0],
                "second": point.labels[1],
                "value": found.mean if math.isfinite(found.mean) else None,
                "short": measured(found).partition(" (")[0],
                "text": measured(found),
                "good": good,
                "sign": "" if good is None else SYMBOLS["PASS" if good else "FAIL"],
            }
        )
    return rows


def borders(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """The lines between neighbouring cells of which one is good and the other is not."""
    good = {(each["column"], each["row"]): each["good"] for each in rows}
    lines = []
    for (column, row), is_here in good.items():
        right, above = good.get((column + 1, row)), good.get((column, row + 1))
        if right is not None and is_here is not None and right != is_here:
            lines.append({"x": column + 0.5, "x2": column + 0.5, "y": row - 0.5, "y2": row + 0.5})
        if above is not None and is_here is not None and above != is_here:
            lines.append({"x": column - 0.5, "x2": column + 0.5, "y": row + 0.5, "y2": row + 0.5})
    return lines


def knees(sweep: Sweep, name: str) -> list[Knee]:
    """The knees of a metric."""
    return [each for each in sweep.knees if each.metric == name]


def turns(sweep: Sweep, name: str) -> list[dict[str, Any]]:
    """Where a requirement stops holding, along the one input."""
    return [
        {
            "low": min(each.holds, each.fails),
            "high": max(each.holds, each.fails),
            "text": f"holds {'up to' if each.is_upper else 'from'} {of_input(sweep.inputs[0], each.holds)}",
        }
        for each in sweep.boundaries
        if each.requirement == name and not each.at_other
    ]


def told(sweep: Sweep, name: str) -> str:
    """A curve or map in words, for who does not see it."""
    keys = " and ".join(each.key for each in sweep.inputs)
    values = [
        f"{', '.join(point.labels)}: {measured(point.metrics[name])}"
        for point in sweep.points
        if name in point.metrics
    ]
    return f"{humanise(name)} over {keys}. {'; '.join(values)}."


def table(sweep: Sweep, name: str) -> list[dict[str, str]]:
    """A row a point: inputs, the metric that is shown, and the requirements; those that turn come first."""
    stands = {
        each.name: {point.verdicts[each.name].met for point in sweep.points if each.name in point.verdicts}
        for each in sweep.requirements
    }
    asked = sorted(sweep.requirements, key=lambda each: (each.name != name, len(stands[each.name]) < 2))
    return [
        {
            **{each.key: label for each, label in zip(sweep.inputs, point.labels)},
            f"{humanise(name)}, mean (95 %)": measured(point.metrics.get(name)),
            **{each.name: verdict_text(point.verdicts.get(each.name)) for each in asked},
        }
        for point in sweep.points
    ]


def as_csv(sweep: Sweep) -> str:
    """Everything measured as comma-separated values: a line a point and metric."""
    keys = [_quoted(each.key) for each in sweep.inputs]
    lines = [",".join([*keys, "metric", "unit", "mean", "low", "high", "p05", "p50", "p95", "met", "runs"])]
    for point in sweep.points:
        for name, found in point.metrics.items():
            verdict = point.verdicts.get(name)
            met = str(verdict.met) if verdict else ""
            figures = (found.mean, found.low, found.high, found.p05, found.p50, found.p95)
            cells_ = [*map(_quoted, point.labels), _quoted(name), found.unit, *map(repr, figures)]
            lines.append(",".join([*cells_, met, str(point.runs)]))
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A text as one value: a spreadsheet must not take it for a formula."""
    safe = f"'{text}" if text[:1] in {"=", "+", "-", "@"} else text
    return '"' + safe.replace('"', '""') + '"'


def point_words(sweep: Sweep, point: SweepPoint) -> str:
    """A point in words, with how its requirements stand."""
    values = ", ".join(f"{each.key} = {label}" for each, label in zip(sweep.inputs, point.labels))
    good = sum(
        holds(each, point.verdicts[each.name]) for each in sweep.requirements if each.name in point.verdicts
    )
    return f"{values}: {good} of {len(point.verdicts)} requirements hold" if point.verdicts else values


def keep_point(sweep: Sweep, scenario: Path, point: SweepPoint, folder: Path) -> Path:
    """Write a point as a scenario of its own, with the files that it names, into the user's folder.

    Raises InputError if the scenario has changed since, or there is such a file already.
    """
    read = load(scenario)
    if read.hash != sweep.scenario_hash:
        raise InputError(f"{scenario.name} has changed since the sweep; the point would be another one")
    values = {
        each.key: each.values[each.labels.index(label)] if label in each.labels else label
        for each, label in zip(sweep.inputs, point.labels)
    }
    variant = with_values(read, read.variant(sweep.variant), values, Vocabulary())
    words = re.sub(r"[^A-Za-z0-9]+", "_", "_".join([sweep.variant, *point.labels])).strip("_")
    path = folder / f"{scenario.name.removesuffix(SUFFIX)}_{words}"[:100]
    path = path.with_name(f"{path.name}{SUFFIX}")
    if path.exists():
        raise InputError(f"{path.name} is there already")
    for name in _files_named(variant.data, scenario.parent):
        if not (folder / name).exists():
            shutil.copyfile(scenario.parent / name, folder / name)
    write(path, variant.resolved.text)
    return path


def _files_named(data: Any, folder: Path) -> set[str]:
    """The names of files beside the scenario that stand anywhere in it."""
    if isinstance(data, Mapping):
        return {name for value in data.values() for name in _files_named(value, folder)}
    if isinstance(data, list):
        return {name for value in data for name in _files_named(value, folder)}
    is_name = isinstance(data, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}", data)
    return {str(data)} if is_name and (folder / str(data)).is_file() else set()
