"""What travels between nodes."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, gc=False):
    """One application message or MQTT control packet, equal by content.

    `kind` is "publish" for application data and the lower-case name of the MQTT control packet
    otherwise ("connect", "puback", ...). `personal_bytes` counts the payload bytes that hold personal
    fields; the device type sets it and only masking changes it.
    """

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    kind: str = "publish"
    packet_id: int = 0
    dup: bool = False
    personal_bytes: int = 0
