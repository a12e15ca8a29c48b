"""Closed forms of transport against the rows of the reference tables, and the carrier against the forms."""

import csv
import math
import re
from pathlib import Path

import pytest

from network import tcp
from network.carrier import Network
from network.dns import RETRY_S
from network.http import cold_start_s, request_s
from network.link import Link
from network.mqtt_sn import MOST_RETRIES
from network.mqtt_sn import RETRY_S as SN_RETRY_S
from network.quic import Quic
from network.stages.delay import Delay
from network.stages.loss import Loss
from network.tls import handshake
from network.topology import Topology
from network.transport import GIVE_UP_S, MOST_RTO_S, SYN_RTO_S, TLS_OVERHEAD_BYTES, Tcp, rfc
from twin.kernel.randomness import Stream
from twin.message import Message
from twin.mqtt.packets import Connect, connect_message

DATA = Path(__file__).parents[1] / "data"
CONNECT = connect_message(Connect(client_id="dev-0001"))
COUNT = 20_000


def table(name):
    return list(csv.DictReader((DATA / name).read_text(encoding="utf-8").splitlines()))


def rows(number):
    return {
        row["case"]: row["closed_form_or_expected"]
        for row in table("transport_reference.csv")
        if row["id"] == number
    }


TIMERS = {(row["protocol"], row["parameter"]): row["value"] for row in table("protocol_timers.csv")}
TLS = table("tls_handshake_measured.csv")


def pair(rules, delay_s, forth=(), back=()):
    topology = Topology()
    topology.add_link(Link("up", "a", "b", [*forth, Delay(delay_s)], tcp=rules))
    topology.add_link(Link("down", "b", "a", [*back, Delay(delay_s)], tcp=rules))
    return Network(topology)


def within_3_errors(values, expected):
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return abs(mean - expected) <= 3 * deviation / math.sqrt(len(values))


# T2: so many retransmissions at most -----------------------------------------------------------------------


def test_few_retransmissions_shorten_the_mean_of_those_that_get_through():
    """Truncated geometric: 420 ms, 20 %, five at most; then p^6 are given up."""
    weights = [0.2**k for k in range(6)]
    expected_s = 0.42 * sum((2**k - 1) * w for k, w in enumerate(weights)) / sum(weights)
    assert tcp.limited_recovery_s(0.42, 0.2, 5) == pytest.approx(expected_s)
    assert tcp.limited_recovery_s(0.42, 0.2, 60) == pytest.approx(tcp.mean_recovery_s(0.42, 0.2))
    assert tcp.give_up_ratio(0.2, 5) == pytest.approx(6.4e-5)


# T4: connecting --------------------------------------------------------------------------------------------


def test_connecting_takes_the_closed_form(timeline):
    """RTT + RTO0 P / (1 - 2P), P = 1 - (1-pf)(1-pr): RTT 220 ms, 1 % and 2 %, within 3 standard errors."""
    up, down = (Loss(p, Stream(41, name, "loss")) for name, p in (("up", 0.01), ("down", 0.02)))
    network = pair(Tcp(connect_timeout_s=900.0), 0.11, [up], [down])
    opened_s = []
    timeline.arrive = lambda flight: opened_s.append(flight.path.first_s % 1000.0)
    for number in range(COUNT):
        timeline.send_at(1000.0 * number, network, "a", "b", CONNECT)
    timeline.run()
    expected_s = tcp.connect_s(0.22, 0.01, 0.02)
    assert expected_s == pytest.approx(0.22 + 0.0298 / (1 - 2 * 0.0298))
    assert len(opened_s) == COUNT
    assert within_3_errors(opened_s, expected_s)


def test_syns_may_wait_equally_long_before_they_double(timeline, fates):
    """Linux since 6.5: SYNs at 0, 1, 2, 3, 4, 5 and 7 s."""
    network = pair(Tcp(connect_timeout_s=60.0, syn_linear_count=4), 0.1, [fates(*["lost"] * 6)])
    timeline.send_at(0.0, network, "a", "b", CONNECT)
    timeline.run()
    assert timeline.times == [pytest.approx(7.0 + 0.3)]


