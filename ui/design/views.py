"""The two components of the page: the drawing and the text. Their code lies beside this file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

import streamlit as st

from scenarios.format.issues import Issue

MOST_ISSUES: Final = 60


def _component(name: str, part: str) -> Any:
    """A component of our own files; with a line break at the end they are not taken for paths."""
    html, css, js = (
        f"{(files('ui.design') / f'{part}.{kind}').read_text('utf-8')}\n" for kind in ("html", "css", "js")
    )
    return st.components.v2.component(name, html=html, css=css, js=js)


_EDITOR: Final = _component("windtunnel_editor", "editor")
_TEXT: Final = _component("windtunnel_code", "code")


def editor(
    key: str, data: Mapping[str, Any], on_orders: Callable[[], None], on_selected: Callable[[], None]
) -> None:
    """The drawing; what is done in it comes as `orders` of the component's state."""
    _EDITOR(key=key, data=dict(data), on_orders_change=on_orders, on_selected_change=on_selected)


def text(key: str, data: Mapping[str, Any], on_orders: Callable[[], None]) -> None:
    """The text and its problems."""
    _TEXT(key=key, data=dict(data), on_orders_change=on_orders)


def as_rows(issues: Sequence[Issue]) -> list[dict[str, Any]]:
    """Issues for the browser, the first of many."""
    return [
        {
            "line": issue.line,
            "column": issue.column,
            "length": issue.length,
            "code": issue.code,
            "message": issue.message,
            "label": issue.label,
            "help": issue.help,
        }
        for issue in issues[:MOST_ISSUES]
    ]
