"""Suites."""

import streamlit as st


def page() -> None:
    """Draw."""
    st.title("Suites")
