"""The TCP model against closed forms T1 and T3 of the reference table."""

import csv
import math
import re
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest

from network.carrier import Network
from network.link import Link
from network.stages.delay import Delay
from network.stages.loss import Loss
from network.topology import Topology
from network.transport import Tcp
from twin.kernel.randomness import Stream
from twin.message import Message

TABLE = Path(__file__).parents[1] / "data" / "transport_reference.csv"
ROWS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))
T1 = {
    case: {row["metric"]: float(row["closed_form_or_expected"]) for row in rows}
    for case, rows in groupby((row for row in ROWS if row["id"] == "T1"), key=lambda row: row["case"])
}
T3 = {row["case"]: float(row["closed_form_or_expected"]) for row in ROWS if row["id"] == "T3"}
MOST_LOSSES = 9  # beyond, a retransmission time-out reaches 120 s
COUNT = 20_000


def figures(case):
    """One-way delay (s), RTO (s), loss of a T1 row."""
    delay_ms, rto_ms, percent = re.match(r"one-way (\d+) ms, RTO (\d+) ms, loss (\d+)%", case).groups()
    return int(delay_ms) / 1e3, int(rto_ms) / 1e3, int(percent) / 100


def pair(delay_s, rto_s, forth=(), back=()):
    tcp = Tcp(rto_margin_s=0.0, least_rto_s=rto_s)
    topology = Topology()
    topology.add_link(Link("up", "a", "b", [*forth, Delay(delay_s)], tcp=tcp))
    topology.add_link(Link("down", "b", "a", [*back, Delay(delay_s)], tcp=tcp))
    return Network(topology)


def after_losses(timeline, fates, delay_s, rto_s):
    """Delay of a lone segment after k = 0, 1, ... losses, played through the carrier."""
    fate = fates()
    network = pair(delay_s, rto_s, forth=[fate])
    delays_s = []
    for loss_count in range(MOST_LOSSES):
        fate.fates = ["lost"] * loss_count
        at_s = timeline.now
        timeline.send_at(at_s, network, "a", "b")
        timeline.run()
        delays_s.append(timeline.times[-1] - at_s)
    return delays_s


@pytest.mark.parametrize("case", T1)
def test_the_mean_delay_of_a_lone_segment_is_the_closed_form(timeline, fates, case):
    """T1: d + RTO p / (1 - 2p), summed over the number of losses."""
    delay_s, rto_s, p = figures(case)
    delays_s = after_losses(timeline, fates, delay_s, rto_s)
    mean_ms = 1e3 * math.fsum(p**k * (1 - p) * d for k, d in enumerate(delays_s))
    assert mean_ms == pytest.approx(T1[case]["mean delivery ms"], abs=2e-4)


@pytest.mark.parametrize("case", T1)
def test_the_quantiles_of_a_lone_segment_are_the_closed_form(timeline, fates, case):
    """T1: the p99 and p99.9 are those of the number of losses."""
    delay_s, rto_s, p = figures(case)
    delays_s = after_losses(timeline, fates, delay_s, rto_s)
    for q, metric in ((0.99, "p99 ms"), (0.999, "p99.9 ms")):
        k = next(k for k in range(MOST_LOSSES) if 1 - p ** (k + 1) >= q - 1e-12)
        assert delays_s[k] * 1e3 == pytest.approx(T1[case][metric], abs=1e-6)


def lone_delays_s(timeline, delay_s, rto_s, p):
    network = pair(delay_s, rto_s, forth=[Loss(p, Stream(21, "up", "loss"))])
    for number in range(COUNT):
        timeline.send_at(1000.0 * number, network, "a", "b")
    timeline.run()
    return [at_s % 1000.0 for at_s in timeline.times]


@pytest.mark.parametrize("case", T1)
def test_random_losses_give_the_mean_within_3_standard_errors(timeline, case):
    """T1 with 20,000 lone segments."""
    delay_s, rto_s, p = figures(case)
    delays_s = lone_delays_s(timeline, delay_s, rto_s, p)
    mean_s = math.fsum(delays_s) / COUNT
    excess = p / (1 - 2 * p)
    second_moment = (1 - p) * (1 / (1 - 4 * p) - 2 / (1 - 2 * p) + 1 / (1 - p))
    error_s = rto_s * math.sqrt((second_moment - excess**2) / COUNT)
    assert mean_s * 1e3 == pytest.approx(T1[case]["mean delivery ms"], abs=3e3 * error_s)


@cache
def qos_1_case():
    """The row, and its figures in seconds and shares."""
    case = next(case for case in T3 if case.startswith("QoS1"))
    rtt_ms, rto_ms, up, down = re.search(r"RTT (\d+) RTO (\d+), loss (\d+)% up (\d+)% down", case).groups()
    return T3[case], int(rtt_ms) / 1e3, int(rto_ms) / 1e3, int(up) / 100, int(down) / 100


def exchange_delays_s(timeline, network, count):
    """Time from PUBLISH to PUBACK of lone exchanges."""
    done = []

    def arrive(flight):
        if flight.message.kind == "publish":
            timeline.send_at(timeline.now, network, "b", "a", Message("", kind="puback"))
        else:
            done.append(timeline.now % 1000.0)

    timeline.arrive = arrive
    for number in range(count):
        timeline.send_at(1000.0 * number, network, "a", "b", Message("t", b"x", qos=1))
    timeline.run()
    return done


def test_a_qos_1_exchange_takes_the_closed_form(timeline):
    """T3: RTT + RTO [pf / (1 - 2 pf) + pr / (1 - 2 pr)], within 3 standard errors."""
    expected_ms, rtt_s, rto_s, up, down = qos_1_case()
    network = pair(
        rtt_s / 2,
        rto_s,
        forth=[Loss(up, Stream(22, "up", "loss"))],
        back=[Loss(down, Stream(22, "down", "loss"))],
    )
    delays_s = exchange_delays_s(timeline, network, COUNT)
    mean_s = math.fsum(delays_s) / COUNT
    error_s = math.sqrt(math.fsum((d - mean_s) ** 2 for d in delays_s)) / COUNT
    assert mean_s * 1e3 == pytest.approx(expected_ms, abs=3e3 * error_s)
    assert error_s < 0.001


def test_a_qos_1_exchange_is_two_lone_segments(timeline, fates):
    """T3, exactly: the mean recoveries of both directions add up."""
    expected_ms, rtt_s, rto_s, up, down = qos_1_case()
    delays_s = after_losses(timeline, fates, rtt_s / 2, rto_s)
    mean_s = sum(math.fsum(p**k * (1 - p) * d for k, d in enumerate(delays_s)) for p in (up, down))
    assert mean_s * 1e3 == pytest.approx(expected_ms, abs=2e-4)
    assert 2e3 * mean_s == pytest.approx(T3["QoS2 same link"], abs=2e-4)
