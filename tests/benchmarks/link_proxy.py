"""How exactly and how fast the link proxy carries: added delay, asked delay, and CPU a chunk.

    python tests/benchmarks/link_proxy.py [CONNECTIONS [MESSAGES_PER_S [SECONDS]]]

Echo server, proxy and client are processes of their own. Each row is a round trip: at no delay beside a
direct connection, and at 125 ms each way, less the 250 ms asked for. "early" must be 0.
"""

import multiprocessing
import resource
import selectors
import socket
import sys
import time

from network.stages.delay import Delay
from network.wire.path import CLIENT, SERVER, plain
from network.wire.proxy import LinkProxy

SIZE = 64
QUANTILES = (0.5, 0.9, 0.99)


def listen(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(4096)
    return sock.getsockname()


def echo(pipe):
    """Echo whatever comes, until ended."""
    selector, listener = selectors.DefaultSelector(), socket.socket()
    pipe.send(listen(listener))
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(sock, selectors.EVENT_READ)
            elif data := key.fileobj.recv(65536):
                key.fileobj.send(data)
            else:
                selector.unregister(key.fileobj)
                key.fileobj.close()


def carry(pipe, to, delay_s):
    """Run a proxy; answer each request for its CPU time and chunks so far."""
    proxy = LinkProxy(plain([Delay(delay_s)], [Delay(delay_s)]))
    pipe.send(proxy.listen(("127.0.0.1", 0), to, CLIENT, SERVER))

    def report():
        if pipe.poll():
            pipe.recv()
            used = resource.getrusage(resource.RUSAGE_SELF)
            pipe.send((used.ru_utime + used.ru_stime, proxy.tally.chunk_count, proxy.timeline.lateness_s))
        proxy.timeline.schedule(proxy.timeline.now + 0.1, None, (lambda _: report(),))

    report()
    proxy.run()


def round_trips(address, connections, per_s, seconds):
    """Round trip times (s) of messages due at a steady rate, one connection after the other."""
    selector, socks, sent, took = selectors.DefaultSelector(), [], {}, []
    for number in range(connections):
        sock = socket.create_connection(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
        socks.append(sock)
        if number % 50 == 49:
            time.sleep(0.02)
    time.sleep(0.6)
    begun, count, last = time.monotonic(), 0, int(per_s * seconds)
    limit = begun + seconds + 2.0
    while len(took) < last and time.monotonic() < limit:
        now = time.monotonic()
        while count < last and begun + count / per_s <= now:
            sock = socks[count % connections]
            if sock not in sent:
                sent[sock] = time.monotonic()
                sock.send(bytes(SIZE))
            count += 1
        for key, _ in selector.select(0.0005):
            if len(key.fileobj.recv(65536)) and key.fileobj in sent:
                took.append(time.monotonic() - sent.pop(key.fileobj))
    for sock in socks:
        sock.close()
    return sorted(took)


def line(name, took, asked_s=0.0):
    shown = [took[int(len(took) * share)] - asked_s for share in QUANTILES]
    early = sum(each < asked_s for each in took)
    print(
        f"{name:24} n {len(took):6}  "
        + "  ".join(f"p{share * 100:g} {each * 1e3:7.3f} ms" for share, each in zip(QUANTILES, shown))
        + f"  early {early}",
        flush=True,
    )
    return shown


def main(connections, per_s, seconds):
    context = multiprocessing.get_context("spawn")
    pipe, far = context.Pipe()
    server = context.Process(target=echo, args=(far,), daemon=True)
    server.start()
    to = pipe.recv()
    direct = line("direct", round_trips(to, connections, per_s, seconds))
    for delay_s in (0.0, 0.125):
        here, there = context.Pipe()
        proxy = context.Process(target=carry, args=(there, to, delay_s), daemon=True)
        proxy.start()
        took = round_trips(here.recv(), connections, per_s, seconds)
        shown = line(f"proxy, {delay_s * 1e3:g} ms each way", took, 2 * delay_s)
        here.send(None)
        cpu_s, chunks, late_s = here.recv()
        print(
            f"{'':24} {cpu_s / chunks * 1e6:.1f} us CPU a chunk, at most {late_s * 1e3:.2f} ms late;"
            f" added one way: p50 {(shown[0] - direct[0]) / 2 * 1e3:.3f} ms"
        )
        proxy.terminate()
        proxy.join()
    server.terminate()
    server.join()


if __name__ == "__main__":
    given = [float(each) for each in sys.argv[1:4]]
    main(int(given[0]) if given else 1000, *(given[1:] + [1000.0, 5.0][len(given[1:]) :]))
