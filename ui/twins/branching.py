"""What if: branches of all twins, what differs in them, and a scenario that plays on from one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from ui import shelf
from ui.jobs import jobs
from ui.live_view import parsed
from ui.settings import settings
from ui.twins.client import ServiceClient, ServiceError, path_of

LABEL = "what-if run"
PUT = "put"


def branching(client: ServiceClient, thing: str) -> None:
    """Make, look into, change and drop branches."""
    st.caption(
        "A branch has all twins as they are, or were. Nothing that happens in it reaches anything real."
    )
    with st.form("branch", border=False):
        name, at, go = st.columns([2, 2, 1], vertical_alignment="bottom")
        called = name.text_input("Name", value="what-if", max_chars=64)
        moment = at.text_input("As of", value="now", help="now, a sequence, or a time: 2026-03-01T12:00:00Z")
        if go.form_submit_button("Branch", width="stretch"):
            _tried(lambda: client.ask("POST", "/v1/branches", {"name": called, "at": moment or "now"}))
    found = _tried(lambda: client.get("/v1/branches")) or {}
    names = [each["name"] for each in found.get("branches", ())]
    if names:
        chosen = st.selectbox("Branch", names, key="branch name")
        _let_happen(client, chosen, thing)
        _difference(client, chosen)
        if st.button("Drop this branch", icon=":material/delete:"):
            _tried(lambda: client.ask("DELETE", path_of("v1", "branches", chosen)))
            st.rerun()
    _scenario()


def _tried(work: Any) -> Any:
    try:
        return work()
    except ServiceError as error:
        st.error(str(error))
        return None


def _let_happen(client: ServiceClient, branch: str, thing: str) -> None:
    with st.form("happen", border=False):
        reported, after, go = st.columns([3, 1, 1], vertical_alignment="bottom")
        text = reported.text_input(f"What if {thing} reported", value='{"gate": "closed"}')
        after_s = after.number_input("after (s)", 0.0, 1e6, 1.0)
        if go.form_submit_button("Let it happen", width="stretch"):
            try:
                values = json.loads(text)
            except ValueError as error:
                st.error(f"This is no JSON: {error}")
                return
            payload = {"state": {"reported": values}}
            message = {"topic": f"$aws/things/{thing}/shadow/update", "payload": payload, "after_s": after_s}
            answer = _tried(
                lambda: client.ask("POST", path_of("v1", "branches", branch, "messages"), [message])
            )
            if answer is not None:
                st.caption(f"{len(answer['published'])} messages would have been published:")
                st.dataframe(pd.DataFrame(answer["published"]), hide_index=True, width="stretch")


def _difference(client: ServiceClient, branch: str) -> None:
    found = _tried(lambda: client.get(f"{path_of('v1', 'branches', branch)}/diff", limit=500))
    if found is None:
        return
    if not found["differences"]:
        st.caption("Nothing differs from live.")
        return
    rows = [
        {name: value if isinstance(value, str) else json.dumps(value) for name, value in each.items()}
        for each in found["differences"]
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")


def _scenario() -> None:
    """Play a scenario on from the store of the service."""
    store = settings().service.store
    if not store:
        st.caption("To play a scenario on from here: windtunnel ui --service-store FILE")
        return
    files = dict(shelf.files(settings().scenarios))
    what, at, go = st.columns([3, 2, 1], vertical_alignment="bottom")
    name = what.selectbox("Play a scenario on from the twins", list(files), key="what-if scenario")
    moment = at.text_input("from", value="now", key="what-if moment")
    if go.button("Play on", width="stretch"):
        command = ["twin", "branch", store, "--scenario", str(files[name]), "--at", moment or "now", "--json"]
        jobs().start(command, LABEL, is_queued=False)
    job = next((each for each in jobs().all() if each.label == LABEL), None)
    if job is None:
        return
    if not job.is_over:
        st.caption(f"{Path(job.arguments[4]).name}: {job.state}")
        return
    found = parsed(job.answer)
    if found is None:
        st.error(job.output[-1_000:])
        return
    rows = [{"requirement": name, "says": each["text"]} for name, each in found["judgements"].items()]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
    st.caption(f"{len(found['differences'])} values differ at its end from live.")
