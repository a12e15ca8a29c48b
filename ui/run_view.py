"""What the page Run shows and starts: runs that go on, how far they are, and what can be ordered of them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from scenarios.archive import PROGRESS
from scenarios.control import ask
from scenarios.replaying.running import DOCUMENT, REPLAYS, replay_name
from scenarios.results import Study
from scenarios.store import Manifest, is_alive
from scenarios.watching.desk import WATCH, desk_of
from scenarios.watching.noticeboard import EVENTS
from twin.errors import InputError
from ui.jobs import Job, Jobs

SPEEDS: Final = (1, 2, 5, 10, 20, 50, 100)
TIMES: Final = "\u00d7"
"""Behind a speed."""
EVENTS_BYTES: Final = 16_384
MOST_EVENTS: Final = 60
MOST_FILE_BYTES: Final = 4_000_000
MINUTE_S: Final = 60
MOST_CHANGED: Final = 60
MOST_PARTS: Final = 300
LARGE: Final = 100
PROC: Final = Path("/proc")


class Going(NamedTuple):
    """A run that goes on, in one line."""

    run: str
    title: str
    is_watched: bool
    share: float
    text: str


class Order(NamedTuple):
    """What somebody asks of a watched run."""

    do: str
    what: str = ""


def judge_command(
    scenario: Path, runs: Path, variants: Sequence[str], replications: int | None, seed: int | None
) -> list[str]:
    """The arguments of `windtunnel` that judge these variants; none of them means all."""
    chosen = [word for name in variants for word in ("--variant", name)]
    count = [] if replications is None else ["--replications", str(replications)]
    return ["run", *chosen, *count, *_seeded(seed), "--runs", str(runs), "--quiet", "--", str(scenario)]


def watch_command(
    scenario: Path, runs: Path, variant: str, *, speed: float, seed: int | None, has_fire: bool = True
) -> list[str]:
    """The arguments of `windtunnel` that watch this variant."""
    fire = [] if has_fire else ["--no-fire"]
    options = ["--variant", variant, "--speed", f"{speed:g}", *fire, *_seeded(seed), "--runs", str(runs)]
    return ["watch", *options, "--", str(scenario)]


def _seeded(seed: int | None) -> list[str]:
    return [] if seed is None else ["--seed", str(seed)]


# runs that go on -----------------------------------------------------------------------------------------


def going(root: Path, manifests: Sequence[Manifest]) -> list[Going]:
    """The runs of these that go on, newest first."""
    return [_going(root / each.run, each) for each in manifests if each.state == "running"]


def _going(folder: Path, manifest: Manifest) -> Going:
    state = progress(folder)
    is_watched = (folder / WATCH).exists()
    share = share_done(state)
    text = f"{share:.0%}"
    if is_watched:
        paused = ", paused" if state.get("is_paused") else f" at {_number(state, 'speed'):g}{TIMES}"
        text = f"{clock(_number(state, 'at_s'))} of {clock(_number(state, 'duration_s'))}{paused}"
    elif state.get("planned"):
        text = f"{state.get('done', 0)} of {state['planned']} replications"
    return Going(manifest.run, manifest.title, is_watched, share, text)


def of_process(root: Path, manifests: Sequence[Manifest], process: int) -> dict[str, Any]:
    """How far the run is that goes on in this process; empty while it has none yet."""
    found = next((each for each in manifests if each.state == "running" and each.process == process), None)
    return {} if found is None else progress(root / found.run)


def progress(folder: Path) -> dict[str, Any]:
    """How far a run is, as it says itself; empty where it has not said anything yet."""
    return _read(folder / PROGRESS)


def about(folder: Path) -> dict[str, Any]:
    """The names in a watched run; empty for a run that is not watched."""
    return _read(folder / WATCH)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(MOST_FILE_BYTES))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def share_done(state: Mapping[str, Any]) -> float:
    """How much of a run is done, from 0 to 1."""
    done, planned = _number(state, "at_s"), _number(state, "duration_s")
    if not planned:
        done, planned = _number(state, "done"), _number(state, "planned")
    return min(max(done / planned, 0.0), 1.0) if planned else 0.0


def _number(state: Mapping[str, Any], key: str) -> float:
    value = state.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def clock(seconds: float) -> str:
    """Minutes and seconds of a run's time."""
    whole = int(seconds)
    return f"{whole // MINUTE_S:02}:{whole % MINUTE_S:02}"


def last_events(folder: Path, most: int = MOST_EVENTS) -> list[dict[str, Any]]:
    """The newest events of a watched run, newest first."""
    try:
        with (folder / EVENTS).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - EVENTS_BYTES))
            lines = file.read(EVENTS_BYTES).splitlines()
    except OSError:
        return []
    whole = lines if size <= EVENTS_BYTES else lines[1:]
    events = [found for line in whole if (found := _event(line)) is not None]
    return events[: -most - 1 : -1]


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


class Figure(NamedTuple):
    """A figure of a watched run as it is shown; `name` is that of its course."""

    name: str
    label: str
    text: str


FIGURES: Final = (
    *("people inside", "cars inside", "clear air"),
    *("messages sent", "messages lost", "messages delivered"),
)
"""Those that are shown, the first ones first."""
MOST_FIGURES: Final = 5


