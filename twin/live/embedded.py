"""The embedded broker: rumqttd from the `iotcore` wheel, as a child process of ours.

It is there wherever the extra is installed, on every system. What it does not do (disk, client
certificates, keep-alive 0) `windtunnel broker check` says.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from twin.errors import MissingEnvironmentError

INSTALL: Final = "pip install 'windtunnel-iot[live]'"
START_S: Final = 10.0
STOP_S: Final = 3.0
CONNECTION_LIMIT: Final = 10_000
PAYLOAD_BYTES: Final = 1_048_576
IN_FLIGHT: Final = 500
CHILD: Final = """\
import sys
sys.path[:] = [each for each in sys.path if each not in ("", ".")]
from iotcore._serve import main
main()
"""
"""As the package itself starts it: the folder we stand in must not hide the package."""
LISTENER: Final = """\
[{version}.{name}]
name = "{name}"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 0
    [{version}.{name}.connections]
    connection_timeout_ms = 60000
    max_payload_size = {payload}
    max_inflight_count = {in_flight}
    dynamic_filters = true
"""
ROUTER: Final = """\
id = 0
[router]
id = 0
max_connections = {connections}
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
"""


def is_installed() -> bool:
    """Whether the embedded broker is part of this installation."""
    return find_spec("iotcore") is not None


@dataclass(slots=True)
class EmbeddedBroker:
    """rumqttd with a listener for MQTT 3.1.1 at `port` and one for MQTT 5 at `port_v5`, on loopback."""

    port: int = field(init=False, default=0)
    port_v5: int = field(init=False, default=0)
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    @property
    def pid(self) -> int:
        """Its process id, 0 if it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def start(self) -> None:
        """Start it, the second time on the ports of the first, and wait until clients can connect.

        Raises MissingEnvironmentError if that fails.
        """
        if not is_installed():
            raise MissingEnvironmentError(f"the embedded broker is not installed; install it: {INSTALL}")
        self.port = self.port or _free_port()
        self.port_v5 = self.port_v5 or _free_port()
        with tempfile.TemporaryDirectory(prefix="windtunnel-") as folder:
            path = Path(folder) / "rumqttd.toml"
            path.write_text(_configuration(self.port, self.port_v5), encoding="utf-8")
            self._process = subprocess.Popen(  # noqa: S603  (its arguments are ours)
                [sys.executable, "-c", CHILD, json.dumps({"config_path": str(path)})],
                stdin=subprocess.PIPE,  # it ends when this pipe closes, whatever becomes of us
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._wait()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)

    def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)
        if process.stdin is not None:
            process.stdin.close()

    def _wait(self) -> None:
        limit_s = time.monotonic() + START_S
        for port in (self.port, self.port_v5):
            while not _answers(port):
                if self._process is None or self._process.poll() is not None or time.monotonic() > limit_s:
                    self.stop()
                    raise MissingEnvironmentError(
                        "the embedded broker did not start; try: --broker mosquitto"
                    )
                time.sleep(0.02)


def _configuration(port: int, port_v5: int) -> str:
    figures = {"payload": PAYLOAD_BYTES, "in_flight": IN_FLIGHT}
    return ROUTER.format(connections=CONNECTION_LIMIT) + "".join(
        LISTENER.format(version=version, name=version, port=each, **figures)
        for version, each in (("v4", port), ("v5", port_v5))
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
        return True
    return False
