"""Real brokers and clients for the tests of the service."""

from __future__ import annotations

import json
import os
import queue
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from paho.mqtt import client as paho

from twin.service.authority import Authority, write
from twin.service.mosquitto import OWNER, BrokerSettings, Mosquitto
from twin.service.tokens import new_token

ROOT = Path(__file__).parents[2]
WAIT_S = 10.0


class Client:
    """A paho client that remembers what it was told; `with` connects and disconnects it."""

    def __init__(
        self, name="", *, port=0, path="", files=None, ca=None, version=paho.MQTTv311, will=None, clean=True
    ):
        transport = "unix" if path else "tcp"
        self.paho = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=name,
            clean_session=clean if version == paho.MQTTv311 else None,
            protocol=version,
            transport=transport,
            reconnect_on_failure=False,
        )
        if files is not None:
            self.paho.tls_set(str(ca), *map(str, files))
        if will is not None:
            self.paho.will_set(will, b"gone", 1)
        self.address = (path or "127.0.0.1", port or 1883, 10)
        self.connected, self.acknowledged, self.granted = queue.Queue(), queue.Queue(), queue.Queue()
        self.packet_ids = []
        self.messages, self.left = queue.Queue(), queue.Queue()
        self.paho.on_connect = lambda _c, _u, _f, code, _p: self.connected.put(
            None if code.is_failure else code
        )
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_publish = lambda _c, _u, _m, code, _p: self.acknowledged.put(code)
        self.paho.on_subscribe = lambda _c, _u, _m, codes, _p: self.granted.put(codes)
        self.paho.on_message = self._on_message

    def __enter__(self):
        self.paho.connect(*self.address)
        self.paho.loop_start()
        if self.connected.get(timeout=WAIT_S) is None:
            self.paho.loop_stop()
            raise ConnectionRefusedError
        return self

    def __exit__(self, *_):
        self.paho.disconnect()
        self.paho.loop_stop()

    def _on_disconnect(self, _client, _data, _flags, code, _properties):
        self.connected.put(None)
        self.left.put(code)

    def _on_message(self, _client, _data, message):
        self.packet_ids.append(message.mid)
        self.messages.put((message.topic, message.payload))

    def publish(self, topic, payload=b"x", **options):
        """Publish at QoS 1 and return the reason code of the acknowledgement."""
        self.paho.publish(topic, payload, 1, **options)
        return self.acknowledged.get(timeout=WAIT_S)

    def subscribe(self, *filters):
        self.paho.subscribe([(each, 1) for each in filters])
        return self.granted.get(timeout=WAIT_S)

    def message(self, timeout=WAIT_S):
        return self.messages.get(timeout=timeout)

    def cut(self):
        """End the connection without a word, so that the will is published."""
        self.paho.socket().shutdown(2)
        self.left.get(timeout=WAIT_S)


class Site:
    """A managed broker with its authority, and certificates for whoever needs one."""

    def __init__(self, folder: Path, access: str, **settings):
        self.authority = Authority.ensure(folder / "ca")
        self.folder, self.events = folder, []
        self.broker = Mosquitto(
            folder / "broker", BrokerSettings(**settings), self.authority, self.events.append
        )
        self.access = access

    def certificate(self, name, **options):
        issued = self.authority.client_certificate(name, **options)
        files = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        write(issued, *files)
        return issued, files

    def device(self, thing, **options):
        _, files = self.certificate(thing)
        return self.client(files, **options)

    def client(self, files, name="", **options):
        ca = self.authority.folder / "ca.pem"
        return Client(name, port=self.broker.port, files=files, ca=ca, **options)

    def owner(self, name=OWNER, **options):
        return Client(name, path=self.broker.socket_path, **options)

    def seen(self, kind, **fields):
        """Wait for a log event with these fields."""
        return eventually(
            lambda: next(
                (
                    each
                    for each in list(self.events)
                    if isinstance(each, kind) and fields.items() <= each._asdict().items()
                ),
                None,
            )
        )


