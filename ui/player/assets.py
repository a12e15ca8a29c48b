"""The player's script and style as text, and a page of its own that needs nothing else.

The script is plain JavaScript without imports, kept in several files and joined here. In Streamlit it is a
module; in a report it is inlined. What a scenario says goes in as data, never as HTML or code.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from html import escape
from importlib import resources
from typing import Final

PARTS: Final = (
    "elements.js",
    "trajectory.js",
    "story.js",
    "palette.js",
    "floor.js",
    "moving.js",
    "network.js",
    "timeline.js",
    "panel.js",
    "things.js",
    "sources.js",
    "player.js",
)
COMPONENT: Final = "component.js"
STYLE: Final = "player.css"

PAGE_STYLE: Final = (
    ":root{color-scheme:light dark}body{margin:0;padding:20px;font-family:system-ui,sans-serif}"
    "h1{font-size:20px;font-weight:600;margin:0 0 14px}"
    "@media(prefers-color-scheme:dark){body{background:#0e1117;color:#e8ecf2}}"
)


@cache
def script() -> str:
    """All parts in order: it defines `mountPlayer(element, source, options)`."""
    return "\n".join(_read(name) for name in PARTS)


@cache
def module() -> str:
    """The script as Streamlit wants a component: a module with a default export."""
    return f"{script()}\n{_read(COMPONENT)}"


@cache
def style() -> str:
    """The style sheet."""
    return _read(STYLE)


def embedded(replay: bytes, trajectory: bytes) -> str:
    """A replay as HTML to put into a report: an element with its data, script and style."""
    source = _as_script_text(
        f'{{"replay":{replay.decode()},"trajectory":"{base64.b64encode(trajectory).decode("ascii")}"}}'
    )
    return (
        f"<style>{style()}</style>"
        '<div class="wtp-host"></div>'
        f'<script type="application/json" class="wtp-data">{source}</script>'
        f"<script>(() => {{\n{script()}\n"
        "const here = document.currentScript;\n"
        "const data = JSON.parse(here.previousElementSibling.textContent);\n"
        "here.previousElementSibling.previousElementSibling.wtPlayer ="
        " mountPlayer(here.previousElementSibling.previousElementSibling, data);\n"
        "})();</script>"
    )


def page(title: str, replay: bytes, trajectory: bytes) -> str:
    """A replay as one HTML file that can be opened without a network."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{PAGE_STYLE}</style>'
        f"<h1>{escape(title)}</h1>{embedded(replay, trajectory)}</html>"
    )


def _as_script_text(text: str) -> str:
    """JSON that cannot end the element that holds it, and no HTML comment begins in it."""
    return json.dumps(json.loads(text), ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")


def _read(name: str) -> str:
    return (resources.files("ui.player") / name).read_text(encoding="utf-8")
