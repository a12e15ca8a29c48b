"""Transport rules: TCP's timers and handshakes, TLS round trips, bytes on the wire."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from twin.message import Message
from twin.mqtt.packets import packet_bytes

TCP_IP_HEADER_BYTES = 52  # IPv4 20, TCP 20 with timestamps 12
MAXIMUM_SEGMENT_BYTES = 1448
TLS_RECORD_BYTES = 16_384
TLS_OVERHEAD_BYTES = {None: 0, "1.2": 29, "1.3": 22}
SYN_BYTES = (60, 60)
TLS_FLIGHT_BYTES: dict[str | None, tuple[int, ...]] = {
    None: (),
    "1.2": (185 + 52, 945 + 52, 865 + 52, 546 + 52),
    "1.3": (248 + 52, 1113 + 52),
}
MOST_RTO_S = 120.0
GIVE_UP_S = 924.6
SYN_RTO_S = 1.0


class Tcp(msgspec.Struct, frozen=True):
    """A link that is crossed by TCP connections, with or without TLS.

    RTO = max(rtt + `rto_margin_s`, `least_rto_s`): by default Linux with a steady round trip, whose
    RTTVAR term is at least 200 ms; RFC 6298 is margin 0 and least 1 s (see `rfc`).
    """

    tls: Literal["1.2", "1.3"] | None = None
    rto_margin_s: float = 0.2
    least_rto_s: float = 0.25
    connect_timeout_s: float = 10.0

    @property
    def handshake_round_trips(self) -> int:
        """Round trips before the first byte of application data: TCP 1, TLS 1.3 one more, TLS 1.2 two."""
        return len(self.handshake_bytes) // 2

    @property
    def handshake_bytes(self) -> tuple[int, ...]:
        """Bytes of each one-way trip: SYN and its answer, TLS flights (mutual ECDSA P-256, recorded)."""
        return SYN_BYTES + TLS_FLIGHT_BYTES[self.tls]

    def rto_s(self, round_trip_s: float) -> float:
        """First retransmission time-out on a path of this round trip."""
        return max(round_trip_s + self.rto_margin_s, self.least_rto_s)

    def framing(self, message: Message) -> int:
        """Bytes on the wire: MQTT 3.1.1 packet, TLS records, TCP/IPv4 headers with timestamps."""
        return self.wire_bytes(packet_bytes(message))

    def wire_bytes(self, data_bytes: int) -> int:
        """Bytes on the wire of so many bytes of application data."""
        records = math.ceil(data_bytes / TLS_RECORD_BYTES) or 1
        stream_bytes = data_bytes + records * TLS_OVERHEAD_BYTES[self.tls]
        segments = math.ceil(stream_bytes / MAXIMUM_SEGMENT_BYTES) or 1
        return stream_bytes + segments * TCP_IP_HEADER_BYTES


def rfc(tls: Literal["1.2", "1.3"] | None = None) -> Tcp:
    """TCP with the RTO floor of RFC 6298: one second."""
    return Tcp(tls=tls, rto_margin_s=0.0, least_rto_s=1.0)
