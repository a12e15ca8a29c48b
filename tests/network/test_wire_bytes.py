"""Bytes on the wire: MQTT packets as paho sends them, TLS records, TCP/IP headers."""

import csv
import re
from pathlib import Path

import pytest

from network.carrier import Network
from network.link import Link
from network.topology import Topology
from network.transport import Tcp
from twin.message import Message
from twin.mqtt.packets import Connect, connect_message

TABLE = Path(__file__).parents[1] / "data" / "mqtt_packet_bytes_measured.csv"
CASE = re.compile(r"mqtt311 qos(\d) topic=(\d+)B payload=(\d+)B")


def messages(qos, topic_bytes, payload_bytes):
    """The packets of one recorded case, by name."""
    return {
        "CONNECT": connect_message(Connect(client_id="dev-0001")),
        "CONNACK": Message("", kind="connack"),
        "SUBSCRIBE": Message("cmd/dev-0001", kind="subscribe", qos=1),
        "SUBACK": Message("", kind="suback"),
        "PUBLISH": Message("t" * topic_bytes, bytes(payload_bytes), qos=qos),
        "PUBACK": Message("", kind="puback"),
        "DISCONNECT": Message("", kind="disconnect"),
    }


def recorded():
    """Distinct MQTT 3.1.1 rows: (qos, topic, payload, packet) -> bytes."""
    found = {}
    for row in csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()):
        case = CASE.match(row["case"])
        if case and row["packet"] in messages(0, 1, 1):
            found[(*map(int, case.groups()), row["packet"])] = int(row["bytes"])
    return found


@pytest.mark.parametrize(
    ("tls", "record_bytes"), [(None, 0), ("1.2", 29), ("1.3", 22)], ids=["none", "1.2", "1.3"]
)
def test_every_recorded_packet_has_its_bytes_on_the_wire(tls, record_bytes):
    """Packet + TLS record + 52 bytes of TCP/IP for each row of the recording."""
    rows = recorded()
    assert len(rows) > 30
    for (qos, topic_bytes, payload_bytes, packet), packet_bytes in rows.items():
        message = messages(qos, topic_bytes, payload_bytes)[packet]
        assert Tcp(tls=tls).framing(message) == packet_bytes + record_bytes + 52


def test_a_reading_of_100_bytes_costs_216_bytes_up():
    """Topic of 35 bytes, QoS 1, TLS 1.3: 142 + 22 + 52; the PUBACK costs 78."""
    assert Tcp(tls="1.3").framing(Message("t" * 35, bytes(100), qos=1)) == 216
    assert Tcp(tls="1.3").framing(Message("", kind="puback")) == 78


def test_long_messages_need_more_segments_and_records():
    """20,000 bytes: two TLS records, fourteen segments."""
    assert Tcp(tls="1.3").wire_bytes(20_000) == 20_000 + 2 * 22 + 14 * 52


def test_a_datagram_is_as_long_as_its_payload(timeline):
    """Nothing is known about what is below."""
    topology = Topology()
    topology.add_link(Link("l", "a", "b"))
    timeline.send_at(0.0, Network(topology), "a", "b", Message("topic", bytes(20)))
    timeline.run()
    assert topology.links["l"].byte_count == 20
