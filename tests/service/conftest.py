"""Real brokers and clients for the tests of the service."""

from __future__ import annotations

import queue
import time
from pathlib import Path

import pytest
from paho.mqtt import client as paho

from twin.service.authority import Authority, write
from twin.service.mosquitto import OWNER, BrokerSettings, Mosquitto

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
