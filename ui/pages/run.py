"""Run: choose a scenario, judge it or watch it, see its requirements form, and interfere."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import streamlit as st

from scenarios.archive import STUDY, read_study
from scenarios.format.loading import ScenarioFile, Variant
from scenarios.shipped import load
from scenarios.store import Manifest, Store
from twin.errors import InputError
from ui import shelf, watching
from ui.jobs import Job, jobs
from ui.markup import plain
from ui.navigation import link
from ui.redrawing import redrawn
from ui.run_view import (
    SPEEDS,
    TIMES,
    Tally,
    cancel,
    going,
    judge_command,
    judged,
    progress,
    run_of,
    share_done,
    tallies,
    watch_command,
)
from ui.settings import settings
from ui.verdicts import inline

JUDGE, WATCH = "Judge", "Watch"
MODES: Final = {
    JUDGE: "Many replications of every variant, as fast as this machine can, until each requirement has its"
    " verdict.",
    WATCH: "One replication in wall time, at a speed of your choice: look at it, cut a link, kill a node,"
    " start a fire.",
}
FIRST_SPEED: Final = 10
COLUMNS: Final = 3
POLL_S: Final = 1.0
SOON_S: Final = 0.4


def page() -> None:
    """One run by its name in the address, a job that has not begun, or the form."""
    run, job = st.query_params.get("run"), st.query_params.get("job")
    store = Store(settings().runs)
    if run:
        try:
            folder, manifest = store.find(run)
        except InputError as error:
            st.title("Run")
            st.error(str(error), icon=":material/error:")
            link("run", "Run something")
            return
        _one(folder, manifest)
        return
    st.title("Run")
    if job:
        _beginning(job)
        return
    _running()
    _form()


# what goes on --------------------------------------------------------------------------------------------


@redrawn(2 * POLL_S)
def _running() -> None:
    """A line for each run that goes on, and each that waits for its turn."""
    store = Store(settings().runs)
    rows = going(store.root, store.list())
    waiting = [job for job in jobs().all() if job.state == "waiting"]
    if not rows and not waiting:
        return
    with st.container(border=True):
        st.markdown(f"**Running now: {len(rows)}**" + (f", waiting: {len(waiting)}" if waiting else ""))
        for row in rows:
            name, bar, way = st.columns([3, 4, 1.4], vertical_alignment="center")
            kind = "watched" if row.is_watched else "judged"
            name.markdown(f"{plain(row.title)}  \n:small[:gray[{kind} · {plain(row.run[:15])}]]")
            bar.progress(row.share, text=row.text)
            with way:
                link("run", "Open", run=row.run)
        for job in waiting:
            name, text, way = st.columns([3, 4, 1.4], vertical_alignment="center")
            name.markdown(plain(job.label))
            text.caption("waits for its turn")
            if way.button("Cancel", key=f"cancel-{job.number}"):
                job.cancel()
                st.rerun(scope="fragment")


# choosing ------------------------------------------------------------------------------------------------


def _form() -> None:
    found = dict(shelf.files(settings().scenarios))
    name = st.selectbox("Scenario", list(found), key="scenario", bind="query-params")
    if name is None:
        st.info("There is no scenario here. Make one, or import one.", icon=":material/note_add:")
        link("home", "Scenarios")
        return
    path = found[name]
    try:
        scenario = _scenario(str(path), shelf.stamp(path))
    except InputError as error:
        st.error("This file has errors.", icon=":material/error:")
        st.code(str(error), language=None, wrap_lines=True)
        link("design", "Design", scenario=name)
        return
    first = scenario.variants[0].scenario
    st.markdown(f"**{plain(scenario.title)}**  \n{plain(shelf.beginning(first.description, 300))}")
    mode = st.segmented_control(
        "What to do", list(MODES), default=JUDGE, key="mode", required=True, bind="query-params"
    )
    st.caption(MODES[mode or JUDGE])
    if mode == WATCH:
        _watch_form(path, scenario)
    else:
        _judge_form(path, scenario)


@st.cache_resource(max_entries=50, show_spinner=False)
def _scenario(path: str, stamp: tuple[int, int]) -> ScenarioFile:
    del stamp  # with it the cache knows another content
    return load(path)


def _judge_form(path: Path, scenario: ScenarioFile) -> None:
    titles = {each.name: each.title or each.name for each in scenario.variants}
    variants = st.multiselect(
        "Variants", list(titles), format_func=titles.__getitem__, placeholder=f"all {len(titles)}"
    )
    count, seed, start = st.columns([2, 2, 1.2], vertical_alignment="bottom")
    replications = count.number_input(
        "Replications of each variant", 1, 10_000, None, placeholder="as many as decide", key="replications"
    )
    chosen = seed.number_input("First seed", 0, None, None, placeholder=_seed(scenario), key="seed")
    if start.button("Start", type="primary", icon=":material/play_arrow:", width="stretch", key="start"):
        command = judge_command(path, settings().runs, variants, replications, chosen)
        _start(command, f"judge {scenario.title}")


def _watch_form(path: Path, scenario: ScenarioFile) -> None:
    titles = {each.name: each.title or each.name for each in scenario.variants}
    variant = st.selectbox("Variant", list(titles), format_func=titles.__getitem__, key="watched")
    speed, seed, start = st.columns([2, 2, 1.2], vertical_alignment="bottom")
    fast = speed.select_slider("Speed", SPEEDS, FIRST_SPEED, format_func=f"{{}}{TIMES}".format, key="speed")
    chosen = seed.number_input("Seed", 0, None, None, placeholder=_seed(scenario), key="watch_seed")
    has_fire = True
    if variant is not None and _burns(scenario.variant(variant)):
        has_fire = not st.toggle("Nothing burns until I start a fire", key="no_fire")
    if start.button("Start", type="primary", icon=":material/play_arrow:", width="stretch", key="start"):
        runs = settings().runs
        command = watch_command(path, runs, str(variant), speed=float(fast), seed=chosen, has_fire=has_fire)
        _start(command, f"watch {scenario.title}", is_queued=False)


def _seed(scenario: ScenarioFile) -> str:
    return f"the file's ({scenario.variants[0].scenario.run.seed})"


def _burns(variant: Variant) -> bool:
    return bool(variant.scenario.world.get("fire"))


def _start(command: list[str], label: str, *, is_queued: bool = True) -> None:
    try:
        job = jobs().start(command, label, is_queued=is_queued)
    except RuntimeError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.query_params.from_dict({"job": str(job.number)})
    st.rerun()


# a job whose run has not begun ---------------------------------------------------------------------------


def _beginning(number: str) -> None:
    job = jobs().find(int(number)) if number.isdecimal() else None
    if job is None:
        st.info("This job is not known any more.", icon=":material/info:")
        link("run", "Run something")
        return
    _await(job)


@redrawn(SOON_S)
def _await(job: Job) -> None:
    """Go to the job's run as soon as it is there."""
    run = run_of(job, Store(settings().runs).list())
    if run:
        st.query_params.from_dict({"run": run})
        st.rerun()
    if job.is_over:
        st.error(f"It did not begin: {plain(job.label)}", icon=":material/error:")
        st.code(job.output or "(it said nothing)", language=None, wrap_lines=True)
        link("run", "Run something")
        return
    st.status("Waiting for its turn" if job.state == "waiting" else "Starting", state="running")
    if st.button("Cancel", key="cancel"):
        job.cancel()