@pytest.fixture
def site_of(tmp_path):
    """A function that starts a managed broker with an access list; it is stopped at the end."""
    started = []

    def start(access="", **settings):
        site = Site(tmp_path, access, **settings)
        started.append(site)
        site.broker.start(access)
        return site

    yield start
    for site in started:
        site.broker.stop()


@pytest.fixture
def open_broker(tmp_path):
    """A broker without authorisation that somebody else runs."""
    broker = Mosquitto(tmp_path / "open", BrokerSettings(plain_port=0))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(name="client")
def give_client():
    """The class of clients."""
    return Client


@pytest.fixture(name="eventually")
def give_eventually():
    """A function that waits until what it is given says yes."""
    return eventually


def eventually(ask, timeout=WAIT_S):
    """What `ask` returns once it is true."""
    until = time.monotonic() + timeout
    while not (answer := ask()):
        assert time.monotonic() < until, "it did not come in time"
        time.sleep(0.02)
    return answer


class Service:
    """The real `windtunnel serve` on free ports, with an HTTP client that has the first token."""

    def __init__(self, folder: Path, *options: str):
        self.folder, self.options = folder, options
        self.process, self.about, self.http, self.said = None, {}, None, []

    def start(self, *more: str):
        """Start it and wait until it takes requests."""
        command = [sys.executable, "-m", "windtunnel", "serve", "--json", "--folder", str(self.folder)]
        ports = [] if "--port" in self.options else ["--port", "0"]
        if "--broker" not in self.options and "--mqtt-port" not in self.options:
            ports += ["--mqtt-port", "0"]
        self.process = subprocess.Popen(
            [*command, *ports, *self.options, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.said = []
        threading.Thread(target=self._listen, args=(self.process.stderr,), daemon=True).start()
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(WAIT_S)
            return self
        self.about = json.loads(line)
        self._connect()
        return self

    def _listen(self, pipe):
        with pipe:
            self.said.extend(iter(pipe.readline, ""))

    def _connect(self):
        verify = ssl.create_default_context(cafile=self.about["ca"]) if "https" in self.about["url"] else True
        token = (self.folder / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=self.about["url"], headers=headers, verify=verify, timeout=WAIT_S)

    def token(self, role, **options):
        """A client with a token of another role."""
        secret = new_token(
            self.folder / "tokens.json", options.pop("name", role), role, time.time(), **options
        )
        headers = {"Authorization": f"Bearer {secret}"}
        return httpx.Client(base_url=self.about["url"], headers=headers, timeout=WAIT_S)

    def kill(self):
        """As if the power went: nothing is cleaned up."""
        self.process.kill()
        self.process.wait(WAIT_S)
        self._close()

    def stop(self):
        """Ctrl-C; return the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(WAIT_S)
        self._close()
        return self.process.returncode

    def _close(self):
        self.process.stdout.close()
        if self.http is not None:
            self.http.close()
            self.http = None

    def device(self, name, kind="boom_gate", **options):
        """A client with a certificate of its own for a registered thing, as `device add` makes it."""
        return self.client(self.certificate(name, kind), **options)

    def certificate(self, name, kind="boom_gate"):
        files = self.folder / "devices" / f"{name}.pem", self.folder / "devices" / f"{name}.key"
        if not files[0].exists():
            command = [sys.executable, "-m", "windtunnel", "device", "add"]
            subprocess.run(
                [*command, name, "--type", kind, "--folder", str(self.folder)],
                cwd=ROOT,
                check=True,
                timeout=WAIT_S,
                capture_output=True,
            )
        return files

    def client(self, files, name="", **options):
        return Client(name, port=self.about["mqtt_port"], files=files, ca=self.about["ca"], **options)


@pytest.fixture
def service_of(tmp_path):
    """A function that runs `windtunnel serve` with these options; it is stopped at the end."""
    started = []

    def start(*options):
        service = Service(tmp_path / "service", *options)
        started.append(service)
        return service.start()

    yield start
    for service in started:
        service.stop()


@pytest.fixture(scope="module")
def shared_service(tmp_path_factory):
    """One `windtunnel serve` for all tests of a file that leave each other alone."""
    service = Service(tmp_path_factory.mktemp("service") / "service", "--store", "memory").start()
    yield service
    assert service.stop() == 0
