"""`windtunnel load` with the real Locust on a real mosquitto."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.mounts import mounted
from twin.service.brokers import broker

pytestmark = [pytest.mark.live, pytest.mark.slow]

SCENARIO = """\
scenario: 1
title: Meters of a town
sites:
  town: {metro: singapore}
fleets:
  meters:
    {device: periodic, count: 50, at: town, via: gateway, link: ethernet, every: 1 s, payload: 100 B, qos: 1}
nodes:
  gateway: {kind: gateway, at: town}
  broker: {kind: mqtt_broker, at: town}
requirements:
  - {name: nothing is lost, expect: count(lost) == 0}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "town.scenario.yaml").write_text(SCENARIO, "utf-8")
    return tmp_path


@pytest.fixture
def mosquitto():
    with broker("mosquitto") as running:
        yield running


def command(*arguments):
    return [sys.executable, "-m", "windtunnel", "load", "town.scenario.yaml", *arguments]


def load(folder, *arguments, timeout=60):
    return subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, timeout=timeout, check=False
    )


def processes_of(folder):
    """Locust processes that were started in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
            if b"locust" in line and (process / "cwd").readlink() == folder:
                found.append(process.name)
        except OSError:
            continue
    return found


def test_the_counts_add_up_and_the_run_is_in_the_catalogue(folder, mosquitto):
    """All published messages are acknowledged and delivered, and the list of runs knows the load."""
    done = load(folder, "--broker", mosquitto.endpoint.url, "--for", "3 s", "--json")

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    account = found["account"]
    assert account["attempted"] == account["acknowledged"] == account["delivered"] == 150
    assert found["devices"] == found["most_up"] == found["connected"] == 50
    assert found["delivery"]["count"] == found["acknowledgement"]["count"] == 150
    listed = subprocess.run(
        [sys.executable, "-m", "windtunnel", "runs", "list"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "1 PASS" in listed.stdout
    assert processes_of(folder) == []


def test_workers_share_the_devices_and_their_figures_are_one(folder, mosquitto):
    """Two processes carry half of the devices each, and nobody is counted twice."""
    done = load(
        folder,
        "--broker",
        mosquitto.endpoint.url,
        "--devices",
        "101",
        "--processes",
        "2",
        "--for",
        "3 s",
        "--json",
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    account = found["account"]
    assert found["devices"] == found["connected"] == 101
    assert account["attempted"] == account["acknowledged"] == account["delivered"] == 303
    assert processes_of(folder) == []


def test_a_requirement_that_is_not_met_is_exit_code_1(folder, mosquitto):
    """And the sentence says by how much."""
    done = load(folder, "--broker", mosquitto.endpoint.url, "--for", "2 s", "--expect", "max(connect) < 1 ns")

    assert done.returncode == 1, done.stderr
    assert "misses max(connect) < 1 ns" in done.stdout


def test_a_frozen_broker_shows_in_the_ninety_ninth_percentile(folder, mosquitto):
    """Messages that were due while it stood still are late by up to two seconds, and none is lost."""
    running = subprocess.Popen(
        command("--broker", mosquitto.endpoint.url, "--for", "7 s", "--json"),
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in running.stderr:
        if "up" in line and " published" in line:
            break
    time.sleep(1.0)
    os.kill(mosquitto.pid, signal.SIGSTOP)
    try:
        time.sleep(2.0)
    finally:
        os.kill(mosquitto.pid, signal.SIGCONT)
    out, err = running.communicate(timeout=60)

    assert running.returncode == 0, err
    found = json.loads(out)
    assert found["account"]["delivered"] == 350
    assert found["delivery"]["p99_s"] > 1.5
    assert found["delivery"]["p90_s"] > 0.4
    assert found["lateness"]["p50_s"] < 0.05


def test_a_broker_that_is_not_there_is_one_sentence(folder):
    """With exit code 4, and no run is kept."""
    done = load(folder, "--broker", "mqtt://127.0.0.1:1", "--for", "2 s")

    assert done.returncode == 4
    assert done.stderr.strip().splitlines() == [
        "windtunnel: no broker at mqtt://127.0.0.1:1: connection refused"
    ]
    assert not (folder / "runs").exists() or list((folder / "runs").glob("2*")) == []


def test_a_port_that_is_taken_is_found_before_the_load_begins(folder):
    """The page is what --web is for, so without it there is no load."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = load(folder, "--broker", "mosquitto", "--web", "--web-port", str(port), "--for", "1 s")

    assert done.returncode == 4
    assert done.stderr.splitlines()[-1] == (
        f"windtunnel: port {port} of 0.0.0.0 is taken; end who has it, or choose another with --web-port"
    )
    assert not (folder / "runs").exists()


