"""Parts of a page that are drawn again on their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import streamlit as st

P = ParamSpec("P")


def redrawn(every_s: float | None = None) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Draw a part again every so often, or when a widget in it is used, without the rest of the page.

    It has a container of its own. Streamlit 1.67, when it draws a part again before it has sent the page,
    leaves that part out of the page: without the container all below moves up in the browser, and the next
    part drawn there ends the page ("Cannot set a node at a delta path").
    """

    def of(draw: Callable[P, None]) -> Callable[P, None]:
        fragment = st.fragment(draw, run_every=every_s)

        @wraps(draw)
        def drawn(*arguments: P.args, **named: P.kwargs) -> None:
            with st.container():
                fragment(*arguments, **named)

        return drawn

    return of
