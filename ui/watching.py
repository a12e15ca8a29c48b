"""A watched run on the page Run: the floor plan as it goes on, figures, requirements, and orders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pandas as pd
import streamlit as st

from scenarios.store import Manifest
from scenarios.watching.desk import WATCH
from ui.markup import plain
from ui.player.view import live_player, player
from ui.redrawing import redrawn
from ui.run_view import (
    SPEEDS,
    TIMES,
    Order,
    about,
    clock,
    ended,
    figures,
    give,
    last_events,
    not_as_usual,
    parts,
    progress,
    replay_of,
    share_done,
    standings,
)
from ui.verdicts import inline

POLL_S: Final = 1.0
DEGRADED: Final = {
    "300 ms, 5 % loss": "delay 300ms 60ms loss 5%",
    "2 s, 10 % loss": "delay 2s 400ms loss 10%",
    "half is lost": "loss 50%",
}


def is_watched(folder: Path) -> bool:
    """Whether the run in this folder is one to look at."""
    return (folder / WATCH).exists()


def page(folder: Path, manifest: Manifest) -> None:
    """The controls, the figures, the floor plan with the requirements beside it, and what is not as usual."""
    names = about(folder)
    is_running = manifest.state == "running"
    if is_running:
        clock_place, orders = st.columns([1.25, 4], vertical_alignment="center")
        with clock_place:
            _polled(_pause, folder, is_running=True)
        with orders:
            _orders(folder, names)
    _polled(_figures, folder, is_running=is_running)
    has_scene = bool(names.get("bays"))
    left, right = st.columns([2.1, 1], gap="medium")
    with left:
        if has_scene:
            _floor_plan(folder, manifest, is_running=is_running)
        else:
            _polled(_events, folder, is_running=is_running)
    with right:
        _polled(_standings, folder, is_running=is_running)


def _floor_plan(folder: Path, manifest: Manifest, *, is_running: bool) -> None:
    """The run as it goes on, or the whole of it once it is over."""
    name = replay_of(folder, manifest)
    if is_running:
        live_player(manifest.run, key=f"live-{manifest.run}")
    elif name:
        player(manifest.run, name, key=f"replay-{manifest.run}")
    else:
        st.caption("It ended without a replay.")


def _polled(draw: Callable[..., None], folder: Path, *, is_running: bool) -> None:
    """Draw a part of the page, and again and again while the run goes on."""
    redrawn(POLL_S if is_running else None)(draw)(folder, is_running=is_running)


def _pause(folder: Path, *, is_running: bool) -> None:
    """Pause or resume, whichever it is that can be done."""
    del is_running
    is_paused = bool(progress(folder).get("is_paused"))
    word, icon = ("Resume", ":material/play_arrow:") if is_paused else ("Pause", ":material/pause:")
    if st.button(word, icon=icon, key="pause", width="stretch"):
        _give(folder, Order(word.lower()))
        st.rerun(scope="fragment")


def _figures(folder: Path, *, is_running: bool) -> None:
    """Time and figures; at the end of the run the whole page is drawn anew."""
    state = progress(folder)
    if not state:
        st.caption("It has not said anything yet.")
        return
    if is_running and state.get("is_over"):
        st.rerun()
    if is_running:
        text = f"{clock(state.get('at_s', 0.0))} of {clock(state.get('duration_s', 0.0))}"
        pace = "paused" if state.get("is_paused") else f"{state.get('speed', 1.0):g}{TIMES}"
        st.progress(share_done(state), text=f"{text} · {pace}")
    else:
        st.caption(f"{clock(state.get('at_s', 0.0))} · {ended(state)}")
    values = (state.get("course") or {}).get("values") or {}
    shown = figures(state)
    for column, each in zip(st.columns(max(len(shown), 1)), shown):
        column.metric(each.label, each.text, border=True, chart_data=values.get(each.name), chart_type="line")


def _standings(folder: Path, *, is_running: bool) -> None:
    """The requirements, and what is not as usual."""
    state = progress(folder)
    st.markdown("**Requirements**")
    rows = [
        f"{inline(each.state)} {plain(each.name)}  \n:small[:gray[{plain(each.text)}]]"
        for each in standings(state)
    ]
    st.markdown("\n\n".join(rows) or ":gray[This variant has none.]")
    st.markdown("**Not as usual**")
    for name in state.get("standing") or []:
        text, way = st.columns([2.2, 1], vertical_alignment="center")
        text.markdown(f":orange-badge[:material/front_hand: {plain(name)}]")
        if is_running and way.button("End", key=f"end {name}", width="stretch"):
            _give(folder, Order("end", name))
            st.rerun(scope="fragment")
    changed = not_as_usual(state)
    if changed:
        lines = [f":{look}-badge[{word}] {plain(name)}" for name, word, look in changed]
        st.markdown("  \n".join(lines))
    elif not state.get("standing"):
        st.caption("Every link carries, every node runs.")


# orders --------------------------------------------------------------------------------------------------


@redrawn()
def _orders(folder: Path, names: dict[str, Any]) -> None:
    """A row of buttons, each with what it can do below it."""
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        with st.popover("Speed", icon=":material/speed:"):
            _speed(folder)
        with st.popover("Links", icon=":material/link:"):
            _links(folder, names)
        with st.popover("Nodes", icon=":material/dns:"):
            _nodes(folder, names)
        if names.get("bays"):
            with st.popover("Fire", icon=":material/local_fire_department:"):
                _fire(folder, names)


def _links(folder: Path, names: dict[str, Any]) -> None:
    target = st.selectbox("Link, or the links of a fleet", [*names["links"], *names["fleets"]], key="link")
    how = st.selectbox("Degraded by", list(DEGRADED), key="degraded")
    with st.container(horizontal=True, gap="small"):
        if st.button("Cut", key="cut", icon=":material/link_off:", disabled=target is None):
            _give(folder, Order("cut", str(target)))
        if st.button("Degrade", key="degrade", icon=":material/network_check:", disabled=target is None):
            _give(folder, Order("degrade", f"{target} {DEGRADED[how]}"))
        if st.button("Heal", key="heal", icon=":material/healing:", disabled=target is None):
            _give(folder, Order("heal", str(target)))


def _nodes(folder: Path, names: dict[str, Any]) -> None:
    target = st.selectbox("Node or device", [*names["nodes"], *names["devices"]], key="node")
    with st.container(horizontal=True, gap="small"):
        if st.button("Kill", key="kill", icon=":material/power_off:", disabled=target is None):
            _give(folder, Order("kill", str(target)))
        if st.button("Restart", key="restart", icon=":material/restart_alt:", disabled=target is None):
            _give(folder, Order("restart", str(target)))


def _fire(folder: Path, names: dict[str, Any]) -> None:
    burning = progress(folder).get("fire")
    if burning:
        since = clock(burning["from_s"])
        st.write(f"{plain(str(burning['bay']))} burns since {since}. A building has one fire.")
        return
    bay = st.selectbox("Bay", names["bays"], key="bay")
    if st.button("Start a fire", key="fire", type="primary"):
        _give(folder, Order("fire", str(bay)))
        st.rerun(scope="fragment")


def _speed(folder: Path) -> None:
    def changed() -> None:
        _give(folder, Order("speed", str(st.session_state["run_speed"])))

    now = progress(folder).get("speed", 1.0)
    nearest = min(SPEEDS, key=lambda each: abs(each - now))
    st.select_slider(
        "Seconds of the run in one second",
        SPEEDS,
        nearest,
        format_func=f"{{}}{TIMES}".format,
        key="run_speed",
        on_change=changed,
    )


def _give(folder: Path, order: Order) -> None:
    problem = give(folder, order)
    if problem:
        st.toast(plain(problem), icon=":material/error:")


# without a building --------------------------------------------------------------------------------------


def _events(folder: Path, *, is_running: bool) -> None:
    """The newest events and the state of every part, where no floor plan shows them."""
    del is_running
    st.markdown("**Events**")
    rows = [
        {"at": clock(each.get("at_s", 0.0)), "what": each.get("text", ""), "where": each.get("node", "")}
        for each in last_events(folder)
    ]
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", height=320)
    else:
        st.caption("Nothing has happened yet.")
    st.markdown("**Links, nodes and devices**")
    listed = parts(about(folder), progress(folder))
    st.dataframe(pd.DataFrame(listed), hide_index=True, width="stretch", height=320)
