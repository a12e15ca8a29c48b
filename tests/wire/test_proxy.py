import random
import socket
import time

import pytest

from network import faults
from network.stages.delay import Delay
from network.stages.loss import Loss
from network.stages.rate import Rate
from twin.kernel.randomness import Streams

pytestmark = [pytest.mark.alone, pytest.mark.timeout(60)]

FORTH_S, BACK_S = 0.04, 0.06
RTT_S = FORTH_S + BACK_S


def ask(sock, receive, data=b"x"):
    """Send and wait for the echo; how long it took (seconds)."""
    begun_s = time.monotonic()
    sock.sendall(data)
    assert receive(sock, len(data)) == data
    return time.monotonic() - begun_s


def test_bytes_arrive_as_they_were(rig, receive):
    """Whatever is sent, in whatever pieces: the same bytes in the same order."""
    with rig().connect() as sock:
        data = random.Random(1).randbytes(300_000)
        sock.sendall(data)
        assert receive(sock, len(data)) == data


def test_a_delay_is_never_early_and_hardly_late(rig, receive):
    """Each direction has its own delay."""
    with rig([Delay(FORTH_S)], [Delay(BACK_S)]).connect() as sock:
        ask(sock, receive)
        took_s = sorted(ask(sock, receive) for _ in range(20))

    assert took_s[0] >= RTT_S
    assert took_s[10] < RTT_S + 0.005


def test_the_handshake_costs_a_round_trip(rig, receive):
    """The first echo comes after two round trips, as if the SYN had crossed the links."""
    begun_s = time.monotonic()
    with rig([Delay(FORTH_S)], [Delay(BACK_S)]).connect() as sock:
        ask(sock, receive)
        took_s = time.monotonic() - begun_s

    assert 2 * RTT_S <= took_s < 2 * RTT_S + 0.02


def test_a_server_that_speaks_first_is_heard_after_the_handshake(rig, receive):
    """SYN, answer, acknowledgement; then the greeting comes back."""
    begun_s = time.monotonic()
    with rig([Delay(FORTH_S)], [Delay(BACK_S)], greeting=b"hello").connect() as sock:
        assert receive(sock, 5) == b"hello"

    assert time.monotonic() - begun_s >= 2 * RTT_S


def test_loss_comes_late_and_loses_nothing(rig, receive):
    """TCP repairs it: all bytes arrive, some after a time-out."""
    streams = Streams(7)
    lossy = rig(
        [Delay(0.005), Loss(0.2, streams.stream("up", "loss"))],
        [Delay(0.005), Loss(0.2, streams.stream("down", "loss"))],
    )
    with lossy.connect() as sock:
        took_s = [ask(sock, receive, bytes([number])) for number in range(30)]

    assert max(took_s) > 0.1
    assert lossy.server.said == [bytes(range(30))]


def test_the_rate_belongs_to_the_link_and_not_to_a_connection(rig, receive):
    """Two connections share it."""
    shared = rig([Rate(800_000, 1e6)])
    with shared.connect() as one, shared.connect() as other:
        begun_s = time.monotonic()
        one.sendall(bytes(10_000))
        other.sendall(bytes(10_000))
        receive(one, 10_000)
        receive(other, 10_000)
        took_s = time.monotonic() - begun_s

    assert took_s >= 0.2


def test_a_partition_is_silent_and_heals_with_the_lag_of_tcp(rig, receive):
    """Nobody is told; what was sent meanwhile comes at the first retransmission after the heal."""
    cut = rig([Delay(0.01)], [Delay(0.01)])
    partition = faults.Partition(cut.network, (("client",), ("server",)))
    with cut.connect() as sock:
        ask(sock, receive)
        cut.do(lambda: partition.begin(0.0))
        begun_s = time.monotonic()
        sock.sendall(b"late")
        sock.settimeout(0.8)
        with pytest.raises(TimeoutError):
            sock.recv(4)
        cut.do(lambda: partition.end(0.0))
        healed_s = time.monotonic() - begun_s
        sock.settimeout(10.0)
        assert receive(sock, 4) == b"late"
        lag_s = time.monotonic() - begun_s - healed_s

    assert 0.02 <= lag_s < 2 * healed_s


