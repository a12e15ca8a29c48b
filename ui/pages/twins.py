"""Twins: what a running service knows of its devices, how much it is worth, and what if."""

from __future__ import annotations

from typing import Any, Final, Literal

import pandas as pd
import streamlit as st

from ui.markup import plain
from ui.redrawing import redrawn
from ui.twins import view
from ui.twins.acting import acting
from ui.twins.branching import branching
from ui.twins.client import ServiceClient, ServiceError, path_of
from ui.twins.session import client, leave

COLOURS: Final[dict[str, Literal["green", "orange", "red", "blue"]]] = {
    "live": "green",
    "stale": "orange",
    "read_only": "orange",
    "diverged": "red",
    "branch": "blue",
}
PAGE_SIZE = 50
HISTORY = 200
QUERY_HELP = (
    "Words of a name, and type:boom_gate site:home group:exits tag:fire state:active; a minus excludes"
)


def page() -> None:
    """Search, then one twin."""
    title, other = st.columns([8, 2], vertical_alignment="bottom")
    title.title("Twins")
    service = client()
    if service is None:
        return
    with other:
        leave()
    try:
        _standing(service)
        thing = _search(service)
        if thing:
            _twin(service, thing)
    except ServiceError as error:
        st.error(str(error), icon=":material/cloud_off:")


@redrawn(2.0)
def _standing(service: ServiceClient) -> None:
    """A banner while the broker is away; nothing to see while all is well."""
    try:
        health = service.health()
    except ServiceError as error:
        st.error(f"The service is away: {error}", icon=":material/cloud_off:")
        return
    broker = health.get("broker", {})
    if broker.get("connected"):
        st.caption(f"The service is {health['state']}. Authorisation: {health['authorisation']['claim']}.")
        return
    st.warning(
        f"Read only: the broker is away since {view.moment(broker.get('since_s', 0.0))} UTC."
        f" {plain(str(broker.get('trouble', '')))} What is shown is the last that was known.",
        icon=":material/cloud_off:",
    )


def _search(service: ServiceClient) -> str:
    """The thing that was chosen from what was found."""
    query = st.text_input(
        "Search", key="query", bind="query-params", placeholder="type:boom_gate site:home", help=QUERY_HELP
    )
    after = st.session_state.get("after", [""])
    found = service.get("/v1/things", query=query or "", limit=PAGE_SIZE, after=after[-1])
    rows = view.found_rows(found)
    if not rows:
        st.info("No thing is like that.", icon=":material/search_off:")
        return ""
    asked = st.query_params.get("thing")
    with st.expander(f"{found['total_count']} things", expanded=asked is None, icon=":material/list:"):
        chosen = st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            width="stretch",
            on_select="rerun",
            selection_mode="single-row",
            key=f"things {query} {after[-1]}",
            height=min(38 + 35 * len(rows), 320),
        )
        _paging(after, str(found.get("after", "")), is_more=len(rows) == PAGE_SIZE)
    picked = chosen["selection"]["rows"]
    if picked:
        asked = rows[picked[0]]["name"]
        st.query_params["thing"] = asked
    return asked or ""


def _paging(after: list[str], following: str, *, is_more: bool) -> None:
    back, forth = st.columns(2)
    if len(after) > 1 and back.button("Earlier"):
        st.session_state["after"] = after[:-1]
        st.rerun()
    if is_more and following and forth.button("Later"):
        st.session_state["after"] = [*after, following]
        st.rerun()


def _twin(service: ServiceClient, thing: str) -> None:
    st.header(plain(thing), anchor=False)
    twin = service.get(path_of("v1", "things", thing))
    kind = _kind(service, (twin.get("thing") or {}).get("type", ""))
    document, act, history, relations, what_if = st.tabs(["Now", "Act", "History", "Relations", "What if"])
    with document:
        _now(service, thing)
    with act:
        acting(service, thing, kind, is_read_only=twin["state"] == "read_only")
    with history:
        _history(service, thing)
    with relations:
        _relations(service, thing)
    with what_if:
        branching(service, thing)


def _kind(service: ServiceClient, name: str) -> dict[str, Any] | None:
    if not name:
        return None
    try:
        found: dict[str, Any] = service.get(path_of("v1", "types", name))
    except ServiceError:
        return None
    return found


@redrawn(2.0)
def _now(service: ServiceClient, thing: str) -> None:
    """The twin as it is, drawn anew every two seconds."""
    try:
        twin = service.get(path_of("v1", "things", thing))
    except ServiceError as error:
        st.error(str(error))
        return
    state = str(twin["state"])
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(state.replace("_", " "), color=COLOURS.get(state, "gray"), icon=":material/sync_alt:")
        st.caption(view.STATES.get(state, ""))
        st.badge(
            "reachable" if twin["reachable"] else "not connected",
            color="green" if twin["reachable"] else "gray",
            icon=":material/sensors:" if twin["reachable"] else ":material/sensors_off:",
        )
    _shadow("", twin["shadow"])
    for name, shadow in twin["named_shadows"].items():
        _shadow(name, shadow)
    _open_matters(twin)
    about = twin.get("thing")
    if about:
        with st.expander("Registry record"):
            st.json(about)


def _shadow(name: str, shadow: dict[str, Any] | None) -> None:
    rows = view.value_rows(shadow)
    if name:
        st.markdown(f"**Shadow {plain(name)}**")
    if not rows:
        st.caption("It has reported nothing, and nothing is desired of it.")
        return
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
    if shadow:
        st.caption(f"Version {shadow['version']}. A delta is what is desired and not reported.")


def _open_matters(twin: dict[str, Any]) -> None:
    for title, rows in (("Active alarms", twin["alarms"]), ("Open commands", twin["commands"])):
        if rows:
            st.markdown(f"**{title}**")
            shown = [{key: str(value) for key, value in each.items()} for each in rows]
            st.dataframe(pd.DataFrame(shown), hide_index=True, width="stretch")


def _history(service: ServiceClient, thing: str) -> None:
    found = service.get(f"{path_of('v1', 'things', thing)}/history", limit=HISTORY, newest_first="true")
    rows = view.history_rows(found)
    if not rows:
        st.caption("Nothing has happened to it.")
        return
    paths = sorted(
        {
            path
            for entry in found["entries"]
            if entry["kind"] == "shadow" and entry["record"]
            for side in (entry["record"].get("state") or {}).values()
            for path, _ in view.leaves(side)
        }
    )
    if paths:
        chosen = st.selectbox("Value", paths, format_func=lambda path: path.lstrip("/"), key="history value")
        points = [{**each, "value": str(each["value"])} for each in view.series(found, chosen)]
        st.dataframe(pd.DataFrame(points), hide_index=True, width="stretch")
    with st.expander(f"All of the last {len(rows)} entries of the journal"):
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")


def _relations(service: ServiceClient, thing: str) -> None:
    rows = view.relations(service.get("/v1/graph"), thing)
    if not rows:
        st.caption("It is related to nothing. An admin relates things: PUT /v1/graph/ONE/controls/OTHER")
        return
    st.image(view.graph_svg(rows, thing), width="stretch", alt=f"Relations of {thing}, as in the table below")
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
    affected = service.get(f"{path_of('v1', 'graph', thing)}/affected")["affected"]
    if affected:
        st.markdown("**If it fails, these suffer**")
        st.dataframe(pd.DataFrame(affected), hide_index=True, width="stretch")
