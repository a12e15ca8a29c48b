"""Text that somebody else wrote, made safe to stand in a page."""

from __future__ import annotations

from typing import Final

MARKS: Final = frozenset("\\`*_{}[]()#+-.!|<>$~:&")
MOST_SHOWN: Final = 2_000


def plain(text: str) -> str:
    """Text for `st.markdown` and the like in which nothing is markup; a very long one is cut."""
    shown = text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]} …"
    return "".join(f"\\{each}" if each in MARKS else " " if each in "\r\n" else each for each in shown)
