"""The twins of a real service, in pages."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from ui.settings import Service, Settings
from ui.twins import view
from ui.twins.client import ServiceClient, ServiceError, path_of

HOSTILE = "<script>alert(1)</script>"
START_S = 40


class Running:
    """A `windtunnel serve` of its own, with one gate."""

    def __init__(self, folder):
        command = [sys.executable, "-m", "windtunnel", "serve", "--port", "0", "--mqtt-port", "0", "--json"]
        self.folder = folder
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.said = json.loads(self.process.stdout.readline())
        self.token_file = folder / self.said["admin_token"]
        self.client = ServiceClient(self.said["url"], self.token_file.read_text().strip())
        self.client.ask("POST", "/v1/things", {"name": "gate-1", "type": "boom_gate", "site": "home"})

    @property
    def known(self):
        """As `windtunnel ui` is told."""
        return Service(self.said["url"], "", str(self.token_file), str(self.folder / self.said["store"]))

    def report(self, **values):
        """As the device would, over HTTP."""
        self.client.ask("POST", path_of("things", "gate-1", "shadow"), {"state": {"reported": values}})

    def close(self):
        """End it in order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service that the tests of this file share."""
    running = Running(tmp_path_factory.mktemp("service"))
    yield running
    running.close()


@pytest.fixture
def told(service, folders, monkeypatch):
    """The pages know the service."""
    for name, value in Settings(folders.runs, folders.scenarios, service.known).as_environment().items():
        monkeypatch.setenv(name, value)
    return service


def test_without_a_service_the_page_asks_for_one(app):
    """And says where the token lies."""
    page = app("twins")

    assert "windtunnel serve" in page.info[0].value
    assert page.text_input[1].label == "Token"


def test_a_service_that_is_not_there_is_one_sentence(app, folders, monkeypatch, tmp_path):
    """No traceback, and no token in it."""
    token = tmp_path / "token"
    token.write_text("a-secret")
    away = Settings(folders.runs, folders.scenarios, Service("http://127.0.0.1:9", "", str(token)))
    for name, value in away.as_environment().items():
        monkeypatch.setenv(name, value)

    page = app("twins")

    assert "nobody answers at http://127.0.0.1:9" in page.error[-1].value
    assert "a-secret" not in page.error[-1].value


def test_a_token_does_not_travel_in_clear():
    """Except on this machine."""
    with pytest.raises(ServiceError, match="must not travel in clear"):
        ServiceClient("http://twins.example:8080", "secret")


@pytest.mark.parametrize("name", ["../health", "a/b", "?x=1", "a b"])
def test_a_name_cannot_leave_its_place_in_a_path(name):
    """It is written so that it stays one part."""
    assert path_of("v1", "things", name).count("/") == 3


@pytest.mark.live
def test_a_wrong_token_is_said(service):
    """As the service says it."""
    with pytest.raises(ServiceError) as refused:
        ServiceClient(service.said["url"], "wrong").get("/v1/things")

    assert refused.value.status == 401


@pytest.mark.live
def test_a_twin_is_shown_with_what_its_values_are_worth(app, told):
    """Reported and desired side by side, with age and quality."""
    told.report(gate="closed")

    page = app("twins", thing="gate-1")

    rows = {row["value"]: row for row in page.dataframe[1].value.to_dict("records")}
    assert rows["gate"]["reported"] == "closed"
    assert rows["gate"]["quality"] == "● good"
    assert rows["emergency"]["quality"] == "○ unknown"


def test_values_of_a_shadow_become_rows():
    """Nested ones by their path."""
    shadow = {
        "state": {"reported": {"a": {"b": 1}}, "desired": {"a": {"b": 2}}, "delta": {"a": {"b": 2}}},
        "quality": {"/a/b": {"age_s": 7200.0, "quality": "stale"}},
    }

    assert view.value_rows(shadow) == [
        {"value": "a/b", "reported": "1", "desired": "2", "delta": "2", "age": "2 h", "quality": "◐ stale"}
    ]


def test_a_drawing_of_hostile_names_is_text():
    """Nothing in it is an element."""
    drawn = view.graph_svg([{"from": HOSTILE, "relation": HOSTILE, "to": "gate"}], "gate")

    assert "<script>" not in drawn


@pytest.mark.live
def test_a_desire_takes_two_steps_and_its_delta_clears(service, served, tab, tmp_path):
    """It is reviewed, sent, seen as a delta, and gone when the device reports it."""
    service.report(gate="closed")
    options = ["--service", service.said["url"], "--service-token-file", str(service.token_file)]
    with served(tmp_path, *options) as address:
        tab.open(f"{address}/twins?thing=gate-1")
        tab.page.get_by_role("tab", name="Act").click()
        tab.page.get_by_role("combobox", name="gate").click()
        tab.page.get_by_role("option", name="open", exact=True).click()
        tab.page.get_by_role("button", name="Review").first.click()
        tab.page.get_by_text("This moves something real").wait_for(timeout=10_000)
        assert delta(service) == {}

        tab.page.get_by_role("button", name="Send", exact=True).click()

        wait_until(lambda: delta(service) == {"gate": "open"})
        service.report(gate="open")
        assert delta(service) == {}
        tab.page.goto("about:blank")


@pytest.mark.live
@pytest.mark.slow
def test_an_outage_of_the_broker_is_a_banner(tmp_path_factory, app, folders, monkeypatch):
    """Nothing can be sent, and what is shown is the last that was known."""
    running = Running(tmp_path_factory.mktemp("outage"))
    try:
        for name, value in Settings(folders.runs, folders.scenarios, running.known).as_environment().items():
            monkeypatch.setenv(name, value)
        running.report(gate="closed")
        os.kill(running.said["broker_pid"], signal.SIGSTOP)
        wait_until(lambda: not running.client.health()["broker"]["connected"], 60)

        page = app("twins", thing="gate-1")

        assert "Read only" in page.warning[0].value
        assert any("Nothing can be sent" in each.value for each in page.caption)
    finally:
        os.kill(running.said["broker_pid"], signal.SIGCONT)
        running.close()


@pytest.mark.live
def test_a_branch_is_made_and_differs_from_live(app, told):
    """What happens in it reaches nothing real."""
    told.report(gate="closed")
    told.client.ask("POST", "/v1/branches", {"name": "what-if"})
    happening = {
        "topic": "$aws/things/gate-1/shadow/update",
        "payload": {"state": {"reported": {"gate": "open"}}},
    }
    told.client.ask("POST", "/v1/branches/what-if/messages", [happening])

    page = app("twins", thing="gate-1")

    differing = page.dataframe[-1].value
    assert "gate-1" in str(differing.to_dict())
    told.client.ask("DELETE", "/v1/branches/what-if")


def delta(service):
    """What is desired of the gate and not reported."""
    shadow = service.client.get("/things/gate-1/shadow")
    return shadow["state"].get("delta", {})


def wait_until(is_so, most_s=20):
    """Poll until it is so."""
    deadline = time.monotonic() + most_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
