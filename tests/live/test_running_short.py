"""A machine that runs short in a live run: one sentence, exit code 4, what was found is kept or shown."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from scenarios.live import run_live
from scenarios.shipped import load
from scenarios.store import write
from tests.mounts import mounted
from twin.errors import MissingEnvironmentError
from twin.live.endpoint import endpoint
from twin.live.folders import LOCK, PREFIX, new_folder, temporary_folder
from twin.live.shards import CLIENTS_IN_A_PROCESS, check_room, files_in_a_process

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(sys.platform != "linux", reason="mounts, and limits files"),
]
ROOT = Path(__file__).parents[2]
SITE = """
scenario: 1
sites: {here: {metro: singapore}}
fleets:
  gates:
    device: boom_gate
    count: 100
    at: here
    via: broker
    link: {medium: ethernet, path: direct, transport: tcp}
nodes:
  broker: {kind: mqtt_broker, at: here}
requirements:
  - {name: none opened, expect: count(gate_open) == 0}
run: {duration: 3 s}
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "many.scenario.yaml").write_text(SITE)
    (tmp_path / "runs").mkdir()
    return tmp_path


def live(place, port, *before, limit=None):
    """The command, with the disk or the files that it is given."""
    command = [*before, sys.executable, "-m", "windtunnel", "live", "many.scenario.yaml", "--no-check"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def limited():
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    return subprocess.run(
        [*command, "--broker", f"mqtt://127.0.0.1:{port}"], cwd=place, env=environment,
        capture_output=True, text=True, timeout=60, check=False, preexec_fn=limited if limit else None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("size", "is_shown", "sentence"),
    [
        ("16k", False, "cannot use runs/catalogue.sqlite: database or disk is full"),
        ("60k", True, "not all results could be kept: runs/"),
    ],
)
def test_a_disk_that_is_full_is_one_sentence(place, mosquitto_port, size, is_shown, sentence):
    """Found before the run it does not begin; found after it the results are shown."""
    done = live(place, mosquitto_port, *mounted(f"size={size}", "runs", place))

    assert done.returncode == 4, done.stderr
    assert sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert ("✓ met      none opened" in done.stdout) is is_shown


def test_too_few_files_are_told_before_the_run(place, mosquitto_port):
    """With the limit that would do."""
    done = live(place, mosquitto_port, limit=250)

    assert done.returncode == 4
    assert done.stderr.splitlines()[-1] == (
        "windtunnel: 101 connections need 101 open files, and this process has room for 50;"
        " raise the limit: ulimit -n 301"
    )
    assert list((place / "runs").glob("*/")) == []


@pytest.mark.parametrize(
    ("limit", "sentence", "command"),
    [
        (100, "and this process may open 100; raise the limit: ulimit -n 120", "broker check {} --quick"),
        (60, "a process here may open 60 files; raise the limit: ulimit -n ", "load alarm_drill --broker {}"),
    ],
)
def test_too_few_files_are_no_fault_of_the_broker(place, mosquitto_port, limit, sentence, command):
    """Nor can more processes help where one has no room at all."""
    words = command.format(f"mqtt://127.0.0.1:{mosquitto_port}").split()
    done = subprocess.run(
        [sys.executable, "-m", "windtunnel", *words], cwd=place, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
    )  # fmt: skip

    assert done.returncode == 4, done.stdout
    assert sentence in done.stderr.splitlines()[-1]


def test_a_proxy_needs_three_files_for_a_connection():
    """As many as there is room for pass; and where files are plenty, one process has its own bound."""
    room = files_in_a_process()
    check_room(min(room // 3, CLIENTS_IN_A_PROCESS), 3)
    with pytest.raises(MissingEnvironmentError, match=r"raise the limit: ulimit -n \d+$"):
        check_room(room // 3 + 1, 3)
    if room > CLIENTS_IN_A_PROCESS:
        with pytest.raises(MissingEnvironmentError, match="more than the 15,000 that one process carries"):
            check_room(CLIENTS_IN_A_PROCESS + 1)


def test_files_that_run_out_during_a_run_cost_connections_only(place, mosquitto_port):
    """Who can open no socket hears of it and tries again; the run goes on."""
    variant = load(place / "many.scenario.yaml").variants[0]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def at_the_start(_running):
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 40, hard))

    try:
        bound = {"broker": endpoint(f"mqtt://127.0.0.1:{mosquitto_port}")}
        found = run_live(variant, bound, on_start=at_the_start)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert found.outcome.judgements["none opened"].is_met
    assert any("may not open more files" in reason for reason in found.ended_connections)


def test_a_file_that_cannot_be_written_leaves_nothing_beside_it(tmp_path):
    """And the error names it."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as told:
            write(tmp_path / "study.json", b"x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert told.value.filename == str(tmp_path / "study.json")
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    """Nor a device: `--out /dev/null` must not cost the machine its own."""
    path, read = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()), daemon=True)
    reader.start()
    write(path, "report")
    reader.join(10.0)

    assert read == [b"report"]
    assert path.is_fifo()


# folders --------------------------------------------------------------------------------------------------

HOLDER = """
import sys, time
from twin.live.folders import new_folder
folder = new_folder()
(folder.path / "deep").mkdir()
print(folder.path, flush=True)
time.sleep(60)
"""


def test_what_a_kill_left_behind_goes_with_the_next_folder(tmp_path, monkeypatch):
    """Of the living nothing goes, nor what is not ours."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    foreign = tmp_path / f"{PREFIX}somebody-elses"
    foreign.mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLDER], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    dead, living = (Path(each.stdout.readline().strip()) for each in holders)
    holders[0].kill()
    holders[0].wait(10)
    try:
        with temporary_folder() as ours:
            assert sorted(tmp_path.iterdir()) == sorted([foreign, living, ours])
            assert (ours / LOCK).exists()
        assert not dead.exists()
        assert not ours.exists()
    finally:
        holders[1].kill()
        for each in holders:
            each.communicate(timeout=10)


def test_a_folder_is_removed_once(tmp_path, monkeypatch):
    """The second time does nothing; a link under our name is not followed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    target = tmp_path / "target"
    target.mkdir()
    (target / LOCK).touch()
    (tmp_path / f"{PREFIX}link").symlink_to(target)
    folder = new_folder()
    folder.remove()
    folder.remove()

    assert (target / LOCK).exists()
    assert not folder.path.exists()


def test_a_live_run_that_was_killed_leaves_no_folder_for_long(place):
    """The next run sweeps up after it."""
    folders = place / "tmp"
    folders.mkdir()
    environment = {**os.environ, "TMPDIR": str(folders), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "windtunnel", "live", "many.scenario.yaml", "--no-check", "--broker"]
    killed = subprocess.Popen(
        [*command, "mosquitto"], cwd=place, env=environment, stderr=subprocess.PIPE, text=True
    )
    killed.stderr.readline()
    time.sleep(1.0)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=10)
    left = list(folders.glob(f"{PREFIX}*"))
    done = subprocess.run([*command, "mosquitto"], cwd=place, env=environment, timeout=60, check=False)

    assert len(left) == 1
    assert done.returncode == 0
    assert list(folders.glob(f"{PREFIX}*")) == []