def test_a_connect_ends_after_127_s_where_nothing_limits_it(timeline):
    """tcp(7): six retries, 1 + 2 + 4 + ... + 64 s."""
    assert TIMERS["TCP", "SYN retries Linux"].endswith("= 127 s")
    network = pair(Tcp(connect_timeout_s=127.0), 0.1)
    network.topology.partition([["a"], ["b"]])
    sent_s = []
    retry = network._connections._retry_leg
    network._connections._retry_leg = lambda flight, segment: (
        sent_s.append(timeline.now),
        retry(flight, segment),
    )
    timeline.send_at(0.0, network, "a", "b", CONNECT)
    timeline.run()
    assert sent_s == [0, 1, 3, 7, 15, 31, 63]
    assert timeline.lost == [(127.0, "a", "connect timeout")]


# T5: cold starts -------------------------------------------------------------------------------------------

COLD = {
    "TCP": Tcp(),
    "TCP+TLS1.3": Tcp(tls="1.3"),
    "TCP+TLS1.2": Tcp(tls="1.2"),
    "TCP+TLS1.3 resumed": Tcp(tls="1.3", is_resumed=True),
    "TCP+TLS1.2 resumed": Tcp(tls="1.2", is_resumed=True),
    "QUIC 1-RTT": Quic(),
    "QUIC 0-RTT": Quic(is_early=True),
}
T5 = {case.split(" then ")[0]: expected for case, expected in rows("T5").items()}


def cold_start_ms(timeline, network):
    """When the first PUBLISH is at the broker and its PUBACK back, CONNECT and CONNACK before them."""
    log_ms = {}
    replies = {
        "connect": ("b", "a", Message("", kind="connack")),
        "connack": ("a", "b", Message("t", b"reading", qos=1)),
        "publish": ("b", "a", Message("", kind="puback")),
    }

    def arrive(flight):
        kind = flight.message.kind
        log_ms[kind] = timeline.now * 1e3
        if kind in replies:
            source, to, message = replies[kind]
            timeline.send_at(timeline.now, network, source, to, message)

    timeline.arrive = arrive
    timeline.send_at(0.0, network, "a", "b", CONNECT)
    timeline.run()
    return log_ms["publish"], log_ms["puback"]


@pytest.mark.parametrize("case", T5)
def test_a_cold_start_takes_the_round_trips_of_the_reference(timeline, case):
    """T5: (n + 1.5) RTT and (n + 2) RTT for n round trips of handshake; RTT 220 ms."""
    expected_ms = tuple(map(pytest.approx, map(float, T5[case].split(" / "))))
    assert cold_start_ms(timeline, pair(COLD[case], 0.11)) == expected_ms


@pytest.mark.parametrize("case", [case for case in T5 if case.startswith("TCP")])
def test_the_closed_form_of_a_cold_start_is_that_of_the_reference(case):
    """T5 without an event queue."""
    expected = [pytest.approx(float(ms) / 1e3) for ms in T5[case].split(" / ")]
    assert list(cold_start_s(0.22, COLD[case])) == expected


def test_an_unknown_name_costs_a_round_trip(timeline):
    """One more than the row of TLS 1.3: 990 and 1100 ms."""
    network = pair(Tcp(tls="1.3", is_name_unknown=True), 0.11)
    assert cold_start_ms(timeline, network) == (pytest.approx(990), pytest.approx(1100))
    both = (pytest.approx(0.99), pytest.approx(1.1))
    assert cold_start_s(0.22, Tcp(tls="1.3"), is_name_cached=False) == both
    assert cold_start_s(0.22, Tcp(tls="1.3", is_name_unknown=True)) == both


def test_a_name_is_looked_up_once_however_it_is_said():
    """A cache that lacks the name and a connection that does not know it are one lookup."""
    assert cold_start_s(0.22, Tcp(tls="1.3", is_name_unknown=True), is_name_cached=False) == (
        pytest.approx(0.99),
        pytest.approx(1.1),
    )