def test_nobody_connects_through_a_partition(rig, receive):
    """The server sees nothing of a client that came meanwhile, and serves it after the heal."""
    cut = rig()
    partition = faults.Partition(cut.network, (("client",), ("server",)))
    cut.do(lambda: partition.begin(0.0))
    with cut.connect() as sock:
        sock.sendall(b"x")
        time.sleep(0.3)
        assert cut.server.said == []
        cut.do(lambda: partition.end(0.0))
        assert receive(sock, 1) == b"x"


def test_hold_keeps_and_release_gives(rig, receive):
    """What was held comes in order."""
    held = rig()
    hold = faults.Hold(held.network, list(held.network.topology.links.values()))
    with held.connect() as sock:
        ask(sock, receive)
        held.do(lambda: hold.begin(0.0))
        sock.sendall(b"abc")
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(3)
        held.do(lambda: hold.end(0.0))
        sock.settimeout(10.0)
        assert receive(sock, 3) == b"abc"


def test_a_reset_reaches_both_ends(rig, receive):
    """Client and server see a connection reset."""
    broken = rig()
    reset = faults.Reset(broken.network, list(broken.network.topology.links.values()))
    with broken.connect() as sock:
        ask(sock, receive)
        broken.do(lambda: reset.begin(0.0))
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    limit_s = time.monotonic() + 5.0
    while not broken.server.ended and time.monotonic() < limit_s:
        time.sleep(0.01)
    assert broken.server.ended == ["ConnectionResetError"]
    assert broken.proxy.open_count == 0


def test_the_end_of_a_stream_crosses_the_links_too(rig, receive):
    """A half-closed connection still carries the other direction."""
    with rig([Delay(FORTH_S)], [Delay(BACK_S)]).connect() as sock:
        sock.sendall(b"last words")
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock, 10) == b"last words"
        assert sock.recv(1) == b""


def test_a_server_that_is_not_there_is_a_reset(rig):
    """The client learns it, though not at once."""
    lonely = rig([Delay(FORTH_S)], [Delay(BACK_S)])
    lonely.server.refuse()
    with lonely.connect() as sock, pytest.raises(ConnectionResetError):
        sock.recv(1)


def test_a_reader_that_stops_holds_the_sender_up(rig):
    """The proxy keeps so much and reads no further."""
    narrow = rig(buffer_bytes=100_000)
    with narrow.connect() as sock:
        sock.setblocking(False)
        sent, limit_s = 0, time.monotonic() + 1.0
        while time.monotonic() < limit_s:
            try:
                sent += sock.send(bytes(65536))
            except BlockingIOError:
                time.sleep(0.01)
        held = sum(end.underway_bytes + len(end.unwritten) for end in narrow.proxy._ends.values())

    assert sent < 50_000_000
    assert held <= 2 * (100_000 + 65_536)


def test_the_same_seed_gives_the_same_delays(rig, receive):
    """The stages draw from named streams."""

    def lost(seed):
        streams = Streams(seed)
        each = rig([Loss(0.3, streams.stream("up", "loss"))])
        with each.connect() as sock:
            return [ask(sock, receive) > 0.1 for _ in range(8)]

    assert lost(3) == lost(3)


def test_connections_past_the_limit_are_reset_and_that_is_told_once(rig, receive):
    """What is open goes on; when one ends, there is room for the next."""
    told = []
    small = rig([], [], connection_limit=2, full=lambda: told.append(True))
    with small.connect() as first:
        ask(first, receive)
        with small.connect() as second:
            ask(second, receive)
            for _ in range(3):
                with pytest.raises(ConnectionResetError), small.connect() as third:
                    third.recv(1)
            ask(first, receive)
        limit_s = time.monotonic() + 5.0
        while small.proxy.open_count > 1 and time.monotonic() < limit_s:
            time.sleep(0.01)
        with small.connect() as fourth:
            ask(fourth, receive)
    assert told == [True]
    assert small.proxy.tally.refused_count == 3