def figures(state: Mapping[str, Any]) -> list[Figure]:
    """The figures of a watched run that are worth a place, at most five."""
    found = {str(each.get("name")): each for each in state.get("kpis") or []}
    return [_figure(found[name]) for name in FIGURES if name in found][:MOST_FIGURES]


def _figure(form: Mapping[str, Any]) -> Figure:
    value, unit = float(form.get("value", 0.0)), str(form.get("unit") or "")
    text = f"{value:,.0f}" if value.is_integer() or abs(value) >= LARGE else f"{value:.2f}"
    return Figure(str(form["name"]), str(form["name"]).capitalize(), f"{text} {unit}".strip())


def ended(state: Mapping[str, Any]) -> str:
    """How a run ended; one that still says that it goes on was killed."""
    said = {"done": "it is over", "interrupted": "ended early", "running": "it was killed"}
    return said.get(str(state.get("state")), "")


def not_as_usual(state: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Links that are cut or degraded and nodes that are down: name, word and colour; of many the first.

    The two directions of a link that are alike are one.
    """
    links = dict(state.get("links") or {})
    for name in [each for each in links if f"{each}/back" in links]:
        if links[name] == links[f"{name}/back"]:
            del links[f"{name}/back"]
    rows = [(name, word, "red" if word == "cut" else "orange") for name, word in links.items()]
    rows += [(name, word, "red") for name, word in (state.get("nodes") or {}).items()]
    return rows[:MOST_CHANGED]


def parts(names: Mapping[str, Any], state: Mapping[str, Any]) -> list[dict[str, str]]:
    """Every link, node and device with its state, what is not as usual first; of many the first."""
    links, nodes = state.get("links") or {}, state.get("nodes") or {}
    rows = [
        {"what": name, "kind": "link", "state": links.get(name, "up")} for name in names.get("links") or []
    ]
    listed = {row["what"] for row in rows}
    rows += [
        {"what": name, "kind": "link", "state": word}
        for name, word in links.items()
        if name.removesuffix("/back") not in listed
    ]
    for kind, key in (("node", "nodes"), ("device", "devices")):
        rows += [
            {"what": name, "kind": kind, "state": nodes.get(name, "up")} for name in names.get(key) or []
        ]
    return sorted(rows, key=lambda row: row["state"] == "up")[:MOST_PARTS]


# what forms ----------------------------------------------------------------------------------------------


class Standing(NamedTuple):
    """How one requirement stands."""

    name: str
    expect: str
    state: str
    text: str


def standings(state: Mapping[str, Any]) -> list[Standing]:
    """The requirements of a watched run."""
    rows = state.get("requirements")
    return [
        Standing(*(str(row.get(key, "")) for key in Standing._fields))
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict)
    ]


class Tally(NamedTuple):
    """How one requirement of one variant stands after some replications; no verdict while it is open."""

    name: str
    met: int
    runs: int
    verdict: str

    @property
    def text(self) -> str:
        """In how many replications it was met."""
        return f"met in {self.met} of {self.runs}"


def tallies(state: Mapping[str, Any]) -> dict[str, list[Tally]]:
    """The requirements of each variant that has begun, of a run that is judged."""
    found: dict[str, list[Tally]] = {}
    for variant, form in (state.get("variants") or {}).items():
        rows = form.get("requirements") or {}
        found[variant] = [
            Tally(name, int(each.get("met", 0)), int(each.get("runs", 0)), each.get("verdict") or "")
            for name, each in rows.items()
        ]
    return found


def judged(study: Study) -> dict[str, list[Tally]]:
    """The requirements of each variant of a run that is over."""
    return {
        variant.name: [Tally(each.name, each.met, each.runs, each.verdict) for each in variant.requirements]
        for variant in study.variants
    }


def replay_of(folder: Path, manifest: Manifest) -> str:
    """The name of the replay that a watched run has left, or ''."""
    name = replay_name(manifest.variants[0], manifest.seed) if manifest.variants else ""
    return name if name and (folder / REPLAYS / name / DOCUMENT).exists() else ""


# orders --------------------------------------------------------------------------------------------------


def give(folder: Path, order: Order) -> str:
    """Give an order to a watched run; what is wrong in one sentence, or ''."""
    try:
        ask(desk_of(folder), order.do, order.what)
    except InputError as error:
        return str(error)
    return ""


def cancel(folder: Path, manifest: Manifest, jobs: Jobs) -> str:
    """Ask a run to end and keep what was measured; what is wrong in one sentence, or ''."""
    if (folder / WATCH).exists() and not give(folder, Order("stop")):
        return ""
    job = jobs.of_process(manifest.process)
    if job is not None:
        job.cancel()
        return ""
    if not _is_ours(manifest.process):
        return "the process of this run is not known here; end it where it was begun"
    os.kill(manifest.process, signal.SIGTERM)
    return ""


def _is_ours(process: int) -> bool:
    """Whether a process of this number runs `windtunnel`: numbers are used again."""
    try:
        words = (PROC / str(process) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return is_alive(process) and any(b"windtunnel" in word for word in words)


def run_of(job: Job, manifests: Sequence[Manifest]) -> str:
    """The name of the run that a job has begun, or ''."""
    process = job.process
    if process is None:
        return ""
    return next((each.run for each in manifests if each.process == process.pid), "")
