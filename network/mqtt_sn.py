"""MQTT-SN 1.2 over UDP: retries and bytes."""

from __future__ import annotations

import msgspec

from twin.message import Message
from twin.mqtt.packets import read_connect

UDP_IP_HEADER_BYTES = 28  # IPv4 20, UDP 8
PUBLISH_BYTES = 7  # length, type, flags, topic id 2, message id 2
CONNECT_BYTES = 6  # length, type, flags, protocol, duration 2
FIXED_BYTES = {  # 1.2, section 5.4
    "connack": 3,
    "puback": 7,
    "pubrec": 4,
    "pubrel": 4,
    "pubcomp": 4,
    "suback": 8,
    "unsuback": 4,
    "pingreq": 2,
    "pingresp": 2,
    "disconnect": 2,
}
ANSWERS = {"connect": "connack", "subscribe": "suback", "unsubscribe": "unsuback"}
SUBSCRIBE_BYTES = 5
RETRY_S = 10.0  # 1.2, section 7.2: 10 to 15 s
MOST_RETRIES = 3  # 3 to 5
LONGEST_SHORT_BYTES = 255  # a longer packet has a length field of three bytes
CONFIRMED_KINDS = ("connect", "subscribe", "unsubscribe")


class MqttSn(msgspec.Struct, frozen=True):
    """A link that is crossed by MQTT-SN with topic ids of two bytes: QoS 1 is acknowledged, QoS 0 is not."""

    retry_s: float = RETRY_S
    most_retransmissions: int = MOST_RETRIES

    def ack_bytes(self, message: Message) -> int:
        """The packet that acknowledges the message: of a publication PUBACK, with QoS 2 PUBREC."""
        answer = ANSWERS.get(message.kind, "pubrec" if message.qos == 2 else "puback")
        return UDP_IP_HEADER_BYTES + FIXED_BYTES[answer]

    def is_confirmed(self, message: Message) -> bool:
        """Publications with QoS above 0, and what a client asks its gateway."""
        return message.qos > 0 if message.kind == "publish" else message.kind in CONFIRMED_KINDS

    def first_timeout_s(self) -> float:
        """Tretry."""
        return self.retry_s

    def next_timeout_s(self, timeout_s: float) -> float:
        """Tretry again: it does not grow."""
        return timeout_s

    def framing(self, message: Message) -> int:
        """Bytes on the wire."""
        return UDP_IP_HEADER_BYTES + packet_bytes(message)


def packet_bytes(message: Message) -> int:
    """Bytes of the MQTT-SN packet."""
    if message.kind == "publish":
        size_bytes = PUBLISH_BYTES + len(message.payload)
    elif message.kind == "connect":
        size_bytes = CONNECT_BYTES + len(read_connect(message).client_id.encode())
    elif message.kind in FIXED_BYTES:
        size_bytes = FIXED_BYTES[message.kind]
    else:
        size_bytes = SUBSCRIBE_BYTES + len(message.topic.encode())
    return size_bytes + (2 if size_bytes > LONGEST_SHORT_BYTES else 0)
