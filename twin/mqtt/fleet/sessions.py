"""What every device of a fleet keeps of MQTT, sans-IO: packets in, packets out, and who is told.

The rules are those of `twin.mqtt.client`: the unacknowledged is repeated with DUP where the broker still has
the session, published anew where it does not, and a released QoS 2 message is never published again.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Final

from twin.errors import InputError
from twin.message import Message
from twin.mqtt.codec import CodecError, Decoder, encode
from twin.mqtt.fleet import frames
from twin.mqtt.fleet.device import Device, Listener, Phase, Publication
from twin.mqtt.fleet.tally import Tally
from twin.mqtt.outbox import PACKET_ID_LIMIT
from twin.mqtt.packets import ACCEPTED, SUBSCRIPTION_REFUSED, Connack, read_connack, spoken
from twin.mqtt.topics import check_filter

UNSENT_LIMIT_BYTES: Final = 65_536
"""More than this is not written to a connection that does not take it: publications wait in the queue."""
QUEUE_FULL: Final = "queue full"
TOO_LARGE: Final = "packet too large"
PLAIN_CONNACK: Final = b"\x20\x02"
FAILED: Final = 0x80
"""Reason codes from here on say no (MQTT 5)."""

Write = Callable[[Device, bytes], None]
ReadDue = Callable[[frames.Delivery], float | None]
"""When a delivery was due, or None if it does not say."""


class EndedByBrokerError(Exception):
    """The broker said that the connection ends, and why."""


class Sessions:
    """The sessions of all devices of one engine.

    `write` sends bytes on a device's connection; `welcomed` hears of accepted ones before the listener.
    """

    __slots__ = ("_welcomed", "_write", "listener", "now", "read_due", "tally")

    def __init__(
        self,
        write: Write,
        welcomed: Callable[[Device], None],
        listener: Listener,
        tally: Tally,
        read_due: ReadDue | None,
    ) -> None:
        self._write = write
        self._welcomed = welcomed
        self.listener = listener
        self.tally = tally
        self.read_due = read_due
        self.now = 0.0

    # what the owner asks for -----------------------------------------------------------------------------

    def offer(self, device: Device, publication: Publication) -> None:
        """Send it if the connection and the window have room, else keep it; drop it if there is no room."""
        self.tally.offered += 1
        if device.phase is Phase.UP and (device.unsent is None or len(device.unsent) < UNSENT_LIMIT_BYTES):
            is_at_once = not publication.first & frames.QOS
            if is_at_once or (not device.queue and len(device.inflight) < device.window):
                self._transmit(device, publication)
                return
        if device.queue is None:
            device.queue = deque()
        if len(device.queue) < device.profile.queue_limit:
            device.queue.append(publication)
        else:
            self._drop(device, publication, QUEUE_FULL)

    def subscribe(self, device: Device, topic_filter: str, qos: int) -> None:
        """Subscribe now or as soon as connected; raise InputError for an invalid filter."""
        check_filter(topic_filter)
        if not 0 <= qos <= 2:
            raise InputError(f"filter {topic_filter!r}: QoS is 0, 1 or 2, not {qos}")
        if device.filters is None or device.granted is None:
            device.filters, device.granted = {}, set()
        device.filters[topic_filter] = qos
        device.granted.discard(topic_filter)
        if device.is_up:
            self._ask(device, topic_filter, qos)

    def unsubscribe(self, device: Device, topic_filter: str) -> None:
        """End a subscription, now or as soon as connected."""
        if device.filters is not None and device.filters.pop(topic_filter, None) is not None and device.is_up:
            self._ask(device, topic_filter, None)

    def is_alive(self, device: Device) -> bool:
        """Ping when either direction was silent for the keep-alive time; False if a ping stays unanswered."""
        if device.is_pinging:
            return False
        silent_s = self.now - min(device.last_sent_s, device.last_received_s)
        if silent_s >= device.keep_alive_s:
            device.is_pinging = True
            self.tally.pings += 1
            self._write(device, frames.PINGREQ)
        return True

    def drain(self, device: Device) -> None:
        """Send what waits, as far as window and connection have room."""
        queue = device.queue
        while queue and device.phase is Phase.UP:
            if device.unsent is not None and len(device.unsent) >= UNSENT_LIMIT_BYTES:
                return
            if queue[0].first & frames.QOS and len(device.inflight) >= device.window:
                return
            self._transmit(device, queue.popleft())

    # what the broker says --------------------------------------------------------------------------------

    def take(self, device: Device, data: bytes) -> None:
        """Bytes from the broker. Raise CodecError or EndedByBrokerError: the connection is over."""
        if device.rest is not None:
            device.rest += data
            if len(device.rest) < device.needed_bytes:
                return
            data, device.rest = bytes(device.rest), None
        elif device.phase is Phase.GREETING and data[:1] != PLAIN_CONNACK[:1]:
            raise CodecError(f"its answer to CONNECT begins with {data[:8]!r}")
        start, size = 0, len(data)
        answers: list[bytes] = []
        while start + 2 <= size:
            if data[start + 1] < 128:
                body, stop = start + 2, start + 2 + data[start + 1]
            elif (found := frames.cut(data, start)) is None:
                break
            else:
                body, stop = found
            if stop > size:
                self._await(device, stop - start)
                break
            self._packet(device, data, start, body, stop, answers)
            if device.phase is not Phase.UP:  # the listener has closed it
                return
            start = stop
        if start < size:
            device.rest = bytearray(data[start:])
        if answers:
            self._write(device, b"".join(answers))
        if device.queue:
            self.drain(device)

    @staticmethod
    def _await(device: Device, needed_bytes: int) -> None:
        """More of this packet has to come."""
        limit_bytes = device.profile.largest_packet_bytes
        if needed_bytes > limit_bytes:
            raise CodecError(f"a packet of {needed_bytes:,} bytes; the limit is {limit_bytes:,}")
        device.needed_bytes = needed_bytes

    def _packet(
        self, device: Device, data: bytes, start: int, body: int, stop: int, answers: list[bytes]
    ) -> None:
        first = data[start]
        if device.phase is Phase.GREETING:
            self._greeted(device, data[start:stop])
        elif first == frames.PUBACK:
            self._done(device, data, body, stop)
        elif first >> 4 == frames.PUBLISH >> 4:
            is_v5 = device.profile.version == "5"
            self._deliver(device, frames.delivery(data, start, body, stop, is_v5=is_v5), answers)
        elif first == frames.PUBREC:
            self._release(device, data, body, stop, answers)
        elif first == frames.PUBCOMP:
            self._done(device, data, body, stop)
        elif first == frames.PUBREL:
            packet_id = frames.number_at(data, body, stop)
            if device.received_ids is not None:
                device.received_ids.discard(packet_id)
            answers.append(frames.answer(frames.PUBCOMP, packet_id))
        else:
            self._rare(device, data[start:stop])

    def _done(self, device: Device, data: bytes, body: int, stop: int) -> None:
        """PUBACK or PUBCOMP: the broker has the message, or refuses it."""
        publication = device.inflight.pop(frames.number_at(data, body, stop), None)
        if publication is None:
            return
        if stop - body > 2 and data[body + 2] >= FAILED:
            self._drop(device, publication, f"refused with {data[body + 2]:#04x}")
            return
        self.tally.acknowledged += 1
        self.tally.acknowledgement.add(self.now - publication.due_s)
        self.listener.acknowledged(device, publication.sequence)

    def _release(self, device: Device, data: bytes, body: int, stop: int, answers: list[bytes]) -> None:
        """PUBREC: answer with PUBREL, which alone may be repeated from now on; or the broker refuses."""
        packet_id = frames.number_at(data, body, stop)
        publication = device.inflight.get(packet_id)
        if stop - body > 2 and data[body + 2] >= FAILED:
            if publication is not None:
                del device.inflight[packet_id]
                self._drop(device, publication, f"refused with {data[body + 2]:#04x}")
            return
        if publication is not None:
            device.inflight[packet_id] = publication._replace(first=frames.PUBREL, payload=b"")
        answers.append(frames.answer(frames.PUBREL, packet_id))

    def _deliver(self, device: Device, delivery: frames.Delivery, answers: list[bytes]) -> None:
        """Hand on, at QoS 2 only what is not there already [MQTT-4.3.3-2], and acknowledge."""
        if delivery.qos == 1:
            answers.append(frames.answer(frames.PUBACK, delivery.packet_id))
        elif delivery.qos == 2:
            answers.append(frames.answer(frames.PUBREC, delivery.packet_id))
            if device.received_ids is None:
                device.received_ids = set()
            if delivery.packet_id in device.received_ids:
                self.tally.repeated += 1
                return
            device.received_ids.add(delivery.packet_id)
        self.tally.received += 1
        if self.read_due is not None and (due_s := self.read_due(delivery)) is not None:
            self.tally.delivery.add(self.now - due_s)
        self.listener.received(device, delivery)

    def _rare(self, device: Device, packet: bytes) -> None:
        for message in Decoder(device.profile.version).feed(packet):
            match message.kind:
                case "suback":
                    self._granted(device, message.packet_id, message.qos)
                case "unsuback":
                    self._granted(device, message.packet_id, None)
                case "pingresp":
                    pass
                case "disconnect":
                    code = message.properties.reason_code if message.properties else 0
                    raise EndedByBrokerError(f"the broker disconnects us with reason {code:#04x}")
                case _:
                    raise CodecError(f"a broker sends no {message.kind} here")

    # connection ------------------------------------------------------------------------------------------

    def _greeted(self, device: Device, packet: bytes) -> None:
        """The first packet of the broker: it must be CONNACK."""
        if packet[:2] == PLAIN_CONNACK and device.profile.version == "3.1.1" and packet[2] <= 1:
            connack = Connack(packet[3], bool(packet[2]))
        else:
            found = Decoder(device.profile.version).feed(packet)
            if not found or found[0].kind != "connack":
                raise CodecError("the answer to CONNECT is no CONNACK")
            connack = read_connack(found[0])
        if connack.return_code != ACCEPTED:
            self.tally.refused[f"{connack.return_code:#04x}"] += 1
            self.listener.refused(device, connack.return_code)
            raise EndedByBrokerError(f"refused with {connack.return_code:#04x}")
        self._welcome(device, connack)

    def _welcome(self, device: Device, connack: Connack) -> None:
        device.phase = Phase.UP
        device.failures = 0
        device.is_pinging = False
        device.window = min(device.profile.window, connack.receive_maximum)
        device.largest_bytes = connack.maximum_packet_bytes
        device.keep_alive_s = (
            device.profile.keep_alive_s if connack.keep_alive_s is None else connack.keep_alive_s
        )
        self._welcomed(device)
        self.tally.connected += 1
        self.tally.connect.add(self.now - device.began_s)
        if connack.is_session_present:
            device.session = max(device.session, 1)
        else:
            device.session += 1
            self._renew(device)
        self.listener.connected(device, connack.is_session_present)
        if device.phase is not Phase.UP:  # the listener changed its mind
            return
        self._subscribe_all(device)
        if connack.is_session_present:
            self._redeliver(device)
        self.drain(device)

    def _renew(self, device: Device) -> None:
        """The broker knows nothing of us: what it did not acknowledge is published anew, in order."""
        device.received_ids = device.granted = None
        if device.filters:
            device.granted = set()
        if device.inflight:
            again = [each for each in device.inflight.values() if each.first != frames.PUBREL]
            for released in device.inflight.values():
                if released.first == frames.PUBREL:  # it had arrived
                    self.tally.acknowledged += 1
                    self.listener.acknowledged(device, released.sequence)
            self.tally.sent -= len(again)
            device.inflight.clear()
            device.queue = deque(itertools.chain(again, device.queue or ()))

    def _redeliver(self, device: Device) -> None:
        """Repeat the unacknowledged [MQTT-4.4.0-1]."""
        packets = []
        for packet_id, publication in device.inflight.items():
            first, topic, payload, properties, _, _ = publication
            if first == frames.PUBREL:
                packets.append(frames.answer(frames.PUBREL, packet_id))
            else:
                packets.append(frames.publish(first | frames.DUP, topic, packet_id, properties, payload))
        if packets:
            self.tally.redelivered += len(packets)
            self._write(device, b"".join(packets))

    def _subscribe_all(self, device: Device) -> None:
        """Ask for what the broker has not granted, and end what is not wanted any more."""
        device.asked = None
        if device.filters is None:
            return
        granted = device.granted or set()
        for topic_filter, qos in device.filters.items():
            if topic_filter not in granted:
                self._ask(device, topic_filter, qos)
        for topic_filter in sorted(granted - device.filters.keys()):
            self._ask(device, topic_filter, None)

    def _ask(self, device: Device, topic_filter: str, qos: int | None) -> None:
        """SUBSCRIBE, or UNSUBSCRIBE without a QoS."""
        if device.asked is None:
            device.asked = {}
        packet_id = self._next_packet_id(device)
        device.asked[packet_id] = (topic_filter, qos is not None)
        kind = "unsubscribe" if qos is None else "subscribe"
        said = spoken(device.profile.version)
        packet = Message(topic_filter, qos=qos or 0, kind=kind, packet_id=packet_id, properties=said)
        self._write(device, encode(packet))

    def _granted(self, device: Device, packet_id: int, code: int | None) -> None:
        asked = device.asked.pop(packet_id, None) if device.asked else None
        if asked is None or device.granted is None:
            return
        topic_filter, is_wanted = asked
        if not is_wanted:
            device.granted.discard(topic_filter)
            self.listener.released(device, topic_filter)
            return
        code = SUBSCRIPTION_REFUSED if code is None else code
        if code < SUBSCRIPTION_REFUSED:
            device.granted.add(topic_filter)
        self.listener.granted(device, topic_filter, code)

    # sending ---------------------------------------------------------------------------------------------

    def _transmit(self, device: Device, publication: Publication) -> None:
        first, topic, payload, properties, _, _ = publication
        if len(payload) + len(topic) + len(properties) + 7 > device.largest_bytes:
            self._drop(device, publication, TOO_LARGE)
            return
        packet_id = 0
        if first & frames.QOS:
            packet_id = self._next_packet_id(device)
            device.inflight[packet_id] = publication
        else:
            self.tally.sent_once += 1
        self.tally.sent += 1
        self._write(device, frames.publish(first, topic, packet_id, properties, payload))

    @staticmethod
    def _next_packet_id(device: Device) -> int:
        """A packet id from 1 to 65,535 that is not in use."""
        packet_id = device.last_packet_id
        while True:
            packet_id = packet_id % PACKET_ID_LIMIT + 1
            if packet_id not in device.inflight and not (device.asked and packet_id in device.asked):
                device.last_packet_id = packet_id
                return packet_id

    def _drop(self, device: Device, publication: Publication, cause: str) -> None:
        self.tally.dropped[cause] += 1
        self.listener.dropped(device, publication.sequence, cause)


def farewell(device: Device) -> bytes:
    """The DISCONNECT of a device."""
    return encode(Message("", kind="disconnect", properties=spoken(device.profile.version)))


def properties_field(device: Device, properties: bytes) -> bytes:
    """MQTT 5 properties with their length; raise InputError if this device does not speak MQTT 5."""
    if device.profile.version == "5":
        return frames.varint(len(properties)) + properties if properties else b"\0"
    if properties:
        raise InputError(f"{device.client_id} speaks MQTT 3.1.1, which has no place for properties")
    return b""