# one run -------------------------------------------------------------------------------------------------


def _one(folder: Path, manifest: Manifest) -> None:
    names = ", ".join(plain(name) for name in manifest.variants[:COLUMNS])
    more = f" and {len(manifest.variants) - COLUMNS} more" if len(manifest.variants) > COLUMNS else ""
    st.header(plain(manifest.title), anchor=False)
    head, way = st.columns([5, 1.2], vertical_alignment="center")
    head.caption(f"{names}{more} · seed {manifest.seed} · {plain(manifest.run)}")
    with way:
        _end(folder, manifest)
    if watching.is_watched(folder):
        watching.page(folder, manifest)
    elif manifest.state == "running":
        _judging(folder, manifest)
    else:
        _judged(folder, manifest)
    if manifest.state != "running":
        _ways_on(folder, manifest)


def _end(folder: Path, manifest: Manifest) -> None:
    """The button that ends it, for everybody who looks."""
    if manifest.state != "running":
        return
    help_text = "It ends now; what was measured is kept."
    if st.button("Cancel", icon=":material/stop_circle:", width="stretch", key="cancel", help=help_text):
        problem = cancel(folder, manifest, jobs())
        if problem:
            st.error(problem)


@redrawn(POLL_S)
def _judging(folder: Path, manifest: Manifest) -> None:
    """Progress and verdicts as they form; at its end the whole page is drawn anew."""
    state = progress(folder)
    if _is_over(folder) or watching.is_watched(folder):
        st.rerun()
    if not state:
        st.status("It begins", state="running")
        return
    label = f"{state.get('done', 0)} of {state.get('planned') or '?'} replications"
    st.progress(share_done(state), text=f"{label} · {plain(str(state.get('label', '')))}")
    _verdicts(tallies(state), manifest)


def _is_over(folder: Path) -> bool:
    return Store(folder.parent).find(folder.name)[1].state != "running"


def _verdicts(found: dict[str, list[Tally]], manifest: Manifest) -> None:
    """A card for each variant, with its requirements."""
    titles = _titles(manifest)
    for start in range(0, len(manifest.variants), COLUMNS):
        for column, name in zip(st.columns(COLUMNS), manifest.variants[start : start + COLUMNS]):
            rows = found.get(name, [])
            lines = [
                f"{inline(each.verdict or 'open', each.verdict or each.text)} {plain(each.name)}"
                for each in rows
            ]
            with column, st.container(border=True, height="stretch"):
                st.markdown(
                    "  \n".join(
                        [f"**{plain(titles.get(name, name))}**", *(lines or [":gray[no replication yet]"])]
                    )
                )


def _titles(manifest: Manifest) -> dict[str, str]:
    """The titles of the variants, if the scenario is still there."""
    path = Path(manifest.scenario)
    try:
        scenario = _scenario(str(path), shelf.stamp(path))
    except (InputError, OSError):
        return {}
    return {each.name: each.title for each in scenario.variants if each.title}


def _judged(folder: Path, manifest: Manifest) -> None:
    said: dict[str, tuple[str, Literal["info", "success"]]] = {
        "done": ("It is done.", "success"),
        "interrupted": ("It was ended early; what was measured is kept.", "info"),
        "crashed": ("It ended without results.", "info"),
    }
    text, kind = said[manifest.state]
    (st.success if kind == "success" else st.info)(text)
    if (folder / STUDY).exists():
        _verdicts(judged(read_study(folder)), manifest)


def _ways_on(folder: Path, manifest: Manifest) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        link("runs", "Results and report", run=manifest.run)
        if (folder / STUDY).exists():
            link("replay", "Replay", run=manifest.run)
        link("run", "Run something else")