def test_a_lost_lookup_is_asked_again_after_five_seconds(timeline, fates):
    """resolv.conf(5); then a round trip for it, one for TCP, half for the CONNECT."""
    network = pair(Tcp(is_name_unknown=True), 0.1, [fates("lost")])
    timeline.send_at(0.0, network, "a", "b", CONNECT)
    timeline.run()
    assert timeline.times == [pytest.approx(RETRY_S + 0.2 + 0.2 + 0.1)]


def test_an_http_request_takes_a_round_trip_and_two_or_more_on_a_new_connection():
    """1 RTT + server time; TCP 1, TLS 1 or 2, DNS 1 more."""
    assert request_s(0.1, 0.02) == pytest.approx(0.12)
    assert request_s(0.1, 0.02, new=Tcp()) == pytest.approx(0.22)
    assert request_s(0.1, 0.02, new=Tcp(tls="1.3")) == pytest.approx(0.32)
    assert request_s(0.1, 0.02, new=Tcp(tls="1.2")) == pytest.approx(0.42)
    assert request_s(0.1, 0.02, new=Tcp(tls="1.3", is_name_unknown=True)) == pytest.approx(0.42)


# T7: head of line ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate_per_s", "recovery_s"), [(1, 0.42), (10, 0.42), (50, 0.42), (50, 0.22), (200, 0.22)]
)
def test_order_delays_messages_by_the_closed_form(timeline, rate_per_s, recovery_s):
    """T7: R - (1-p)(1 - exp(-lambda p R)) / (lambda p), the share 1 - (1-p) exp(-lambda p R); 1 % loss."""
    p, delay_s = 0.01, 0.11
    network = pair(
        Tcp(rto_margin_s=0.0, least_rto_s=recovery_s), delay_s, [Loss(p, Stream(43, "up", "loss"))]
    )
    gaps = Stream(44, "a", "arrivals")
    extra_s = []
    timeline.arrive = lambda flight: extra_s.append(timeline.now - flight.sent_s - delay_s)
    at_s = 0.0
    for _ in range(COUNT * 2):
        at_s += gaps.exponential(1 / rate_per_s)
        timeline.send_at(at_s, network, "a", "b")
    timeline.run()
    batches = [
        extra_s[start::1][: len(extra_s) // 40] for start in range(0, len(extra_s), len(extra_s) // 40)
    ]
    means_s = [math.fsum(batch) / len(batch) for batch in batches]
    late = [sum(each > 1e-9 for each in batch) / len(batch) for batch in batches]
    assert within_3_errors(means_s, tcp.blocking_s(rate_per_s, recovery_s, p))
    assert within_3_errors(late, tcp.blocked_ratio(rate_per_s, recovery_s, p))


def test_the_light_form_is_the_exact_one_while_losses_do_not_overlap():
    """It is p R (1 + lambda R / 2), here within 1 %."""
    exact_s, light_s = tcp.blocking_s(1, 0.42, 0.01), tcp.light_blocking_s(1, 0.42, 0.01)
    assert light_s == pytest.approx(exact_s, rel=0.01)


# T8: long transfers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", rows("T8"))
def test_the_bound_of_a_long_transfer_is_that_of_mathis(case):
    """MSS / RTT sqrt(3/2) / sqrt(p)."""
    rtt_ms, loss = re.search(r"RTT (\d+) ms, loss ([\d.]+)", case).groups()
    bound_bps = tcp.mathis_bps(1460, int(rtt_ms) / 1e3, float(loss))
    assert bound_bps / 1e6 == pytest.approx(float(rows("T8")[case]), abs=5e-5)


def test_a_long_message_is_not_faster_than_the_bound(timeline):
    """4 MB in one message over 220 ms with 1 % loss; without loss it is slow start alone."""
    for loss_ratio, expected_s in ((0.01, None), (0.0, 8 * 0.22 + 0.11)):
        network = pair(Tcp(), 0.11, [Loss(loss_ratio, Stream(45, "up", "loss"))])
        began_s = timeline.now
        timeline.send_at(began_s, network, "a", "b", Message("t", bytes(4_000_000)))
        timeline.run()
        taken_s = timeline.times[-1] - began_s
        if expected_s is None:
            assert 4_000_000 * 8 / taken_s <= 1.01 * tcp.mathis_bps(1448, 0.22, loss_ratio)
        else:
            assert taken_s == pytest.approx(expected_s)


@pytest.mark.parametrize(
    ("segments", "rounds"), [(1, 0), (10, 0), (11, 1), (30, 1), (31, 2), (70, 2), (71, 3)]
)
def test_the_window_doubles_each_round_trip(segments, rounds):
    """Ten at first (RFC 6928)."""
    assert tcp.slow_start_rounds(segments) == rounds


# T9: estimators --------------------------------------------------------------------------------------------


def test_the_estimator_of_rfc_6298_gives_the_figures_of_the_reference():
    """T9: SRTT, RTTVAR and RTO before the floor, fed 220, 230, 210, 400, 220, 221 ms."""
    (case, expected), *_ = rows("T9").items()
    clock = tcp.RoundTrip()
    seen = []
    for sample_ms in map(int, re.search(r"RTTs ([\d,]+)", case).group(1).split(",")):
        (clock.sample if seen else clock.begin)(sample_ms / 1e3)
        figures = (clock.srtt_s, clock.variation_s, clock.unclamped_rto_s)
        seen.append(tuple(round(1e3 * figure, digits) for figure, digits in zip(figures, (3, 3, 2))))
    numbers = re.findall(r"[\d.]+", expected)
    assert seen == [
        pytest.approx(tuple(map(float, numbers[at : at + 3])), abs=6e-3) for at in range(0, 18, 3)
    ]
    assert clock.rto_s == 1.0


def test_linux_starts_at_three_round_trips_and_falls_to_one_and_200_ms():
    """The floor is on the variation; it falls by a quarter of what is too much each round trip."""
    clock = tcp.LinuxRoundTrip()
    clock.begin(0.25)
    assert clock.rto_s == pytest.approx(0.75)
    for _ in range(60):
        clock.sample(0.25)
    assert clock.rto_s == pytest.approx(0.45)
    clock.begin(0.04)
    assert clock.rto_s == pytest.approx(0.24)


def test_linux_reacts_to_a_rise_more_than_to_a_fall():
    """tcp_rtt_estimator: a fall moves the variation by an eighth of what a rise does."""
    rising, falling = tcp.LinuxRoundTrip(), tcp.LinuxRoundTrip()
    rising.settle(0.5)
    falling.settle(0.5)
    rising.sample(0.9)
    falling.sample(0.1)
    assert rising.variation_s == pytest.approx(0.4)
    assert falling.variation_s == pytest.approx(0.2)


def test_quic_waits_for_its_variation_and_the_delay_of_an_acknowledgement():
    """RFC 9002, 6.2.1: 0.22 + max(4 x 0.11, 0.001) + 0.025 s at first; 0.246 s when steady."""
    clock = Quic().clock()
    clock.begin(0.22)
    assert clock.rto_s == pytest.approx(0.22 + 0.44 + 0.025)
    assert Quic().rto_s(0.22) == pytest.approx(0.246)


# Q14: at least once ----------------------------------------------------------------------------------------


def test_at_least_once_costs_transmissions_and_copies():
    """1 / ((1-pf)(1-pr)) and 1/(1-pr) - 1 at 20 %: 1.5625 and 0.25."""
    assert tcp.transmissions(0.2, 0.2) == pytest.approx(1.5625)
    assert tcp.extra_copies(0.2) == pytest.approx(0.25)


# TLS ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row", TLS, ids=lambda row: "-".join((row["tls"], row["key"], row["auth"], row["mode"]))
)
def test_every_recorded_handshake_has_its_flights_and_bytes(timeline, row):
    """Round trips, bytes of both sides, bytes a record adds; and the bytes a connection puts on the links."""
    version = row["tls"].removeprefix("TLS")
    options = {
        "is_mutual": row["auth"] == "mutual",
        "is_resumed": row["mode"] == "resumed",
        "key": row["key"],
    }
    found = handshake(version, row["key"], is_mutual=options["is_mutual"], is_resumed=options["is_resumed"])
    assert found.round_trips == int(row["rtts_before_client_app_data"])
    assert sum(found.flights_bytes[::2]) == int(row["client_bytes"])
    assert sum(found.flights_bytes[1::2]) == int(row["server_bytes"])
    assert TLS_OVERHEAD_BYTES[version] == found.record_bytes == int(row["record_overhead_bytes_on_100B"])
    rules = Tcp(tls=version, **options)
    assert rules.handshake_round_trips == 1 + found.round_trips
    network = pair(rules, 0.01)
    timeline.send_at(0.0, network, "a", "b", CONNECT)
    timeline.send_at(1.0, network, "b", "a", Message("", kind="connack"))
    timeline.run()
    links = network.topology.links
    for name, flights, message in (
        ("up", found.flights_bytes[::2], CONNECT),
        ("down", found.flights_bytes[1::2], Message("", kind="connack")),
    ):
        wire_bytes = links[name].byte_count - 60 - rules.framing(message)
        headers = sum(52 * math.ceil(flight / 1448) for flight in flights)
        assert wire_bytes == sum(flights) + headers


