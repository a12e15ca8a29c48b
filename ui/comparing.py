"""What the page Compare shows, worked out from stored runs: no drawing here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from scenarios.archive import METRICS, STUDY, read_study
from scenarios.judging.comparing import Values, differences, stored_values, units_of
from scenarios.judging.study import COMPARED
from scenarios.report.wording import humanise, quantity, signed
from scenarios.results import Comparison, RequirementResult, Sensitivity, Study, VariantResult
from scenarios.store import Manifest, Store
from twin.errors import InputError
from ui.palette import SIGNS

MOST: Final = 4
MOST_METRICS: Final = 6
REPORT_UNITS: Final = {"B": "bytes"}


class Design(NamedTuple):
    """One variant of one run."""

    run: str
    name: str

    def written(self, *, is_alone: bool) -> str:
        """As the address of the page has it; `is_alone`: there is one run only."""
        return self.name if is_alone else f"{self.run}/{self.name}"


class Subject(NamedTuple):
    """A design with what is known of it."""

    design: Design
    label: str
    study: Study
    variant: VariantResult
    values: Values


def finished(root: Path) -> list[Manifest]:
    """The runs that have a study, newest first."""
    return [each for each in Store(root).list() if (root / each.run / STUDY).exists()]


def study_of(root: Path, run: str) -> Study:
    """The study of a run. Raises InputError if there is no such run, or it has none."""
    folder, _ = Store(root).find(run)
    return _study(folder, (folder / STUDY).stat().st_mtime_ns if (folder / STUDY).exists() else 0)


@lru_cache(maxsize=16)
def _study(folder: Path, _stamp: int) -> Study:
    return read_study(folder)


@lru_cache(maxsize=64)
def _values(folder: Path, variant: str, _stamp: int) -> Values:
    return stored_values(folder, variant)


def designs_of(root: Path, runs: Sequence[str]) -> list[Design]:
    """Every variant of the runs, in their order."""
    return [Design(run, each.name) for run in runs for each in study_of(root, run).variants]


def usual(designs: Sequence[Design]) -> list[Design]:
    """What to compare if nobody said: the first two of one run, the same variant of several."""
    runs = list(dict.fromkeys(each.run for each in designs))
    if len(runs) < 2:
        return list(designs[:2])
    shared = [each.name for each in designs if all(Design(run, each.name) in designs for run in runs)]
    name = shared[0] if shared else None
    firsts = [next(each for each in designs if each.run == run and name in {None, each.name}) for run in runs]
    return firsts[:MOST]


def asked(text: str, designs: Sequence[Design]) -> list[Design]:
    """The designs that an address names, at most four: `edge,cloud` or `RUN/edge,OTHER/edge`.

    A bare name stands for that variant of every run. Names that hold commas are understood.
    """
    found: list[Design] = []
    words, taken = text.split(","), 0
    while taken < len(words):
        length, matching = _longest(words[taken:], designs)
        found += matching
        taken += length
    return list(dict.fromkeys(found))[:MOST]


def _longest(words: Sequence[str], designs: Sequence[Design]) -> tuple[int, list[Design]]:
    for length in range(len(words), 0, -1):
        name = ",".join(words[:length])
        matching = [each for each in designs if name in {each.name, f"{each.run}/{each.name}"}]
        if matching:
            return length, matching
    return 1, []


def label_of(design: Design, runs: Sequence[str]) -> str:
    """What a design is called: its name, with the time of its run if there are several."""
    if len(set(runs)) < 2:
        return design.name
    try:
        began = datetime.strptime(design.run[:15], "%Y%m%d-%H%M%S")  # noqa: DTZ007  (as the folder says)
    except ValueError:
        return f"{design.name} ({design.run})"
    return f"{design.name} ({began:%d %b %H:%M:%S})"


def subjects(root: Path, designs: Sequence[Design]) -> list[Subject]:
    """The designs with their results. Raises InputError for one that is not there."""
    runs = [design.run for design in designs]
    found = []
    for design in designs:
        study, folder = study_of(root, design.run), root / design.run
        variant = next((each for each in study.variants if each.name == design.name), None)
        if variant is None:
            raise InputError(f"run {design.run!r} has no variant {design.name!r}")
        path = folder / METRICS
        values = _values(folder, design.name, path.stat().st_mtime_ns) if path.exists() else {}
        found.append(Subject(design, label_of(design, runs), study, variant, values))
    return found


# differences -----------------------------------------------------------------------------------------------


def compared(chosen: Sequence[Subject]) -> dict[str, list[Comparison]]:
    """Each design less the first, by metric: the usual metrics first, then requirements, then the others.

    A requirement whose value is one of the usual metrics is left out, as is what differs nowhere.
    """
    first, *others = chosen
    units = _units(chosen)
    found: dict[str, list[Comparison]] = {name: [] for name in units}
    for other in others:
        for each in differences((other.label, first.label), other.values, first.values, units):
            found[each.metric].append(each)
    kept: dict[str, list[Comparison]] = {}
    for name, rows in found.items():
        is_usual = name in dict(COMPARED)
        same = not is_usual and any(_figures(rows) == _figures(known) for known in kept.values())
        if rows and not same and any(each.mean_difference or each.high != each.low for each in rows):
            kept[name] = rows
    return kept


def _figures(rows: Sequence[Comparison]) -> list[tuple[float, float, float]]:
    return [(each.mean_difference, each.low, each.high) for each in rows]


def _units(chosen: Sequence[Subject]) -> dict[str, str]:
    """Every metric and requirement of the designs, with its unit."""
    units = dict(COMPARED)
    for subject in chosen:
        asked_units = units_of(subject.variant.requirements)
        units |= {
            name: REPORT_UNITS.get(unit, unit) for name, unit in asked_units.items() if name not in units
        }
    for subject in chosen:
        units |= {name: each.unit for name, each in subject.variant.metrics.items() if name not in units}
    return units


def is_clear(each: Comparison) -> bool:
    """Whether the interval leaves zero out."""
    return each.low > 0 or each.high < 0


def worth_showing(found: Mapping[str, Sequence[Comparison]]) -> list[str]:
    """The metrics to show first: those that clearly differ, in their order; else the first ones."""
    clear = [name for name, rows in found.items() if any(map(is_clear, rows))]
    return (clear or list(found))[:MOST_METRICS]


def in_words(each: Comparison) -> str:
    """A difference with its interval."""
    low, high = signed(each.low, each.unit), signed(each.high, each.unit)
    number, _, unit = low.partition("\u00a0")
    return f"{signed(each.mean_difference, each.unit)} ({number if high.endswith(unit) else low} to {high})"


def told(metric: str, rows: Sequence[Comparison]) -> str:
    """The differences of a metric in one sentence, for who does not see the chart."""
    parts = "; ".join(f"{each.variant_a} {in_words(each)}" for each in rows)
    return f"{humanise(metric)}, difference from {rows[0].variant_b}, with 95 % intervals: {parts}."


def pairing(chosen: Sequence[Subject]) -> str:
    """Why there are no differences, or what must be known of them; '' if all is as it should be."""
    first, *others = chosen
    lonely = [each.label for each in others if len(first.values.keys() & each.values.keys()) < 2]
    if lonely:
        return (
            f"{', '.join(lonely)} and {first.label} share fewer than two seeds, so nothing can be paired."
            " Run both again with the same --seed and --replications."
        )
    if len({each.study.scenario_hash for each in chosen}) > 1:
        return (
            "These runs are of different scenarios or versions of one: what differs is not the design alone."
        )
    return ""


# the other sections ----------------------------------------------------------------------------------------


def verdicts(chosen: Sequence[Subject]) -> list[dict[str, str]]:
    """A row a requirement: its claim, and each design's verdict."""
    names = list(dict.fromkeys(each.name for subject in chosen for each in subject.variant.requirements))
    rows = []
    for name in names:
        results = {subject.label: _result(subject, name) for subject in chosen}
        expect = next(each.expect for each in results.values() if each is not None)
        cells = {label: _cell(each) for label, each in results.items()}
        rows.append({"Requirement": name, **cells, "Claim": expect})
    return rows


