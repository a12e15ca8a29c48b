"""A mosquitto that can be paused and killed, and an engine with a memory of what it was told."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from twin.live.paho_client import PahoClients
from twin.live.ports import held_ports
from twin.mqtt.fleet.device import Listener, Profile
from twin.mqtt.fleet.engine import FleetEngine
from twin.mqtt.fleet.stamp import due_of

WAIT_S = 15.0
HELD = ExitStack()  # ports, for as long as this process lives
ENGINES = {"fleet": FleetEngine, "paho": PahoClients}
LINES = (
    "set_tcp_nodelay true",
    "log_dest none",
    "sys_interval 0",
    "max_queued_messages 0",
    "max_inflight_messages 20",
)


def free_port():
    """A port that nobody else is given as long as this process lives: for a server that is started later."""
    return HELD.enter_context(held_ports(1))[0]


@dataclass
class Broker:
    """A mosquitto of a test's own. `lines` are its configuration behind the listener."""

    folder: Path
    lines: tuple = ("allow_anonymous true",)
    port: int = field(default_factory=free_port)
    child: subprocess.Popen | None = None

    def start(self):
        configuration = self.folder / "mosquitto.conf"
        lines = (*LINES, "user root", f"listener {self.port} 127.0.0.1", *self.lines)
        configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")
        program = shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/usr/local/sbin")
        self.child = subprocess.Popen([program, "-c", str(configuration)], stderr=subprocess.DEVNULL)
        limit = time.monotonic() + WAIT_S
        while time.monotonic() < limit and self.child.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self
        raise AssertionError(f"mosquitto did not listen on port {self.port}")

    def pause(self):
        self.child.send_signal(signal.SIGSTOP)

    def resume(self):
        self.child.send_signal(signal.SIGCONT)

    def kill(self):
        self.child.kill()
        self.child.wait(WAIT_S)

    def stop(self):
        if self.child is not None and self.child.poll() is None:
            self.resume()
            self.child.terminate()
            self.child.wait(WAIT_S)


class Talk:
    """An engine, its clients by name, and what they were told."""

    def __init__(self, kind, port, **options):
        self.connected, self.refused, self.closed = [], [], []
        self.deliveries, self.acknowledged, self.granted, self.released = [], [], [], []
        self.dropped = []
        listener = Listener(
            connected=lambda device, present: self.connected.append((device.client_id, present)),
            refused=lambda device, code: self.refused.append((device.client_id, code)),
            closed=lambda device, reason: self.closed.append((device.client_id, reason)),
            received=lambda device, delivery: self.deliveries.append((device.client_id, delivery)),
            acknowledged=lambda device, sequence: self.acknowledged.append((device.client_id, sequence)),
            dropped=lambda device, sequence, cause: self.dropped.append((device.client_id, sequence, cause)),
            granted=lambda _, topic_filter, qos: self.granted.append((topic_filter, qos)),
            released=lambda _, topic_filter: self.released.append(topic_filter),
        )
        self.engine = ENGINES[kind](listener, read_due=due_of, **options)
        self.port = port

    def add(self, name, **options):
        options.setdefault("reconnect_min_s", 0.2)
        return self.engine.add(name, Profile(host="127.0.0.1", port=self.port, **options))

    def up(self, name, **options):
        """A connected client."""
        client = self.add(name, **options)
        self.engine.connect(client)
        self.until(lambda: client.is_up)
        return client

    def until(self, so, limit_s=WAIT_S):
        assert self.engine.run(so, limit_s), f"not so within {limit_s:g} s; ended: {self.closed}"

    def rest(self, duration_s):
        self.engine.run(lambda: False, duration_s)

    def listening(self, name, *filters, qos=2, **options):
        """A connected client with granted subscriptions."""
        client = self.up(name, **options)
        for topic_filter in filters:
            self.engine.subscribe(client, topic_filter, qos)
        self.until(lambda: client.granted is not None and client.granted >= set(filters))
        return client

    def payloads(self, name):
        return [delivery.payload for who, delivery in self.deliveries if who == name]

    def reason(self, name):
        """Why the client's first connection ended, as soon as it has."""
        self.until(lambda: any(who == name for who, _ in self.closed))
        return next(reason for who, reason in self.closed if who == name)
