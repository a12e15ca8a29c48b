"""What pages fetch besides Streamlit's own stream: replays, reports, and the frames of a run that goes on.

    /wt/runs/RUN/report.html                      the report of a run
    /wt/runs/RUN/replays/NAME/replay.json         a replication as it was recorded
    /wt/runs/RUN/replays/NAME/trajectory.bin.gz   where everybody was
    /wt/runs/RUN/live                             WebSocket: a watched run while it goes on

A message of the WebSocket is JSON text with a `kind` (`scene`, `state`, `events`, `end`), or a frame: its
index as u32, then the frame as the trajectory has it.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ui.settings import settings

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=+-]{0,160}")
FILES: Final = {"replay.json": "application/json", "trajectory.bin.gz": "application/octet-stream"}
SANDBOX: Final = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline';"
    " img-src data:"
)
"""A report shows what a scenario says: it may run its own script, and reach nothing."""
SCENE, STATE, EVENTS, FRAMES = "scene.json", "progress.json", "events.jsonl", "trajectory.part"
POLL_S: Final = 1 / 30
END_POLLS: Final = 10
BATCH_BYTES: Final = 4_000_000
MAGIC: Final = b"WTT1"
AGENT_BYTES: Final = 6
"""Of an agent in a frame: x and y in two bytes each, level and state in one."""


def routes() -> list[BaseRoute]:
    """All of them."""
    return [
        Route("/wt/runs/{run}/report.html", _report),
        Route("/wt/runs/{run}/replays/{name}/{file}", _replay),
        WebSocketRoute("/wt/runs/{run}/live", _live),
    ]


def folder_of(run: str) -> Path:
    """The folder of a run; raise HTTPException (404) for what is none."""
    root = settings().runs
    folder = root / run
    if not NAME.fullmatch(run) or not folder.is_dir() or folder.resolve().parent != root.resolve():
        raise HTTPException(404, "there is no such run")
    return folder


async def _report(request: Request) -> Response:
    path = folder_of(request.path_params["run"]) / "report.html"
    if not path.is_file():
        raise HTTPException(404, "this run has no report")
    return FileResponse(path, media_type="text/html", headers={"content-security-policy": SANDBOX})


async def _replay(request: Request) -> Response:
    name, file = request.path_params["name"], request.path_params["file"]
    path = folder_of(request.path_params["run"]) / "replays" / name / file
    if file not in FILES or not NAME.fullmatch(name) or not path.is_file():
        raise HTTPException(404, "there is no such replay")
    encoding = {"content-encoding": "gzip"} if file.endswith(".gz") else {}
    return FileResponse(path, media_type=FILES[file], headers={"cache-control": "no-cache", **encoding})


# a run that goes on --------------------------------------------------------------------------------------


async def _live(socket: WebSocket) -> None:
    """Tell who watches what the run writes, from where it is now, until it ends or nobody watches."""
    try:
        folder = folder_of(socket.path_params["run"])
    except HTTPException:
        await socket.close(4404)
        return
    await socket.accept()
    listening = asyncio.create_task(_until_closed(socket))
    try:
        async for message in _messages(Tail(folder)):
            if listening.done():
                return
            await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_text(message))
        await socket.close()
    except (WebSocketDisconnect, RuntimeError):  # who watched has gone
        return
    finally:
        listening.cancel()


async def _until_closed(socket: WebSocket) -> None:
    try:
        while True:
            await socket.receive()
    except (WebSocketDisconnect, RuntimeError):
        return


async def _messages(tail: Tail) -> AsyncIterator[str | bytes]:
    ended = 0
    while ended < END_POLLS:
        for message in tail.news():
            yield message
        ended = ended + 1 if tail.is_over else 0
        await asyncio.sleep(POLL_S)
    yield json.dumps({"kind": "end"})


class Tail:
    """What a watched run has written since the last look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._scene, self._state = "", ""
        self._header: dict[str, Any] | None = None
        self._at_bytes, self._events_at_bytes = 0, 0
        self._next_frame = 0

    @property
    def is_over(self) -> bool:
        """Whether the run says that it has ended."""
        try:
            return bool(json.loads(self._state).get("is_over")) if self._state else False
        except ValueError:
            return False

    def news(self) -> list[str | bytes]:
        """The messages that tell it; of many frames only the last ones."""
        scene, state = self._text(SCENE), self._text(STATE)
        found: list[str | bytes] = []
        frames = self._frames()
        if scene and scene != self._scene:
            self._scene = scene
            found.append(f'{{"kind":"scene","header":{json.dumps(self._header)},"replay":{scene}}}')
        found += frames if self._scene else []
        found += self._events()
        if state and state != self._state:
            self._state = state
            found.append(f'{{"kind":"state","state":{state}}}')
        return found

    def _text(self, name: str) -> str:
        try:
            return (self._folder / name).read_text(encoding="utf-8")
        except OSError:
            return ""

    def _since(self, name: str, at_bytes: int) -> bytes:
        try:
            with (self._folder / name).open("rb") as file:
                file.seek(at_bytes)
                return file.read(BATCH_BYTES)
        except OSError:
            return b""

    def _frames(self) -> list[str | bytes]:
        content = self._since(FRAMES, self._at_bytes)
        if self._header is None:
            if (read := _header(content)) is None:
                return []
            self._header, self._at_bytes = read
            content = content[self._at_bytes :]
        size = AGENT_BYTES * sum(self._header["agents"].values())
        count = len(content) // size if size else 0
        first, self._next_frame = self._next_frame, self._next_frame + count
        self._at_bytes += count * size
        return [struct.pack("<I", first + i) + content[i * size : (i + 1) * size] for i in range(count)]

    def _events(self) -> list[str | bytes]:
        content = self._since(EVENTS, self._events_at_bytes)
        whole = content[: content.rfind(b"\n") + 1]
        self._events_at_bytes += len(whole)
        events = [_parsed(line) for line in whole.splitlines()]
        known = [event for event in events if event is not None]
        return [json.dumps({"kind": "events", "events": known})] if known else []


def _header(content: bytes) -> tuple[dict[str, Any], int] | None:
    """The header of a trajectory and where its frames begin; None if it is not all there yet."""
    if len(content) < 8 or not content.startswith(MAGIC):
        return None
    end = 8 + int(struct.unpack_from("<I", content, 4)[0])
    return (json.loads(content[8:end]), end) if len(content) >= end else None


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
