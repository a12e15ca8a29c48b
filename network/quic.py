"""QUIC (RFC 9000, 9001, 9002): transport and TLS 1.3 in one handshake, or none before early data."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from network.dns import QUERY_BYTES
from network.tcp import RoundTrip
from network.tls import handshake
from network.transport import CONNECT_TIMEOUT_S, Clock
from twin.message import Message
from twin.mqtt.packets import packet_bytes

UDP_IP_HEADER_BYTES = 28
PACKET_BYTES = 28  # short header 1, connection id 8, number 2, AEAD tag 16, frame type 1
LEAST_INITIAL_BYTES = 1200 + UDP_IP_HEADER_BYTES  # RFC 9000, 14.1
DATAGRAM_BYTES = 1200
MAX_ACK_DELAY_S = 0.025
GRANULARITY_S = 0.001
TIME_THRESHOLD_RATIO = 0.125  # RFC 9002, 6.1.2: 9/8


class Quic(msgspec.Struct, frozen=True):
    """A link that is crossed by QUIC connections with one stream; `is_early` sends data at once (0-RTT)."""

    is_early: bool = False
    is_mutual: bool = True
    is_name_unknown: bool = False
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    is_fixed: ClassVar[bool] = False
    has_probe: ClassVar[bool] = False
    reordering_ratio: ClassVar[float | None] = TIME_THRESHOLD_RATIO
    syn_linear_count: ClassVar[int] = 0

    @property
    def name_trips(self) -> int:
        """Trips of the DNS lookup."""
        return len(QUERY_BYTES) if self.is_name_unknown else 0

    @property
    def handshake_bytes(self) -> tuple[int, ...]:
        """Bytes of each one-way trip: the client's Initial, padded, and the server's answer."""
        names = QUERY_BYTES[: self.name_trips]
        if self.is_early:
            return names
        _, answer_bytes = handshake("1.3", is_mutual=self.is_mutual).before_bytes
        return (*names, LEAST_INITIAL_BYTES, max(LEAST_INITIAL_BYTES, wire_bytes(answer_bytes)))

    @property
    def rest_bytes(self) -> tuple[int, int]:
        """Bytes that leave with the first data: with early data all of the handshake."""
        if self.is_early:
            return (LEAST_INITIAL_BYTES, LEAST_INITIAL_BYTES)
        flights = handshake("1.3", is_mutual=self.is_mutual)
        return wire_bytes(flights.client_rest_bytes), wire_bytes(flights.server_rest_bytes)

    def clock(self) -> Clock:
        """A new estimator of the round trip: PTO = SRTT + max(4 RTTVAR, 1 ms) + 25 ms (RFC 9002, 6.2.1)."""
        return RoundTrip(0.0, GRANULARITY_S, MAX_ACK_DELAY_S)

    def rto_s(self, round_trip_s: float) -> float:
        """Probe time-out on a path of this round trip, when it has been steady for long."""
        return round_trip_s + GRANULARITY_S + MAX_ACK_DELAY_S

    def framing(self, message: Message) -> int:
        """Bytes on the wire: MQTT packet in a stream frame, packet protection, UDP/IPv4 headers."""
        return wire_bytes(packet_bytes(message))


def wire_bytes(stream_bytes: int) -> int:
    """Bytes on the wire of so many bytes of a stream."""
    packets = -(-stream_bytes // (DATAGRAM_BYTES - PACKET_BYTES)) or 1
    return stream_bytes + packets * (PACKET_BYTES + UDP_IP_HEADER_BYTES)
