"""The port of `windtunnel ui`."""

import socket
import subprocess
import sys

import pytest

import windtunnel.ui_commands as commands
from twin.errors import MissingEnvironmentError


@pytest.fixture
def taken():
    """A port of loopback on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_is_taken_is_one_clear_sentence(tmp_path, taken):
    """As the other commands say it, and with their exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "windtunnel", "ui", "--port", str(taken)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 4
    assert done.stderr.splitlines() == [
        f"windtunnel: port {taken} of 127.0.0.1 is taken; end who has it, or choose another with --port"
    ]


def test_where_no_port_was_asked_for_the_next_free_one_is_taken(monkeypatch, taken):
    """And without end it is not tried."""
    monkeypatch.setattr(commands, "PORT", taken)
    assert taken < commands._free_port("127.0.0.1", None) < taken + commands.PORTS_TRIED

    monkeypatch.setattr(commands, "PORTS_TRIED", 1)
    with pytest.raises(MissingEnvironmentError, match=f"port {taken} of 127.0.0.1 is taken"):
        commands._free_port("127.0.0.1", None)


def test_it_says_where_it_listens(site):
    """The first line names the address, which may be another than the usual one."""
    address, folder = site

    assert (folder / "server.log").read_text().startswith(f"windtunnel: listens at {address}, results in ")
