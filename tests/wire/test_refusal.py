"""Connections that are refused on the wire."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network import faults
from network.wire.path import SERVER
from network.wire.refusal import is_opening, refused

HELLO = b"\x16\x03\x01\x00\x05hello"
SYN, SYN_ACK, ACK = 0x02, 0x12, 0x10


def opening(source, to, ports, sequence, flags=SYN, options=b""):
    """An IPv4 packet with a TCP header, as a kernel sends it."""
    length = 20 + len(options)
    header = struct.pack(">BBHHHBBH", 0x40 | length // 4, 0, length + 20, 1, 0, 64, 6, 0)
    segment = struct.pack(">HHIIBBHHH", *ports, sequence, 0, 5 << 4, flags, 64_240, 0, 0)
    return header + source + to + options + segment


def folded(data):
    """The sum of 16-bit words in ones' complement: all ones over what carries its own checksum."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


addresses = st.binary(min_size=4, max_size=4)
ports = st.integers(1, 65_535)


@given(
    addresses, addresses, st.tuples(ports, ports), st.integers(0, 2**32 - 1), st.sampled_from([b"", bytes(8)])
)
def test_the_answer_to_an_opening_is_a_reset_that_the_kernel_takes(source, to, pair, sequence, options):
    """From the address that was called, for the number that was sent, and with the right checksums."""
    answer = refused(opening(source, to, pair, sequence, options=options))

    assert len(answer) == 40
    assert (answer[12:16], answer[16:20]) == (to, source)
    assert struct.unpack(">HHII", answer[20:32]) == (pair[1], pair[0], 0, (sequence + 1) % 2**32)
    assert answer[33] == 0x14
    assert folded(answer[:20]) == 0xFFFF
    assert folded(to + source + struct.pack(">HH", 6, 20) + answer[20:]) == 0xFFFF


@pytest.mark.parametrize(("flags", "is_first"), [(SYN, True), (SYN_ACK, False), (ACK, False)])
def test_only_the_first_packet_opens_a_connection(flags, is_first):
    """Its answer and what follows are left alone."""
    packet = opening(bytes(4), bytes(4), (1, 2), 3, flags)

    assert is_opening(packet) is is_first
    assert not is_opening(packet[:9] + b"\x11" + packet[10:])  # UDP


@pytest.mark.alone
@pytest.mark.timeout(60)
def test_a_name_that_does_not_resolve_stops_new_connections_only(rig, receive):
    """What is open goes on, and afterwards all is as before."""
    broken = rig([], [])
    fault = faults.Refused(broken.network, [SERVER], "name not resolved")
    with broken.connect() as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"
        broken.do(lambda: fault.begin(0.0))
        with pytest.raises(ConnectionResetError), broken.connect() as late:
            late.recv(1)
        sock.sendall(b"y")
        assert receive(sock, 1) == b"y"
        broken.do(lambda: fault.end(0.0))
        with broken.connect() as again:
            again.sendall(b"z")
            assert receive(again, 1) == b"z"
    assert dict(broken.proxy.tally.broken) == {"name not resolved": 1}
    assert len(broken.server.said) == 2


@pytest.mark.alone
@pytest.mark.timeout(60)
def test_an_expired_certificate_stops_handshakes_of_tls_only(rig, receive):
    """The first bytes tell which connection begins with one."""
    broken = rig([], [])
    fault = faults.Refused(broken.network, [SERVER], "certificate expired", tls_only=True)
    with broken.connect() as secured, broken.connect() as plain, broken.connect() as late:
        secured.sendall(HELLO)
        assert receive(secured, len(HELLO)) == HELLO
        broken.do(lambda: fault.begin(0.0))
        secured.sendall(HELLO)
        assert receive(secured, len(HELLO)) == HELLO
        plain.sendall(b"x")
        assert receive(plain, 1) == b"x"
        late.sendall(HELLO)
        with pytest.raises(ConnectionResetError):
            late.recv(1)
        assert sorted(broken.server.said) == [b"", 2 * HELLO, b"x"]
        broken.do(lambda: fault.end(0.0))
        with broken.connect() as again:
            again.sendall(HELLO)
            assert receive(again, len(HELLO)) == HELLO
    assert dict(broken.proxy.tally.broken) == {"certificate expired": 1}
