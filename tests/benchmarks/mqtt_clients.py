"""What MQTT clients cost: processor time and memory a client, a connect and a message, several in one run.

    python -m venv bench && bench/bin/pip install .[live] aiomqtt gmqtt
    bench/bin/python tests/benchmarks/mqtt_clients.py [ROUNDS]

Every driver is a process of its own on one mosquitto; drivers take turns, and the medians of all rounds are
printed. Processor time is that of the driver alone (rusage), so other load on the machine disturbs it little;
connects a second do depend on it. Messages have 100 bytes, and are sent as fast as they go. aiomqtt and gmqtt
are left out where they are not installed.
"""

import asyncio
import gc
import importlib.util
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PAYLOAD = b"x" * 100
MESSAGES = 10
WARM = 100
WINDOW = 80
UNDER_WAY = 500
HOST = "127.0.0.1"
CONFIGURATION = """
listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
max_queued_messages 0
log_dest none
user root
"""
COLUMNS = ("connect_us", "connects_per_s", "client_kb", "qos0_us", "qos1_us")
TITLES = (
    "CPU a connect (us)",
    "connects/s",
    "kB a client",
    "CPU a QoS 0 message (us)",
    "CPU a QoS 1 message (us)",
)


class OnEngine:
    """The drivers that share the product's port."""

    def __init__(self, port, count, make):
        from twin.mqtt.fleet.device import Profile

        self.engine = make()
        profile = Profile(host=HOST, port=port)
        self.devices = [self.engine.add(f"b{os.getpid()}-{number}", profile) for number in range(count)]

    def connect(self):
        for device in self.devices:
            self.engine.connect(device)
        assert self.engine.run(lambda: self.engine.tally.connected == len(self.devices), 120)

    def publish(self, qos):
        tally, engine, count = self.engine.tally, self.engine, 0
        topics = [f"b/{device.number}/t" for device in self.devices]
        for _ in range(MESSAGES):
            for device, topic in zip(self.devices, topics):
                engine.publish(device, topic, PAYLOAD, qos)
                count += 1
                if count % 16 == 0:
                    engine.step(0.0)
                    while tally.waiting_count > UNDER_WAY:
                        engine.step(0.01)
        assert engine.run(lambda: tally.waiting_count == 0, 120)

    def close(self):
        self.engine.close()


class Fleet(OnEngine):
    """The fleet engine; publications come from a schedule on which all are due at once."""

    def __init__(self, port, count):
        from twin.mqtt.fleet.engine import FleetEngine

        super().__init__(port, count, FleetEngine)

    def publish(self, qos):
        import numpy as np

        from twin.mqtt.fleet.feed import Feed
        from twin.mqtt.fleet.schedule import replay

        engine = self.engine
        count = len(self.devices) * MESSAGES
        schedule = replay(np.zeros(count), np.arange(count) % len(self.devices))
        payload = lambda *_: PAYLOAD  # noqa: E731
        engine.feed(Feed(self.devices, schedule, lambda d: f"b/{d.number}/t", payload, engine.now, qos))
        assert engine.run(lambda: not engine.feeds and engine.tally.waiting_count == 0, 120)


class Paho(OnEngine):
    """paho with our selector."""

    def __init__(self, port, count):
        from twin.live.paho_client import PahoClients

        super().__init__(port, count, PahoClients)


class PahoThreads:
    """paho as most use it: `loop_start`, a thread a client."""

    def __init__(self, port, count):
        from paho.mqtt import client as paho

        self.port, self.up, self.acknowledged = port, threading.Semaphore(0), threading.Semaphore(0)
        self.clients = []
        for number in range(count):
            client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f"b{os.getpid()}-{number}")
            client.on_connect = lambda *_: self.up.release()
            client.on_publish = lambda *_: self.acknowledged.release()
            self.clients.append(client)

    def connect(self):
        for number, client in enumerate(self.clients):
            client.connect(HOST, self.port)
            client.loop_start()
            if number >= WINDOW:
                self.up.acquire()
        for _ in self.clients[:WINDOW]:
            self.up.acquire()

    def publish(self, qos):
        sent = 0
        for _ in range(MESSAGES):
            for number, client in enumerate(self.clients):
                client.publish(f"b/{number}/t", PAYLOAD, qos)
                sent += 1
                if sent > UNDER_WAY:
                    self.acknowledged.acquire()
        for _ in range(min(sent, UNDER_WAY)):
            self.acknowledged.acquire()

    def close(self):
        for client in self.clients:
            client.disconnect()
            client.loop_stop()