def _result(subject: Subject, name: str) -> RequirementResult | None:
    return next((each for each in subject.variant.requirements if each.name == name), None)


def _cell(result: RequirementResult | None) -> str:
    if result is None:
        return "not asked"
    value = f"  \u00b7  {result.value_text}" if result.value_text else ""
    return f"{SIGNS[result.verdict]} {result.met}/{result.runs}{value}"


def budgets(chosen: Sequence[Subject]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the parts of each design's time budget, and of its limit (ASET)."""
    parts, limits = [], []
    for order, subject in enumerate(chosen):
        for place, part in enumerate(subject.variant.time_budget):
            parts.append(
                {"design": subject.label, "order": order, "part": part.name, "place": place,
                 "duration_s": part.duration_s, "text": quantity(part.duration_s, "s")}
            )  # fmt: skip
        rset_s, aset_s = subject.variant.rset_s, subject.variant.aset_s
        if rset_s is not None and aset_s is not None:
            limits.append(
                {"design": subject.label, "order": order, "aset_s": aset_s, "rset_s": rset_s,
                 "text": f"margin {signed(aset_s - rset_s, 's')}"}
            )  # fmt: skip
    return parts, limits


def latencies(chosen: Sequence[Subject]) -> dict[str, list[dict[str, Any]]]:
    """Rows of the distribution of each latency that a requirement asks about."""
    names = list(dict.fromkeys(name for subject in chosen for name in subject.variant.cdfs))
    return {
        name: [
            {"design": subject.label, "latency_s": x, "share": share}
            for subject in chosen
            for x, share in subject.variant.cdfs.get(name, [])
            if x > 0
        ]
        for name in names
    }


def quantile_at(curve: Sequence[tuple[float, float]], level: float) -> float:
    """The latency that this share of all stays below; infinite if the rest never came."""
    return next((x for x, share in curve if share >= level), math.inf)


def latency_told(name: str, chosen: Sequence[Subject]) -> str:
    """A distribution in one sentence."""
    parts = [
        f"{subject.label} half below {_latency(curve, 0.5)}, 95 % below {_latency(curve, 0.95)}"
        for subject in chosen
        if (curve := subject.variant.cdfs.get(name))
    ]
    return f"Distribution of {name}: {'; '.join(parts)}."


def _latency(curve: Sequence[tuple[float, float]], level: float) -> str:
    value = quantile_at(curve, level)
    return quantity(value, "s") if math.isfinite(value) else "no bound"


def ledger(chosen: Sequence[Subject]) -> list[dict[str, str]]:
    """Where every message is, and what crossed borders: a row a place, a column a design."""
    return [{"": name, **row} for name, row in _ledger(chosen)]


def _ledger(chosen: Sequence[Subject]) -> Iterator[tuple[str, dict[str, str]]]:
    for name in ("sent", "delivered"):
        yield name, {each.label: _count(getattr(each.variant.ledger, name)) for each in chosen}
    yield "lost", {each.label: _count(sum(each.variant.ledger.lost.values())) for each in chosen}
    places = sorted({place for each in chosen for place in each.variant.ledger.lost})
    for place in places:
        yield (
            f"lost at {place}",
            {each.label: _count(each.variant.ledger.lost.get(place, 0)) for each in chosen},
        )
    yield "under way at the end", {each.label: _count(each.variant.ledger.queued) for each in chosen}
    yield "replications", {each.label: _count(each.variant.replications) for each in chosen}
    borders = sorted({border for each in chosen for border in each.variant.border_bytes})
    for border in borders:
        yield (
            f"personal data, {border}",
            {each.label: quantity(each.variant.border_bytes.get(border, 0), "bytes") for each in chosen},
        )


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")


def swings(chosen: Sequence[Subject]) -> list[Sensitivity]:
    """What each input does to the margin, widest first: of the first run that asked."""
    return next((each.study.sensitivities for each in chosen if each.study.sensitivities), [])


def swing_told(rows: Sequence[Sensitivity]) -> str:
    """The tornado in one sentence."""
    parts = "; ".join(
        f"{each.input} from {signed(each.margin_low_s, 's')} at {each.low_label}"
        f" to {signed(each.margin_high_s, 's')} at {each.high_label}"
        for each in rows
    )
    return f"Margin of the people at the ends of each input: {parts}."


def as_csv(found: Mapping[str, Sequence[Comparison]]) -> str:
    """All differences as comma-separated values."""
    lines = ["metric,design,baseline,difference,low,high,unit,pairs"]
    for name, rows in found.items():
        lines += [
            ",".join(
                [_quoted(name), _quoted(each.variant_a), _quoted(each.variant_b),
                 repr(each.mean_difference), repr(each.low), repr(each.high), each.unit, str(each.pairs)]
            )
            for each in rows
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A text as one value: a spreadsheet must not take it for a formula."""
    safe = f"'{text}" if text[:1] in {"=", "+", "-", "@"} else text
    return '"' + safe.replace('"', '""') + '"'
