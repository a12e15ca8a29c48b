"""Fleets in several processes: parts, sums, mishaps, Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from twin.errors import InputError, MissingEnvironmentError
from twin.live import shards
from twin.live.drive import DrivePlan, drive
from twin.live.shards import run_shards, shards_for

clients = sys.modules["live_clients"]
HERE = Path(__file__).parent
pytestmark = pytest.mark.live


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Workers find the module of their work by its name."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *sys.path]))
    monkeypatch.syspath_prepend(str(HERE))


def is_gone(group):
    """Whether all processes of the group end soon."""
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_the_parts_of_the_workers_add_up():
    """Each does its share, none twice; histograms are merged."""
    import sharding

    outcome = run_shards(sharding.part, {"total": 1_000}, 3)

    assert outcome.problems == []
    assert outcome.tally.offered == 1_000
    assert outcome.tally.lateness.count == 3
    assert outcome.tally.lateness.largest_s == 3.0


def test_the_end_of_a_worker_is_one_sentence_and_the_rest_is_kept():
    """Killed, wrong plan, defect: each said; what was told before and by the others counts."""
    import sharding

    outcome = run_shards(sharding.mishap, {}, 4)

    assert outcome.problems == [
        "worker 0 died with signal SIGKILL; what it found until then is kept",
        "worker 1: the plan is no good",
        "worker 2 failed: ZeroDivisionError: oh",
    ]
    assert outcome.tally.offered == 40


def test_what_lasts_too_long_is_stopped_in_order():
    """At the limit the workers are asked to stop, and say what they found."""
    import sharding

    outcome = run_shards(sharding.wait, {}, 2, limit_s=3.0)

    assert outcome.tally.offered == 4
    assert outcome.problems == []


def test_ctrl_c_stops_all_and_keeps_what_was_found():
    """The signal goes to the whole process group, as a terminal sends it; nobody stays behind."""
    child = subprocess.Popen(
        [sys.executable, str(HERE / "sharding.py")], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert child.stdout.readline().startswith("so far")
        time.sleep(1.0)
        os.killpg(child.pid, signal.SIGINT)
        rest, _ = child.communicate(timeout=30)
    finally:
        child.kill()
        child.wait(10)

    assert rest.splitlines()[-1] == "found 4 [] True"
    assert is_gone(child.pid)


def test_workers_end_when_who_started_them_is_gone():
    """Even if it was killed."""
    child = subprocess.Popen(
        [sys.executable, str(HERE / "sharding.py")], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    child.stdout.readline()
    child.kill()
    child.wait(10)
    child.stdout.close()

    assert is_gone(child.pid)


def test_a_sharded_fleet_publishes_everything_once(mosquitto_port):
    """Two processes, one schedule each; all is acknowledged and the numbers of devices do not meet."""
    talk = clients.Talk("fleet", mosquitto_port)
    prefix = f"shard{time.monotonic_ns()}"
    talk.listening(f"{prefix}-sink", f"{prefix}/+", qos=1)
    plan = DrivePlan(
        url=f"mqtt://127.0.0.1:{mosquitto_port}",
        client_count=100,
        period_s=0.2,
        duration_s=0.999,
        topic=prefix + "/{}",
        client_prefix=prefix,
    )
    import msgspec

    outcome = run_shards(drive, msgspec.to_builtins(plan), 2)
    talk.until(lambda: len(talk.deliveries) == 500)

    assert outcome.problems == []
    assert outcome.tally.acknowledged == outcome.tally.offered == 500
    assert outcome.tally.acknowledgement.count == 500
    assert len({delivery.topic for _, delivery in talk.deliveries}) == 100
    talk.engine.close()


def test_as_many_processes_as_descriptors_ask_for(monkeypatch):
    """And a sentence with a remedy where that leads nowhere."""
    monkeypatch.setattr(shards, "room_in_a_process", lambda: 1_000)
    assert shards_for(1) == 1
    assert shards_for(2_500) == 3
    assert shards_for(10, at_least=2) == 2

    with pytest.raises(MissingEnvironmentError, match="ulimit -n"):
        shards_for(1_000_000)


def test_no_workers_is_no_run():
    """Neither is a thousand."""
    for count in (0, 1_000):
        with pytest.raises(InputError):
            run_shards(drive, {}, count)
