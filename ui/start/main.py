"""The script that Streamlit runs for every page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui.navigation import pages

ICON = str(Path(__file__).parents[1] / "icon.svg")

st.set_page_config(page_title="Windtunnel", page_icon=ICON, layout="wide")
st.logo(ICON)
st.html("<style>.stMainBlockContainer{padding-top:3.5rem;padding-bottom:3rem}</style>")
st.navigation(pages()).run()
