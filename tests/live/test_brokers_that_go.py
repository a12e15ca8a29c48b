"""A broker that stops answering while a run is on: one sentence, exit code 4, what was found is kept."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scenarios.fidelity.comparison import Tolerance
from scenarios.fidelity.running import compared, lasting, record_live, record_virtual
from scenarios.live_control import LiveControl
from scenarios.shipped import load
from twin.errors import MissingEnvironmentError
from twin.live.probe import trouble
from twin.service.brokers import broker

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

SITE = """
scenario: 1
sites: {here: {metro: singapore}}
fleets:
  meters: {device: periodic, count: 10, at: here, via: gateway, link: ethernet, every: 200 ms, qos: 1}
  gate: {device: boom_gate, count: 1, at: here, via: gateway, link: ethernet}
nodes:
  gateway: {kind: gateway, at: here}
  broker: {kind: mqtt_broker, at: here}
links:
  - {between: [gateway, broker], path: direct, qos: 1}
requirements:
  - {name: none opened, expect: count(gate_open) == 0}
run: {duration: 4 s}
"""
SILENT, DEAD = "it does not answer within 5 s", "connection refused"


@pytest.fixture
def place(tmp_path):
    (tmp_path / "site.scenario.yaml").write_text(SITE)
    return tmp_path


@pytest.fixture
def running():
    with broker("mosquitto") as found:
        yield found
        if found.pid:
            os.kill(found.pid, signal.SIGCONT)


def during(place, running, number, *command, word):
    """The command, with the signal sent to the broker 1.5 s after it has said the word."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    program = subprocess.Popen(
        [sys.executable, "-m", "windtunnel", *command, "--broker", running.endpoint.url],
        cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        told = next(line for line in program.stderr if word in line)
        time.sleep(1.5)
        os.kill(running.pid, number)
        shown, rest = program.communicate(timeout=60)
    finally:
        program.kill()
    return program.returncode, shown, (told + rest).splitlines()[-1]


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGSTOP, SILENT), (signal.SIGKILL, DEAD)])
def test_a_live_run_says_that_its_broker_is_gone_and_keeps_its_results(place, running, number, reason):
    """Frozen or dead; it says when the broker was last heard."""
    command = ("live", "site.scenario.yaml", "--no-check")
    code, shown, last = during(place, running, number, *command, word="broker: given")

    assert code == 4, last
    assert last.startswith(
        f"windtunnel: at the end of the run there is no broker at {running.endpoint.url}: {reason};"
        " it was last heard after "
    )
    assert "✓ met      none opened" in shown
    (kept,) = (place / "runs").glob("*/live.json")
    assert reason in json.loads(kept.read_bytes())["gone_brokers"]["broker"]


def test_a_fidelity_run_that_lost_its_broker_is_not_compared(place):
    """The broker is dead at its end."""
    variant = lasting(load(place / "site.scenario.yaml").variants[0], 1.0)
    with broker("mosquitto") as running:

        def on_start(run):
            run.assembly.kernel.call_at(0.5, running.child.kill)

        live, run = record_live(variant, {"broker": running.endpoint}, 1, on_start=on_start)
    with pytest.raises(MissingEnvironmentError, match="is not compared: at its end there was no broker at"):
        compared(record_virtual(variant, 1), live, run, Tolerance())


def test_a_broker_that_was_killed_by_order_is_no_trouble(place):
    """It is what the run was to show; until it is started again it is known as killed."""
    variant = load(place / "site.scenario.yaml").variants[0]
    controls, known = [], []
    with broker("mosquitto") as running:

        def on_start(run):
            brokers = {"broker": running}
            control = LiveControl(run.assembly, run.pacer, run.level, run.fleets, brokers, lambda *_: None)
            controls.append(control)
            run.assembly.kernel.call_at(0.3, lambda: control.kill("broker"))
            run.assembly.kernel.call_at(0.6, lambda: known.append(control.killed))
            run.assembly.kernel.call_at(0.7, lambda: control.restart("broker"))

        _, run = record_live(lasting(variant, 1.5), {"broker": running.endpoint}, 1, on_start=on_start)

    assert known == [{"broker"}]
    assert controls[0].killed == set()
    assert run.gone_brokers == {}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "reason"), [(signal.SIGSTOP, SILENT), (signal.SIGKILL, DEAD)])
def test_a_load_says_that_its_broker_is_gone_and_keeps_its_results(place, running, number, reason):
    """What was measured until then is shown."""
    command = ("load", "site.scenario.yaml", "--for", "4 s")
    code, shown, last = during(place, running, number, *command, word=" up ")

    assert code == 4, last
    assert last == (
        f"windtunnel: at the end of the load there is no broker at {running.endpoint.url}: {reason}"
    )
    assert "due to delivered" in shown
    assert len(list((place / "runs").glob("*/load.json"))) == 1


@pytest.mark.slow
def test_a_load_whose_broker_is_gone_before_its_first_message_is_none(place, running):
    """Locust itself finds it, and nothing is kept."""
    command = ("load", "site.scenario.yaml", "--for", "4 s")
    freezing = threading.Event()

    def frozen_when_asked():
        while not freezing.wait(0.01) and not any((place / "runs").glob("*/locust.log")):
            pass
        os.kill(running.pid, signal.SIGSTOP)

    watcher = threading.Thread(target=frozen_when_asked)
    watcher.start()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "windtunnel", *command, "--broker", running.endpoint.url],
            cwd=place, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        freezing.set()
        watcher.join()

    assert done.returncode == 4
    assert done.stderr.splitlines()[-1] == f"windtunnel: no broker at {running.endpoint.url}: {SILENT}"
    assert list((place / "runs").glob("*/load.json")) == []


def test_a_broker_that_answers_is_no_trouble(running):
    """And is asked in a moment."""
    assert trouble(running.endpoint, {"me": "3.1.1", "you": "5"}) == ""
