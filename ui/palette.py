"""Colours and signs that mean the same on every page; readable for the colour-blind, in light and in dark.

The hues of designs are those of M. Okabe and K. Ito (Color Universal Design, 2008), a little stronger.
"""

from __future__ import annotations

from typing import Final, Literal

import streamlit as st

DESIGNS: Final = ("#0a7abf", "#e08e00", "#009e73", "#c064a0")
"""Of the designs that are compared, in their order."""
BADGES: Final[tuple[Literal["blue", "orange", "green", "violet"], ...]] = (
    "blue",
    "orange",
    "green",
    "violet",
)
"""The nearest that Streamlit has a name for."""
SIGNS: Final = {"PASS": "\u2713", "FAIL": "\u2717", "INCONCLUSIVE": "?"}
WASHES: Final = {
    "PASS": "rgba(0, 158, 115, 0.14)",
    "FAIL": "rgba(213, 94, 0, 0.20)",
    "INCONCLUSIVE": "rgba(230, 159, 0, 0.14)",
}
"""Behind a verdict, on either background."""
BAD: Final = "#d1480a"
QUIET: Final = "#808a91"
MARK: Final = "#b58900"
PARTS: Final = {
    "detect": "#4c6fa5",
    "confirm": "#9a7fc4",
    "network": "#e69f00",
    "rule": "#cc5a94",
    "actuate": "#d55e00",
    "pre-movement": "#8fb6d6",
    "flow": "#a9b5bd",
}
"""Of the parts of the time budget."""


def ink() -> str:
    """The colour of words in a chart, which Vega would write black on dark."""
    return "#e6e8e6" if st.context.theme.type == "dark" else "#26292c"
