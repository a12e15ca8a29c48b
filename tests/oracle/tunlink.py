"""A link between two network namespaces that delays and drops real packets: `python tunlink.py FIGURES`.

    client 10.9.0.1 -- tun -- [this program] -- tun -- 10.10.0.1 server

FIGURES is JSON: one-way `delay_s`, `loss_ratio` each way, `seed`, `syn_linear`, and lists `drop_up`,
`drop_down` of TCP segments with data to drop by number on each connection (from 0, retransmissions count
too). It runs inside `unshare --user --map-root-user --net`, prints READY, then serves requests on stdin (one
JSON a line, answered by one JSON line) with real sockets: the kernel's own TCP.
"""

import ctypes
import fcntl
import heapq
import itertools
import json
import os
import queue
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
TUN_NO_PI = 0x1001
LIBC = ctypes.CDLL(None, use_errno=True)
SINKS = {}  # of each client's port: where its accepted connection is waited for
CLIENT, SERVER = "10.9.0.1", "10.10.0.1"


SPUN_S = 0.004


class Namespaces:
    """The client's namespace is this process's own, the server's a second one."""

    def __init__(self):
        self.client = os.open("/proc/self/ns/net", os.O_RDONLY)
        check(LIBC.unshare(CLONE_NEWNET))
        self.server = os.open("/proc/self/ns/net", os.O_RDONLY)

    def enter(self, which):
        """Move the calling thread."""
        check(LIBC.setns(which, CLONE_NEWNET))

    def tun(self, which, address, syn_linear):
        """A device with an address in the namespace, and a file that gives and takes its packets."""
        self.enter(which)
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", b"lk0", TUN_NO_PI))
        for command in (f"addr add {address}/16 dev lk0", "link set lk0 up", "route add default dev lk0"):
            subprocess.run(["ip", *command.split()], check=True)
        # the model has no receive window: one that still grows may cost a long message a round trip more
        settings = {
            "tcp_congestion_control": "reno",
            "tcp_no_metrics_save": 1,
            "tcp_rmem": "4096 1048576 6291456",
            "tcp_syn_linear_timeouts": syn_linear,
        }
        for name, value in settings.items():
            setting = Path("/proc/sys/net/ipv4", name)
            if setting.exists():
                setting.write_text(str(value), encoding="ascii")
        return file


def check(code):
    if code:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def data_bytes(packet):
    """Bytes of TCP data in an IPv4 packet."""
    header = 4 * (packet[0] & 15)
    return struct.unpack("!H", packet[2:4])[0] - header - 4 * (packet[header + 12] >> 4)


def ports(packet):
    """The two ports of a TCP packet: those of the connection, on this way."""
    header = 4 * (packet[0] & 15)
    return packet[header : header + 4]


class Wire(threading.Thread):
    """Reads packets of both devices, drops some, writes the others to the other device when due."""

    def __init__(self, ends, figures):
        super().__init__(daemon=True)
        self.other = dict(zip(ends, reversed(ends)))
        self.delay_s, self.loss_ratio = figures["delay_s"], figures["loss_ratio"]
        self.drops = dict(zip(ends, (set(figures["drop_up"]), set(figures["drop_down"]))))
        self.seen = Counter()
        self.random = random.Random(figures["seed"])
        self.due, self.number = [], itertools.count()

    def is_dropped(self, end, packet):
        if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
            return False
        if data_bytes(packet) and self.drops[end]:
            connection = end, ports(packet)
            self.seen[connection] += 1
            return self.seen[connection] - 1 in self.drops[end]
        return self.random.random() < self.loss_ratio

    def take(self, end):
        while True:
            try:
                packet = os.read(end, 65536)
            except BlockingIOError:
                return
            if not self.is_dropped(end, packet):
                heapq.heappush(
                    self.due, (time.monotonic() + self.delay_s, next(self.number), self.other[end], packet)
                )

    def run(self):
        while True:
            # the last stretch is spun: a sleeping processor may wake up milliseconds late
            wait_s = max(0.0, self.due[0][0] - time.monotonic() - SPUN_S) if self.due else 1.0
            ready, _, _ = select.select(list(self.other), [], [], wait_s)
            for end in ready:
                self.take(end)
            while self.due and self.due[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(self.due)
                os.write(end, packet)


def serve(listener):
    """Take connections, each answered by a thread of its own."""
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def read_exactly(connection, count):
    while count:
        part = connection.recv(min(count, 65536))
        if not part:
            raise EOFError
        count -= len(part)


def accepted(port):
    """The queue that brings the server's side of the connection from this port."""
    return SINKS.setdefault(port, queue.SimpleQueue())


def sink(listener):
    """Pass accepted connections on."""
    while True:
        connection, (_, port) = listener.accept()
        accepted(port).put(connection)


def answer(connection):
    """Answer each 100 bytes with 100 bytes."""
    try:
        while True:
            read_exactly(connection, 100)
            connection.sendall(bytes(100))
    except (EOFError, OSError):
        connection.close()


def exchange(requests, interval_s):
    """Seconds of one connect and of each request and answer of 100 bytes on the new connection."""
    client = socket.socket()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    started = time.monotonic()
    client.connect((SERVER, 80))
    taken = [time.monotonic() - started]
    for _ in range(requests):
        time.sleep(interval_s)
        started = time.monotonic()
        client.sendall(bytes(100))
        read_exactly(client, 100)
        taken.append(time.monotonic() - started)
    client.close()
    return taken


def stream(at_s, size):
    """Seconds from sending to reading of each message of one connection, sent at these times."""
    client = socket.socket()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.connect((SERVER, 81))
    connection = accepted(client.getsockname()[1]).get()
    read_s = []

    def read():
        for _ in at_s:
            read_exactly(connection, size)
            read_s.append(time.monotonic())

    reader = threading.Thread(target=read)
    reader.start()
    began, sent_s = time.monotonic(), []
    for due_s in at_s:
        time.sleep(max(0.0, began + due_s - time.monotonic()))
        sent_s.append(time.monotonic())
        client.sendall(bytes(size))
    reader.join()
    client.close()
    connection.close()
    return [there - here for here, there in zip(sent_s, read_s)]


def main():
    sys.setswitchinterval(1e-4)
    figures = json.loads(sys.argv[1])
    spaces = Namespaces()
    ends = (
        spaces.tun(spaces.client, CLIENT, figures["syn_linear"]),
        spaces.tun(spaces.server, SERVER, figures["syn_linear"]),
    )
    spaces.enter(spaces.server)
    listener = socket.create_server((SERVER, 80), backlog=1024)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    second = socket.create_server((SERVER, 81), backlog=1024)
    threading.Thread(target=sink, args=(second,), daemon=True).start()
    spaces.enter(spaces.client)
    wire = Wire(ends, figures)
    wire.start()
    print("READY", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        results = [None] * order["connections"]

        def work(number, order=order, results=results):
            spaces.enter(spaces.client)
            time.sleep(number * order["spread_s"])
            if "at_s" in order:
                results[number] = stream(order["at_s"], order["size"])
            else:
                results[number] = exchange(order["requests"], order["interval_s"])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(order["connections"])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(json.dumps(results), flush=True)


if __name__ == "__main__":
    main()
