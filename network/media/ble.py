"""Bluetooth LE in a connection: the two ends meet at connection events, and nothing is sent in between.

A message waits for the next event: evenly 0 to the connection interval. A packet that is lost is sent
again at the next event; if none gets through for the supervision timeout, the connection is lost and the
message with it (Bluetooth Core, interval 7.5 ms to 4 s, timeout 0.1 to 32 s). An event carries as many
packets of up to 244 bytes of payload as fit before the next one, each (14 + n) x 8 us with the header of
7 bytes included, followed by its empty acknowledgement.

Every connection has its own events; that a central serves several at once is not modelled.
"""

from __future__ import annotations

import math

from network.stages.gilbert_elliott import GilbertElliott
from twin.errors import InputError
from twin.kernel.randomness import Stream

INTERVAL_S = 0.03
SUPERVISION_TIMEOUT_S = 4.0
PAYLOAD_BYTES = 244
HEADER_BYTES = 7  # L2CAP 4, ATT 3
LINK_LAYER_BYTES = 10  # preamble, access address, header, checksum
BYTE_S = 8e-6
SPACE_S = 150e-6
QUEUE_EVENTS = 1_000
LOST = "supervision timeout"
QUEUE_FULL = "queue full"


def packet_s(link_payload_bytes: int) -> float:
    """Seconds a data packet is on the air at 1 Mbit/s."""
    return (LINK_LAYER_BYTES + link_payload_bytes) * BYTE_S


def packets_of(payload_bytes: int) -> list[int]:
    """Link-layer payload of each packet that a message takes."""
    full, rest = divmod(payload_bytes, PAYLOAD_BYTES)
    parts = [PAYLOAD_BYTES] * full + ([rest] if rest or not full else [])
    return [part + HEADER_BYTES for part in parts]


def exchange_s(payload_bytes: int) -> float:
    """Seconds of a packet with so much payload, and its empty acknowledgement."""
    return packet_s(payload_bytes + HEADER_BYTES) + SPACE_S + packet_s(0) + SPACE_S


class ConnectionEvents:
    """One direction of one connection; a central that spares its peripheral's sleep meets it only at every
    (1 + `peripheral_latency`)-th event.
    """

    def __init__(
        self,
        stream: Stream,
        loss: GilbertElliott | None = None,
        *,
        interval_s: float = INTERVAL_S,
        peripheral_latency: int = 0,
        supervision_timeout_s: float = SUPERVISION_TIMEOUT_S,
    ) -> None:
        if not 0.0075 <= interval_s <= 4.0 or not 0.1 <= supervision_timeout_s <= 32.0:
            raise InputError("Bluetooth LE: intervals 7.5 ms to 4 s, supervision timeouts 0.1 to 32 s")
        self.cause = LOST
        self.interval_s = interval_s * (1 + peripheral_latency)
        self.air_s = 0.0
        self._per_event = max(1, int(interval_s / exchange_s(PAYLOAD_BYTES)))
        self._timeout_s = supervision_timeout_s
        self._loss = loss
        self._phase_s = stream.uniform(0.0, self.interval_s)
        self._next_event = -math.inf

    def release(self, now: float, size_bytes: int) -> float | None:
        """Seconds at which the last packet is through, or None when the connection is lost."""
        event = max(math.ceil((now - self._phase_s) / self.interval_s), self._next_event)
        if self._at_s(event) - now > QUEUE_EVENTS * self.interval_s:
            self.cause = QUEUE_FULL
            return None
        packets = packets_of(size_bytes)
        for _ in range(0, len(packets), self._per_event):
            event = self._through(event)
            if event == math.inf:
                self.cause = LOST
                return None
            self._next_event = event + 1
            event += 1
        before = (len(packets) - 1) % self._per_event
        self.air_s += sum(map(packet_s, packets))
        return self._at_s(event - 1) + before * exchange_s(PAYLOAD_BYTES) + packet_s(packets[-1])

    def _through(self, event: float) -> float:
        """The first event from this one on that is not lost; infinite past the supervision timeout."""
        most_events = math.ceil(self._timeout_s / self.interval_s)
        for attempt in range(most_events):
            if self._loss is None or self._loss.release(self._at_s(event + attempt), 0) is not None:
                return event + attempt
        self._next_event = event + most_events
        return math.inf

    def _at_s(self, event: float) -> float:
        return self._phase_s + event * self.interval_s

    @property
    def mean_s(self) -> float:
        """Half an interval, and a packet of 27 bytes."""
        return self.interval_s / 2 + packet_s(27)
