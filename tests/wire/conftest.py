"""A proxy that runs in a thread, and real servers behind it."""

import contextlib
import socket
import threading

import pytest

from network.wire.path import CLIENT, SERVER, plain
from network.wire.proxy import LinkProxy


class Server:
    """An echo server on a free loopback port; `said` is what each connection got, in order of accepting."""

    def __init__(self, greeting=b""):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.greeting = greeting
        self.said = []
        self.ended = []
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    @property
    def address(self):
        return self.listener.getsockname()[:2]

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.said.append(b"")
                thread = threading.Thread(target=self._serve, args=(sock, len(self.said) - 1), daemon=True)
                self.threads.append(thread)
                thread.start()

    def _serve(self, sock, number):
        end = "end"
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                sock.sendall(self.greeting)
                while data := sock.recv(65536):
                    self.said[number] += data
                    sock.sendall(data)
            except OSError as error:
                end = type(error).__name__
        self.ended.append(end)

    def refuse(self):
        """Listen no more."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def close(self):
        self.refuse()
        for thread in self.threads:
            thread.join(10.0)


class Rig:
    """A proxy between a client and a server."""

    def __init__(self, there, back, server, **options):
        self.network = plain(there, back)
        self.proxy = LinkProxy(self.network, **options)
        self.server = server
        self.at = self.proxy.listen(("127.0.0.1", 0), server.address, CLIENT, SERVER)
        self.thread = threading.Thread(target=self.proxy.run, daemon=True)
        self.thread.start()

    def connect(self):
        sock = socket.create_connection(self.at, timeout=20.0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def do(self, action):
        """Let the proxy's thread do something, and wait for it."""
        done = threading.Event()
        self.proxy.call(lambda: (action(), done.set()))
        assert done.wait(10.0)

    def close(self):
        self.proxy.stop()
        self.thread.join(10.0)
        assert not self.thread.is_alive()
        self.server.close()


@pytest.fixture
def rig():
    """Make rigs: `rig(there=stages, back=stages)`; all are closed at the end."""
    made = []

    def make(there=(), back=(), greeting=b"", **options):
        made.append(Rig(there, back, Server(greeting), **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def receive(sock, count):
    """So many bytes of a socket."""
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        assert more, f"the connection ended after {len(data)} of {count} bytes"
        data += more
    return data


@pytest.fixture(name="receive")
def receive_fixture():
    return receive
