"""TCP between two nodes: retransmission, order, black holes, ends of connections."""

import pytest

from network.carrier import Network
from network.link import Link
from network.stages.delay import Delay
from network.tcp import late_timer_s
from network.topology import Topology
from network.transport import Tcp, rfc
from twin.kernel.flight import Flight
from twin.message import Message

ONE_WAY_S = 0.11
RTO_S = 0.42


def pair(*first_stages, tcp=None, back=()):
    tcp = tcp or Tcp()
    topology = Topology()
    topology.add_link(Link("up", "a", "b", [*first_stages, Delay(ONE_WAY_S)], tcp=tcp))
    topology.add_link(Link("down", "b", "a", [*back, Delay(ONE_WAY_S)], tcp=tcp))
    return Network(topology)


def test_the_first_time_out_is_the_round_trip_and_200_ms():
    """Linux: RTO = rtt + 0.2 s; RFC 6298: at least 1 s; a fixed one as it is given."""
    assert Tcp().rto_s(0.22) == pytest.approx(0.42)
    assert Tcp().rto_s(0.002) == pytest.approx(0.202)
    assert Tcp(rto_margin_s=0.1, least_rto_s=0.25).rto_s(0.002) == 0.25
    assert rfc().rto_s(0.22) == 1.0


@pytest.mark.parametrize("loss_count", range(5))
def test_a_segment_lost_k_times_arrives_after_k_doubling_time_outs(timeline, fates, loss_count):
    """One-way delay + RTO (2^k - 1) with a fixed time-out."""
    network = pair(fates(*["lost"] * loss_count), tcp=Tcp(rto_margin_s=0.2))
    timeline.send_at(0.0, network, "a", "b")
    timeline.run()
    assert timeline.times == [pytest.approx(ONE_WAY_S + RTO_S * (2**loss_count - 1))]
    assert timeline.lost == []


@pytest.mark.parametrize("loss_count", range(1, 6))
def test_a_probe_comes_before_the_time_outs_that_double(timeline, fates, loss_count):
    """Linux sends again after RTO (the probe), 2 RTO, 4 RTO, 8 RTO: d + RTO 2^(k-1)."""
    network = pair(fates(*["lost"] * loss_count))
    timeline.send_at(0.0, network, "a", "b")
    timeline.run()
    assert timeline.times == [pytest.approx(ONE_WAY_S + RTO_S * 2 ** (loss_count - 1))]
    assert timeline.lost == []


def test_the_next_message_tells_that_one_is_lost(timeline, fates):
    """Sent 0.1 s later: its acknowledgement is back at 0.32 s, after the window of 1.25 round trips."""
    network = pair(fates("lost"))
    timeline.send_at(0.0, network, "a", "b", Message("lost"))
    timeline.send_at(0.1, network, "a", "b", Message("next"))
    timeline.run()
    assert timeline.times == [pytest.approx(0.1 + 0.22 + ONE_WAY_S)] * 2


def test_the_reordering_window_is_a_quarter_of_a_round_trip(timeline, fates):
    """The next message follows at once: lost is known after 1.25 round trips, when the timer goes off."""
    network = pair(fates("lost"))
    timeline.send_at(0.0, network, "a", "b", Message("lost"))
    timeline.send_at(0.01, network, "a", "b", Message("next"))
    timeline.run()
    known_s = 0.01 + 0.22
    assert timeline.times == [pytest.approx(known_s + late_timer_s(1.25 * 0.22 - known_s) + ONE_WAY_S)] * 2


@pytest.mark.parametrize("tcp", [Tcp(), rfc()], ids=["linux", "rfc"])
def test_the_third_message_behind_tells_it_at_once(timeline, fates, tcp):
    """Fast retransmit: a round trip after the third of the messages that follow closely."""
    network = pair(fates("lost"), tcp=tcp)
    for number in range(4):
        timeline.send_at(0.005 * number, network, "a", "b")
    timeline.run()
    assert timeline.times == [pytest.approx(0.015 + 0.22 + ONE_WAY_S)] * 4


def test_two_messages_behind_tell_nothing_by_rfc_5681(timeline, fates):
    """The time-out of a second comes first."""
    network = pair(fates("lost"), tcp=rfc())
    for number in range(3):
        timeline.send_at(0.005 * number, network, "a", "b")
    timeline.run()
    assert timeline.times == [pytest.approx(1.0 + ONE_WAY_S)] * 3


