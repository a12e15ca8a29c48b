"""Desires and commands: what is to be sent is looked at first, and sent by a second step."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from ui.markup import plain
from ui.twins import view
from ui.twins.client import ServiceClient, ServiceError, path_of

PLAN: Final = "what is to be sent"
UNCHANGED: Final = "leave as it is"


def acting(client: ServiceClient, thing: str, kind: Mapping[str, Any] | None, *, is_read_only: bool) -> None:
    """Forms for desired values and commands, or the plan that waits to be confirmed."""
    if is_read_only:
        st.caption("Nothing can be sent while the broker is away.")
        return
    plan = st.session_state.get(PLAN)
    if plan and plan["thing"] == thing:
        _confirm(client, plan)
        return
    desire, command = st.columns(2)
    with desire:
        _desire(thing, kind)
    with command:
        _command(thing, kind)


def _desire(thing: str, kind: Mapping[str, Any] | None) -> None:
    st.markdown("**Desire values**")
    with st.form("desire", border=True):
        properties = view.writable(kind)
        values: dict[str, Any] = {}
        for name, about in properties.items():
            given = _field(name, about)
            if given is not None:
                values[name] = given
        if not properties:
            text = st.text_area("Values as JSON", value="{}", key="desired json", height=90)
        if st.form_submit_button("Review", icon=":material/visibility:"):
            if not properties:
                values = _object(text) or {}
            if values:
                body = view.desired_document(values)
                _plan(thing, f"desire {json.dumps(values)}", path_of("things", thing, "shadow"), body)
            else:
                st.caption("Nothing is desired yet.")


def _field(name: str, about: Mapping[str, Any]) -> Any:
    """A field for a value of the type's schema; None where it is left as it is."""
    label, note = plain(name), str(about.get("description", "")) or None
    if "enum" in about:
        choice = st.selectbox(label, [UNCHANGED, *map(str, about["enum"])], help=note, key=f"desire {name}")
        return None if choice == UNCHANGED else choice
    if about.get("type") == "boolean":
        choice = st.selectbox(label, [UNCHANGED, "true", "false"], help=note, key=f"desire {name}")
        return None if choice == UNCHANGED else choice == "true"
    if about.get("type") in {"number", "integer"}:
        value = st.number_input(label, value=None, help=note, key=f"desire {name}", placeholder=UNCHANGED)
        return int(value) if value is not None and about["type"] == "integer" else value
    text = st.text_input(label, help=note, key=f"desire {name}", placeholder=UNCHANGED)
    return text or None


def _command(thing: str, kind: Mapping[str, Any] | None) -> None:
    st.markdown("**Give a command**")
    with st.form("command", border=True):
        known = view.actions(kind)
        name = (
            st.selectbox("Command", list(known), format_func=lambda each: each, key="command name")
            if known
            else st.text_input("Command", key="command name", max_chars=64)
        )
        arguments = st.text_input("Arguments as JSON", value="{}", key="command arguments")
        timeout_s = st.number_input("Time-out (s)", 1.0, 86_400.0, 30.0, key="command timeout")
        if st.form_submit_button("Review", icon=":material/visibility:") and name:
            given = _object(arguments)
            if given is not None:
                key = secrets.token_hex(8)
                body = {"name": name, "args": given, "timeout_s": timeout_s, "key": key}
                what = f"command {name}" + (f": {known[name]}" if known.get(name) else "")
                _plan(thing, what, path_of("v1", "things", thing, "commands"), body)


def _object(text: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        st.error(f"This is no JSON: {error}")
        return None
    if not isinstance(found, dict):
        st.error("Expected an object, such as {}")
        return None
    return found


def _plan(thing: str, what: str, path: str, body: dict[str, Any]) -> None:
    st.session_state[PLAN] = {"thing": thing, "what": what, "path": path, "body": body}
    st.rerun()


def _confirm(client: ServiceClient, plan: dict[str, Any]) -> None:
    """The second step: what will happen, in words and as it is sent."""
    with st.container(border=True):
        st.markdown(f"**Send to {plain(plan['thing'])}?**")
        st.warning(
            f"This moves something real: {plain(plan['what'])}", icon=":material/precision_manufacturing:"
        )
        st.code(json.dumps(plan["body"], indent=1), language="json")
        if plan["body"].get("key"):
            st.caption(f"Key {plan['body']['key']}: sent twice with it, it is one command.")
        send, keep = st.columns([1, 1])
        if send.button("Send", type="primary", icon=":material/send:", width="stretch"):
            try:
                client.ask("POST", plan["path"], plan["body"])
            except ServiceError as error:
                st.error(str(error))
                return
            st.session_state.pop(PLAN)
            st.toast("Sent.", icon=":material/check:")
            st.rerun()
        if keep.button("Do not send", width="stretch"):
            st.session_state.pop(PLAN)
            st.rerun()
