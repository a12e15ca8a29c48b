"""Design: one scenario as drawing, map, tables and text."""

from __future__ import annotations

from typing import Final

import streamlit as st

from twin.errors import InputError
from ui.design.panels import VIEWS, draw_text
from ui.design.shelf import choose_scenario, choose_target, choose_variant, draw_actions, draw_conflict
from ui.design.workshop import Workshop
from ui.settings import settings

WORKSHOP: Final = "design_workshop"
ROOMY: Final = "<style>.stMainBlockContainer {padding: 3.2rem 1.6rem 2rem}</style>"
"""The page is wide and high: it needs the room that Streamlit leaves at the edges."""


def page() -> None:
    """Draw."""
    st.html(ROOMY)
    workshop = st.session_state.setdefault(WORKSHOP, Workshop(settings().scenarios))
    title, left, right, beside = st.columns([1, 2.2, 1.5, 1.3], vertical_alignment="bottom", gap="small")
    title.header("Design", anchor=False)
    with left:
        reference = choose_scenario(workshop.folder)
    try:
        workshop.open(reference)
    except InputError as error:
        st.code(str(error), language=None, wrap_lines=True)
        st.caption("Choose another scenario above.")
        return
    with right:
        variant = choose_variant(workshop)
    is_into_variant = False
    if variant:
        with beside:
            is_into_variant = choose_target(workshop)
    workshop.look_at(variant, is_into_variant=is_into_variant)
    draw_actions(workshop)
    draw_conflict(workshop)
    if workshop.notice:
        st.code(workshop.notice, language=None, wrap_lines=True)
    shown = st.segmented_control(
        "View",
        list(VIEWS),
        default="Drawing",
        key="view",
        required=True,
        label_visibility="collapsed",
        bind="query-params",
    )
    views, text = st.columns([3, 2], gap="small")
    with views:
        VIEWS[str(shown)](workshop)
    with text:
        draw_text(workshop)
