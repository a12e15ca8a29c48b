"""Transport rules: what a connection of a link costs in time and bytes.

Tcp    TCP with or without TLS, by Linux's timers, RFC 6298's, or a fixed time-out
Quic   QUIC, which is handshake and encryption in one (network.quic)
"""

from __future__ import annotations

import math
from typing import Literal, Protocol

import msgspec

from network import tls as tls_rules
from network.dns import QUERY_BYTES
from network.tcp import LINUX_FLOOR_S, REORDERING_RATIO, RFC_FLOOR_S, LinuxRoundTrip, RoundTrip
from twin.message import Message
from twin.mqtt.packets import packet_bytes

TCP_IP_HEADER_BYTES = 52  # IPv4 20, TCP 20 with timestamps 12
MAXIMUM_SEGMENT_BYTES = 1448
TLS_RECORD_BYTES = 16_384
TLS_OVERHEAD_BYTES = {None: 0, "1.2": 29, "1.3": 22}
SYN_BYTES = (60, 60)
MOST_RTO_S = 120.0
GIVE_UP_S = 924.6  # Linux tcp_retries2 = 15
SYN_RTO_S = 1.0
CONNECT_TIMEOUT_S = 10.0


class Clock(Protocol):
    """What a direction of a connection knows of its round trip, in seconds."""

    srtt_s: float
    rto_s: float

    def begin(self, round_trip_s: float) -> None:
        """Take the first measurement."""
        ...

    def settle(self, round_trip_s: float) -> None:
        """Be as after many equal measurements."""
        ...

    def sample(self, round_trip_s: float) -> None:
        """Take a further measurement."""
        ...


class Connected(Protocol):
    """The rules of a transport that keeps the order of a connection's messages."""

    @property
    def connect_timeout_s(self) -> float:
        """Seconds after which a handshake is given up."""
        ...

    @property
    def name_trips(self) -> int:
        """One-way trips of the name's lookup, before those of the handshake."""
        ...

    @property
    def handshake_bytes(self) -> tuple[int, ...]:
        """Bytes of each one-way trip before application data."""
        ...

    @property
    def rest_bytes(self) -> tuple[int, int]:
        """Bytes of the handshake that leave with the first data of client and server."""
        ...

    @property
    def is_fixed(self) -> bool:
        """Whether the time-out is fixed and the only repair: no probe, no acknowledgements of later data."""
        ...

    @property
    def has_probe(self) -> bool:
        """Whether a tail loss probe comes before the first time-out."""
        ...

    @property
    def reordering_ratio(self) -> float | None:
        """Reordering window / round trip; None where three acknowledgements are waited for."""
        ...

    @property
    def syn_linear_count(self) -> int:
        """Time-outs of the handshake's first trip before they begin to double."""
        ...

    def clock(self) -> Clock:
        """A new estimator of the round trip."""
        ...

    def rto_s(self, round_trip_s: float) -> float:
        """Time-out on a path whose round trip is steady."""
        ...

    def framing(self, message: Message) -> int:
        """Bytes of a message on the wire."""
        ...


