"""More connections than one link proxy carries, spread over several.

    python tests/benchmarks/many_connections.py [CONNECTIONS [PROXIES [SECONDS]]]

Echo server, client and each `windtunnel proxy` are processes of their own; the link is 50 ms there and back.
Every connection sends a message about every ten seconds, at times that are spread evenly; a row is the round
trip from when a message was due, less the 50 ms. "early" and "lost" must be 0, and "refused" too. The
client opens a file for each connection, and a proxy two (ulimit -n). Ends by itself.
"""

import json
import multiprocessing
import os
import resource
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path

from link_proxy import SIZE, echo, line

ROUND_TRIP_S = 0.05
EVERY_S = 10.0
SETTLE_S = 2.0
A_SECOND = 1_000
"""Connects a second: what overruns the backlog is tried again after a second."""


def proxy(to):
    """A proxy by the command line, and the address at which it listens."""
    command = [sys.executable, "-m", "windtunnel", "proxy", "--to", f"{to[0]}:{to[1]}", "--json"]
    link = ["--link", "direct", "--round-trip", f"{ROUND_TRIP_S * 1e3:g} ms", "--for", "10 min"]
    started = subprocess.Popen([*command, *link], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = started.stderr.readline()
    host, port = said.split(" ")[0].rsplit(":", 1)
    return started, (host, int(port))


def connected(addresses, count):
    """So many connections, to one proxy after the other, and how long that took (s)."""
    socks, begun = [], time.monotonic()
    for number in range(count):
        sock = socket.create_connection(addresses[number % len(addresses)], 10.0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        socks.append(sock)
        wait_s = begun + number / A_SECOND - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
    return socks, time.monotonic() - begun


def round_trips(socks, seconds):
    """Round trips (s) of messages from when they are due; what did not come back; what was sent late (s)."""
    selector, due, took, late_s = selectors.DefaultSelector(), {}, [], 0.0
    for sock in socks:
        selector.register(sock, selectors.EVENT_READ)
    begun, count = time.monotonic(), 0
    per_s = len(socks) / EVERY_S
    last = int(per_s * seconds)
    while (count < last or due) and time.monotonic() < begun + seconds + 5.0:
        now = time.monotonic()
        while count < last and (due_s := begun + count / per_s) <= now:
            sock = socks[count % len(socks)]
            due[sock] = due_s
            sock.send(bytes(SIZE))
            late_s = max(late_s, now - due_s)
            count += 1
        for key, _ in selector.select(0.001):
            if len(key.fileobj.recv(65_536)) == SIZE:
                took.append(time.monotonic() - due.pop(key.fileobj))
    return sorted(took), len(due), late_s


def main(connections, proxies, seconds):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = multiprocessing.get_context("spawn")
    pipe, far = context.Pipe()
    server = context.Process(target=echo, args=(far,), daemon=True)
    server.start()
    to, started = pipe.recv(), []
    try:
        started = [proxy(to) for _ in range(proxies)]
        socks, took_s = connected([address for _, address in started], connections)
        print(
            f"{connections:,} connections over {proxies} proxies, made in {took_s:.1f} s;"
            f" load {os.getloadavg()[0]:.1f}"
        )
        took, lost, late_s = round_trips(socks, seconds)
        line("round trip less 50 ms", took, ROUND_TRIP_S)
        print(f"{'':24} lost {lost}, sent at most {late_s * 1e3:.1f} ms late")
        for sock in socks:
            sock.close()
        time.sleep(SETTLE_S)
        for each, _ in started:
            used = cpu_s(each.pid)
            each.terminate()
            said = json.loads(each.communicate(timeout=30.0)[0])
            print(
                f"{'':24} a proxy: {said['connections']:,} connections, {said['refused']} refused,"
                f" {said['chunks']:,} chunks, {used:.1f} s CPU,"
                f" latest event {said['latest_s'] * 1e3:.1f} ms late"
            )
    finally:
        for each, _ in started:
            if each.poll() is None:
                each.kill()
        server.terminate()
        server.join()


def cpu_s(pid):
    """Processor time of a process so far (s)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    given = [float(each) for each in sys.argv[1:4]]
    main(*map(int, [*given[:2], *(10_000, 2)[len(given[:2]) :]]), *(given[2:] or [20.0]))
