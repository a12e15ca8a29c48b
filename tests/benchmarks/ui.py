"""How quick the user interface is: fragments with ten sessions, and the first page in a real browser.

    python tests/benchmarks/ui.py

Starts `windtunnel ui` on loopback, and a run of the flagship that is watched. Each session is a plain
WebSocket that speaks Streamlit's protocol: it draws a page, then has its fragment drawn again and again, as a
browser would. Two pages: suites, whose fragment reads the jobs, and the run, whose fragment reads how it
stands. Options of Streamlit that this depends on are ours to set (ui/server.py).
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

SESSIONS = (1, 10)
RERUNS = 40
EVERY_S = 0.5
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


async def session(address: str, page: str, query: str, times: list[float]) -> None:
    """Draw the page, then its fragment at a steady pace."""
    origin = address.replace("ws:", "http:")
    async with websockets.connect(
        f"{address}/_stcore/stream", origin=origin, subprotocols=["streamlit"], max_size=None
    ) as stream:
        await stream.send(rerun(page, query))
        fragment = await finished(stream)
        assert fragment, f"page {page!r} has no fragment that draws itself"
        for _ in range(RERUNS):
            began = time.perf_counter()
            await stream.send(rerun(page, query, fragment))
            await finished(stream)
            took = time.perf_counter() - began
            times.append(took)
            await asyncio.sleep(max(0.0, EVERY_S - took))


def rerun(page: str, query: str, fragment: str = "") -> bytes:
    """Ask for the page, or for one of its fragments."""
    message = BackMsg()
    message.rerun_script.page_name = page
    message.rerun_script.query_string = query
    if fragment:
        message.rerun_script.fragment_id = fragment
        message.rerun_script.is_auto_rerun = True
    return message.SerializeToString()


async def finished(stream) -> str:
    """Wait for the end of a script run; the fragment that wants to be drawn again, if there is one."""
    fragment = ""
    while True:
        message = ForwardMsg()
        message.ParseFromString(await asyncio.wait_for(stream.recv(), 30))
        if message.WhichOneof("type") == "auto_rerun":
            fragment = message.auto_rerun.fragment_id
        if message.WhichOneof("type") == "script_finished":
            return fragment


async def many(address: str, page: str, query: str, count: int) -> list[float]:
    """So many sessions at once."""
    times: list[float] = []
    await asyncio.gather(*(session(address, page, query, times) for _ in range(count)))
    return times


def first_page(address: str) -> list[float]:
    """Seconds until Home stands in a warm browser: cache filled, page drawn before."""
    from playwright.sync_api import sync_playwright

    took = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page()
        for _ in range(6):
            began = time.perf_counter()
            page.goto(address)
            page.wait_for_selector("[data-testid=stImage] >> nth=5", timeout=30_000)
            took.append(time.perf_counter() - began)
        browser.close()
    return took[1:]


def main() -> None:
    """Serve, measure, print."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "windtunnel", "ui", "--port", str(port), "--scenarios", folder]
        server = subprocess.Popen([*command, "--runs", str(Path(folder) / "runs")], stderr=subprocess.DEVNULL)
        try:
            wait(f"http://127.0.0.1:{port}/_stcore/health")
            with watched(Path(folder) / "runs") as run:
                for page, query in (("suites", ""), ("run", f"run={run}")):
                    measure(f"ws://127.0.0.1:{port}", page, query)
            took = first_page(f"http://127.0.0.1:{port}/")
            print(f"first page, warm: median {statistics.median(took):.2f} s, worst {max(took):.2f} s")
        finally:
            server.terminate()
            server.wait(20)


def measure(address: str, page: str, query: str) -> None:
    """Print how quick the fragments of a page are for one session and for many."""
    for count in SESSIONS:
        times = asyncio.run(many(address, page, query, count))
        tail = sorted(times)[int(len(times) * 0.95)]
        median = statistics.median(times)
        print(f"{page}, {count:2} sessions: fragment p50 {median * 1e3:.1f} ms, p95 {tail * 1e3:.1f} ms")


@contextmanager
def watched(runs: Path) -> Iterator[str]:
    """A watched run of the flagship that goes on meanwhile, by its name."""
    command = [
        sys.executable,
        "-m",
        "windtunnel",
        "watch",
        "car_park_fire",
        "--speed",
        "5",
        "--runs",
        str(runs),
    ]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not (found := list(runs.glob("*/progress.json"))):
            assert run.poll() is None, "the run has ended"
            time.sleep(0.1)
        yield found[0].parent.name
    finally:
        run.terminate()
        run.wait(20)


def wait(address: str) -> None:
    """Until somebody answers."""
    for _ in range(300):
        try:
            urllib.request.urlopen(address, timeout=2).close()  # noqa: S310
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"nobody answers at {address}")


if __name__ == "__main__":
    main()
