import csv
import pathlib

import pytest

from twin.errors import InputError
from twin.message import Message, Properties
from twin.mqtt.codec import Credentials, encode
from twin.mqtt.packets import (
    Connack,
    Connect,
    Will,
    connack_message,
    connect_message,
    idle_bytes_per_day,
    packet_bytes,
    read_connack,
    read_connect,
    spoken,
)

MEASURED = pathlib.Path(__file__).parents[1] / "data" / "mqtt_packet_bytes_measured.csv"
CLIENT, FILTER = "dev-0001", "cmd/dev-0001"


def recorded_rows():
    """The recorded packets of MQTT 3.1.1 and 5."""
    with MEASURED.open(newline="") as lines:
        return list(csv.DictReader(lines))


def figure(case, name, default):
    """The number of bytes that a case gives under a name ("payload=20B")."""
    for word in case.split():
        if word.startswith(f"{name}="):
            return int(word.removeprefix(f"{name}=").removesuffix("B"))
    return default


def packet_of(case, kind):
    """The message that the recorded packet carried."""
    version = "5" if case.startswith("mqtt5") else "3.1.1"
    said = spoken(version)
    qos = next((level for level in (0, 1, 2) if f"qos{level}" in case), 1)
    if kind == "publish":
        payload_bytes = 20 if " will " in case else figure(case, "payload", 20)
        topic_bytes = 3 if " will " in case else figure(case, "topic", 3)
        return Message("t" * topic_bytes, b"x" * payload_bytes, qos=qos, packet_id=1, properties=said)
    if kind == "subscribe":
        return Message(FILTER, kind="subscribe", qos=1, packet_id=1, properties=said)
    if kind == "connect":
        will = Will("w" * 11, b"x" * 7) if " will " in case else None
        user_bytes, password_bytes = figure(case, "username", 0), figure(case, "password", 0)
        expiry_s = figure(case, "session_expiry", 0)
        return connect_message(
            Connect(CLIENT, 60, True, will, user_bytes, password_bytes, version, session_expiry_s=expiry_s)
        )
    return Message("", kind=kind, packet_id=1, properties=said)


@pytest.mark.parametrize("row", recorded_rows(), ids=lambda row: f"{row['case']} {row['packet']}")
def test_packets_are_as_long_as_recorded(row):
    """Each packet recorded between a client and a broker has the computed length, and is written so."""
    packet = packet_of(row["case"], row["packet"].lower())
    login = figure(row["case"], "username", 0), figure(row["case"], "password", 0)
    credentials = Credentials("u" * login[0], b"p" * login[1])
    assert packet_bytes(packet) == int(row["bytes"])
    assert len(encode(packet, credentials)) == int(row["bytes"])


def test_the_whole_recording_is_held():
    """153 packets: 80 of MQTT 3.1.1 and 73 of MQTT 5."""
    versions = [row["case"].split()[0] for row in recorded_rows()]
    assert (versions.count("mqtt311"), versions.count("mqtt5")) == (80, 73)


def test_a_topic_alias_saves_33_bytes_of_a_reading():
    """Topic of 35 bytes, 100 of payload, QoS 1: 143 bytes, 146 with a new alias, 110 with a known one."""
    sizes = [
        packet_bytes(Message("t" * 35, b"x" * 100, qos=1, properties=properties))
        for properties in (Properties(), Properties(topic_alias=1), Properties(0, None, 1, True))
    ]
    assert sizes == [143, 146, 143 - 33]


@pytest.mark.parametrize(
    ("keep_alive_s", "record_bytes", "expected_bytes"),
    [(60.0, 22, 293_760), (60.0, 29, 313_920), (60.0, 0, 230_400), (1200.0, 22, 14_688), (0.0, 22, 0)],
)
def test_an_idle_connection_costs_its_pings(keep_alive_s, record_bytes, expected_bytes):
    """204 bytes each minute over TLS 1.3 are 294 kB a day; keep-alive off costs nothing."""
    assert idle_bytes_per_day(keep_alive_s, record_bytes) == pytest.approx(expected_bytes, rel=1e-12)


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


@pytest.mark.parametrize("kind", ["publish", "subscribe", "unsubscribe"])
def test_a_topic_has_at_most_65_535_bytes(kind):
    """Its length field has two bytes; letters count by their bytes."""
    assert packet_bytes(Message("t" * 65_535, kind=kind)) > 65_535
    for topic in ("t" * 65_536, "é" * 32_768):
        with pytest.raises(InputError, match="at most 65,535 bytes"):
            packet_bytes(Message(topic, kind=kind))


def test_a_will_has_a_topic_of_at_most_65_535_bytes():
    """As every topic."""
    with pytest.raises(InputError, match="at most 65,535 bytes"):
        packet_bytes(connect_message(Connect(CLIENT, will=Will("w" * 65_536))))


def test_a_packet_has_a_remaining_length_of_at_most_268_435_455_bytes():
    """Four bytes of seven bits each: a topic of one byte leaves room for 268,435,452 of payload."""
    most = bytes(268_435_452)
    assert packet_bytes(Message("t", most)) == 268_435_460
    with pytest.raises(InputError, match="at most 268,435,455 bytes"):
        packet_bytes(Message("tt", most))