def test_a_probe_sends_the_last_again_and_tells_of_the_first(timeline, fates):
    """Two lost: the probe is the second, and its acknowledgement, a round trip later, tells of the first."""
    network = pair(fates("lost", "lost"))
    timeline.send_at(0.0, network, "a", "b")
    timeline.send_at(0.001, network, "a", "b")
    timeline.run()
    assert timeline.times == [pytest.approx(RTO_S + 0.22 + ONE_WAY_S)] * 2


def test_an_acknowledgement_starts_the_timer_anew(timeline, fates):
    """Of what was sent 0.1 s before the loss: it is there at 0.22 s, and the probe a time-out later."""
    network = pair(fates("passed", "lost"))
    timeline.send_at(0.0, network, "a", "b")
    timeline.send_at(0.1, network, "a", "b")
    timeline.run()
    assert timeline.times == [pytest.approx(ONE_WAY_S), pytest.approx(0.22 + RTO_S + ONE_WAY_S)]


def test_what_finds_the_window_full_shares_a_segment(timeline):
    """Twelve at once: ten go, two wait for the first acknowledgements and leave as one segment."""
    network = pair()
    for _ in range(12):
        timeline.send_at(0.0, network, "a", "b")
    timeline.run()
    assert timeline.times == [pytest.approx(ONE_WAY_S)] * 10 + [pytest.approx(3 * ONE_WAY_S)] * 2
    assert network.topology.links["up"].message_count == 11


def test_losses_narrow_the_window_of_small_messages(timeline, fates):
    """Four losses, each repaired before the next: ten halves to two, and of four at once two have to wait."""
    network = pair(fates(*["lost", "passed", "passed"] * 4))
    for number in range(4):
        timeline.send_at(2.0 * number, network, "a", "b")
        timeline.send_at(2.0 * number + 0.05, network, "a", "b")
    for _ in range(4):
        timeline.send_at(8.0, network, "a", "b", Message("late"))
    timeline.run()
    late = [at_s - 8.0 for at_s, _, topic in timeline.arrived if topic == "late"]
    assert late == [pytest.approx(ONE_WAY_S)] * 2 + [pytest.approx(3 * ONE_WAY_S)] * 2


@pytest.mark.parametrize(("count", "srtt_s"), [(2, 0.22 + 0.04 / 8 * 7 / 8), (40, 0.22)])
def test_who_answers_acknowledges_late_until_it_has_waited_in_vain(timeline, count, srtt_s):
    """Linux waits 40 ms for something to send it with, and not again before it has answered again."""
    network = pair()
    timeline.send_at(0.0, network, "a", "b")
    timeline.send_at(ONE_WAY_S + 0.01, network, "b", "a")
    for number in range(count):
        timeline.send_at(1.0 + number, network, "a", "b")
    timeline.run()
    clock = network._connections._flows["a", "b"].clock
    assert clock.srtt_s == pytest.approx(srtt_s, rel=0.001)


def test_later_messages_wait_for_a_lost_one(timeline, fates):
    """Head-of-line blocking: three messages, the first lost once; all are handed over when it comes."""
    network = pair(fates("lost"), tcp=Tcp(rto_margin_s=0.2))
    for number in range(3):
        timeline.send_at(0.1 * number, network, "a", "b", Message(str(number)))
    timeline.run()
    at_s = pytest.approx(RTO_S + ONE_WAY_S)
    assert timeline.arrived == [(at_s, "b", "0"), (at_s, "b", "1"), (at_s, "b", "2")]


def test_messages_that_wait_for_an_earlier_one_are_counted(timeline, fates):
    """The kernel asks for them when it adds up the messages of a run."""
    network = pair(fates("lost"))
    for number in range(3):
        timeline.send_at(0.1 * number, network, "a", "b")
    timeline.run(until_s=0.4)
    assert network.held_count == 2


def test_the_two_directions_do_not_wait_for_each_other(timeline, fates):
    """Order holds in each direction of a connection."""
    network = pair(fates("lost"))
    timeline.send_at(0.0, network, "a", "b", Message("forth"))
    timeline.send_at(0.0, network, "b", "a", Message("back"))
    timeline.run()
    assert [topic for _, _, topic in timeline.arrived] == ["back", "forth"]


def test_a_partition_heals_with_the_lag_of_tcp(timeline):
    """Cut 10 s to 70 s, sent at 20 s: the attempt at 20 + 0.42 x 2^7 = 73.76 s is the first to pass."""
    network = pair()
    cuts = []
    timeline.call_at(10.0, lambda _: cuts.append(network.topology.partition([["a"], ["b"]])))
    timeline.call_at(70.0, lambda _: cuts[0].heal())
    timeline.send_at(20.0, network, "a", "b")
    timeline.run()
    assert timeline.times == [pytest.approx(20 + RTO_S * 128 + ONE_WAY_S)]


