"""Verdicts as they look on every page: a word and a shape besides the colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import streamlit as st

Colour = Literal["green", "red", "orange", "gray"]


class Look(NamedTuple):
    """How a verdict is shown."""

    icon: str
    colour: Colour


LOOKS: Final = {
    "PASS": Look(":material/check_circle:", "green"),
    "passed": Look(":material/check_circle:", "green"),
    "FAIL": Look(":material/cancel:", "red"),
    "failed": Look(":material/cancel:", "red"),
    "error": Look(":material/error:", "red"),
    "INCONCLUSIVE": Look(":material/help:", "orange"),
    "met": Look(":material/check_circle:", "green"),
    "met so far": Look(":material/check:", "green"),
    "missed": Look(":material/cancel:", "red"),
    "open": Look(":material/hourglass_empty:", "gray"),
    "skipped": Look(":material/remove_circle:", "gray"),
}
UNKNOWN: Final = Look(":material/radio_button_unchecked:", "gray")


def badge(verdict: str, text: str = "") -> None:
    """One verdict; `text` stands for its word."""
    look = LOOKS.get(verdict, UNKNOWN)
    st.badge(text or verdict, icon=look.icon, color=look.colour)


def inline(verdict: str, text: str = "") -> str:
    """The verdict as a badge within a line of Markdown."""
    look = LOOKS.get(verdict, UNKNOWN)
    return f":{look.colour}-badge[{look.icon} {text or verdict}]"


def badges(counts: Mapping[str, int]) -> None:
    """How many of each there are, in a row."""
    with st.container(horizontal=True, gap="small"):
        for verdict, count in counts.items():
            if count:
                badge(verdict, f"{count} {verdict}")


def worded(verdict: str) -> str:
    """The verdict with its shape, for a cell of a table."""
    marks = {"PASS": "✓", "passed": "✓", "FAIL": "✗", "failed": "✗", "error": "✗", "INCONCLUSIVE": "?"}
    return f"{marks.get(verdict, '·')} {verdict}" if verdict else ""
