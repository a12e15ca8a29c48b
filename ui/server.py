"""The server of the user interface: Streamlit as an ASGI application, with our routes and our guard."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import streamlit as st
from starlette.middleware import Middleware

from ui.front import Front
from ui.guard import Guard
from ui.jobs import jobs
from ui.routes import routes
from ui.settings import Settings

SCRIPT: Final = Path(__file__).parent / "start" / "main.py"
MOST_UPLOAD_MB: Final = 20
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class Door(NamedTuple):
    """Where the server listens, who may call it by which name, and what it asks for."""

    address: str
    port: int
    hosts: tuple[str, ...] = LOOPBACK
    password: str = ""
    certificate: Path | None = None
    key: Path | None = None
    is_opening: bool = False
    """Whether a browser is opened."""


def serve(settings: Settings, door: Door) -> None:
    """Serve until it is asked to end; what pages have started ends with it."""
    os.environ.update(settings.as_environment())
    guard = Middleware(
        Guard,
        hosts=door.hosts,
        password=door.password,
        is_secure=door.certificate is not None,
    )
    app = st.App(SCRIPT, routes=routes(), middleware=[guard, Middleware(Front)], lifespan=_lifespan)
    app.run(config=options(door))


@asynccontextmanager
async def _lifespan(_app: st.App) -> AsyncIterator[dict[str, Any]]:
    gc.freeze()  # what is imported stays, and need not be looked at again
    yield {}
    jobs().close()


def options(door: Door) -> dict[str, Any]:
    """Streamlit's options: the safe ones, and those that make it quick.

    After each script run Streamlit collects garbage, which takes twenty times as long as the run itself.
    """
    secure = {"server.sslCertFile": str(door.certificate), "server.sslKeyFile": str(door.key)}
    return {
        "server.address": door.address,
        "server.port": door.port,
        "server.headless": not door.is_opening,
        "server.allowedHosts": list(door.hosts),
        "server.maxUploadSize": MOST_UPLOAD_MB,
        "server.fileWatcherType": "none",
        "server.enableStaticServing": False,
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "runner.magicEnabled": False,
        "runner.postScriptGC": False,
        "logger.hideWelcomeMessage": True,
        "theme.light.primaryColor": "#0b6b8a",
        "theme.dark.primaryColor": "#4fb3d1",
        **(secure if door.certificate else {}),
    }
