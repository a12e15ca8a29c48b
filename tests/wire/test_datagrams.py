import contextlib
import socket
import threading
import time

import pytest

from network.stages.delay import Delay
from network.stages.loss import Loss
from network.wire.path import CLIENT, SERVER, plain
from network.wire.proxy import LinkProxy
from twin.kernel.randomness import Streams

pytestmark = [pytest.mark.alone, pytest.mark.timeout(60)]


@pytest.fixture
def echo():
    """An echo server for datagrams; it notes from which address each came."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.settimeout(0.1)
    seen, is_over = [], threading.Event()

    def serve():
        while not is_over.is_set():
            with contextlib.suppress(TimeoutError):
                data, address = server.recvfrom(2048)
                seen.append(address)
                server.sendto(data, address)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname(), seen
    is_over.set()
    thread.join(5.0)
    server.close()


@pytest.fixture
def through(echo):
    """Make clients of proxies over these stages."""
    made = []

    def make(there=(), back=()):
        proxy = LinkProxy(plain(there, back))
        at = proxy.listen_datagrams(("127.0.0.1", 0), echo[0], CLIENT, SERVER)
        thread = threading.Thread(target=proxy.run, daemon=True)
        thread.start()
        made.append((proxy, thread))
        return lambda: client(at)

    def client(at):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(at)
        sock.settimeout(5.0)
        made.append((sock, None))
        return sock

    yield make
    for each, thread in made:
        if thread is None:
            each.close()
        else:
            each.stop()
            thread.join(5.0)


def test_datagrams_are_delayed_both_ways(through):
    """And never early."""
    sock = through([Delay(0.03)], [Delay(0.02)])()
    begun_s = time.monotonic()
    sock.send(b"x")
    assert sock.recv(10) == b"x"
    assert 0.05 <= time.monotonic() - begun_s < 0.1


def test_lost_datagrams_stay_lost(through):
    """Nobody repairs them; what comes is what was sent, in its own bounds."""
    sock = through([Loss(0.5, Streams(1).stream("up", "loss"))])()
    sock.settimeout(0.5)
    for number in range(100):
        sock.send(b"%d" % number)
        time.sleep(0.001)
    came = []
    with contextlib.suppress(TimeoutError):
        while True:
            came.append(int(sock.recv(10)))

    assert 30 <= len(came) <= 70
    assert came == sorted(came)


def test_clients_are_told_apart(through, echo):
    """Each gets its own answers, and the server sees an address for each."""
    connect = through()
    one, other = connect(), connect()
    for sock, data in ((one, b"one"), (other, b"other")):
        sock.send(data)
    assert (one.recv(10), other.recv(10)) == (b"one", b"other")
    assert len(set(echo[1])) == 2
