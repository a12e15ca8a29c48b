"""CoAP and MQTT-SN as transports of a link: retries, copies, order, giving up, bytes."""

import csv
import math
import re
from pathlib import Path

import pytest

from network import coap
from network.carrier import Network
from network.coap import Coap
from network.link import Link
from network.mqtt_sn import MqttSn
from network.stages.delay import Delay
from network.stages.loss import Loss
from network.topology import Topology
from twin.kernel.randomness import Stream
from twin.message import Message
from twin.mqtt.packets import Connect, connect_message

ONE_WAY_S = 0.05
TABLE = Path(__file__).parents[1] / "data" / "transport_reference.csv"
ROWS = {
    (row["case"], row["metric"]): float(row["closed_form_or_expected"])
    for row in csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines())
    if row["id"] == "T6" and "exchange" in row["case"]
}
CASES = sorted({case for case, _ in ROWS})
COUNT = 20_000


class Middle:
    """Draws the middle of what is asked for."""

    def uniform(self, low=0.0, high=1.0):
        return (low + high) / 2


class Noted:
    """Notes when the first of each thousand seconds passes, in seconds from their start."""

    def __init__(self):
        self.first_s = {}

    def release(self, now, size_bytes):
        del size_bytes
        self.first_s.setdefault(now // 1000, now % 1000)
        return now


def pair(rules=None, forth=(), back=(), delay_s=ONE_WAY_S):
    rules = rules or Coap(Middle())
    topology = Topology()
    topology.add_link(Link("up", "a", "b", [*forth, Delay(delay_s)], tcp=rules))
    topology.add_link(Link("down", "b", "a", [*back, Delay(delay_s)], tcp=rules))
    return Network(topology)


def figures(case):
    """Round trip (s) and loss each way of a T6 row."""
    rtt_ms, percent = re.search(r"RTT (\d+), loss (\d+)%", case).groups()
    return int(rtt_ms) / 1e3, int(percent) / 100


@pytest.mark.parametrize("loss_count", range(5))
def test_a_message_lost_k_times_arrives_after_k_doubling_time_outs(timeline, fates, loss_count):
    """2.5 s (2^k - 1), the middle of 2 to 3 s."""
    network = pair(forth=[fates(*["lost"] * loss_count)])
    timeline.send_at(0.0, network, "a", "b")
    timeline.run()
    assert timeline.times == [pytest.approx(2.5 * (2**loss_count - 1) + ONE_WAY_S)]
    assert network.held_count == 0


def test_a_message_is_given_up_after_four_retransmissions(timeline, fates):
    """77.5 s after it was sent: 2.5 s (2^5 - 1)."""
    network = pair(forth=[fates(*["lost"] * 5)])
    timeline.send_at(0.0, network, "a", "b")
    timeline.run()
    assert timeline.lost == [(pytest.approx(77.5), "a", "no acknowledgement")]
    assert network.held_count == 0


def test_a_lost_acknowledgement_brings_a_copy_that_is_dropped(timeline, fates):
    """The message arrives once; it and its acknowledgement cross the link twice."""
    network = pair(back=[fates("lost")])
    timeline.send_at(0.0, network, "a", "b")
    timeline.run()
    assert timeline.times == [pytest.approx(ONE_WAY_S)]
    assert [network.topology.links[name].message_count for name in ("up", "down")] == [2, 2]
    assert timeline.lost == []


def test_the_next_message_waits_for_the_acknowledgement(timeline):
    """NSTART is 1: one exchange at a time."""
    network = pair()
    timeline.send_at(0.0, network, "a", "b", Message("first"))
    timeline.send_at(0.0, network, "a", "b", Message("second"))
    timeline.run(until_s=0.01)
    assert network.held_count == 2
    timeline.run()
    assert timeline.times == [pytest.approx(ONE_WAY_S), pytest.approx(3 * ONE_WAY_S)]


def test_a_full_send_queue_refuses(timeline):
    """A thousand wait, one is under way."""
    network = pair()
    for _ in range(1002):
        timeline.send_at(0.0, network, "a", "b")
    timeline.run()
    assert [cause for _, _, cause in timeline.lost] == ["send queue full"]
    assert len(timeline.arrived) == 1001


@pytest.mark.parametrize("case", CASES)
def test_the_mean_of_an_exchange_is_the_closed_form(case):
    """T6: RTT + 2500 sum((2^k - 1) q^k (1 - q)) / (1 - q^5)."""
    rtt_s, p = figures(case)
    assert 1e3 * coap.exchange_s(rtt_s, p, p) == pytest.approx(ROWS[case, "mean ms given success"], abs=1e-4)
    assert coap.give_up(p, p) == pytest.approx(ROWS[case, "give-up probability"], abs=5e-5)


@pytest.mark.parametrize("case", CASES)
def test_random_exchanges_agree_with_the_closed_form(timeline, case):
    """T6 with 20,000 exchanges on the carrier, within 3 standard errors."""
    rtt_s, p = figures(case)
    noted = Noted()
    up, down = (Loss(p, Stream(31, name, "loss")) for name in ("up", "down"))
    network = pair(Coap(Stream(31, "a>b", "time-out")), forth=[up], back=[down], delay_s=rtt_s / 2)
    network.topology.links["down"].stages = (down, Delay(rtt_s / 2), noted)
    for number in range(COUNT):
        timeline.send_at(1000.0 * number, network, "a", "b")
    timeline.run()
    done_s = list(noted.first_s.values())
    mean_s = math.fsum(done_s) / len(done_s)
    deviation_s = math.sqrt(math.fsum((each - mean_s) ** 2 for each in done_s) / len(done_s))
    expected_ms = ROWS[case, "mean ms given success"]
    assert 1e3 * mean_s == pytest.approx(expected_ms, abs=3e3 * deviation_s / math.sqrt(len(done_s)))
    failed_ratio = coap.give_up(p, p)
    error_ratio = math.sqrt(failed_ratio * (1 - failed_ratio) / COUNT)
    assert 1 - len(done_s) / COUNT == pytest.approx(failed_ratio, abs=3 * error_ratio + 1 / COUNT)


@pytest.mark.parametrize(("loss_count", "at_s"), [(0, 0.05), (1, 10.05), (3, 30.05)])
def test_mqtt_sn_tries_again_every_ten_seconds(timeline, fates, loss_count, at_s):
    """Tretry does not grow; after Nretry = 3 retries it is given up."""
    network = pair(MqttSn(), forth=[fates(*["lost"] * loss_count)])
    timeline.send_at(0.0, network, "a", "b", Message("m", b"x", qos=1))
    timeline.run()
    assert timeline.times == [pytest.approx(at_s)]


def test_mqtt_sn_gives_up(timeline, fates):
    """After four transmissions, ten seconds each."""
    network = pair(MqttSn(), forth=[fates(*["lost"] * 4)])
    timeline.send_at(0.0, network, "a", "b", Message("m", b"x", qos=1))
    timeline.run()
    assert timeline.lost == [(40.0, "a", "no acknowledgement")]


def test_mqtt_sn_sends_qos_0_once(timeline, fates):
    """What is lost is lost."""
    network = pair(MqttSn(), forth=[fates("lost", "pass")])
    for _ in range(2):
        timeline.send_at(0.0, network, "a", "b", Message("m", b"x"))
    timeline.run()
    assert (timeline.lost, timeline.times) == ([(0.0, "up", "loss")], [ONE_WAY_S])


def test_the_timers_of_rfc_7252_are_derived_as_it_does():
    """Span 45 s, wait 93 s, round trip 202 s, exchange lifetime 247 s, non lifetime 145 s."""
    assert (coap.MAX_TRANSMIT_SPAN_S, coap.MAX_TRANSMIT_WAIT_S, coap.MAX_RTT_S) == (45, 93, 202)
    assert (coap.EXCHANGE_LIFETIME_S, coap.NON_LIFETIME_S) == (247, 145)


def test_the_first_time_out_of_coap_lies_between_two_and_three_seconds():
    """ACK_TIMEOUT x [1, 1.5)."""
    rules = Coap(Stream(1, "a", "time-out"))
    drawn = [rules.first_timeout_s() for _ in range(1000)]
    assert 2 <= min(drawn) < 2.02
    assert 2.98 < max(drawn) < 3


def test_bytes_of_coap_and_mqtt_sn():
    """UDP/IPv4 28; CoAP 4 + token 4 + a byte before each part of the path + marker; MQTT-SN PUBLISH 7."""
    message = Message("smoke/s-1/telemetry", bytes(20), qos=1)
    assert Coap(Middle()).framing(message) == 28 + 4 + 4 + (6 + 4 + 10) + 1 + 20
    assert MqttSn().framing(message) == 28 + 7 + 20
    assert MqttSn().framing(connect_message(Connect(client_id="dev-0001"))) == 28 + 6 + 8
    assert MqttSn().framing(Message("m", bytes(300))) == 28 + 7 + 300 + 2


@pytest.mark.parametrize(
    ("kind", "size_bytes"),
    [("connack", 3), ("suback", 8), ("puback", 7), ("pubrec", 4), ("pubrel", 4), ("pubcomp", 4),
     ("unsuback", 4), ("pingreq", 2), ("pingresp", 2), ("disconnect", 2)],
)  # fmt: skip
def test_packets_of_mqtt_sn_have_the_sizes_of_the_standard(kind, size_bytes):
    """MQTT-SN 1.2, section 5.4."""
    assert MqttSn().framing(Message("", kind=kind)) == 28 + size_bytes


@pytest.mark.parametrize(
    ("kind", "qos", "size_bytes"),
    [("publish", 1, 7), ("publish", 2, 4), ("connect", 0, 3), ("subscribe", 1, 8), ("unsubscribe", 0, 4)],
)
def test_an_acknowledgement_of_mqtt_sn_is_as_long_as_what_it_acknowledges_asks_for(
    timeline, kind, qos, size_bytes
):
    """PUBACK, PUBREC, CONNACK, SUBACK, UNSUBACK: seen on the link back."""
    network = pair(MqttSn())
    message = connect_message(Connect("c")) if kind == "connect" else Message("m", kind=kind, qos=qos)
    timeline.send_at(0.0, network, "a", "b", message)
    timeline.run()
    assert network.topology.links["down"].byte_count == 28 + size_bytes
