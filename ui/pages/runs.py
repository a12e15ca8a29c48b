"""Runs: everything that was stored, and one run opened: its verdicts, its pictures, its files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import streamlit as st

from scenarios.archive import read_study
from scenarios.report.pictures import pictures
from scenarios.report.wording import expectations, headline
from scenarios.results import Study
from scenarios.store import Manifest, Store
from twin.errors import InputError
from ui.markup import plain
from ui.navigation import link, open_page
from ui.results_view import Download, Row, downloads, kind_of, matrix, picture_files, rows
from ui.settings import settings

STATES = ("running", "done", "interrupted", "crashed")


def page() -> None:
    """The list, or one run by its name in the address."""
    store = Store(settings().runs)
    chosen = st.query_params.get("run")
    if chosen:
        try:
            folder, manifest = store.find(chosen)
        except InputError as error:
            st.title("Runs")
            st.error(str(error), icon=":material/error:")
            link("runs", "All runs")
            return
        _one(store, folder, manifest)
        return
    st.title("Runs")
    _list(store)


# the list ------------------------------------------------------------------------------------------------


def _list(store: Store) -> None:
    search, state = st.columns([2, 1], vertical_alignment="bottom")
    words = search.text_input(
        "Search", key="words", bind="query-params", placeholder="a scenario, a variant, a date"
    )
    states = state.multiselect("State", STATES, key="states", placeholder="any")
    manifests = store.list()
    found = rows(store.root, manifests, words or "", states)
    if not manifests:
        st.info("Nothing has been run yet. Open a scenario and run it.", icon=":material/play_circle:")
        link("home", "Scenarios")
        return
    if not found:
        st.info("No run is like that.", icon=":material/search_off:")
        return
    chosen = st.dataframe(
        _table(found),
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="multi-row",
        key="table",
        column_config={
            "started": st.column_config.DatetimeColumn("started", format="YYYY-MM-DD HH:mm:ss"),
            "took_s": st.column_config.NumberColumn("took", format="%.1f s"),
        },
    )
    picked = [found[number] for number in chosen["selection"]["rows"]]
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(picked) == 1:
            link("runs", f"Open {plain(picked[0].title)}", run=picked[0].run)
        if 2 <= len(picked) <= 4:
            link("compare", f"Compare {len(picked)}", runs=",".join(each.run for each in picked))
        if picked:
            _deletion(store, [each.run for each in picked])
        else:
            st.caption("Select a run to open it, two to four to compare them.")


def _table(found: list[Row]) -> pd.DataFrame:
    frame = pd.DataFrame(found)
    frame["started"] = pd.to_datetime(frame["started"])
    frame["verdicts"] = [
        "  ".join(
            f"{mark} {count}" for mark, count in zip("✓✗?", (row.passed, row.failed, row.undecided)) if count
        )
        for row in found
    ]
    return frame[["title", "kind", "state", "verdicts", "variants", "started", "took_s", "run"]]


def _deletion(store: Store, runs: list[str]) -> None:
    """Delete, after it was asked twice: a folder that is gone is gone."""
    noun = "this run" if len(runs) == 1 else f"these {len(runs)} runs"
    with st.popover("Delete", icon=":material/delete:"):
        st.write(f"Delete {noun} and all files? Nothing brings them back.")
        if st.button(f"Delete {noun}", type="primary", key="delete"):
            for run in runs:
                store.remove(run)
            st.session_state.pop("table", None)
            open_page("runs")


# one run -------------------------------------------------------------------------------------------------


def _one(store: Store, folder: Path, manifest: Manifest) -> None:
    st.title(plain(manifest.title))
    st.caption(
        f"{manifest.state} · {manifest.started.replace('T', ' ').rstrip('Z')} UTC · {manifest.wall_s:.1f} s ·"
        f" seed {manifest.seed} · {plain(manifest.host)} · {plain(manifest.run)}"
    )
    kind = kind_of(folder)
    with st.container(horizontal=True, vertical_alignment="center"):
        link("runs", "All runs")
        _ways_on(kind, manifest)
        _deletion(store, [manifest.run])
    if manifest.state in {"running", "crashed"}:
        sentences = {"running": "This run is still going on.", "crashed": "This run ended without results."}
        st.info(sentences[manifest.state], icon=":material/info:")
        return
    if kind != "judged":
        _other(folder, kind)
        return
    try:
        study = read_study(folder)
    except InputError as error:
        st.error(str(error))
        return
    _study(folder, study)


def _ways_on(kind: str, manifest: Manifest) -> None:
    if manifest.state == "running":
        link("run", "Watch it", run=manifest.run)
    elif kind == "judged":
        link("replay", "Replay", run=manifest.run)
        link("compare", "Compare", runs=manifest.run)
    elif kind == "watched":
        link("replay", "Replay", run=manifest.run)
    elif kind == "suite":
        link("suites", "Open the suite", run=manifest.run)
    elif kind == "sweep":
        link("sweep", "Open the sweep", run=manifest.run)


def _other(folder: Path, kind: str) -> None:
    """A run that was not judged variant by variant: its files, as they are."""
    st.write(f"This is a {kind} run. Its files:")
    for path in sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith(".")):
        st.download_button(
            path.name, data=path.read_bytes, file_name=path.name, key=path.name, on_click="ignore"
        )


def _study(folder: Path, study: Study) -> None:
    st.markdown(f"### {plain(headline(study))}")
    st.caption(plain(expectations(study)))
    st.dataframe(pd.DataFrame(matrix(study)), hide_index=True, width="stretch")
    _reasons(folder.name, study)
    drawn = pictures(study)
    if drawn:
        st.subheader("Pictures", anchor=False)
        for tab, picture in zip(st.tabs([each.name for each in drawn]), drawn):
            with tab:
                st.image(picture.svg, width="stretch", alt=picture.name)
                with st.container(horizontal=True, vertical_alignment="center"):
                    _buttons(picture_files(folder.name, picture))
    st.subheader("Report", anchor=False)
    st.caption("One file that opens anywhere, without a network; and the same results for machines.")
    with st.container(horizontal=True, vertical_alignment="center"):
        _buttons(downloads(folder, study))


def _buttons(files: Iterable[Download]) -> None:
    for each in files:
        st.download_button(
            each.label,
            data=each.make,
            file_name=each.file,
            mime=each.kind,
            key=each.file,
            on_click="ignore",
            icon=":material/download:",
        )


def _reasons(run: str, study: Study) -> None:
    """What was not met, with the way to the moment that explains it."""
    missed = [
        (variant, each)
        for variant in study.variants
        for each in variant.requirements
        if each.verdict == "FAIL"
    ]
    if not missed:
        return
    with st.expander(f"Why {len(missed)} requirements failed", icon=":material/help:"):
        for variant, each in missed:
            st.markdown(
                f"**{plain(variant.title)}**: {plain(each.name)} · {plain(each.value_text)},"
                f" asked {plain(each.expect)}"
            )
            link("replay", "Why?", run=run, variant=variant.name, requirement=each.name)
