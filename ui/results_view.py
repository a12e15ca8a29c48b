"""Stored runs as the pages show them: filtered lists, verdict tables, and files to download."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from scenarios import report
from scenarios.archive import REPORT, RESOLVED
from scenarios.report.pictures import Picture
from scenarios.results import Study, VariantResult
from scenarios.store import Manifest
from scenarios.suites import SUITE

PNG_SCALE: Final = 2


class Row(NamedTuple):
    """A run in the list."""

    run: str
    title: str
    kind: str
    state: str
    started: str
    took_s: float
    variants: int
    passed: int
    failed: int
    undecided: int


def kind_of(folder: Path) -> str:
    """What sort of run is in a folder, by the files it has."""
    kinds = {
        SUITE: "suite",
        "sweep.json": "sweep",
        "load.json": "load",
        "fidelity.json": "fidelity",
        "live.json": "live",
        "study.json": "judged",
    }
    found = next((kind for name, kind in kinds.items() if (folder / name).exists()), None)
    if found is None and (folder / "replays").is_dir():
        return "watched"
    return found or "other"


def rows(root: Path, manifests: Iterable[Manifest], words: str = "", states: Iterable[str] = ()) -> list[Row]:
    """The runs whose name, title or scenario have all the words, in these states (none: any)."""
    wanted, asked = set(states), words.lower().split()
    found = []
    for each in manifests:
        text = f"{each.run} {each.title} {each.scenario} {' '.join(each.variants)}".lower()
        if (wanted and each.state not in wanted) or not all(word in text for word in asked):
            continue
        verdicts = list(each.verdicts.values())
        found.append(
            Row(
                each.run,
                each.title,
                kind_of(root / each.run),
                each.state,
                each.started,
                each.wall_s,
                len(each.variants),
                sum(verdict in {"PASS", "passed"} for verdict in verdicts),
                sum(verdict in {"FAIL", "failed", "error"} for verdict in verdicts),
                sum(verdict == "INCONCLUSIVE" for verdict in verdicts),
            )
        )
    return found


def matrix(study: Study) -> list[dict[str, str]]:
    """A row a variant, a column a requirement: the verdict with what was measured."""
    names = [each.name for variant in study.variants for each in variant.requirements]
    columns = list(dict.fromkeys(names))
    return [
        {"variant": variant.title, **{name: _cell(variant, name) for name in columns}}
        for variant in study.variants
    ]


def _cell(variant: VariantResult, name: str) -> str:
    found = next((each for each in variant.requirements if each.name == name), None)
    if found is None:
        return ""
    mark = {"PASS": "✓", "FAIL": "✗"}.get(found.verdict, "?")
    surprise = " (unexpected)" if variant.expectation(found) == "unexpected" else ""
    return f"{mark} {found.verdict}: {found.value_text}{surprise}"


class Download(NamedTuple):
    """A file that is made when it is asked for."""

    label: str
    file: str
    kind: str
    make: Callable[[], bytes]


def downloads(folder: Path, study: Study) -> list[Download]:
    """The forms of a run's report."""
    name = folder.name
    return [
        Download("Report (HTML)", f"{name}.html", "text/html", (folder / REPORT).read_bytes),
        Download("JUnit", f"{name}.junit.xml", "application/xml", lambda: report.junit(study).encode()),
        Download("Scenario (YAML)", f"{name}.scenario.yaml", "text/yaml", study.scenario_text.encode),
        Download("Resolved (YAML)", f"{name}.resolved.yaml", "text/yaml", (folder / RESOLVED).read_bytes),
        Download("Results (JSON)", f"{name}.json", "application/json", lambda: report.as_json(study)),
        Download(
            "Summary (Markdown)", f"{name}.md", "text/markdown", lambda: report.markdown(study).encode()
        ),
    ]


def picture_files(run: str, picture: Picture) -> list[Download]:
    """A chart as a drawing and as pixels."""
    name = f"{run}.{picture.name.replace(' ', '-')}"
    return [
        Download("SVG", f"{name}.svg", "image/svg+xml", picture.svg.encode),
        Download("PNG", f"{name}.png", "image/png", lambda: png(picture.svg)),
    ]


def png(svg: str) -> bytes:
    """The drawing in pixels, twice as many as its own size; nothing it names is fetched."""
    import resvg_py

    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=PNG_SCALE))
