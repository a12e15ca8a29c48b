"""A mosquitto of our own: configured, started, reloaded and stopped as a child process.

What the network can reach asks every client for a certificate of our authority, and the name in the
certificate is its user name and its client id: a client can neither speak for another nor take over its
session. Whoever started the broker reaches it through a socket file in the broker's folder, which only its
owner can enter.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from twin.errors import MissingEnvironmentError
from twin.live.folders import Folder, new_folder
from twin.live.ports import held_ports
from twin.message import Message
from twin.mqtt.codec import encode
from twin.mqtt.packets import Connect, connect_message
from twin.service import child
from twin.service.broker_log import BrokerLog, Event

if TYPE_CHECKING:
    from twin.service.authority import Authority

FOLDERS: Final = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
INSTALL: Final = "sudo apt-get install -y mosquitto"
START_S: Final = 60.0  # with an access list of 10,000 things it takes 5
STOP_S: Final = 3.0
RELOAD_S: Final = 5.0
START_TRIES: Final = 3
PRIVATE: Final = 0o700
LONGEST_SOCKET_PATH: Final = 100  # sun_path holds 108 bytes on Linux and 104 on macOS
OWNER: Final = "windtunnel/twin"
"""The client id of whoever started the broker; no thing can have it, because of the slash."""
PORT_TAKEN: Final = "Address already in use"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """How the broker is to run. Port 0 is a free one; a plain port (no TLS, no certificate) is opened only if
    it is given, and on loopback, or on the address of a network that ends in this machine. `further_lines`
    of its configuration come last.
    """

    host: str = "127.0.0.1"
    port: int = 0
    plain_port: int | None = None
    plain_host: str = "127.0.0.1"
    is_durable: bool = True
    queued_messages: int = 100_000
    inflight_messages: int = 1_000
    largest_message_bytes: int = 131_072
    session_days: int = 14
    saved_every_s: int = 30
    further_lines: tuple[str, ...] = ()


def find_mosquitto() -> str:
    """Where mosquitto is; raise MissingEnvironmentError with the line that installs it."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *FOLDERS])
    found = shutil.which("mosquitto", path=path)
    if found is None:
        raise MissingEnvironmentError(
            f"no mosquitto on this machine; install it: {INSTALL}  (or name a broker: --broker mqtt://host)"
        )
    return found


