"""Which service a browser looks at, and with whose token. The token stays in the session of that browser."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui.settings import settings
from ui.twins.client import ServiceClient, ServiceError

ADDRESS, TOKEN = "service address", "service token"
FIRST_ADDRESS = "http://127.0.0.1:8080"


def client() -> ServiceClient | None:
    """The service, if it was said which; else a form that asks."""
    known = settings().service
    address = st.session_state.get(ADDRESS) or known.address
    token = st.session_state.get(TOKEN) or _from_file(known.token_file)
    if not address or not token:
        _form(address)
        return None
    try:
        return ServiceClient(address, token, Path(known.authority) if known.authority else None)
    except ServiceError as error:
        st.error(str(error), icon=":material/error:")
        leave()
        return None


def leave() -> None:
    """Offer to look at another service, or with another token, to who has given one."""
    if TOKEN in st.session_state and st.button("Another service", icon=":material/logout:"):
        st.session_state.pop(ADDRESS, None)
        st.session_state.pop(TOKEN, None)
        st.rerun()


def _from_file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip() if path else ""
    except OSError:
        return ""


def _form(address: str) -> None:
    st.info(
        "Start a service with `windtunnel serve`; it says its address, and the first token lies in its folder"
        " (`windtunnel-service/admin.token`).",
        icon=":material/device_hub:",
    )
    with st.form("connect"):
        where = st.text_input("Address of the service", value=address or FIRST_ADDRESS)
        token = st.text_input("Token", type="password", autocomplete="off")
        if st.form_submit_button("Connect", type="primary") and where and token:
            st.session_state[ADDRESS], st.session_state[TOKEN] = where.strip(), token.strip()
            st.rerun()
