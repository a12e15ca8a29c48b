"""What travels between nodes."""

from __future__ import annotations

import msgspec


class Properties(msgspec.Struct, frozen=True, gc=False):
    """What MQTT 5 adds to a packet: its reason code, subscription options, and properties that act.

    A packet without it speaks MQTT 3.1.1. None and 0 mean absent; times are whole seconds, as on the wire.
    With `is_topic_omitted` the alias stands for the topic on the wire, though the message still names it.
    """

    reason_code: int = 0
    message_expiry_s: int | None = None
    topic_alias: int = 0
    is_topic_omitted: bool = False
    session_expiry_s: int | None = None
    is_no_local: bool = False
    is_retain_as_published: bool = False
    retain_handling: int = 0


class Message(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
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
    properties: Properties | None = None