# protocol_timers.csv ---------------------------------------------------------------------------------------


def test_the_timers_of_tcp_are_those_of_the_table():
    """RFC 6298, RFC 8985, Linux."""
    assert TIMERS["TCP", "alpha / beta / K"] == "1/8, 1/4, 4"
    assert TIMERS["TCP", "initial RTO"].startswith(f"{SYN_RTO_S:g} s")
    assert (
        TIMERS["TCP", "minimum RTO"] == f"{tcp.RFC_FLOOR_S:g} s (RFC), {1e3 * tcp.LINUX_FLOOR_S:g} ms (Linux)"
    )
    assert f"Linux {MOST_RTO_S:g} s" in TIMERS["TCP", "backoff"]
    assert f"{tcp.DUPLICATES} duplicate acks" in TIMERS["TCP", "fast retransmit"]
    assert f"about {GIVE_UP_S:g} s" in TIMERS["TCP", "established data retries Linux tcp_retries2=15"]
    assert (Tcp().rto_s(0.001), rfc().rto_s(0.001)) == (pytest.approx(0.201), 1.0)


@pytest.mark.parametrize(("srtt_s", "is_alone", "expected_s"), [(0.05, False, 0.1), (0.05, True, 0.3)])
def test_the_probe_comes_after_two_round_trips(srtt_s, is_alone, expected_s):
    """RFC 8985: 2 SRTT, 200 ms more for a lone segment, never after the time-out."""
    assert tcp.probe_s(srtt_s, 1.0, is_alone=is_alone) == pytest.approx(expected_s)
    assert tcp.probe_s(srtt_s, 0.25, is_alone=True) == 0.25


def test_the_round_trips_of_tls_are_those_of_the_table():
    """1 / 2 full, 1 / 1 resumed."""
    assert TIMERS["TLS 1.3 / 1.2", "round trips before data"].startswith("1 / 2 full; 1 / 1 resumed")
    trips = [
        handshake(version, is_resumed=resumed).round_trips
        for resumed in (False, True)
        for version in ("1.3", "1.2")
    ]
    assert trips == [1, 2, 1, 1]


def test_the_retries_of_mqtt_sn_are_those_of_the_table():
    """Tretry 10 to 15 s, Nretry 3 to 5: the lower ends."""
    assert TIMERS["MQTT-SN 1.2", "Tretry / Nretry"] == f"{SN_RETRY_S:g}-15 s / {MOST_RETRIES}-5"
