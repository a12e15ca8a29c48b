"""Which pages there are, and what stands on every one of them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, NamedTuple

import streamlit as st


class Entry(NamedTuple):
    """A page in the navigation: its module below `ui.pages`, title, icon and the group it stands in."""

    module: str
    title: str
    icon: str
    group: str


ENTRIES: Final = (
    Entry("home", "Home", ":material/home:", ""),
    Entry("design", "Design", ":material/schema:", "Work"),
    Entry("run", "Run", ":material/play_circle:", "Work"),
    Entry("replay", "Replay", ":material/replay:", "Results"),
    Entry("runs", "Runs", ":material/folder_open:", "Results"),
    Entry("compare", "Compare", ":material/compare_arrows:", "Results"),
    Entry("sweep", "Sweep", ":material/tune:", "Results"),
    Entry("suites", "Suites", ":material/checklist:", "Results"),
    Entry("twins", "Twins", ":material/device_hub:", "Reality"),
    Entry("live", "Live", ":material/sensors:", "Reality"),
)


HOME: Final = ENTRIES[0].module


def pages(first: str = HOME) -> dict[str, list[Any]]:
    """The pages by group; `first` is the one at the root."""
    groups: dict[str, list[Any]] = {}
    for entry in ENTRIES:
        groups.setdefault(entry.group, []).append(_page(entry, is_first=entry.module == first))
    return groups


def link(module: str, label: str, **query: str) -> None:
    """A link to another page, with what it is to show."""
    entry = next(entry for entry in ENTRIES if entry.module == module)
    st.page_link(
        _page(entry, is_first=module == HOME), label=label, icon=entry.icon, query_params=query or None
    )


def open_page(module: str, **query: str) -> None:
    """Go to another page at once."""
    entry = next(entry for entry in ENTRIES if entry.module == module)
    st.switch_page(_page(entry, is_first=module == HOME), query_params=query or None)


def _page(entry: Entry, *, is_first: bool) -> Any:
    return st.Page(
        _drawing(entry.module),
        title=entry.title,
        icon=entry.icon,
        url_path=None if is_first else entry.module,
        default=is_first,
    )


def _drawing(module: str) -> Callable[[], None]:
    """Draws the page; its module is read when it is first shown."""

    def draw() -> None:
        import_module(f"ui.pages.{module}").page()

    draw.__name__ = module
    return draw