def test_a_connection_gives_up_after_924_6_s(timeline):
    """Linux tcp_retries2 = 15; what waited behind the first message goes with it."""
    network = pair()
    network.topology.partition([["a"], ["b"]])
    timeline.send_at(5.0, network, "a", "b")
    timeline.send_at(6.0, network, "a", "b")
    timeline.run()
    assert [(where, cause) for _, where, cause in timeline.lost] == [("a", "connection timed out")] * 2
    assert timeline.lost[0][0] == pytest.approx(929.6)


def test_data_waits_while_the_link_is_down(timeline):
    """No route is no loss for TCP: attempts go on, and the first after the repair passes."""
    network = pair()
    up = network.topology.links["up"]
    network.topology.set_up([up], is_up=False)
    timeline.call_at(1.0, lambda _: network.topology.set_up([up], is_up=True))
    timeline.send_at(0.0, network, "a", "b")
    timeline.run()
    assert timeline.times == [pytest.approx(4 * RTO_S + ONE_WAY_S)]


def test_a_disconnect_abandons_what_is_in_retransmission(timeline, fates):
    """The lost message and the one that arrived behind it are lost; the disconnect itself passes."""
    network = pair(fates("lost"))
    timeline.send_at(0.0, network, "a", "b", Message("lost"))
    timeline.send_at(0.1, network, "a", "b", Message("behind"))
    timeline.send_at(0.3, network, "a", "b", Message("", kind="disconnect"))
    timeline.run()
    assert [(at_s, topic) for at_s, _, topic in timeline.arrived] == [(pytest.approx(0.41), "")]
    assert [(at_s, where, cause) for at_s, where, cause in timeline.lost] == [
        (0.3, "a", "connection closed"),
        (0.3, "b", "connection closed"),
    ]


def test_a_receiver_that_closes_at_the_first_of_several_gets_no_more(timeline, fates):
    """Those that waited behind it are lost, once."""
    network = pair(fates("lost"))
    arrive = timeline.arrive

    def close_at_once(flight):
        arrive(flight)
        if flight.message.topic == "0":
            network.carry(Flight("b", "a", Message("", kind="disconnect"), timeline.now, 0), timeline)

    timeline.arrive = close_at_once
    for number in range(3):
        timeline.send_at(0.1 * number, network, "a", "b", Message(str(number)))
    timeline.run()
    assert [topic for _, to, topic in timeline.arrived if to == "b"] == ["0"]
    assert [cause for _, _, cause in timeline.lost] == ["connection closed"] * 2


def test_what_is_on_the_wire_when_the_connection_closes_arrives(timeline):
    """Closing abandons retransmissions, not what flies."""
    network = pair()
    timeline.send_at(0.0, network, "a", "b", Message("data"))
    timeline.send_at(0.05, network, "a", "b", Message("", kind="disconnect"))
    timeline.run()
    assert [topic for _, _, topic in timeline.arrived] == ["data", ""]
    assert timeline.lost == []


def test_what_is_lost_after_the_connection_closed_is_not_sent_again(timeline, fates):
    """There is nobody left to send it."""
    topology = Topology()
    topology.add_link(Link("first", "a", "m", [Delay(0.1)], tcp=Tcp()))
    topology.add_link(Link("second", "m", "b", [fates("lost")]))
    network = Network(topology)
    timeline.send_at(0.0, network, "a", "b", Message("data"))
    timeline.send_at(0.05, network, "a", "b", Message("", kind="disconnect"))
    timeline.run()
    assert [topic for _, _, topic in timeline.arrived] == [""]
    assert [cause for _, _, cause in timeline.lost] == ["connection closed"]


def test_a_full_send_buffer_refuses(timeline):
    """4 MiB wait for a black hole at most."""
    network = pair()
    network.topology.partition([["a"], ["b"]])
    for _ in range(5):
        timeline.send_at(0.0, network, "a", "b", Message("t", bytes(1_000_000)))
    timeline.run(until_s=1.0)
    assert [cause for _, _, cause in timeline.lost] == ["send buffer full"]


def test_the_time_out_follows_a_change_of_route(timeline, fates):
    """Another delay, another expected round trip, another RTO."""
    network = pair(fates("pass", "lost"))
    timeline.send_at(0.0, network, "a", "b")

    def slow(_now):
        network.topology.links["down"].stages = (Delay(0.31),)
        network.topology.refresh()

    timeline.call_at(1.0, slow)
    timeline.send_at(2.0, network, "a", "b")
    timeline.run()
    assert timeline.times[1] == pytest.approx(2.0 + (0.2 + 0.42) + ONE_WAY_S)
