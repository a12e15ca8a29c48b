"""The kernel's own TCP over a link that delays and drops real packets: what the model is held against."""

import heapq
import itertools
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from network.carrier import Network
from network.link import Link
from network.stages.delay import Delay
from network.stages.loss import Loss
from network.topology import Topology
from network.transport import SYN_BYTES, Tcp
from twin.kernel.flight import Flight
from twin.kernel.randomness import Stream
from twin.message import Message
from twin.mqtt.packets import Connect, connect_message

LINK = Path(__file__).with_name("tunlink.py")
APART = ["unshare", "--user", "--map-root-user", "--net"]
SECONDS = 60


class Oracle:
    """A link in a process of its own; `run` gives the seconds that exchanges on new connections took."""

    def __init__(self, delay_s, loss_ratio=0.0, drop_up=(), drop_down=(), syn_linear_count=0):
        figures = {
            "delay_s": delay_s,
            "loss_ratio": loss_ratio,
            "seed": 1,
            "syn_linear": syn_linear_count,
            "drop_up": list(drop_up),
            "drop_down": list(drop_down),
        }
        for program in ("unshare", "ip"):
            if shutil.which(program) is None:
                pytest.fail(f"the machine has no `{program}`, which the TUN link needs")
        self.process = subprocess.Popen(
            [*APART, sys.executable, str(LINK), json.dumps(figures)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with suppress(PermissionError):  # root's privilege: a busy machine then delays no packet
            os.sched_setscheduler(self.process.pid, os.SCHED_RR, os.sched_param(10))
        if self.process.stdout.readline().strip() != "READY":
            reason = (self.process.stderr.read().strip().splitlines() or ["no reason given"])[-1]
            self.close()
            pytest.fail(f"the machine forbids a TUN link in a network namespace of its own: {reason}")

    def run(self, *, connections=1, spread_s=0.0, interval_s=0.0, **order):
        """Lists of seconds, one a connection: connect and requests, or messages of a stream."""
        order |= {"connections": connections, "spread_s": spread_s, "interval_s": interval_s}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def oracle():
    """Make a link with these figures; it ends with the test."""
    links = []

    def make(*args, **figures):
        links.append(Oracle(*args, **figures))
        return links[-1]

    yield make
    for link in links:
        link.close()


CONNECT = connect_message(Connect(client_id="dev-0001"))


class Drops:
    """Drops the data segments of these numbers, retransmissions counted; connecting is left alone."""

    cause = "loss"

    def __init__(self, numbers):
        self.numbers = set(numbers)
        self.seen = 0

    def release(self, now, size_bytes):
        if size_bytes > SYN_BYTES[0]:
            self.seen += 1
            return None if self.seen - 1 in self.numbers else now
        return now


class Timeline:
    """An event queue; `arrive` is what the test makes of an arrival."""

    def __init__(self, arrive):
        self.now, self.heap, self.number = 0.0, [], itertools.count()
        self.arrive = arrive

    def schedule(self, at_s, flight, then):
        heapq.heappush(self.heap, (at_s, next(self.number), then[0], flight))

    def lose(self, _flight, where, cause):
        raise AssertionError((where, cause))

    def send(self, network, at_s, source, to, message):
        flight = Flight(source, to, message, at_s, 0)
        self.schedule(at_s, flight, (lambda flown: network.carry(flown, self),))

    def run(self):
        while self.heap:
            self.now, _, then, flight = heapq.heappop(self.heap)
            then(flight)


def pair(delay_s, loss_ratio=0.0, drop_up=(), drop_down=(), seed=1, tcp=None):
    tcp = tcp or Tcp()
    topology = Topology()
    for name, source, to, drops in (("up", "a", "b", drop_up), ("down", "b", "a", drop_down)):
        stages = [Loss(loss_ratio, Stream(seed, name, "loss")), Drops(drops), Delay(delay_s)]
        topology.add_link(Link(name, source, to, stages, tcp=tcp))
    return Network(topology)


ANSWER = Message("t" * 40, bytes(100))


def exchange(requests, delay_s, **figures):
    """Seconds of connect() and of each request of one new connection. The first request is the CONNECT,
    which leaves when the handshake ends.
    """
    network = pair(delay_s, **figures)
    taken, sent_s = [], [0.0]

    def arrive(flight):
        if flight.message.kind == "connect":
            taken.append(flight.path.first_s)
            sent_s[0] = flight.path.first_s
        if flight.to == "b":
            timeline.send(network, timeline.now, "b", "a", ANSWER)
            return
        taken.append(timeline.now - sent_s[0])
        if len(taken) <= requests:
            sent_s[0] = timeline.now
            timeline.send(network, timeline.now, "a", "b", ANSWER)

    timeline = Timeline(arrive)
    timeline.send(network, 0.0, "a", "b", CONNECT)
    timeline.run()
    return taken


def stream(at_s, size, delay_s, **figures):
    """Seconds from sending to reading of each message of a connection, sent at these times."""
    network = pair(delay_s, **figures)
    taken = []
    timeline = Timeline(lambda flight: taken.append(timeline.now - flight.sent_s))
    overhead = len("PUBLISH")
    for due_s in at_s:
        timeline.send(network, due_s, "a", "b", Message("t", bytes(size - overhead)))
    timeline.run()
    return taken


class Model:
    """The model's side of the comparison."""

    exchange = staticmethod(exchange)
    stream = staticmethod(stream)


@pytest.fixture
def model():
    """The functions that play an exchange or a stream on the model."""
    return Model