@dataclass(slots=True)
class Mosquitto:
    """A broker in `folder`. `authority` issues its certificate; without one there is no TLS listener.

    `tell` hears what clients do, on the thread that reads the log. One thread starts and stops the broker,
    and the broker ends with that thread.
    """

    folder: Path
    settings: BrokerSettings = field(default_factory=BrokerSettings)
    authority: Authority | None = None
    tell: Callable[[Event], None] = lambda _: None

    port: int = field(init=False, default=0)
    plain_port: int = field(init=False, default=0)
    log: BrokerLog | None = field(init=False, default=None)
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)
    _socket_folder: Folder | None = field(init=False, default=None)
    _is_placed: bool = field(init=False, default=False)

    @property
    def socket_path(self) -> str:
        """Where its owner reaches it without certificate and without limits."""
        return str((self._socket_folder.path if self._socket_folder else self.folder) / "bus")

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id, 0 if it does not run."""
        return self._process.pid if self._process is not None and self.is_running else 0

    def start(self, access: str = "") -> None:
        """Start it with an access list; return when clients can connect.

        Raises MissingEnvironmentError if it does not start, with what it said.
        """
        program = find_mosquitto()
        self._prepare(access)
        for tries_left in reversed(range(START_TRIES)):
            with self._ports():
                self._write("mosquitto.conf", self._configuration())
                problem = self._run(program)
            if not problem:
                self._is_placed = True
                return
            self.stop()
            if PORT_TAKEN in problem:
                self._explain_port(problem, is_last=not tries_left)
            else:
                raise MissingEnvironmentError(f"mosquitto did not start: {problem}")

    def grant(self, access: str) -> None:
        """Replace the access list and the revocation list. When this returns both hold; clients stay."""
        self._write("access", access)
        self._write_revocations()
        if self.is_running and self._process is not None and self.log is not None:
            self.log.is_reloading.clear()
            self._process.send_signal(signal.SIGHUP)
            self.log.is_reloading.wait(RELOAD_S)  # it reads the lists before the next packet

    def end_session(self, client: str) -> None:
        """End a client's connection and forget its session, by connecting under its name and leaving."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as bus:
            bus.settimeout(STOP_S)
            bus.connect(self.socket_path)
            bus.sendall(encode(connect_message(Connect(client, keep_alive_s=5))))
            bus.recv(64)
            bus.sendall(encode(Message("", kind="disconnect")))

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)

    def stop(self) -> None:
        """End it; it saves its sessions first."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_S)
        if self._socket_folder is not None:
            self._socket_folder.remove()
            self._socket_folder = None

    def _prepare(self, access: str) -> None:
        self.folder = self.folder.absolute()
        self.folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        self.folder.chmod(PRIVATE)
        if len(os.fsencode(self.socket_path)) > LONGEST_SOCKET_PATH:
            self._socket_folder = new_folder()
        Path(self.socket_path).unlink(missing_ok=True)
        self._write("access", access)
        if self.authority is not None:
            self._write("ca.pem", self.authority.certificate_pem)
            names = dict.fromkeys(["localhost", "127.0.0.1", self.settings.host, socket.gethostname()])
            issued = self.authority.server_certificate([name for name in names if name])
            from twin.service.authority import write  # needs the extra [serve], and a plain broker does not

            write(issued, self.folder / "server.pem", self.folder / "server.key")
            self._write_revocations()

    def _write_revocations(self) -> None:
        if self.authority is not None:
            self._write("revoked.pem", self.authority.crl())

    @contextlib.contextmanager
    def _ports(self) -> Iterator[None]:
        """Choose the ports and keep them free meanwhile. A broker that ran before keeps those it had."""
        with contextlib.ExitStack() as held:
            if self.authority is not None and not self._is_placed:
                host = self.settings.host
                self.port = self.settings.port or held.enter_context(held_ports(1, host))[0]
            if self.settings.plain_port is not None and not self._is_placed:
                self.plain_port = self.settings.plain_port or held.enter_context(held_ports(1))[0]
            yield

    def _explain_port(self, problem: str, *, is_last: bool) -> None:
        """Raise if another port, or another moment, does not help."""
        is_ours_to_choose = not (self.settings.port or self.settings.plain_port or self._is_placed)
        if is_last or not is_ours_to_choose:
            taken = ", ".join(str(port) for port in (self.port, self.plain_port) if port)
            raise MissingEnvironmentError(
                f"port {taken} is taken; choose another with --mqtt-port, or end who has it ({problem})"
            )

    def _run(self, program: str) -> str:
        """Start the process; return what went wrong, or nothing."""
        command = [program, "-c", str(self.folder / "mosquitto.conf")]
        starter = [sys.executable, "-I", str(child.__file__), str(os.getpid()), *command]
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603  (its arguments are ours)
                starter,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=writing,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for whoever started us; we end the broker in order
            )
        finally:
            os.close(writing)
        self.log = BrokerLog(reading, self.tell, OWNER)
        self.log.start()
        return self._wait_until_running(self.log)

    def _wait_until_running(self, log: BrokerLog) -> str:
        """Return what went wrong, or nothing.

        It is waited for its first connection too, because mosquitto forgets a signal to end that comes just
        before it starts to serve.
        """
        until_s = time.monotonic() + START_S
        problem = _wait(log, log.is_running, until_s)
        if not problem:
            with socket.socket(socket.AF_UNIX) as knocking:
                knocking.connect(self.socket_path)
                problem = _wait(log, log.is_serving, until_s)
        return problem

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        draft = path.with_name(f".{name}")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        draft.replace(path)

    def _configuration(self) -> str:
        lines = [
            "per_listener_settings true",
            "log_dest stderr",
            "log_type all",  # refusals are logged at the type debug
            "log_timestamp false",
            "connection_messages true",
            f"max_queued_messages {self.settings.queued_messages}",
            f"max_inflight_messages {self.settings.inflight_messages}",
            f"message_size_limit {self.settings.largest_message_bytes}",
            f"persistent_client_expiration {self.settings.session_days}d",
            "set_tcp_nodelay true",
            "allow_duplicate_messages false",  # filters of one client may overlap
            *self._persistence(),
            *self._owner(),
            f"listener 0 {self.socket_path}",
            "allow_anonymous true",
        ]
        if self.authority is not None:
            lines += self._tls_listener()
        if self.settings.plain_port is not None:
            lines += [f"listener {self.plain_port} {self.settings.plain_host}", "allow_anonymous true"]
        lines += self.settings.further_lines
        return "\n".join(lines) + "\n"

    def _persistence(self) -> list[str]:
        if not self.settings.is_durable:
            return ["persistence false"]
        location = f"persistence_location {self.folder}/"
        return ["persistence true", location, f"autosave_interval {self.settings.saved_every_s}"]

    @staticmethod
    def _owner() -> list[str]:
        """As root, mosquitto would become a user who cannot enter the folder."""
        return ["user root"] if os.name == "posix" and os.geteuid() == 0 else []

    def _tls_listener(self) -> list[str]:
        return [
            f"listener {self.port} {self.settings.host}",
            f"cafile {self.folder / 'ca.pem'}",
            f"certfile {self.folder / 'server.pem'}",
            f"keyfile {self.folder / 'server.key'}",
            f"crlfile {self.folder / 'revoked.pem'}",
            "tls_version tlsv1.2",
            "require_certificate true",
            "use_identity_as_username true",
            "use_username_as_clientid true",
            "allow_anonymous false",
            f"acl_file {self.folder / 'access'}",
        ]


def _wait(log: BrokerLog, event: threading.Event, until_s: float) -> str:
    """Wait for the event; return what the broker said if it ended instead, or nothing."""
    while time.monotonic() < until_s:
        if event.wait(0.02):
            return ""
        if log.is_over.is_set():
            errors = [line for line in log.last_lines if line.startswith("Error")]
            return "; ".join(errors) or "; ".join(log.last_lines) or "it said nothing"
    return f"it was not ready within {START_S:g} s"
