"""A real mosquitto on a free loopback port, started as a child and stopped by its process id."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

INSTALL = "mosquitto is not installed; install it with: sudo apt-get install -y mosquitto"
CONFIGURATION = """
listener {port} 127.0.0.1
allow_anonymous true
persistence false
sys_interval 0
log_dest none
set_tcp_nodelay true
allow_duplicate_messages true
"""
START_LIMIT_S = 10.0


def _load(name: str) -> None:
    """Let the tests import a neighbour as `live_...`: they are no package."""
    path = Path(__file__).with_name(f"{name}.py")
    specification = importlib.util.spec_from_file_location(f"live_{name}", path)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[f"live_{name}"] = module
    specification.loader.exec_module(module)


_load("stage")
_load("scripts")
_load("clients")
_load("servers")
_load("places")


def _program() -> str:
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.fail(INSTALL, pytrace=False)
    return found


def _await(port: int, child: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"mosquitto did not listen on port {port} within {START_LIMIT_S} s", pytrace=False)


@pytest.fixture(scope="session")
def mosquitto_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a mosquitto that lives as long as the tests of this process."""
    program, port = _program(), sys.modules["live_clients"].free_port()
    configuration: Path = tmp_path_factory.mktemp("mosquitto") / "mosquitto.conf"
    configuration.write_text(CONFIGURATION.format(port=port), encoding="utf-8")
    child = subprocess.Popen([program, "-c", str(configuration)], stderr=subprocess.DEVNULL)
    try:
        _await(port, child)
        yield port
    finally:
        child.terminate()
        child.wait(timeout=10.0)
