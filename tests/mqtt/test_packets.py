import csv
import pathlib

import pytest

from twin.errors import InputError
from twin.message import Message
from twin.mqtt.packets import (
    Connack,
    Connect,
    Will,
    connack_message,
    connect_message,
    packet_bytes,
    read_connack,
    read_connect,
)

MEASURED = pathlib.Path(__file__).parents[1] / "data" / "mqtt_packet_bytes_measured.csv"
CLIENT, FILTER = "dev-0001", "cmd/dev-0001"


def recorded_rows():
    """The recorded MQTT 3.1.1 packets."""
    with MEASURED.open(newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["case"].startswith("mqtt311")]


def figure(case, name, default):
    """The number of bytes that a case gives under a name ("payload=20B")."""
    for word in case.split():
        if word.startswith(f"{name}="):
            return int(word.removeprefix(f"{name}=").removesuffix("B"))
    return default


def packet_of(case, kind):
    """The message that the recorded packet carried."""
    qos = next((level for level in (0, 1, 2) if f"qos{level}" in case), 1)
    if kind == "publish":
        payload_bytes = 20 if " will " in case else figure(case, "payload", 20)
        topic_bytes = 3 if " will " in case else figure(case, "topic", 3)
        return Message("t" * topic_bytes, b"x" * payload_bytes, qos=qos)
    if kind == "subscribe":
        return Message(FILTER, kind="subscribe", qos=1)
    if kind == "connect":
        will = Will("w" * 11, b"x" * 7) if " will " in case else None
        user_bytes, password_bytes = figure(case, "username", 0), figure(case, "password", 0)
        return connect_message(Connect(CLIENT, 60, True, will, user_bytes, password_bytes))
    return Message("", kind=kind)


@pytest.mark.parametrize("row", recorded_rows(), ids=lambda row: f"{row['case']} {row['packet']}")
def test_packets_are_as_long_as_recorded(row):
    """Each packet recorded between a client and a broker has the computed length."""
    assert packet_bytes(packet_of(row["case"], row["packet"].lower())) == int(row["bytes"])


@pytest.mark.parametrize(
    ("payload_bytes", "expected_bytes"),
    [(125, 2 + 127), (126, 3 + 128), (16_381, 3 + 16_383), (16_382, 4 + 16_384), (2_097_150, 5 + 2_097_152)],
)
def test_the_remaining_length_takes_one_to_four_bytes(payload_bytes, expected_bytes):
    """A topic name of no character and its length field take 2 bytes; the steps are those of table 2.4."""
    assert packet_bytes(Message("", b"x" * payload_bytes)) == expected_bytes


@pytest.mark.parametrize(("kind", "expected_bytes"), [("pingreq", 2), ("pingresp", 2), ("unsuback", 4)])
def test_packets_without_a_payload_have_a_fixed_size(kind, expected_bytes):
    """Keep-alive and acknowledgement packets have one length."""
    assert packet_bytes(Message("", kind=kind)) == expected_bytes


def test_text_counts_in_utf8_bytes():
    """A topic is counted in UTF-8, not in characters."""
    assert packet_bytes(Message("é")) == packet_bytes(Message("ee"))


def test_connect_and_connack_come_back_as_sent():
    """What a CONNECT and a CONNACK say survives the message."""
    connect = Connect("gateway", 30, False, Will("bye", b"\xff", 1, True))
    assert read_connect(connect_message(connect)) == connect
    assert read_connack(connack_message(Connack(0, True))) == Connack(0, True)


def test_an_unknown_packet_is_refused():
    """A kind that names no packet has no size."""
    with pytest.raises(InputError, match="telegram"):
        packet_bytes(Message("", kind="telegram"))
