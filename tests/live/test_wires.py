"""The sockets of a live run to one real broker."""

import socket

import pytest

from twin.live.endpoint import Endpoint
from twin.live.pacer import SocketPacer
from twin.live.wires import LEAVE_S, Wires
from twin.message import Message
from twin.mqtt.packets import Connect, connect_message

pytestmark = [pytest.mark.live, pytest.mark.timeout(60)]


@pytest.fixture
def pacer():
    """The loop that watches the sockets."""
    made = SocketPacer()
    yield made
    made.close()


def until(pacer, is_so, limit_s=5.0):
    """Let the pacer watch until it is so."""
    end_s = pacer.now + limit_s
    while not is_so() and pacer.now < end_s:
        pacer.wait_until(pacer.now + 0.001)
    assert is_so()


def test_a_broker_that_never_closes_is_left_after_a_second(pacer):
    """Its node knows at once that the connection is over; the socket goes when the time has come."""
    closed, heard = [], []
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = Endpoint("mqtt", "127.0.0.1", server.getsockname()[1])
        wires = Wires(there, pacer, lambda *_: None, lambda node, _: closed.append((node, pacer.now)))
        wires.send("a", connect_message(Connect("a", 30.0)))
        wires.send("a", Message("", kind="disconnect"))
        until(pacer, lambda: closed)
        peer, _ = server.accept()
        with peer:
            peer.settimeout(0.0)
            until(pacer, lambda: heard.append(_read(peer)) or heard[-1] == b"")
            left_s = pacer.now - closed[0][1]
            assert left_s < LEAVE_S
            until(pacer, lambda: _is_reset(peer), LEAVE_S + 1.0)
            assert pacer.now - closed[0][1] >= LEAVE_S
        wires.close()


def _read(peer):
    """What has come, None if nothing has."""
    try:
        return peer.recv(100)
    except BlockingIOError:
        return None


def _is_reset(peer):
    """Whether the other side has let go of its socket: what we send is refused."""
    try:
        peer.send(b"?")
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False