def test_a_disk_that_is_full_costs_the_files_and_not_the_words(folder, mosquitto):
    """What was measured is shown all the same; the limit of a file's size stands for the disk's."""
    command = ("--broker", mosquitto.endpoint.url, "--for", "1 s")
    program = (
        "import sys, resource; from loadtests import starting; import windtunnel.load_commands as commands;"
        "ran = starting.run_locust\n"
        "def limited(*given):\n"
        "    found = ran(*given)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))\n"
        "    return found\n"
        "starting.run_locust = limited\n"
        "from windtunnel.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "load", "town.scenario.yaml", *command],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 4, done.stderr
    assert "not all results could be kept: runs/" in done.stderr.splitlines()[-1]
    assert "due to delivered" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system in a namespace of its own")
def test_a_load_ends_though_no_room_is_left_for_its_progress(folder, mosquitto):
    """Whoever tells of the progress also ends the load."""
    (folder / "short").mkdir()
    done = subprocess.run(
        [*mounted("size=4k", "short", folder), *command("--broker", mosquitto.endpoint.url, "--for", "1 s")],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "TMPDIR": str(folder / "short")},
    )  # fmt: skip

    assert done.returncode == 4, done.stderr
    assert re.search("no results could be handed over: .*: No space left", done.stderr.splitlines()[-1])


def test_what_a_load_cannot_judge_is_refused(folder):
    """A measure that it does not have is an error with the nearest name."""
    done = load(folder, "--expect", "count(losst) == 0")

    assert done.returncode == 2
    assert "did you mean 'lost'?" in done.stderr


def test_a_load_publishes_under_the_topics_of_a_system(folder, mosquitto):
    """To which it listens too; for a convention with other payloads it is said what speaks that."""
    told = ("--broker", mosquitto.endpoint.url, "--for", "2 s")
    heard, listener = [], Client(CallbackAPIVersion.VERSION2)
    listener.on_message = lambda *given: heard.append(given[2].topic)
    listener.connect(mosquitto.endpoint.host, mosquitto.endpoint.port)
    listener.subscribe("#")
    listener.loop_start()
    done = load(folder, *told, "--convention", "topics:plant/{thing}/{what}", "--json")
    listener.disconnect()
    listener.loop_stop()

    assert done.returncode == 0, done.stderr
    account = json.loads(done.stdout)["account"]
    assert account["delivered"] == account["attempted"] == len(heard) > 0
    assert all(re.fullmatch(r"plant/[a-z]+-\d+/.+", topic) for topic in heard)
    refused = load(folder, *told, "--convention", "aws-shadow")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].endswith("`windtunnel live --convention` speaks the others")


def test_ctrl_c_keeps_what_was_measured(folder, mosquitto):
    """The run is marked as interrupted, and Locust is gone."""
    running = subprocess.Popen(
        command("--broker", mosquitto.endpoint.url, "--for", "60 s", "--json"),
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    lines = (line for line in running.stderr if "up" in line and " published" in line)
    next(lines)
    next(lines)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)

    assert running.returncode == 130, err
    found = json.loads(out)
    assert not found["is_whole"]
    assert found["account"]["attempted"] == found["account"]["delivered"] > 0
    assert processes_of(folder) == []
