"""One of several stored runs, chosen by the address or by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from scenarios.store import Manifest


def chosen_run(label: str, runs: Sequence[Manifest], title: Callable[[Manifest], str]) -> str:
    """The name of the run that `?run=` asks for, or the first; the address follows what is chosen."""
    names = [each.run for each in runs]
    asked = st.query_params.get("run")
    chosen: str = st.selectbox(
        label,
        names,
        index=names.index(asked) if asked in names else 0,
        format_func=lambda name: title(runs[names.index(name)]),
    )
    st.query_params["run"] = chosen
    return chosen
