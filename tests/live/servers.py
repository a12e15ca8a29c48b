"""Brokers of other makers, started as our children on free loopback ports, with every way in they have."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from live_clients import free_port

from twin.live.conformance.bench import Subject
from twin.live.endpoint import Endpoint
from twin.live.probe import probe
from twin.service import child
from twin.service.subjects import HERE, USER, doors_at, papers_in

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0
STOP_S = 10.0
RABBIT = "/usr/lib/rabbitmq/bin/rabbitmq-server"
AEDES = Path(__file__).with_name("aedes_broker.mjs")
NODE_PACKAGES = ROOT / ".venv" / "node" / "node_modules"


def missing(install):
    """Fail with the line that installs it; `dev.py test` does so where it may."""
    pytest.fail(f"not here; install it: {install}", pytrace=False)


@contextmanager
def running(command, folder, **environment):
    """A program that ends with us, whatever ends us; what it says is in a file of the folder."""
    starter = [sys.executable, "-I", str(child.__file__), str(os.getpid()), *map(str, command)]
    with (folder / f"{Path(command[0]).name}.log").open("ab") as log:
        process = subprocess.Popen(
            starter,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                os.killpg(process.pid, number)
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    continue


def until_open(subject, process):
    """Wait until every door lets in."""
    limit_s = time.monotonic() + START_S
    for endpoint in subject.doors.values():
        while True:
            assert process.poll() is None, f"{subject.name} ended with {process.returncode}"
            try:
                probe(endpoint, timeout_s=2.0)
                break
            except Exception:
                if time.monotonic() > limit_s:
                    raise
                time.sleep(0.1)
    return subject


@contextmanager
def aedes(folder, install):
    """The broker for Node.js."""
    node = shutil.which("node")
    if node is None or not (NODE_PACKAGES / "aedes").is_dir():
        missing(install)
    (folder / "node_modules").symlink_to(NODE_PACKAGES)
    shutil.copy(AEDES, folder)
    papers, secret = papers_in(folder), secrets.token_urlsafe(12)
    ports = {name: free_port() for name in ("password", "certificate", "websocket")}
    plain = free_port()
    asked = {"plain": plain, **ports, "user": USER, "secret": secret}
    files = {"ca": papers.ca, "cert": papers.server, "key": papers.server_key}
    asked |= {name: str(path) for name, path in files.items()}
    with running([node, AEDES.name, json.dumps(asked)], folder) as process:
        yield until_open(Subject("aedes", doors_at(plain, ports, secret, papers)), process)


@contextmanager
def nats(folder, install):
    """nats-server with JetStream: three of them, because it has one listener for MQTT each."""
    program = shutil.which("nats-server", path=os.pathsep.join([str(ROOT / ".venv/bin"), os.environ["PATH"]]))
    if program is None:
        missing(install)
    papers, secret = papers_in(folder), secrets.token_urlsafe(12)
    ports = {name: free_port() for name in ("plain", "password", "certificate", "websocket")}
    secured = f'tls {{ cert_file: "{papers.server}", key_file: "{papers.server_key}", '
    secured += f'ca_file: "{papers.ca}", verify: true }}'
    extras = {
        "plain": "",
        "password": f'authorization {{ username: "{USER}", password: "{secret}" }}',
        "certificate": secured,
    }
    web = f'websocket {{ listen: "{HERE}:{ports["websocket"]}", no_tls: true }}\n'
    doors = doors_at(ports["plain"], ports, secret, papers)
    doors["websocket"] = replace(doors["websocket"], path="/mqtt")
    with ExitStack() as stack:
        for name, extra in extras.items():
            configuration = folder / f"{name}.conf"
            configuration.write_text(
                f'listen: "{HERE}:{free_port()}"\nserver_name: {name}\n'
                f'jetstream {{ store_dir: "{folder / name}" }}\n'
                f'mqtt {{ listen: "{HERE}:{ports[name]}"\n{extra} }}\n' + (web if name == "plain" else "")
            )
            process = stack.enter_context(running([program, "-c", configuration], folder))
        yield until_open(Subject("nats-server", doors), process)


RABBIT_CONFIGURATION = """\
listeners.tcp.1 = {here}:{amqp}
default_user = {user}
default_pass = {secret}
loopback_users = none
mqtt.allow_anonymous = false
mqtt.vhost = /
mqtt.exchange = amq.topic
mqtt.subscription_ttl = 600000
mqtt.listeners.tcp.1 = {here}:{plain}
mqtt.listeners.ssl.1 = {here}:{certificate}
ssl_options.cacertfile = {ca}
ssl_options.certfile = {cert}
ssl_options.keyfile = {key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
web_mqtt.tcp.ip = {here}
web_mqtt.tcp.port = {websocket}
"""


@contextmanager
def rabbitmq(folder, install):
    """RabbitMQ with its plugins for MQTT and for WebSocket; user and password at every door."""
    if not Path(RABBIT).exists():
        missing(install)
    papers, secret = papers_in(folder), secrets.token_urlsafe(12)
    ports = {name: free_port() for name in ("plain", "certificate", "websocket", "amqp", "epmd", "erlang")}
    files = {"ca": papers.ca, "cert": papers.server, "key": papers.server_key}
    (folder / "rabbitmq.conf").write_text(
        RABBIT_CONFIGURATION.format(here=HERE, user=USER, secret=secret, **ports, **files)
    )
    (folder / "plugins").write_text("[rabbitmq_mqtt,rabbitmq_web_mqtt].")
    environment = {
        "HOME": str(folder),
        "RUNNING_UNDER_SYSTEMD": "1",  # the script becomes the server instead of watching it
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "ERL_EPMD_ADDRESS": HERE,
        "RABBITMQ_DIST_PORT": str(ports["erlang"]),
        "RABBITMQ_NODENAME": f"windtunnel{ports['plain']}@localhost",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }
    doors = doors_at(ports["plain"], ports, secret, papers)
    known = {name: replace(each, user=USER, password=secret.encode()) for name, each in doors.items()}
    known["password"] = known["plain"]
    known["websocket"] = replace(known["websocket"], path="/ws")
    epmd = [shutil.which("epmd"), "-port", ports["epmd"], "-address", HERE]
    with running(epmd, folder, HOME=str(folder)), running([RABBIT], folder, **environment) as process:
        yield until_open(Subject("RabbitMQ", known), process)


BROKERS = {"aedes": aedes, "nats": nats, "rabbitmq": rabbitmq}


def is_listening(endpoint: Endpoint) -> bool:
    """Whether somebody is there."""
    with socket.socket() as sock:
        return sock.connect_ex((endpoint.host, endpoint.port)) == 0