class OnAsyncio:
    """The drivers that need an asyncio loop."""

    def __init__(self, port, count):
        self.port, self.count, self.loop = port, count, asyncio.new_event_loop()
        self.clients = []

    def connect(self):
        self.loop.run_until_complete(self._all(self.open, range(self.count), WINDOW))

    def publish(self, qos):
        async def say(number):
            client = self.clients[number % self.count]
            await self.send(client, f"b/{number % self.count}/t", qos)

        self.loop.run_until_complete(self._all(say, range(self.count * MESSAGES), UNDER_WAY))
        self.loop.run_until_complete(self.drain())

    async def drain(self):
        """Whatever is to be waited for."""

    @staticmethod
    async def _all(action, numbers, window):
        numbers = iter(numbers)

        async def worker():
            for number in numbers:
                await action(number)

        await asyncio.gather(*(worker() for _ in range(window)))

    def close(self):
        self.loop.run_until_complete(self._all(self.leave, self.clients, WINDOW))


class Aiomqtt(OnAsyncio):
    """paho behind asyncio."""

    async def open(self, number):
        import aiomqtt

        client = aiomqtt.Client(HOST, self.port, identifier=f"b{os.getpid()}-{number}")
        await client.__aenter__()
        self.clients.append(client)

    async def send(self, client, topic, qos):
        await client.publish(topic, PAYLOAD, qos)

    async def leave(self, client):
        await client.__aexit__(None, None, None)


class Gmqtt(OnAsyncio):
    """An asyncio client with a codec of its own."""

    async def open(self, number):
        import gmqtt

        client = gmqtt.Client(f"b{os.getpid()}-{number}")
        await client.connect(HOST, self.port, version=gmqtt.constants.MQTTv311)
        self.clients.append(client)

    async def send(self, client, topic, qos):
        client.publish(topic, PAYLOAD, qos)
        await asyncio.sleep(0)

    async def drain(self):
        for client in self.clients:
            await client._persistent_storage.wait_empty()

    async def leave(self, client):
        await client.disconnect()


DRIVERS = {
    "fleet engine": (Fleet, 1_000, "twin"),
    "paho, external loop": (Paho, 1_000, "paho"),
    "paho, threads": (PahoThreads, 300, "paho"),
    "aiomqtt": (Aiomqtt, 1_000, "aiomqtt"),
    "gmqtt": (Gmqtt, 1_000, "gmqtt"),
    "fleet engine, many": (Fleet, 10_000, "twin"),
}


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory_kb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1024


def measure(name, port):
    """One driver in this process."""
    make, count, _ = DRIVERS[name]
    warm = make(port, WARM)  # what is imported and allocated once is no cost of a client
    warm.connect()
    warm.publish(1)
    warm.close()
    del warm
    gc.collect()
    before_kb = memory_kb()
    driver = make(port, count)
    begun_s, used_s = time.monotonic(), cpu_s()
    driver.connect()
    found = {
        "connect_us": (cpu_s() - used_s) / count * 1e6,
        "connects_per_s": count / (time.monotonic() - begun_s),
    }
    gc.collect()
    found["client_kb"] = (memory_kb() - before_kb) / count
    for qos in (0, 1):
        used_s = cpu_s()
        driver.publish(qos)
        found[f"qos{qos}_us"] = (cpu_s() - used_s) / (count * MESSAGES) * 1e6
    driver.close()
    print(json.dumps(found))


def broker(folder):
    """A mosquitto of our own, and its port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    configuration = Path(folder) / "mosquitto.conf"
    configuration.write_text(CONFIGURATION.format(port=port))
    program = shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/usr/local/sbin")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    child = subprocess.Popen([program, "-c", str(configuration)], stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection((HOST, port), 1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            break
    return child, port


def main(rounds):
    names = [name for name, (_, _, module) in DRIVERS.items() if importlib.util.find_spec(module)]
    found = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        child, port = broker(folder)
        try:
            for number in range(rounds):
                for name in names[number % len(names) :] + names[: number % len(names)]:
                    command = [sys.executable, __file__, "--one", name, str(port)]
                    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
                    found[name].append(json.loads(said.stdout.splitlines()[-1]))
                    print(f"# round {number + 1}: {name} {said.stdout.splitlines()[-1]}", file=sys.stderr)
        finally:
            child.terminate()
            child.wait(10)
    table(found)


def table(found):
    """Markdown, each figure with its ratio to the first row's."""
    print("| client | " + " | ".join(TITLES) + " |")
    print("|---" * (len(TITLES) + 1) + "|")
    first = None
    for name, runs in found.items():
        medians = [statistics.median(run[column] for run in runs) for column in COLUMNS]
        first = first or medians
        cells = [
            f"{value:,.0f} ({value / base:.1f}x)" if value >= 100 else f"{value:.1f} ({value / base:.1f}x)"
            for value, base in zip(medians, first)
        ]
        print(f"| {name} ({DRIVERS[name][1]:,}) | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(sys.argv[2], int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 5)
