"""Suites: scenario files run as tests, and what each call of them found."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from scenarios.store import Manifest, Store
from scenarios.suites import JUNIT, Suite, read_suite
from twin.errors import InputError
from ui.choosing import chosen_run
from ui.jobs import Job, jobs
from ui.markup import plain
from ui.navigation import link
from ui.redrawing import redrawn
from ui.results_view import kind_of
from ui.run_view import of_process, share_done
from ui.settings import settings
from ui.verdicts import badges, worded

LABEL = "suite"


def page() -> None:
    """Start a suite, see those that run, open those that are done."""
    st.title("Suites")
    st.caption(
        "Every scenario of your folder is a test: it passes if each verdict is the one its file expects."
    )
    store = Store(settings().runs)
    _begin()
    _going_on()
    found = [each for each in store.list() if kind_of(store.root / each.run) == "suite"]
    if not found:
        st.info("No suite has been run yet.", icon=":material/checklist:")
        return
    chosen = chosen_run("Suite", found, _title)
    try:
        suite = read_suite(store.root / chosen)
    except InputError as error:
        st.error(str(error))
        return
    if suite is not None:
        _show(store.root / chosen, suite)


def _begin() -> None:
    with st.form("begin"):
        words, tags, count, go = st.columns([3, 3, 2, 2], vertical_alignment="bottom")
        names = words.text_input("Only names with", placeholder="edge and not cut")
        tagged = tags.text_input("Only tags", placeholder="fire")
        replications = count.number_input("Runs a variant", 1, 200, None, placeholder="enough")
        if go.form_submit_button("Run the suite", type="primary", width="stretch"):
            given = {"-k": names, "-m": tagged, "--replications": replications}
            options = [part for name, value in given.items() if value for part in (name, str(value))]
            folders = [str(settings().scenarios), "--runs", str(settings().runs)]
            try:
                jobs().start(["test", *options, *folders], LABEL)
            except RuntimeError as error:
                st.error(str(error))


@redrawn(1.0)
def _going_on() -> None:
    """Suites that wait or run, with a way to end them; the page is drawn anew when one has ended."""
    ours = [job for job in jobs().all() if job.label == LABEL]
    active = [job for job in ours if not job.is_over]
    for job in active:
        _progress(job)
    before = st.session_state.get("suites active", 0)
    st.session_state["suites active"] = len(active)
    if len(active) < before:
        st.rerun()
    last = next((job for job in ours if job.is_over), None)
    if last is not None and last.code not in {0, 1}:
        st.warning("The last suite did not finish.", icon=":material/warning:")
        st.code(last.output[-2_000:] or last.state, language=None)


def _progress(job: Job) -> None:
    bar, button = st.columns([8, 1.2], vertical_alignment="center")
    store = Store(settings().runs)
    state = of_process(store.root, store.list(), job.process.pid) if job.process else {}
    done = f", {state['done']} of {state['planned']} cases" if state.get("planned") else ""
    bar.progress(share_done(state), text=f"{job.label} {job.number}: {job.state}{done}")
    if button.button("Cancel", key=f"cancel {job.number}", width="stretch"):
        job.cancel()


def _title(manifest: Manifest) -> str:
    counts = {each: list(manifest.verdicts.values()).count(each) for each in ("passed", "failed", "error")}
    said = ", ".join(f"{count} {each}" for each, count in counts.items() if count)
    return f"{manifest.started.replace('T', ' ').rstrip('Z')} · {said}"


def _show(folder: Path, suite: Suite) -> None:
    badges(suite.counts())
    wanted = st.segmented_control("Show", ["all", "failed"], default="all", key="show")
    cases = [case for case in suite.cases if wanted != "failed" or case.outcome in {"failed", "error"}]
    table = pd.DataFrame(
        {
            "outcome": [worded(case.outcome) for case in cases],
            "file": [case.file for case in cases],
            "variant": [case.variant for case in cases],
            "requirement": [case.requirement for case in cases],
            "verdict": [case.verdict for case in cases],
            "measured": [case.value_text for case in cases],
            "limit": [case.limit_text for case in cases],
            "runs": [case.replications for case in cases],
        }
    )
    st.dataframe(table, hide_index=True, width="stretch")
    for case in cases:
        if case.text:
            with st.expander(
                plain(" · ".join(each for each in (case.file, case.variant, case.requirement) if each))
            ):
                st.code(case.text, language=None, wrap_lines=True)
    with st.container(horizontal=True, vertical_alignment="center"):
        if (folder / JUNIT).exists():
            st.download_button(
                "JUnit", (folder / JUNIT).read_bytes, file_name=f"{folder.name}.xml", on_click="ignore"
            )
        link("runs", "All files", run=folder.name)
