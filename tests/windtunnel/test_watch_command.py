"""The command `watch`, and `control` for the run that it began."""

import json
import signal
import subprocess
import sys
import threading
import time

import pytest

from scenarios.store import Store

pytestmark = [pytest.mark.waits, pytest.mark.timeout(90)]


def windtunnel(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "windtunnel", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def watching(tmp_path):
    """A watched flagship in a process of its own, begun and slow."""
    command = ["watch", "car_park_fire", "--variant", "edge", "--speed", "2", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "windtunnel", *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(60.0, process.kill)
    guard.start()
    for _ in range(600):
        if list(tmp_path.glob("runs/*/watch.json")):
            break
        time.sleep(0.05)
    yield process
    guard.cancel()
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_keeps_what_was_measured(watching, tmp_path, number):
    """The run is interrupted, with results, a replay, and no socket left."""
    watching.send_signal(number)
    out, _ = watching.communicate(timeout=30)

    folder, manifest = Store(tmp_path / "runs").find("latest")
    assert watching.returncode == 130
    assert manifest.state == "interrupted"
    assert {"study.json", "report.html", "events.jsonl", "progress.json"} <= {
        each.name for each in folder.iterdir()
    }
    assert (folder / "replays" / "edge-1" / "replay.json").exists()
    assert not (folder / "control.sock").exists()
    said = json.loads(out)
    assert not said["is_whole"]
    assert said["requirements"]["gates open within 35 s"]["state"] == "open"


def test_orders_reach_the_latest_run(watching, tmp_path):
    """By its name or a beginning of it; what cannot be done is one sentence and exit code 2."""
    done = windtunnel(tmp_path, "control", "latest", "degrade", "uplink", "delay", "2s")
    refused = windtunnel(tmp_path, "control", "latest", "cut", "uplnk")
    stopped = windtunnel(tmp_path, "control", "latest", "stop")
    out, said = watching.communicate(timeout=30)

    assert json.loads(done.stdout)["degrade"] == "uplink"
    assert (refused.returncode, refused.stderr) == (2, "there is no 'uplnk' here; did you mean 'uplink'?\n")
    assert json.loads(stopped.stdout)["standing"] == ["degrade uplink"]
    assert json.loads(out)["timeline"][0]["netem"] == "delay 2s"
    assert "uplink is degraded: delay 2s" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--speed", "fast"], "speed 'fast'; expected a number"),
        (["--variant", "edgy"], "edge"),
        (["--for", "soon"], "'soon'"),
    ],
)
def test_bad_options_are_told_before_anything_begins(tmp_path, arguments, sentence):
    """Exit code 2, and no run is left."""
    done = windtunnel(tmp_path, "watch", "car_park_fire", *arguments)

    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("runs/*/manifest.json"))


def test_a_run_that_takes_no_orders_is_named(tmp_path):
    """A run that was not watched, and one that does not exist."""
    (tmp_path / "empty").mkdir()

    assert "no watched run that takes orders" in windtunnel(tmp_path, "control", "empty", "stop").stderr
    assert "no run 'latest'" in windtunnel(tmp_path, "control", "latest", "stop").stderr
