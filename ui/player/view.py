"""The player and the sequence diagram on a Streamlit page."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import streamlit as st

from ui.player import assets

HOST = '<div class="wtp-host"></div>'
SEQUENCE_HOST = '<div class="sequence"></div>'


class Asked(NamedTuple):
    """A moment to go to; a new `number` each time it is asked for."""

    number: int
    at_s: float


def player(run: str, name: str, *, key: str, seek: Asked | None = None, version: str = "") -> float | None:
    """Draw the replay `name` of a stored run; the time somebody last moved to, or None.

    `version` tells a replay that was made anew from the one before.
    """
    folder = f"/wt/runs/{run}/replays/{name}"
    urls = {
        "replayUrl": f"{folder}/replay.json?{version}",
        "trajectoryUrl": f"{folder}/trajectory.bin.gz?{version}",
    }
    return _mounted(urls, key, seek)


def live_player(run: str, *, key: str) -> float | None:
    """Draw a run that goes on, as it goes on; the time somebody last moved to, or None."""
    return _mounted({"liveUrl": f"/wt/runs/{run}/live"}, key, None)


def sequence(data: Mapping[str, Any], *, key: str) -> float | None:
    """Draw a message chain (`ui.replay_view.diagram` makes the data); the time of a step just clicked."""
    found = _sequence_component()(key=key, data=dict(data), on_seek_change=_nothing)
    return None if found.get("seek") is None else float(found["seek"])


def _mounted(data: Mapping[str, Any], key: str, seek: Asked | None) -> float | None:
    asked = None if seek is None else {"id": seek.number, "t": seek.at_s}
    found = _player_component()(
        key=key, data={**data, "seek": asked}, default={"seek": None}, on_seek_change=_nothing
    )
    return None if found.get("seek") is None else float(found["seek"])


def _nothing() -> None:
    """A state is declared by its callback."""


@cache
def _player_component() -> Any:
    return st.components.v2.component("windtunnel_player", html=HOST, css=assets.style(), js=assets.module())


@cache
def _sequence_component() -> Any:
    folder = resources.files("ui.sequence")
    return st.components.v2.component(
        "windtunnel_sequence",
        html=SEQUENCE_HOST,
        css=(folder / "sequence.css").read_text(encoding="utf-8"),
        js=(folder / "sequence.js").read_text(encoding="utf-8"),
    )
