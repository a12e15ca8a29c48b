"""Whatever ends us, what we started ends too."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

LIVE = ("live", "car_park_fire", "--variant", "edge", "--no-check", "--broker")
CHECK = ("broker", "check")
WITHIN_S = 10.0


def children(pid):
    """The children of a process that are brokers by now."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found |= {int(each) for each in (task / "children").read_text().split()}
    return found


def is_alive(pid):
    """Whether the process runs; one that only waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def until(condition):
    """Wait for it."""
    limit_s = time.monotonic() + WITHIN_S
    while not (found := condition()) and time.monotonic() < limit_s:
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
@pytest.mark.parametrize("broker", ["mosquitto", "embedded"])
@pytest.mark.parametrize("command", [LIVE, CHECK], ids=["live", "check"])
def test_brokers_end_with_whoever_started_them(tmp_path, command, broker, number):
    """Killed or terminated, in a run or while a broker is checked."""
    program = subprocess.Popen(
        [sys.executable, "-m", "windtunnel", *command, broker],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert "at mqtt://127.0.0.1:" in program.stderr.readline()
        started = until(lambda: children(program.pid))
        assert started
        program.send_signal(number)
        program.wait(WITHIN_S)
        assert until(lambda: not any(map(is_alive, started))), "a broker is left behind"
    finally:
        program.kill()
        program.communicate(timeout=WITHIN_S)
