"""The embedded broker: rumqttd from the `iotcore` wheel, as a child process of ours.

It is there wherever the extra is installed, on every system. What it does not do (disk, client
certificates, keep-alive 0) `windtunnel broker check` says.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from twin.errors import MissingEnvironmentError
from twin.live.endpoint import Endpoint
from twin.live.folders import temporary_folder
from twin.live.ports import held_ports

INSTALL: Final = "pip install 'windtunnel-iot[live]'"
START_S: Final = 10.0
STOP_S: Final = 3.0
CONNECTION_LIMIT: Final = 10_000
PAYLOAD_BYTES: Final = 1_048_576
IN_FLIGHT: Final = 500
DOLLAR: Final = "windtunnel-dollar/"
PLAIN, V5 = "plain", " v5"
CHILD: Final = """\
import sys
sys.path[:] = [each for each in sys.path if each not in ("", ".")]
from iotcore._serve import main
main()
"""
"""As the package itself starts it: the folder we stand in must not hide the package."""
LISTENER: Final = """\
[{section}]
name = "{name}"
listen = "{host}:{port}"
next_connection_delay_ms = 0
    [{section}.connections]
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


class Listener(NamedTuple):
    """A further way in: with user and password, with TLS, or through WebSocket (MQTT 3.1.1 only)."""

    user: str = ""
    password: str = ""
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    is_websocket: bool = False


@dataclass(slots=True)
class EmbeddedBroker:
    """rumqttd at `host`, with a listener for MQTT 3.1.1 and one for MQTT 5, and `further` ones by name.

    `ports` has the port of each listener by its name; that for MQTT 5 has " v5" behind it.
    """

    further: Mapping[str, Listener] = field(default_factory=dict)
    host: str = "127.0.0.1"
    ports: dict[str, int] = field(init=False, default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    @property
    def port(self) -> int:
        """Where MQTT 3.1.1 is spoken."""
        return self.ports[PLAIN]

    @property
    def endpoint(self) -> Endpoint:
        """How to reach it."""
        return self.known(Endpoint("mqtt", self.host, self.port))

    def known(self, endpoint: Endpoint) -> Endpoint:
        """An endpoint of this broker with what is particular about it."""
        name = next(name for name, port in self.ports.items() if port == endpoint.port)
        port_v5 = self.ports.get(name + V5, 0)
        return replace(endpoint, port_v5=port_v5, dollar=DOLLAR, has_keep_alive_off=False)

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
        listeners = {PLAIN: Listener(), **self.further}
        names = [*listeners, *(name + V5 for name, each in listeners.items() if not each.is_websocket)]
        with temporary_folder() as folder, held_ports(0 if self.ports else len(names)) as found:
            self.ports = self.ports or dict(zip(names, found))
            path = folder / "rumqttd.toml"
            path.write_text(_configuration(listeners, self.host, self.ports), encoding="utf-8")
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
            if self._process.stdin is not None:
                self._process.stdin.close()

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
        for port in self.ports.values():
            while not _answers(self.host, port):
                if self._process is None or self._process.poll() is not None or time.monotonic() > limit_s:
                    self.stop()
                    raise MissingEnvironmentError(
                        "the embedded broker did not start; try: --broker mosquitto"
                    )
                time.sleep(0.02)


def _configuration(listeners: Mapping[str, Listener], host: str, ports: Mapping[str, int]) -> str:
    parts = [ROUTER.format(connections=CONNECTION_LIMIT)]
    for name, port in ports.items():
        listener = listeners[name.removesuffix(V5)]
        kind = "ws" if listener.is_websocket else "v5" if name.endswith(V5) else "v4"
        section = f"{kind}.{name.removesuffix(V5)}"
        parts.append(
            LISTENER.format(
                section=section,
                name=name,
                host=host,
                port=port,
                payload=PAYLOAD_BYTES,
                in_flight=IN_FLIGHT,
            )
        )
        if listener.user:
            parts.append(
                f"    [{section}.connections.auth]\n    {listener.user} = {_quoted(listener.password)}\n"
            )
        if listener.certificate is not None:
            files = {"capath": listener.ca, "certpath": listener.certificate, "keypath": listener.key}
            lines = [f"    {key} = {_quoted(str(path))}\n" for key, path in files.items()]
            parts.append(f"    [{section}.tls]\n{''.join(lines)}")
    return "".join(parts)


def _quoted(text: str) -> str:
    """A string of TOML."""
    return json.dumps(text)


def _answers(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), timeout=0.2):
        return True
    return False