class Tcp(msgspec.Struct, frozen=True):
    """A link that is crossed by TCP connections, with or without TLS.

    `timer` is Linux's (the default) or that of RFC 6298. A `rto_margin_s` fixes the time-out instead, at
    max(round trip + margin, `least_rto_s`), which doubles from loss to loss. `is_mutual`, `is_resumed` and
    `key` choose the TLS handshake; `is_name_unknown` puts a DNS lookup before it. Since 6.5 Linux sends
    `syn_linear_count` = 4 SYNs before their time-out doubles.
    """

    tls: tls_rules.Version | None = None
    rto_margin_s: float | None = None
    least_rto_s: float = LINUX_FLOOR_S
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    timer: Literal["linux", "rfc"] = "linux"
    is_mutual: bool = True
    is_resumed: bool = False
    key: tls_rules.Key = "ec"
    is_name_unknown: bool = False
    syn_linear_count: int = 0

    @property
    def is_secured(self) -> bool:
        """Whether connections use TLS."""
        return self.tls is not None

    @property
    def handshake_round_trips(self) -> int:
        """Round trips before the first byte of application data: TCP 1, TLS 1.3 one more, TLS 1.2 two."""
        return len(self.handshake_bytes) // 2

    @property
    def name_trips(self) -> int:
        """Trips of the DNS lookup."""
        return len(QUERY_BYTES) if self.is_name_unknown else 0

    @property
    def handshake_bytes(self) -> tuple[int, ...]:
        """Bytes of each one-way trip: DNS query and answer, SYN and its answer, TLS flights."""
        flights = () if self._handshake is None else self._handshake.before_bytes
        return QUERY_BYTES[: self.name_trips] + SYN_BYTES + tuple(map(segment_bytes, flights))

    @property
    def rest_bytes(self) -> tuple[int, int]:
        """Bytes of TLS flights that leave with the first data of client and server."""
        if self._handshake is None:
            return (0, 0)
        return (
            segment_bytes(self._handshake.client_rest_bytes),
            segment_bytes(self._handshake.server_rest_bytes),
        )

    @property
    def _handshake(self) -> tls_rules.Handshake | None:
        if self.tls is None:
            return None
        return tls_rules.handshake(self.tls, self.key, is_mutual=self.is_mutual, is_resumed=self.is_resumed)

    @property
    def is_fixed(self) -> bool:
        """Whether the time-out is fixed."""
        return self.rto_margin_s is not None

    @property
    def has_probe(self) -> bool:
        """Linux sends tail loss probes."""
        return self.timer == "linux"

    @property
    def reordering_ratio(self) -> float | None:
        """Linux has a reordering window, RFC 5681 waits for three acknowledgements."""
        return REORDERING_RATIO if self.timer == "linux" else None

    def clock(self) -> Clock:
        """A new estimator of the round trip."""
        return LinuxRoundTrip(self.least_rto_s) if self.timer == "linux" else RoundTrip(self.least_rto_s)

    def rto_s(self, round_trip_s: float) -> float:
        """Retransmission time-out on a path of this round trip, when it has been steady for long."""
        if self.rto_margin_s is not None:
            return max(round_trip_s + self.rto_margin_s, self.least_rto_s)
        clock = self.clock()
        clock.settle(round_trip_s)
        return clock.rto_s

    def framing(self, message: Message) -> int:
        """Bytes on the wire: MQTT 3.1.1 packet, TLS records, TCP/IPv4 headers with timestamps."""
        data_bytes = packet_bytes(message)
        stream_bytes = data_bytes + TLS_OVERHEAD_BYTES[self.tls]
        if stream_bytes <= MAXIMUM_SEGMENT_BYTES:
            return stream_bytes + TCP_IP_HEADER_BYTES
        return self.wire_bytes(data_bytes)

    def wire_bytes(self, data_bytes: int) -> int:
        """Bytes on the wire of so many bytes of application data."""
        records = math.ceil(data_bytes / TLS_RECORD_BYTES) or 1
        return segment_bytes(data_bytes + records * TLS_OVERHEAD_BYTES[self.tls]) or TCP_IP_HEADER_BYTES


def segment_bytes(stream_bytes: int) -> int:
    """Bytes on the wire of so many bytes of the stream: one TCP/IP header for each segment."""
    return stream_bytes + math.ceil(stream_bytes / MAXIMUM_SEGMENT_BYTES) * TCP_IP_HEADER_BYTES


def rfc(tls: tls_rules.Version | None = None) -> Tcp:
    """TCP by RFC 6298 and RFC 5681 to the letter: time-outs of a second at least, no probe."""
    return Tcp(tls=tls, least_rto_s=RFC_FLOOR_S, timer="rfc")
