"""Replay: one replication in time, and why a requirement was missed in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import streamlit as st

from scenarios.archive import STUDY, read_study
from scenarios.judging.chain_path import chain_path
from scenarios.replaying.document import Explained, Replay
from scenarios.replaying.explanation import clock, explanation
from scenarios.replaying.running import DOCUMENT, REPLAYS, replay_name
from scenarios.results import Study
from scenarios.store import Manifest, Store
from twin.errors import InputError
from ui.jobs import Job, jobs
from ui.markup import plain
from ui.navigation import link
from ui.player.view import Asked, player, sequence
from ui.redrawing import redrawn
from ui.replay_view import (
    breakdown,
    command,
    diagram,
    event_kinds,
    event_rows,
    events_around,
    figures_at,
    first_to_explain,
    moment_line,
    read_replay,
    seed_choices,
    share_done,
    states_at,
)
from ui.settings import settings

ASKED: Final = "replay_asked"
POLL_S: Final = 0.5
MOST_DIGITS: Final = 20
STATE_COLUMNS: Final = ("Device or link", "State", "Level", "Since")
FORGET: Final = {
    "run": ("variant", "seed", "t", "why"),
    "variant": ("seed", "t", "why"),
    "seed": ("t", "why"),
}


def page() -> None:
    """Choose a replication, and show it once it has been made."""
    st.title("Replay")
    store = Store(settings().runs)
    known = [each for each in store.list() if (store.root / each.run / STUDY).exists()]
    if not known:
        st.info("No run has results yet. Run a scenario, then come back.", icon=":material/play_circle:")
        link("home", "Scenarios")
        return
    try:
        _chosen(store.root, known)
    except InputError as error:
        st.error(plain(str(error)), icon=":material/error:")


def _chosen(root: Path, known: Sequence[Manifest]) -> None:
    names = {each.run: f"{each.title} ({each.started.replace('T', ' ').rstrip('Z')})" for each in known}
    columns = st.columns([5, 3, 4])
    with columns[0]:
        run = _pick("Run", list(names), "run", names.__getitem__)
    study = _study(str(root / run), (root / run / STUDY).stat().st_mtime_ns)
    variants = {each.name: each for each in study.variants}
    with columns[1]:
        variant = _pick("Variant", list(variants), "variant", lambda name: variants[name].title or name)
    seeds = {str(each.seed): each for each in seed_choices(variants[variant])}
    asked = st.query_params.get("seed", "")
    options = (
        [*seeds, asked]
        if asked.isdecimal() and len(asked) < MOST_DIGITS and asked not in seeds
        else list(seeds)
    )
    with columns[2]:
        seed = _pick("Seed", options, "seed", lambda each: seeds[each].label if each in seeds else each)
    folder = root / run / REPLAYS / replay_name(variant, int(seed))
    if (folder / DOCUMENT).exists():
        _show(run, folder)
    else:
        _make(command(run, variant, int(seed), root), folder)


def _pick(label: str, options: list[str], query: str, shown: Callable[[str], str]) -> str:
    """A choice that the address keeps; what depends on it is forgotten when it changes."""
    asked, key = st.query_params.get(query, ""), f"replay_{query}"
    value = asked if asked in options else options[0]
    if st.session_state.get(key) != value:
        st.session_state[key] = value

    def keep() -> None:
        st.query_params[query] = str(st.session_state[key])
        for name in FORGET[query]:
            st.query_params.pop(name, None)

    return str(st.selectbox(label, options, key=key, format_func=shown, on_change=keep))


@st.cache_resource(max_entries=8, show_spinner=False)
def _study(folder: str, _stamp: int) -> Study:
    return read_study(Path(folder))


@st.cache_resource(max_entries=8, show_spinner="Reading the replay")
def _replay(path: str, _stamp: int) -> Replay:
    return read_replay(Path(path))


# making it -----------------------------------------------------------------------------------------------


def _make(arguments: list[str], folder: Path) -> None:
    """Run the replication again, recorded, in a job that everybody who asks for it shares."""
    job = next((each for each in jobs().all() if each.arguments == tuple(arguments)), None)
    if job is None:
        job = jobs().start(arguments, f"replay {folder.name}")
    if job.is_over and not (folder / DOCUMENT).exists():
        st.error("The replay could not be made.", icon=":material/error:")
        st.code(job.output or "It was cancelled.", language=None)
        if st.button("Try again", key="again"):
            jobs().start(arguments, f"replay {folder.name}")
            st.rerun()
        return
    _wait(job, folder)


@redrawn(POLL_S)
def _wait(job: Job, folder: Path) -> None:
    if job.is_over:
        st.rerun()
    is_waiting = job.state == "waiting"
    doing = "It waits for its turn." if is_waiting else "The replication runs again and is recorded."
    st.progress(share_done(folder), f"Making the replay. {doing}")
    if st.button("Cancel", key="cancel"):
        job.cancel()


# showing it ----------------------------------------------------------------------------------------------


def _show(run: str, folder: Path) -> None:
    path = folder / DOCUMENT
    stamp = path.stat().st_mtime_ns
    replay = _replay(str(path), stamp)
    _played(run, folder.name, replay, stamp)
    st.subheader("Requirements in this replication")
    chosen = _requirements(replay)
    if chosen is not None:
        _why(replay, chosen)


@redrawn()
def _played(run: str, name: str, replay: Replay, stamp: int) -> None:
    """The player, and what the page says of the moment that it stands at."""
    seek = st.session_state.get(ASKED) or Asked(0, _asked_time())
    moved = player(run, name, key=f"player-{run}-{name}", seek=seek, version=str(stamp))
    at_s = seek.at_s if moved is None else moved
    if moved is not None:
        st.query_params["t"] = f"{moved:g}"
    st.caption(plain(moment_line(replay, at_s)))
    with st.expander("This moment and all events, as tables", icon=":material/table_rows:"):
        now, events = st.tabs(["This moment", "All events"])
        with now:
            _moment(replay, at_s)
        with events:
            _events(replay)


def _asked_time() -> float:
    try:
        return max(0.0, float(st.query_params.get("t", "0")))
    except ValueError:
        return 0.0


def _ask(at_s: float) -> None:
    """Let the player go to a time on the next run."""
    last: Asked | None = st.session_state.get(ASKED)
    st.session_state[ASKED] = Asked((last.number if last else 0) + 1, at_s)


def _moment(replay: Replay, at_s: float) -> None:
    left, middle, right = st.columns([3, 4, 5])
    with left:
        st.caption("Counted")
        _table([{"What": name, "Value": value} for name, value in figures_at(replay, at_s)])
    with middle:
        st.caption("Not as at the beginning")
        _table([dict(zip(STATE_COLUMNS, row)) for row in states_at(replay, at_s)])
    with right:
        st.caption("Events around it")
        _table(event_rows(events_around(replay, at_s), ()))


def _events(replay: Replay) -> None:
    kinds = st.multiselect("Kinds", event_kinds(replay.events), placeholder="all", key="replay_kinds")
    rows = event_rows(replay.events, kinds)
    if replay.omitted_events:
        st.caption(f"{replay.omitted_events} more events, of devices that report all the time, are left out.")
    if not rows:
        st.info("Nothing happened that is worth telling.", icon=":material/search_off:")
        return
    picked = st.dataframe(
        _without_times(rows),
        hide_index=True,
        height=320,
        on_select="rerun",
        selection_mode="single-row",
        key="replay_events",
    )
    if picked.selection.rows and st.session_state.get("replay_picked") != picked.selection.rows:
        st.session_state["replay_picked"] = picked.selection.rows
        _ask(float(rows[picked.selection.rows[0]]["at_s"]))
        st.rerun(scope="fragment")


def _without_times(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "at_s"} for row in rows]


def _table(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        st.caption("nothing")
    else:
        st.dataframe(_without_times(rows), hide_index=True, height=min(36 * (len(rows) + 1) + 2, 320))


# why -----------------------------------------------------------------------------------------------------


def _requirements(replay: Replay) -> Explained | None:
    """The list of requirements; the one whose why is asked for."""
    by_name = {each.name: each for each in replay.requirements}
    if not by_name:
        st.caption("This scenario has no requirements.")
        return None
    asked = st.query_params.get("why", "")
    chosen = by_name.get(asked) or by_name[first_to_explain(replay.requirements)]
    for number, each in enumerate(replay.requirements):
        mark, what, buttons = st.columns([1.3, 6.5, 3.2], vertical_alignment="center")
        with mark:
            if each.is_met:
                st.badge("met", icon=":material/check:", color="green")
            else:
                st.badge("missed", icon=":material/close:", color="red")
        what.markdown(f"**{plain(each.name)}**  \n:gray[{plain(each.text)}]")
        with buttons, st.container(horizontal=True, horizontal_alignment="right"):
            is_shown = each is chosen
            if st.button(
                "Why",
                key=f"why_{number}",
                type="primary" if is_shown else "secondary",
                help="Show what led to it",
            ):
                st.query_params["why"] = each.name
                st.rerun()
            if each.at_s is not None and st.button(
                f"Go to {clock(each.at_s)}", key=f"go_{number}", help="Show the moment that decides it"
            ):
                _ask(each.at_s)
                st.rerun()
    return chosen


def _why(replay: Replay, requirement: Explained) -> None:
    verdict = "met" if requirement.is_met else "missed"
    st.subheader(f"Why “{plain(requirement.name)}” was {verdict}")
    if requirement.why:
        st.caption(f"It is asked for because: {plain(requirement.why)}")
    st.markdown(" ".join(plain(each) for each in explanation(requirement, replay)))
    if not requirement.chain:
        return
    is_whole = st.toggle(
        f"Every message of the chain ({len(requirement.chain)})",
        key="replay_whole",
        help="Also those that went elsewhere",
    )
    number = replay.requirements.index(requirement)
    at_s = sequence(
        diagram(requirement, is_whole=is_whole, number=number), key=f"sequence-{number}-{is_whole}"
    )
    if at_s is not None:
        _ask(at_s)
        st.rerun()
    st.markdown("**Where the time went**")
    st.dataframe(
        breakdown(chain_path(requirement.chain)),
        hide_index=True,
        column_config={
            "Time": st.column_config.TextColumn("Time", width="small"),
            "Took": st.column_config.TextColumn("Took", width="small"),
            "Step": st.column_config.TextColumn("Step", width="large"),
            "Share": st.column_config.ProgressColumn("Share", min_value=0.0, max_value=1.0, format="percent"),
        },
    )
