"""Pages without a browser (AppTest), and a running server with a real Chromium."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from twin.live.ports import held_ports


def _load(name):
    """Let the tests import a neighbour: they are no package."""
    path = Path(__file__).with_name(f"{name}.py")
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)


_load("made_replays")

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_S = 60
SETTLE_MS = 300
SCRIPT = "import streamlit as st\nfrom ui.navigation import pages\nst.navigation(pages({page!r})).run()\n"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Empty folders of runs and scenarios, which the pages are told to use."""
    from ui.settings import Settings

    found = Settings(tmp_path / "runs", tmp_path / "designs")
    found.scenarios.mkdir()
    for name, value in found.as_environment().items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def app(folders):  # noqa: ARG001  (where the pages look)
    """A page by its module, run once with these query parameters; exceptions fail the test."""
    from streamlit.testing.v1 import AppTest

    def open_page(page, **query):
        test = AppTest.from_string(SCRIPT.format(page=page), default_timeout=100)
        for name, value in query.items():
            test.query_params[name] = value
        test.run()
        assert not test.exception, test.exception[0]
        return test

    return open_page


@contextmanager
def serving(folder, *options):
    """`windtunnel ui` on a free port, in a folder of its own; ended by its process id."""
    (folder / "designs").mkdir(exist_ok=True)
    with (folder / "server.log").open("wb") as log, held_ports(1) as (port,):
        command = [sys.executable, "-m", "windtunnel", "ui", "--port", str(port)]
        server = subprocess.Popen(
            [*command, "--runs", str(folder / "runs"), "--scenarios", str(folder / "designs"), *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONWARNINGS": "default"},
        )
        address = f"http://127.0.0.1:{port}"
        try:
            wait_until_up(address, server, folder / "server.log")
            yield address
        finally:
            server.terminate()
            server.wait(20)


def wait_until_up(address, server, log):
    """Ask for the page until it is there; any answer will do."""
    for _ in range(START_S * 5):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).close()  # noqa: S310
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(log.read_text())


@pytest.fixture
def served():
    """Serve with further options, as a context."""
    return serving


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of a server that the tests of a module share, and its folder."""
    folder = tmp_path_factory.mktemp("site")
    with serving(folder) as address:
        yield address, folder


@pytest.fixture(scope="module")
def chromium():
    """A real Chromium, headless; ended with the module, because its driver keeps the thread's event loop."""
    from playwright.sync_api import sync_playwright

    program = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    assert program, "no Chromium; install it: apt-get install -y chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """A tab, with what went wrong in it: console errors, and requests that left this machine."""

    def __init__(self, browser, width=1280, theme="light"):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        self.page = self.context.new_page()
        self.problems = []
        self.page.on("console", lambda said: said.type == "error" and self.problems.append(said.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._requested)

    def _requested(self, request):
        if not re.match(r"(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|data:|blob:", request.url):
            self.problems.append(f"left this machine: {request.url}")

    def open(self, address):
        """Go there and wait until the page has been drawn."""
        self.page.goto(address)
        self.page.wait_for_selector("[data-testid=stMain] h1, [data-testid=stMain] h2", timeout=30_000)
        self.settle()

    def settle(self):
        """Wait until no script runs any more, and what it drew is there."""
        idle = "[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]"
        self.page.wait_for_selector(idle, timeout=30_000)
        self.page.wait_for_timeout(SETTLE_MS)
        self.page.wait_for_selector(idle, timeout=30_000)


@pytest.fixture
def tab(chromium):
    """A new tab; the test fails if anything went wrong in it."""
    watched = Watched(chromium)
    yield watched
    watched.context.close()
    assert watched.problems == []


@pytest.fixture
def another_tab(chromium):
    """A second user's tab."""
    watched = Watched(chromium)
    yield watched
    watched.context.close()
    assert watched.problems == []
