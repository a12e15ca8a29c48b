"""The sockets of a live run to one real broker."""

import socket
import threading
import time

import pytest

from twin.live.conformance.client import Client
from twin.live.endpoint import Endpoint
from twin.live.pacer import SocketPacer
from twin.live.stream import Stream
from twin.live.wires import LEAVE_S, Wires
from twin.message import Message
from twin.mqtt.codec import encode
from twin.mqtt.fleet.device import Profile
from twin.mqtt.fleet.engine import FleetEngine
from twin.mqtt.packets import Connect, connect_message
from twin.service.subjects import subject

pytestmark = [pytest.mark.live, pytest.mark.timeout(60)]

GOODBYE = Message("", kind="disconnect")
ACCEPTED = b"\x20\x02\x00\x00"
ROUNDS = 60


class ByWire:
    """A node of a live run."""

    def __init__(self, there):
        self.pacer = SocketPacer()
        self.heard = set()
        self.wires = Wires(there, self.pacer, lambda node, _: self.heard.add(node), lambda *_: None)

    def come(self, name):
        self.wires.send(name, connect_message(Connect(name, 30.0)))

    def leave(self, name):
        self.wires.send(name, GOODBYE)

    def step(self):
        self.pacer.wait_until(self.pacer.now + 0.001)

    def is_there(self, name):
        return name in self.heard

    def close(self):
        self.wires.close()
        self.pacer.close()


class ByFleet:
    """A device of the fleet engine."""

    def __init__(self, there):
        self.engine = FleetEngine()
        self.profile = Profile(host=there.host, port=there.port)
        self.devices = {}

    def come(self, name):
        self.devices[name] = self.engine.add(name, self.profile)
        self.engine.connect(self.devices[name])

    def leave(self, name):
        self.engine.disconnect(self.devices[name])

    def step(self):
        self.engine.step(0.001)

    def is_there(self, name):
        return self.devices[name].is_up

    def close(self):
        self.engine.close()


class ByStream:
    """A client of a check; it waits until it has left, so it leaves beside us."""

    def __init__(self, there):
        self.there = there
        self.leaving = []

    def come(self, _):
        self.stream = Stream(self.there, 5.0)
        self.stream.send(encode(connect_message(Connect("stream", 30.0))))
        assert self.stream.receive(5.0) == ACCEPTED

    def leave(self, _):
        self.leaving.append(threading.Thread(target=self.stream.leave, args=(encode(GOODBYE),)))
        self.leaving[-1].start()

    def step(self):
        time.sleep(0.001)

    def is_there(self, _):
        return True

    def close(self):
        for each in self.leaving:
            each.join()


def until(client, is_so, limit_s=10.0):
    """Let the client do its work until it is so."""
    end_s = time.monotonic() + limit_s
    while not is_so() and time.monotonic() < end_s:
        client.step()
    assert is_so()


@pytest.fixture(params=[ByWire, ByFleet, ByStream])
def client_of(request):
    """A function that makes a client of each kind, for a broker."""
    made = []

    def make(there):
        made.append(request.param(there))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_broker_that_never_closes_is_left_after_a_second(client_of):
    """And is not told before that nothing more will come."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=lambda: accepted.append(_accept(server)))
        accepted = []
        answering.start()
        client = client_of(Endpoint("mqtt", "127.0.0.1", server.getsockname()[1]))
        client.come("a")
        until(client, lambda: client.is_there("a"))
        answering.join()
        [peer] = accepted
        with peer:
            begin_s = time.monotonic()
            client.leave("a")
            peer.setblocking(False)
            heard = []
            until(client, lambda: heard.append(_read(peer)) or heard[-1] == b"")
            assert time.monotonic() - begin_s >= LEAVE_S
            assert b"".join(filter(None, heard)) == encode(GOODBYE)


def test_who_leaves_does_not_cost_the_next_its_connection(client_of):
    """The embedded broker drops who comes by another door while it sees one off that shuts its side."""
    with subject("embedded") as found:
        client = client_of(found.doors["plain"])
        for number in range(ROUNDS):
            client.come(f"a{number}")
            until(client, lambda: client.is_there(f"a{number}"))  # noqa: B023  (called within the round)
            client.leave(f"a{number}")
            other = Client(found.doors["password"], f"b{number}", time.monotonic() + 10.0)
            other.connect()
            other.ping()
            assert not other.closes(0.01)
            other.disconnect()


def _accept(server):
    peer, _ = server.accept()
    peer.recv(1000)
    peer.sendall(ACCEPTED)
    return peer


def _read(peer):
    """What has come, None if nothing has."""
    try:
        return peer.recv(100)
    except BlockingIOError:
        return None
