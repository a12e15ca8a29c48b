"""Home: the scenarios to open, what was found of them last, and ways to begin one's own."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from scenarios.report.wording import count
from scenarios.store import Manifest, Store
from scenarios.templates import files as template_files
from twin.errors import InputError
from ui import shelf
from ui.markup import plain
from ui.navigation import link, open_page
from ui.settings import settings
from ui.verdicts import badges

COLUMNS = 3


def page() -> None:
    """Search, gallery and the ways to begin."""
    st.title("Windtunnel")
    st.caption(
        "Find out in the tunnel, not in production: design a system, run its bad minute, compare, decide."
    )
    search, begin, importing = st.columns([6, 1.6, 1.6], vertical_alignment="bottom")
    words = search.text_input(
        "Search",
        key="words",
        bind="query-params",
        placeholder="fire, edge, gate ...",
        icon=":material/search:",
    )
    with begin.popover("New", icon=":material/add:", width="stretch"):
        _new()
    with importing.popover("Import", icon=":material/upload:", width="stretch"):
        _import()
    _gallery(words or "")


def _gallery(words: str) -> None:
    runs = Store(settings().runs).list()
    cards = [_card(str(path), shelf.stamp(path)) for _, path in shelf.files(settings().scenarios)]
    found = [card for card in cards if card.is_about(words)]
    if not found:
        st.info(f"No scenario has the words “{words}”.", icon=":material/search_off:")
    for own, heading in ((True, "Yours"), (False, "Shipped with Windtunnel")):
        group = [card for card in found if card.is_shipped != own]
        if not group:
            continue
        st.subheader(heading, anchor=False)
        for start in range(0, len(group), COLUMNS):
            for column, card in zip(st.columns(COLUMNS), group[start : start + COLUMNS]):
                with column, st.container(border=True, height="stretch"):
                    _show(card, runs)


@st.cache_data(max_entries=400, show_spinner=False)
def _card(path: str, stamp: tuple[int, int]) -> shelf.Card:
    del stamp  # with it the cache knows another content
    return shelf.card(Path(path))


def _show(card: shelf.Card, runs: list[Manifest]) -> None:
    if card.picture:
        st.image(card.picture, width="stretch", alt=f"Picture of {card.title}")
    st.markdown(f"**{plain(card.title)}**")
    if card.problem:
        st.error("This file has errors.", icon=":material/error:")
        with st.expander("What is wrong"):
            st.code(card.problem, language=None, wrap_lines=True)
    st.caption(plain(shelf.beginning(card.description)) or "\u00a0", help=plain(card.description) or None)
    last = shelf.last_run(runs, settings().runs, card)
    if last is not None:
        st.caption(f"{count(len(card.variants), 'variant')} · {last.text}")
        badges(last.counts)
    elif card.variants:
        st.caption(f"{count(len(card.variants), 'variant')} · not run yet")
    with st.container(horizontal=True):
        link("design", "Design", scenario=card.name)
        if not card.problem:
            link("run", "Run", scenario=card.name)
        if last is not None:
            link("runs", "Results", run=last.run)


def _new() -> None:
    """A scenario from a template, in the user's folder."""
    with st.form("new", border=False):
        name = st.text_input("Name", value="my_site", max_chars=60)
        kind = st.radio("Start from", ["a gate and its cloud", "a car park with a fire"], key="kind")
        levels = st.number_input("Levels", 1, 20, 3)
        bays = st.number_input("Bays a level", 20, 400, 120, step=20)
        if st.form_submit_button("Make it", type="primary"):
            scene = "carpark" if kind == "a car park with a fire" else None
            try:
                written = template_files(name, scene=scene, levels=int(levels), bays=int(bays))
                shelf.keep_uploaded(
                    settings().scenarios, [(file, text.encode()) for file, text in written.items()]
                )
            except InputError as error:
                st.error(str(error))
                return
            open_page("design", scenario=name)


def _import() -> None:
    """Files of a scenario from the user's machine."""
    with st.form("import", border=False, clear_on_submit=True):
        uploaded = st.file_uploader(
            "A scenario and the files that it names",
            accept_multiple_files=True,
            type=["yaml", "rules", "geojson", "csv", "json"],
        )
        if st.form_submit_button("Import", type="primary") and uploaded:
            try:
                kept = shelf.keep_uploaded(
                    settings().scenarios, [(each.name, each.getvalue()) for each in uploaded]
                )
            except InputError as error:
                st.error(str(error))
                return
            st.success(f"Imported {', '.join(path.name for path in kept)}.")
