"""How many shadow updates a second `windtunnel serve` accepts, end to end over MQTT with certificates.

    python tests/benchmarks/serve.py [DEVICES] [UPDATES]

Each device sends QoS 1 updates, keeps ten in flight and waits for their accepted answers. Broker, service and
devices share the machine; the devices are one process. Prints the rate and the processor time of each part.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from paho.mqtt import client as paho

ROOT = Path(__file__).parents[2]
IN_FLIGHT = 10
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def main(devices=8, updates=5_000):
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "windtunnel", "serve", "--json", "--folder", f"{folder}/s"]
        service = subprocess.Popen(
            [*command, "--port", "0", "--mqtt-port", "0", *sys.argv[3:]], stdout=subprocess.PIPE, cwd=ROOT
        )
        about = json.loads(service.stdout.readline())
        try:
            measure(folder, about, devices, updates)
        finally:
            service.terminate()
            service.wait(10)


def measure(folder, about, devices, updates):
    for number in range(devices):
        device = [
            sys.executable,
            "-m",
            "windtunnel",
            "device",
            "add",
            f"d-{number}",
            "--folder",
            f"{folder}/s",
        ]
        subprocess.run(device, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    before = {name: cpu_s(about[name]) for name in ("pid", "broker_pid")}
    own, began = time.process_time(), time.perf_counter()
    threads = [
        threading.Thread(target=run, args=(about, folder, f"d-{number}", updates // devices))
        for number in range(devices)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    print(f"{updates / took:8.0f} updates/s accepted, {devices} devices, {updates} updates in {took:.1f} s")
    for name, text in (("pid", "service"), ("broker_pid", "mosquitto")):
        print(f"{(cpu_s(about[name]) - before[name]) / updates * 1e6:8.0f} us of processor an update: {text}")
    print(f"{(time.process_time() - own) / updates * 1e6:8.0f} us of processor an update: devices")


def run(about, folder, name, count):
    room, done = threading.Semaphore(IN_FLIGHT), threading.Event()
    left = [count]
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    files = f"{folder}/s/devices/{name}"
    client.tls_set(str(ROOT / about["ca"]), f"{files}.pem", f"{files}.key")
    topic = f"$aws/things/{name}/shadow/update"

    def accepted(_client, _data, _message):
        room.release()
        left[0] -= 1
        if not left[0]:
            done.set()

    ready = threading.Event()
    client.on_message = accepted
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", about["mqtt_port"])
    client.loop_start()
    client.subscribe(f"{topic}/accepted", 1)
    ready.wait(10)
    for number in range(count):
        room.acquire(timeout=10)
        client.publish(topic, json.dumps({"state": {"reported": {"count": number, "open": True}}}), 1)
    done.wait(30)
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
