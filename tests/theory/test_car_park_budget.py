"""The car park's path from smoke to gate relay, composed of links, against the reference budget."""

import csv
from pathlib import Path

import pytest

from network.link import Link
from network.stages.jitter import Jitter
from network.stages.loss import Loss
from network.transport import Tcp
from network.wan import round_trip
from twin.kernel.randomness import Stream, Streams

COUNT = 20_000
MESSAGE_BYTES = 20
TABLE = Path(__file__).parents[1] / "data" / "carpark_path_budget.csv"
P50_MS = {
    row["path"]: float(row["p50_ms"])
    for row in csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines())
}
STREAMS = Streams(41)
GAP_S = 100.0  # between two alarms: neither queues nor correlation reach so far


class Course:
    """A path played alarm by alarm: each leg adds to the time."""

    def __init__(self):
        self.sensor = Link.access("sensor", "s", "g", "thread", STREAMS, hops=2)
        self.gate = Link.access("gate", "g", "b", "rs485-modbus", STREAMS)
        self.processing = Stream(41, "rules", "processing")

    def cloud(self, metro):
        self.up = Link.wan("singapore", metro, STREAMS, source="g", to="c", name=f"up {metro}", access="gpon")
        self.down = Link.wan(
            metro, "singapore", STREAMS, source="c", to="g", name=f"down {metro}", access="gpon", is_down=True
        )
        self.rto_s = Tcp().rto_s(round_trip("singapore", metro).rtt_s)

    def median_ms(self, course):
        times_s = sorted(course(number * GAP_S) - number * GAP_S for number in range(COUNT))
        return 1e3 * times_s[COUNT // 2]


def lossless(link, now):
    """One crossing: delays only, as in the reference's handshakes."""
    for stage in link.stages:
        if isinstance(stage, Jitter):
            now = stage.release(now, MESSAGE_BYTES)
    return now


def cross(link, now):
    """A radio or bus hop: MAC retries hide losses, so a lost message is tried again at once."""
    while (at_s := link.release(now, MESSAGE_BYTES)) is None:
        pass
    return at_s


def cross_tcp(link, now, rto_s):
    """A crossing over TCP: k losses cost RTO (2^k - 1)."""
    sent_s = now
    while (at_s := link.release(sent_s, MESSAGE_BYTES)) is None:
        sent_s, rto_s = sent_s + rto_s, 2 * rto_s
    return at_s


def edge(course, now):
    now = cross(course.sensor, now) + course.processing.exponential(0.005)
    return cross(course.gate, now)


def warm(course, now):
    now = cross_tcp(course.up, cross(course.sensor, now), course.rto_s)
    now = cross_tcp(course.down, now + 0.005 + course.processing.exponential(0.02), course.rto_s)
    return cross(course.gate, now)


def cold(course, now, round_trips):
    now = cross(course.sensor, now)
    for _ in range(round_trips):
        now = lossless(course.down, lossless(course.up, now))
    now = lossless(course.up, now) + 0.005 + course.processing.exponential(0.02)
    return cross(course.gate, lossless(course.down, now))


def test_the_rule_at_the_edge_takes_78_ms():
    """Two Thread hops, the rule, a Modbus transaction."""
    course = Course()
    assert course.median_ms(lambda now: edge(course, now)) == pytest.approx(78, rel=0.05)


@pytest.mark.parametrize(
    ("metro", "path", "expected_ms"),
    [
        ("singapore", "cloud rule, Singapore region, warm MQTT/TLS session", 97),
        ("tokyo", "cloud rule, Tokyo, warm MQTT/TLS session", 168),
        ("ashburn", "cloud rule, US East (Ashburn), warm MQTT/TLS session", 320),
    ],
    ids=["singapore", "tokyo", "ashburn"],
)
def test_a_rule_in_the_cloud_takes_the_round_trip_more(metro, path, expected_ms):
    """A warm session: up, rule, down."""
    course = Course()
    course.cloud(metro)
    assert P50_MS[path] == expected_ms
    assert course.median_ms(lambda now: warm(course, now)) == pytest.approx(expected_ms, rel=0.05)


@pytest.mark.parametrize(("tls", "expected_ms"), [("1.3", 997), ("1.2", 1222)])
def test_a_cold_start_takes_the_handshakes_more(tls, expected_ms):
    """TCP, TLS and MQTT CONNECT, each a round trip (TLS 1.2: two), before the alarm can leave."""
    course = Course()
    course.cloud("ashburn")
    round_trips = Tcp(tls=tls).handshake_round_trips + 1
    assert course.median_ms(lambda now: cold(course, now, round_trips)) == pytest.approx(
        expected_ms, rel=0.05
    )


def test_a_wide_area_link_over_the_internet_loses_one_in_a_thousand():
    """The loss that the budget assumes."""
    course = Course()
    course.cloud("ashburn")
    assert [stage.loss_ratio for stage in course.up.stages if isinstance(stage, Loss)] == [0.001]
