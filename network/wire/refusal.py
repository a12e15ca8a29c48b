"""A TCP connection that is being opened, as packets: which one opens it, and what refuses it."""

from __future__ import annotations

import struct
from typing import Final

TCP: Final = 6
SYN, RST_ACK, ACK = 0x02, 0x14, 0x10
HEADER_BYTES: Final = 20
LIFE_HOPS: Final = 64


def is_opening(packet: bytes) -> bool:
    """Whether an IPv4 packet is the first of a TCP connection."""
    if packet[9] != TCP:
        return False
    flags = packet[_header_bytes(packet) + 13]
    return flags & (SYN | ACK) == SYN


def refused(opening: bytes) -> bytes:
    """The reset that refuses the connection which this packet opens (RFC 9293, 3.10.7.1)."""
    begin = _header_bytes(opening)
    ports, sequence = opening[begin : begin + 4], struct.unpack_from(">I", opening, begin + 4)[0]
    source, to = opening[16:20], opening[12:16]
    segment = bytearray(ports[2:] + ports[:2])
    segment += struct.pack(">IIBBHHH", 0, (sequence + 1) % 2**32, HEADER_BYTES // 4 << 4, RST_ACK, 0, 0, 0)
    header = bytearray(
        struct.pack(">BBHHHBBH", 0x45, 0, 2 * HEADER_BYTES, 0, 0, LIFE_HOPS, TCP, 0) + source + to
    )
    pseudo = source + to + struct.pack(">HH", TCP, HEADER_BYTES)
    struct.pack_into(">H", segment, 16, _checksum(pseudo + segment))
    struct.pack_into(">H", header, 10, _checksum(header))
    return bytes(header + segment)


def _header_bytes(packet: bytes) -> int:
    return (packet[0] & 0x0F) * 4


def _checksum(data: bytes | bytearray) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
