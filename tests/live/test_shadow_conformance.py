"""The conformance command against a real broker, with the twins behind it and with nobody behind it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from twin.message import Message
from twin.state.shadow import SHADOW, Shadows, ShadowSettings
from twin.state.twins import Twins
from windtunnel.cli import run_command_line

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
FILES = ["shadow_cases.json", "shadow_cases_more.json"]


class Host:
    """Twins behind a real broker, on the thread of one paho client."""

    def __init__(self, port, twins):
        self.twins, self.ready = twins, threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="twins")
        self.client.on_connect = lambda client, *_: client.subscribe([(each, 1) for each in twins.filters])
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self._answer
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(5.0)

    def _answer(self, client, _data, message):
        transaction = self.twins.handle(Message(message.topic, message.payload), time.time())
        for each in transaction.messages:
            client.publish(each.topic, each.payload, each.qos, each.retain)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def host(mosquitto_port):
    hosts = []

    def make(**settings):
        hosts.append(Host(mosquitto_port, Twins([Shadows(ShadowSettings(**settings))])))
        return hosts[-1]

    yield make
    for each in hosts:
        each.close()


def run(capsys, file, port, *options):
    """The exit code and the printed JSON of the command."""
    url = f"mqtt://127.0.0.1:{port}"
    code = run_command_line(["shadow-conformance", str(file), "--broker", url, "--json", *options])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def served(mosquitto_port, tmp_path):
    """The real `windtunnel serve` behind the broker, as users start it."""
    command = [
        sys.executable,
        "-m",
        "windtunnel",
        "serve",
        "--json",
        "--folder",
        str(tmp_path),
        "--port",
        "0",
    ]
    process = subprocess.Popen(
        [*command, "--broker", f"mqtt://127.0.0.1:{mosquitto_port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    try:
        assert json.loads(process.stdout.readline())["url"]
        yield mosquitto_port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20.0)
        process.stdout.close()


@pytest.mark.parametrize("file", FILES)
def test_all_cases_pass_with_the_service(file, served, capsys):
    """What is kept in a store and answered after the commit is the same."""
    code, report = run(capsys, DATA / file, served)
    assert [each for each in report["results"] if each["verdict"] != "ok"] == []
    assert code == 0


@pytest.mark.parametrize("file", FILES)
def test_all_cases_pass_behind_a_real_broker(file, host, mosquitto_port, capsys):
    """In seconds, since the cases run together, and nothing is left behind."""
    service = host()
    began_s = time.monotonic()
    code, report = run(capsys, DATA / file, mosquitto_port)
    assert [each for each in report["results"] if each["verdict"] != "ok"] == []
    assert code == 0
    assert time.monotonic() - began_s < 30.0
    assert len(service.twins.records.of(SHADOW)) == 0


def test_a_service_with_other_rules_is_found_out(host, mosquitto_port, capsys):
    """What a service does otherwise is told field by field, and the code is 1."""
    host(state_limit_bytes=100_000, token_limit_bytes=1_000, has_documents=False)
    code, report = run(capsys, DATA / "shadow_cases.json", mosquitto_port, "--prefix", "other:")
    failed = {each["id"]: each["differences"] for each in report["results"] if each["verdict"] != "ok"}
    assert code == 1
    assert {"S01", "S38", "S41"} <= set(failed)
    assert {"place": "update/documents", "expected": "a document", "actual": "nothing"} in failed["S01"]


def test_nobody_answers(mosquitto_port, capsys):
    """A broker without a service is told from a broker that is not there; both end with 4."""
    file = str(DATA / "shadow_cases.json")
    assert (
        run_command_line(["shadow-conformance", file, "--broker", f"mqtt://127.0.0.1:{mosquitto_port}"]) == 4
    )
    assert "nobody answers" in capsys.readouterr().err
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert run_command_line(["shadow-conformance", file, "--broker", f"mqtt://127.0.0.1:{port}"]) == 4
    assert "connection refused" in capsys.readouterr().err
