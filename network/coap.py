"""CoAP confirmable messages over UDP (RFC 7252): timers, bytes, closed forms."""

from __future__ import annotations

import math

import msgspec

from network.tcp import give_up_ratio
from twin.kernel.randomness import Stream
from twin.message import Message

UDP_IP_HEADER_BYTES = 28  # IPv4 20, UDP 8
HEADER_BYTES = 4
TOKEN_BYTES = 4
SHORT_OPTION_BYTES = 12
ACK_TIMEOUT_S = 2.0
ACK_RANDOM_FACTOR = 1.5
MAX_RETRANSMIT = 4
MAX_LATENCY_S = 100.0
PROCESSING_DELAY_S = ACK_TIMEOUT_S
MAX_TRANSMIT_SPAN_S = ACK_TIMEOUT_S * (2**MAX_RETRANSMIT - 1) * ACK_RANDOM_FACTOR
MAX_TRANSMIT_WAIT_S = ACK_TIMEOUT_S * (2 ** (MAX_RETRANSMIT + 1) - 1) * ACK_RANDOM_FACTOR
MAX_RTT_S = 2 * MAX_LATENCY_S + PROCESSING_DELAY_S
EXCHANGE_LIFETIME_S = MAX_TRANSMIT_SPAN_S + MAX_RTT_S
NON_LIFETIME_S = MAX_TRANSMIT_SPAN_S + MAX_LATENCY_S


class Coap(msgspec.Struct, frozen=True):
    """A link that is crossed by confirmable messages; `stream` draws the first time-out, 2 s x [1, 1.5)."""

    stream: Stream
    ack_timeout_s: float = ACK_TIMEOUT_S
    most_retransmissions: int = MAX_RETRANSMIT

    def ack_bytes(self, message: Message) -> int:
        """An empty acknowledgement, whatever the message."""
        del message
        return UDP_IP_HEADER_BYTES + HEADER_BYTES

    def is_confirmed(self, message: Message) -> bool:
        """Every message is."""
        del message
        return True

    def first_timeout_s(self) -> float:
        """ACK_TIMEOUT x [1, ACK_RANDOM_FACTOR)."""
        return self.stream.uniform(self.ack_timeout_s, self.ack_timeout_s * ACK_RANDOM_FACTOR)

    def next_timeout_s(self, timeout_s: float) -> float:
        """Twice the one before."""
        return 2 * timeout_s

    def framing(self, message: Message) -> int:
        """Bytes on the wire: headers, token, the topic as Uri-Path options, payload behind its marker."""
        path_bytes = sum(_option_bytes(part) for part in message.topic.split("/") if part)
        payload_bytes = 1 + len(message.payload) if message.payload else 0
        return UDP_IP_HEADER_BYTES + HEADER_BYTES + TOKEN_BYTES + path_bytes + payload_bytes


def exchange_s(round_trip_s: float, up_loss_ratio: float, down_loss_ratio: float) -> float:
    """Mean time of an exchange that succeeds: RTT + 2.5 s sum((2^k-1) q^k (1-q)) / (1-q^5), k = 0..4, with
    q = 1 - (1-pf)(1-pr); 2.5 s is the mean of the first time-out.
    """
    q = 1 - (1 - up_loss_ratio) * (1 - down_loss_ratio)
    weights = [math.pow(q, k) for k in range(MAX_RETRANSMIT + 1)]
    waits = sum(math.ldexp(weight, k) - weight for k, weight in enumerate(weights))
    return round_trip_s + ACK_TIMEOUT_S * (1 + ACK_RANDOM_FACTOR) / 2 * waits / sum(weights)


def give_up(up_loss_ratio: float, down_loss_ratio: float) -> float:
    """Share of exchanges that fail: q^5."""
    return give_up_ratio(1 - (1 - up_loss_ratio) * (1 - down_loss_ratio), MAX_RETRANSMIT)


def _option_bytes(part: str) -> int:
    """An option: a byte of header, one more from 13 bytes on, and the text (RFC 7252, 3.1)."""
    length = len(part.encode())
    return length + (1 if length <= SHORT_OPTION_BYTES else 2)
