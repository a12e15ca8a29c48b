"""Ports that are kept free for a server of ours."""

import socket
import struct

import pytest

from twin.live.ports import held_ports

IP_LOCAL_PORT_RANGE = 51


def only(port):
    """A socket that the operating system can give no port but this."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("I", port << 16 | port))
    return found


def test_a_held_port_is_for_a_server_that_reuses_addresses_alone():
    """Nobody is there before, and who wants it for themselves does not get it."""
    with held_ports(3) as ports:
        assert len(set(ports)) == 3
        for port in ports:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=1.0)
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))
            with socket.create_server(("127.0.0.1", port)):
                socket.create_connection(("127.0.0.1", port), timeout=1.0).close()


def test_a_held_port_is_given_to_nobody_else():
    """Neither to who listens nor to who connects, even if there is no other left."""
    with held_ports(1) as (port,), socket.create_server(("127.0.0.1", 0)) as server:
        with only(port) as listening, pytest.raises(OSError, match="in use"):
            listening.bind(("127.0.0.1", 0))
        with only(port) as connecting, pytest.raises(OSError, match="Cannot assign"):
            connecting.connect(server.getsockname())

    with socket.create_server(("127.0.0.1", 0)) as server, only(port) as connecting:
        connecting.connect(server.getsockname())
        assert connecting.getsockname()[1] == port
