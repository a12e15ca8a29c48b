"""Opening a connection: round trips of TCP and TLS, time-outs, a fresh start."""

import csv
from pathlib import Path

import pytest

from network.carrier import Network
from network.link import Link
from network.stages.delay import Delay
from network.topology import Topology
from network.transport import Tcp
from twin.message import Message
from twin.mqtt.packets import Connect, connect_message

ONE_WAY_S = 0.11
TABLE = Path(__file__).parents[1] / "data" / "transport_reference.csv"
ROWS = {
    row["case"].split(" then ")[0]: row["closed_form_or_expected"]
    for row in csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines())
    if row["id"] == "T5"
}
CONNECT = connect_message(Connect(client_id="dev-0001"))


def pair(tls=None, forth=(), back=(), timeout_s=10.0):
    tcp = Tcp(tls=tls, connect_timeout_s=timeout_s)
    topology = Topology()
    topology.add_link(Link("up", "client", "broker", [*forth, Delay(ONE_WAY_S)], tcp=tcp))
    topology.add_link(Link("down", "broker", "client", [*back, Delay(ONE_WAY_S)], tcp=tcp))
    return Network(topology)


@pytest.mark.parametrize(
    ("tls", "case"), [(None, "TCP"), ("1.3", "TCP+TLS1.3"), ("1.2", "TCP+TLS1.2")], ids=["tcp", "1.3", "1.2"]
)
def test_a_cold_start_takes_the_round_trips_of_the_reference(timeline, tls, case):
    """T5: the first PUBLISH is at the broker after (n + 1.5) RTT, its PUBACK back after (n + 2) RTT."""
    network = pair(tls)
    replies = {
        "connect": ("broker", "client", Message("", kind="connack")),
        "connack": ("client", "broker", Message("t", b"reading", qos=1)),
        "publish": ("broker", "client", Message("", kind="puback")),
    }
    log_ms = {}

    def arrive(flight):
        kind = flight.message.kind
        log_ms[kind] = timeline.now * 1e3
        if kind in replies:
            source, to, message = replies[kind]
            timeline.send_at(timeline.now, network, source, to, message)

    timeline.arrive = arrive
    timeline.send_at(0.0, network, "client", "broker", CONNECT)
    timeline.run()
    publish_ms, puback_ms = map(float, ROWS[case].split(" / "))
    assert (log_ms["publish"], log_ms["puback"]) == (pytest.approx(publish_ms), pytest.approx(puback_ms))


def test_a_lost_syn_is_sent_again_after_a_second(timeline, fates):
    """Then after two; the data follows half a round trip after the handshake."""
    network = pair(forth=[fates("lost", "lost")])
    timeline.send_at(0.0, network, "client", "broker", CONNECT)
    timeline.run()
    assert timeline.times == [pytest.approx(3.0 + 3 * ONE_WAY_S)]


def test_a_lost_answer_to_the_syn_costs_the_same(timeline, fates):
    """The client's timer covers both trips."""
    network = pair(back=[fates("lost")])
    timeline.send_at(0.0, network, "client", "broker", CONNECT)
    timeline.run()
    assert timeline.times == [pytest.approx(1.0 + 3 * ONE_WAY_S)]


def test_a_lost_tls_flight_is_sent_again_by_its_sender(timeline, fates):
    """The server's flight is lost once: 2 round trips and 0.2 s are added."""
    network = pair("1.3", back=[fates("pass", "lost")])
    timeline.send_at(0.0, network, "client", "broker", CONNECT)
    timeline.run()
    assert timeline.times == [pytest.approx(5 * ONE_WAY_S + 0.64)]


def test_the_connection_attempt_ends_with_its_time_out(timeline):
    """A black hole: SYNs at 0, 1, 3 and 7 s, given up at 10 s."""
    network = pair()
    network.topology.partition([["client"], ["broker"]])
    timeline.send_at(0.0, network, "client", "broker", CONNECT)
    timeline.run()
    assert timeline.lost == [(10.0, "client", "connect timeout")]


def test_a_fresh_connect_abandons_the_old_connection(timeline, fates):
    """The message in retransmission is lost, the new connection does not wait for it."""
    network = pair(forth=[fates("lost")])
    timeline.send_at(0.0, network, "client", "broker", Message("old"))
    timeline.send_at(0.1, network, "client", "broker", CONNECT)
    timeline.send_at(1.0, network, "client", "broker", Message("new"))
    timeline.run()
    assert [topic for _, _, topic in timeline.arrived] == ["", "new"]
    assert timeline.lost == [(0.1, "client", "connection closed")]


def test_each_trip_of_the_handshake_costs_bytes(timeline):
    """SYN 60, ClientHello 300, Finished with certificate 944, then the CONNECT packet of 22 bytes with TLS
    record and TCP/IP headers.
    """
    network = pair("1.3")
    timeline.send_at(0.0, network, "client", "broker", CONNECT)
    timeline.run()
    assert network.topology.links["up"].byte_count == 60 + 300 + 944 + 22 + 22 + 52
