"""The scenarios that can be opened: those that come with the product, and those in the user's folder."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from scenarios.format.loading import ScenarioFile
from scenarios.shipped import LIBRARY, SUFFIX, load
from scenarios.store import Manifest, write
from twin.errors import InputError
from ui.results_view import kind_of
from ui.thumbnail import thumbnail

NEWEST_FIRST_EXAMPLE: Final = "car_park_fire"
MOST_FILES: Final = 200
MOST_DESCRIPTION: Final = 150
MOST_IMPORT_BYTES: Final = 20_000_000
FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}(\.[a-z]{1,12}){1,2}")
KINDS: Final = (SUFFIX, ".rules", ".geojson", ".csv", ".json")


class Card(NamedTuple):
    """What is shown of a scenario before it is opened; `problem` is why it cannot be, if it cannot."""

    name: str
    path: Path
    is_shipped: bool
    title: str
    description: str
    tags: tuple[str, ...]
    variants: tuple[str, ...]
    picture: str
    expected_fails: Mapping[str, Collection[str]] = {}
    """The requirements that are to fail, of each variant whose author said it."""
    problem: str = ""

    def is_about(self, words: str) -> bool:
        """Whether every word is somewhere in it."""
        text = " ".join([self.name, self.title, self.description, *self.tags, *self.variants]).lower()
        return all(word in text for word in words.lower().split())


WORDS: Final = {
    "judged": "run",
    "load": "under load",
    "sweep": "swept",
    "fidelity": "simulated and live",
    "live": "run live",
    "watched": "watched",
}
"""What was done with a scenario, by the kind of the run."""


class Last(NamedTuple):
    """What a run of a scenario found; `surprises` are verdicts against what its author expected, None if
    nothing was expected of such a run.
    """

    run: str
    started: str
    kind: str
    counts: dict[str, int]
    surprises: int | None

    @property
    def text(self) -> str:
        """What was done when, and how it compares with what the author expected."""
        done = f"{WORDS.get(self.kind, 'run')} on {self.started[:10]}"
        if self.surprises is None:
            return done
        foreseen = "none unexpected" if self.counts.get("INCONCLUSIVE") else "all as expected"
        return f"{done}, {f'{self.surprises} unexpected' if self.surprises else foreseen}"


def files(folder: Path) -> list[tuple[str, Path]]:
    """Name and path of each scenario: the user's first, then the shipped ones, the flagship before them."""
    own = sorted(folder.glob(f"*{SUFFIX}"))[:MOST_FILES]
    shipped = sorted(LIBRARY.glob(f"*{SUFFIX}"), key=lambda path: (_name(path) != NEWEST_FIRST_EXAMPLE, path))
    return [(_name(path), path) for path in (*own, *shipped)]


def _name(path: Path) -> str:
    return path.name.removesuffix(SUFFIX)


def stamp(path: Path) -> tuple[int, int]:
    """Another stamp, another content."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def card(path: Path) -> Card:
    """Read a scenario for the gallery; one that is wrong says why."""
    is_shipped = path.parent == LIBRARY
    try:
        scenario = load(path)
    except (InputError, OSError) as error:
        return Card(_name(path), path, is_shipped, _name(path), "", (), (), "", problem=str(error))
    first = scenario.variants[0].scenario
    return Card(
        name=_name(path),
        path=path,
        is_shipped=is_shipped,
        title=scenario.title,
        description=first.description,
        tags=tuple(first.tags),
        variants=tuple(variant.title or variant.name for variant in scenario.variants),
        picture=_picture(scenario),
        expected_fails={
            variant.name: frozenset(variant.fails)
            for variant in scenario.variants
            if variant.fails is not None
        },
    )


def _picture(scenario: ScenarioFile) -> str:
    try:
        return thumbnail(scenario.variants[0])
    except InputError:
        return ""


def last_run(runs: Iterable[Manifest], root: Path, card: Card) -> Last | None:
    """The newest run of the file with verdicts, else the newest; `runs` below `root` are newest first."""
    names = {card.path.name, str(card.path), card.name}
    own = [run for run in runs if run.scenario in names or Path(run.scenario).absolute() == card.path]
    ended = [run for run in own if run.state != "running"]
    run = next((run for run in own if run.verdicts), next(iter(ended), None))
    if run is None:
        return None
    kind = kind_of(root / run.run)
    said = list(run.verdicts.values())
    counts = {each: said.count(each) for each in ("PASS", "FAIL", "INCONCLUSIVE")}
    surprises = _surprises(run, card) if kind == "judged" else None
    return Last(run.run, run.started, kind, counts, surprises)


def _surprises(run: Manifest, card: Card) -> int | None:
    """How many verdicts are not as the author expected; None if he said nothing of what was run."""
    expected = {variant: fails for variant, fails in card.expected_fails.items() if variant in run.variants}
    judged = [
        (verdict, name in fails)
        for variant, fails in expected.items()
        for title, verdict in run.verdicts.items()
        for name in [title.removeprefix(f"{variant}: ")]
        if name != title
    ]
    if not judged:
        return None
    return sum(verdict == ("PASS" if should_fail else "FAIL") for verdict, should_fail in judged)


def beginning(text: str, most: int = MOST_DESCRIPTION) -> str:
    """The first words of a longer text."""
    return text if len(text) <= most else f"{text[:most].rsplit(' ', 1)[0]} …"


def keep_uploaded(folder: Path, uploaded: Sequence[tuple[str, bytes]]) -> list[Path]:
    """Write uploaded files into the folder, all or none. Raises InputError for a name or size it refuses."""
    for name, content in uploaded:
        if not FILE_NAME.fullmatch(name) or not name.endswith(KINDS):
            raise InputError(
                f"{name[:80]!r} is not taken; expected a name of letters, digits, '-' and '_' that ends in"
                f" one of {', '.join(KINDS)}"
            )
        if len(content) > MOST_IMPORT_BYTES:
            raise InputError(f"{name} has {len(content) / 1e6:.0f} MB; expected at most 20 MB")
        if (folder / name).exists():
            raise InputError(f"{name} is there already; rename yours, or edit that one")
    for name, content in uploaded:
        write(folder / name, content)
    return [folder / name for name, _ in uploaded]
