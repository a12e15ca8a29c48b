"""What pages fetch besides Streamlit's own stream."""

import gzip
import json
import struct
import warnings

import pytest
from starlette.applications import Starlette
from starlette.websockets import WebSocketDisconnect

from ui.front import ADDRESS, Front
from ui.routes import routes

HEADER = {"frame_s": 0.5, "agents": {"cars": 1, "people": 1}, "levels": ["L1"], "bounds": [0, 0, 1, 1]}
FRAME = bytes(range(12))


@pytest.fixture
def folder(folders):
    """The folder of a run."""
    made = folders.runs / "20261127-fire-1f3a"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def client(folder):  # noqa: ARG001  (it is there before the client asks)
    """A client of our routes, without Streamlit."""
    with warnings.catch_warnings():  # it would rather have the successor of httpx
        warnings.simplefilter("ignore")
        from starlette.testclient import TestClient
    return TestClient(Starlette(routes=routes()))


def trajectory(*frames):
    header = json.dumps(HEADER).encode()
    return b"WTT1" + struct.pack("<I", len(header)) + header + b"".join(frames)


def test_a_replay_is_sent_as_it_was_packed(client, folder):
    """The browser unpacks it."""
    replay = folder / "replays" / "edge-1"
    replay.mkdir(parents=True)
    (replay / "replay.json").write_text('{"variant": "edge"}')
    (replay / "trajectory.bin.gz").write_bytes(gzip.compress(trajectory(FRAME)))

    found = client.get(f"/wt/runs/{folder.name}/replays/edge-1/trajectory.bin.gz")

    assert found.headers["content-encoding"] == "gzip"
    assert found.content == trajectory(FRAME)
    assert client.get(f"/wt/runs/{folder.name}/replays/edge-1/replay.json").json() == {"variant": "edge"}


@pytest.mark.parametrize(
    "path",
    [
        "/wt/runs/../report.html",
        "/wt/runs/%2e%2e/report.html",
        "/wt/runs/..%2f..%2fetc/report.html",
        "/wt/runs/20261127-fire-1f3a/replays/%2e%2e/manifest.json",
        "/wt/runs/20261127-fire-1f3a/replays/../manifest.json",
        "/wt/runs/20261127-fire-1f3a/replays/edge-1/..%2f..%2fmanifest.json",
        "/wt/runs/outside/report.html",
    ],
)
def test_a_path_does_not_leave_the_folders(client, folder, path):
    """Not by dots, not by escapes, not by a link."""
    (folder / "manifest.json").write_text("{}")
    elsewhere = folder.parents[1] / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "report.html").write_text("secret")
    (folder.parent / "outside").symlink_to(elsewhere)

    assert client.get(path).status_code == 404


def test_a_report_may_reach_nothing(client, folder):
    """What a scenario says in it runs in a sandbox."""
    (folder / "report.html").write_text("<p>fire</p>")

    policy = client.get(f"/wt/runs/{folder.name}/report.html").headers["content-security-policy"]

    assert "sandbox" in policy
    assert "default-src 'none'" in policy
    assert "allow-same-origin" not in policy


def test_a_watched_run_is_told_from_its_beginning(client, folder):
    """Scene, frames in order, events, states, and its end."""
    (folder / "scene.json").write_text('{"variant": "edge"}')
    (folder / "trajectory.part").write_bytes(trajectory(FRAME, FRAME[::-1]) + FRAME[:5])
    (folder / "events.jsonl").write_text('{"at_s": 1, "kind": "fire"}\n{"at_s": 2, "ki')
    (folder / "progress.json").write_text('{"at_s": 1.0, "is_over": true}')

    with client.websocket_connect(f"/wt/runs/{folder.name}/live") as socket:
        told = []
        while not told or told[-1] != {"kind": "end"}:
            message = socket.receive()
            told.append(message["bytes"] if message.get("bytes") else json.loads(message["text"]))

    assert told[0] == {"kind": "scene", "header": HEADER, "replay": {"variant": "edge"}}
    assert [each for each in told if isinstance(each, bytes)] == [
        struct.pack("<I", 0) + FRAME,
        struct.pack("<I", 1) + FRAME[::-1],
    ]
    assert {"kind": "events", "events": [{"at_s": 1, "kind": "fire"}]} in told
    assert {"kind": "state", "state": {"at_s": 1.0, "is_over": True}} in told


def test_a_run_that_is_not_there_cannot_be_watched(client):
    """The socket is closed at once."""
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/wt/runs/nope/live"):
        pass


def test_the_page_is_told_where_its_server_is_and_what_it_may_reach():
    """Only pages are changed."""
    sent = []

    async def application(_scope, _receive, send):
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-length", b"33"),
            (b"etag", b"x"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"<html><head>", "more_body": True})
        await send({"type": "http.response.body", "body": b"</head></html>"})

    async def send(message):
        sent.append(message)

    import asyncio

    asyncio.run(Front(application)({"type": "http", "path": "/runs", "headers": []}, None, send))

    headers = dict(sent[0]["headers"])
    assert sent[1]["body"] == b"<html><head>" + ADDRESS + b"</head></html>"
    assert int(headers[b"content-length"]) == len(sent[1]["body"])
    assert b"connect-src 'self'" in headers[b"content-security-policy"]
    assert b"etag" not in headers
