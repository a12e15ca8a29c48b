"""The bar of the page "Design": which scenario and variant, undo and redo, and everything about files."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import streamlit as st

from scenarios.shipped import SUFFIX
from twin.errors import InputError
from ui import navigation
from ui.design import files
from ui.design.document import Document
from ui.design.workshop import Workshop
from ui.markup import plain

FIRST: Final = "car_park_fire"
BASE: Final = "base"
RUN_PAGE: Final = "run"


def choose_scenario(folder: Path) -> str:
    """The scenario to work on: that of the address, or one that is picked."""
    own, shipped = files.own(folder), files.shipped(folder)
    known = [*own, *shipped]
    asked = st.query_params.get("scenario", "")
    start = asked.removesuffix(SUFFIX) or (own or [FIRST])[0]
    options = known if start in known else [start, *known]

    def on_change() -> None:
        st.query_params["scenario"] = st.session_state["design_scenario"]

    st.session_state["design_scenario"] = start
    chosen = st.selectbox(
        "Scenario",
        options,
        key="design_scenario",
        format_func=lambda each: f"{each} (shipped)" if each in shipped else each,
        on_change=on_change,
    )
    st.query_params["scenario"] = chosen
    return chosen


def choose_variant(workshop: Workshop) -> str:
    """Which variant is shown; '' is the base."""
    names = list(workshop.checked().drafts)
    has_variants = bool(workshop.checked().data.get("variants"))
    options = [BASE, *names] if has_variants else [BASE]
    asked = st.query_params.get("variant", BASE)
    key = f"design_variant_{workshop.current}"
    if key not in st.session_state:
        st.session_state[key] = asked if asked in options else BASE
    if st.session_state[key] not in options:
        st.session_state[key] = BASE
    chosen = st.selectbox("Variant", options, key=key, disabled=not has_variants)
    if chosen == BASE:
        st.query_params.pop("variant", None)
        return ""
    st.query_params["variant"] = chosen
    return str(chosen)


def choose_target(workshop: Workshop) -> bool:
    """Whether edits go into the variant that is shown."""
    place = st.segmented_control(
        "Edits go into",
        ["Base", "Variant"],
        default="Base",
        key=f"design_into_{workshop.current}",
        required=True,
        help="Base: what all variants share. Variant: an override of this variant alone.",
    )
    return place == "Variant"


def draw_actions(workshop: Workshop) -> None:
    """Undo, redo, save, copy, new, import, run."""
    document = workshop.document
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if st.button("Undo", icon=":material/undo:", disabled=not document.past):
            workshop.undo()
            st.rerun()
        if st.button("Redo", icon=":material/redo:", disabled=not document.future):
            workshop.redo()
            st.rerun()
        _draw_save(workshop, document)
        _draw_copy(workshop)
        _draw_new(workshop)
        _draw_import(workshop)
        _draw_run(workshop, document)
        _draw_standing(document)


def _draw_save(workshop: Workshop, document: Document) -> None:
    """Not in a callback: what was typed a moment ago comes with the same click, and must be there first."""
    if document.is_shipped:
        return
    kind: Literal["primary", "secondary"] = "primary" if document.is_changed else "secondary"
    icon = ":material/save:"
    if st.button("Save", icon=icon, type=kind, disabled=not document.is_changed, shortcut="Ctrl+S"):
        workshop.save()
        st.rerun()


def _draw_standing(document: Document) -> None:
    if document.is_changed:
        advice = ": save a copy to keep them" if document.is_shipped else ""
        st.badge(f"Unsaved changes{advice}", icon=":material/edit:", color="orange")
    elif document.is_shipped:
        st.badge("Comes with the product", icon=":material/lock:", color="gray")
    else:
        st.badge("Saved", icon=":material/check:", color="gray")


def _draw_copy(workshop: Workshop) -> None:
    with st.popover("Save a copy", icon=":material/file_copy:"):
        suggested = files.copy_name(workshop.document, workshop.folder)
        name = st.text_input("Name", suggested, key=f"copy_name_{workshop.current}", max_chars=60)
        st.caption("The files that the scenario names are copied with it.")
        if st.button("Save", key="copy", type="primary") and (reference := workshop.copy(name)):
            _go(reference)


def _draw_new(workshop: Workshop) -> None:
    with st.popover("New", icon=":material/note_add:"):
        name = st.text_input("Name", "my_system", key="new_name", max_chars=60)
        kind = st.radio("Template", ["One gate loop", "Car park with a fire"], key="new_kind")
        levels, bays = 2, 60
        if kind != "One gate loop":
            levels = int(st.number_input("Levels", 1, 20, 2, key="new_levels"))
            bays = int(st.number_input("Bays on each level", 10, 500, 60, 10, key="new_bays"))
        if st.button("Make", key="new", type="primary"):
            try:
                made = files.from_template(
                    name, workshop.folder, has_building=kind != "One gate loop", levels=levels, bays=bays
                )
            except (InputError, OSError) as error:
                st.error(plain(str(error)))
            else:
                _go(made)


def _draw_import(workshop: Workshop) -> None:
    with st.popover("Import", icon=":material/upload_file:"):
        uploads = st.file_uploader(
            "A scenario, with the rules, scenes and traces that it names",
            type=[ending.removeprefix(".") for ending in files.MOST_BYTES],
            accept_multiple_files=True,
            key="import_files",
        )
        if st.button("Import", key="import", type="primary", disabled=not uploads):
            try:
                names = files.bring_in(((each.name, each.getvalue()) for each in uploads), workshop.folder)
            except (InputError, OSError) as error:
                st.error(plain(str(error)))
            else:
                scenarios = [each for each in names if each.endswith(SUFFIX)]
                _go(scenarios[0].removesuffix(SUFFIX) if scenarios else workshop.current)


def _draw_run(workshop: Workshop, document: Document) -> None:
    if not any(entry.module == RUN_PAGE for entry in navigation.ENTRIES):
        return
    checked = workshop.checked()
    reason = (
        "Save it first" if document.is_changed else "" if checked.is_valid else "Solve its problems first"
    )
    if st.button("Run this", icon=":material/play_arrow:", disabled=bool(reason), help=reason or None):
        navigation.open_page(RUN_PAGE, scenario=document.reference)


def _go(reference: str) -> None:
    """Work on another scenario from the next run on."""
    st.query_params["scenario"] = reference
    st.query_params.pop("variant", None)
    st.rerun()


def draw_conflict(workshop: Workshop) -> None:
    """What to do about a file that was changed elsewhere."""
    if not workshop.is_conflict:
        return
    st.warning(
        f"{plain(workshop.document.name)} was changed or removed elsewhere since it was opened."
        " Nothing was written."
    )
    with st.container(horizontal=True, gap="small"):
        st.button("Load what is there now", icon=":material/refresh:", on_click=workshop.reload)
        if st.button("Write mine over it", icon=":material/save:"):
            workshop.save(is_forced=True)
            st.rerun()
