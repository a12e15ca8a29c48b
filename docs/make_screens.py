#!/usr/bin/env python3
"""Photographs the user interface for the documents: the flagship in Design, and its replay at the bad minute.

    python docs/make_screens.py

Needs the extra `ui`, playwright and Chromium. Writes docs/images/ui-*.png.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
VARIANT = "cloud_us_cut"
AT_S = 300
DRAWN_MS = 6_000


def main() -> None:
    """Run the flagship once, replay it, serve, photograph."""
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        windtunnel("run", "car_park_fire", "--variant", VARIANT, "--replications", "2", "--runs", str(runs))
        windtunnel("replay", "latest", "--variant", VARIANT, "--seed", "1", "--runs", str(runs))
        run = next(path.parent.name for path in runs.glob("*/manifest.json"))
        with serving(folder) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            photograph(page, f"{address}/design?scenario=car_park_fire", "ui-design.png")
            replay = f"{address}/replay?run={run}&variant={VARIANT}&seed=1&t={AT_S}"
            photograph(page, replay, "ui-replay.png")
            browser.close()


def photograph(page: Page, address: str, name: str) -> None:
    """Wait until the page stands, and keep it."""
    page.goto(address)
    page.wait_for_selector("[data-testid=stMain] h1, [data-testid=stMain] h2")
    page.wait_for_timeout(DRAWN_MS)
    page.screenshot(path=IMAGES / name)
    print(IMAGES / name)


def windtunnel(*arguments: str) -> None:
    """One command; whether requirements are met is not the question."""
    command = [sys.executable, "-m", "windtunnel", *arguments, "--quiet"]
    code = subprocess.run(command, check=False).returncode  # noqa: S603  (our own command)
    if code not in (0, 1, 3):
        raise SystemExit(code)


@contextmanager
def serving(folder: str) -> Iterator[str]:
    """The user interface on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "windtunnel", "ui", "--port", str(port), "--scenarios", folder]
    command += ["--runs", f"{folder}/runs"]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603  (our own command)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main()
