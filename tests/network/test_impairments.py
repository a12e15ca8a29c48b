"""What faults do to links, and that they end without a trace."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from network.aims import SHAPES, severs
from network.carrier import Network
from network.faults import LAYERS, Nested, fault
from network.link import Link
from network.netem import parse
from network.stages.delay import Delay
from network.stages.gilbert_elliott import GilbertElliott
from network.stages.jitter import Jitter
from network.stages.loss import Loss
from network.stages.rate import Rate
from network.topology import Topology
from network.transport import Tcp
from network.wan import one_way_law
from twin.errors import InputError
from twin.kernel.randomness import Streams
from twin.message import Message
from twin.mqtt.packets import Connect, connect_message

FIGURES = {
    "surge": {"factor": 2.0, "add_s": 0.1, "deviation_s": 0.01},
    "burst": {"loss_ratio": 0.5},
    "duplicate": {"share": 0.5},
    "corrupt": {"share": 0.5},
    "reorder": {"share": 0.3, "delay_s": 0.2},
    "rate": {"rate_bps": 1e4},
    "netem": {"netem": parse("delay 100ms 20ms loss 5% 25% duplicate 10%")},
    "handover": {},
    "fade": {"bad_s": 1.0, "good_s": 2.0},
    "data_cap": {"limit_bytes": 300.0},
    "duty_cycle": {"share": 0.01, "rate_bps": 1e4},
    "congestion": {"load": 0.8},
    "limit_data": {"limit_bytes": 300.0},
    "down": {},
    "hold": {},
    "partition": {},
    "conn_stall": {},
}


def one_way(*stages, tcp=None):
    topology = Topology()
    topology.add_link(Link("up", "a", "b", stages or [Delay(0.1)], tcp=tcp))
    topology.add_link(Link("down", "b", "a", [Delay(0.1)], tcp=tcp))
    return Network(topology)


def lively(seed):
    """Links with random stages, so that a stray draw would show."""
    streams = Streams(seed)
    return one_way(
        Rate(1e5), Loss(0.05, streams.stream("up", "loss")),
        Jitter(one_way_law(0.1), streams.stream("up", "jitter")),
    )  # fmt: skip


def made(verb, network, streams):
    aim = {"between": ["a", "b"]} if verb == "partition" else {"link": "up"}
    return fault(verb, network, streams, **aim, **FIGURES[verb])


def play(timeline, network, times_s, verb, *, begin_s=10.0, end_s=20.0, size_bytes=10, **figures):
    failing = fault(verb, network, Streams(2), link="up", **figures)
    timeline.call_at(begin_s, failing.begin)
    timeline.call_at(end_s, failing.end)
    for at_s in times_s:
        timeline.send_at(at_s, network, "a", "b", Message(str(at_s), bytes(size_bytes)))
    timeline.run()


def test_every_layer_is_tried_here():
    """A new fault needs its figures above."""
    assert set(LAYERS) <= set(FIGURES)


@given(
    script=st.lists(st.tuples(st.sampled_from(sorted(FIGURES)), st.integers(0, 50)), min_size=1, max_size=6),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_faults_end_to_the_bit_in_any_nesting(new_timeline, script, order):
    """Begun and ended in any order, they leave stages, counters, and what is delivered as without them."""
    deliveries = []
    for is_failing in (True, False):
        timeline, network = new_timeline(), lively(7)
        before = {name: link.stages for name, link in network.topology.links.items()}
        failing = [made(verb, network, Streams(1)) for verb, _ in script] if is_failing else []
        for each in failing:
            each.begin(0.0)
        for each in order.sample(failing, len(failing)):
            each.end(0.0)
        assert {name: link.stages for name, link in network.topology.links.items()} == before
        for link in network.topology.links.values():
            assert (link.is_up, link.down_count, link.cut_count, link.hold_count) == (True, 0, 0, 0)
        for number in range(100):
            timeline.send_at(1.0 + number / 50, network, "a", "b", Message(str(number), bytes(50)))
        timeline.run()
        deliveries.append((timeline.arrived, timeline.lost))

    assert deliveries[0] == deliveries[1]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_detours_that_overlap_end_in_any_order(order):
    """The later one is in force; then the other; then the figure of the table, with its source."""
    topology = Topology()
    topology.add_link(Link.wan("singapore", "ashburn", Streams(1), source="a", to="b", name="up"))
    network, sea = Network(topology), topology.links["up"].wide_area
    table = sea.figure
    detours = [fault("route_change", network, Streams(1), link="up", round_trip_s=s) for s in (0.3, 0.4)]
    for detour in detours:
        detour.begin(0.0)
    assert sea.figure.rtt_s == 0.4
    detours[order[0]].end(1.0)
    assert sea.figure.rtt_s == (0.4, 0.3)[order[0]]
    detours[order[1]].end(2.0)

    assert sea.figure is table
    assert sea.jitter.law.p50_s == table.rtt_s / 2


def test_an_added_loss_does_not_shift_the_link_s_own_draws(new_timeline):
    """What comes through with the fault comes at the same times as without it."""
    arrived = []
    for is_failing in (True, False):
        timeline, network = new_timeline(), lively(3)
        if is_failing:
            made("burst", network, Streams(1)).begin(0.0)
        for number in range(200):
            timeline.send_at(float(number), network, "a", "b", Message(str(number)))
        timeline.run()
        arrived.append(set(timeline.arrived))

    assert 50 < len(arrived[0]) < 150
    assert arrived[0] < arrived[1]


def test_a_fault_that_begins_twice_ends_with_its_last_end():
    """As when it repeats before it has ended."""
    network = one_way()
    failing = Nested(made("burst", network, Streams(1)))
    lengths = []
    for change in (failing.begin, failing.begin, failing.end, failing.end):
        change(0.0)
        lengths.append(len(network.topology.links["up"].stages))

    assert lengths == [2, 2, 2, 1]


def test_copies_come_too_and_are_counted(timeline):
    """Each message of the fault twice; conservation counts the copies."""
    network = one_way()
    play(timeline, network, [5, 15, 25], "duplicate", share=1.0)

    assert [topic for _, _, topic in timeline.arrived] == ["5", "15", "15", "25"]
    assert network.copied_count == 1


def test_tcp_drops_copies_and_carries_their_bytes(timeline):
    """One arrival, twice the bytes on the link."""
    plain, doubled = one_way(tcp=Tcp()), one_way(tcp=Tcp())
    play(timeline, plain, [15], "duplicate", share=0.0)
    once = plain.topology.links["up"].byte_count
    play(timeline, doubled, [35], "duplicate", begin_s=30, end_s=40, share=1.0)

    assert len(timeline.arrived) == 2
    assert doubled.topology.links["up"].byte_count == 2 * once


def test_a_corrupt_message_is_lost_for_that_cause(timeline):
    """The checksum finds it."""
    play(timeline, one_way(), [15], "corrupt", share=1.0)

    assert timeline.lost == [(15, "up", "corrupt")]


def test_an_early_message_overtakes(timeline):
    """Every second one is spared the delay of 5 s."""
    play(timeline, one_way(), [11, 12, 13, 14], "reorder", share=1.0, delay_s=5.0, gap=2)

    assert [topic for _, _, topic in timeline.arrived] == ["12", "14", "11", "13"]


def test_a_bottleneck_serialises(timeline):
    """100 bytes at 800 bit/s take a second each."""
    play(timeline, one_way(), [11, 11], "rate", size_bytes=100, rate_bps=800.0)

    assert timeline.times == [pytest.approx(12.1), pytest.approx(13.1)]


def test_a_used_up_contract_carries_nothing_more(timeline):
    """25 bytes: two messages of ten, and after the fault all again."""
    play(timeline, one_way(), [11, 12, 13, 14, 25], "data_cap", limit_bytes=25)

    assert [topic for _, _, topic in timeline.arrived] == ["11", "12", "25"]
    assert {cause for _, _, cause in timeline.lost} == {"data cap"}


def test_a_duty_cycle_refuses_during_the_silence(timeline):
    """10 bytes at 80 bit/s are 1 s on the air; at 25 % the next may start 4 s after the last."""
    play(timeline, one_way(), [11, 13, 15, 18, 19], "duty_cycle", share=0.25, rate_bps=80.0)

    assert [topic for _, _, topic in timeline.arrived] == ["11", "15", "19"]
    assert {cause for _, _, cause in timeline.lost} == {"duty cycle"}


def test_during_a_handover_everything_is_lost(timeline):
    """And nothing before or after."""
    play(timeline, one_way(), [9.9, 10.05, 10.2], "handover", begin_s=10, end_s=10.1)

    assert timeline.lost == [(10.05, "up", "handover")]


def test_fades_take_their_share_of_the_time(timeline):
    """2 s bad, 8 s good: 20 % of messages a second apart, within four standard errors."""
    play(timeline, one_way(), [float(t) for t in range(20_000)], "fade", begin_s=0.0, end_s=2e4)

    error = math.sqrt(0.2 * 0.8 / 20_000 * 3)
    assert len(timeline.lost) / 20_000 == pytest.approx(0.2, abs=4 * error)


def test_background_load_waits_as_a_queue_of_its_utilisation(timeline):
    """M/D/1 at 50 %: mean wait rho/(2 (1 - rho)) services of 12 ms = 6 ms, for messages of no bytes."""
    times_s = [10.0 + number * 0.7 for number in range(6_000)]
    play(timeline, one_way(Rate(1e6), Delay(0.0)), times_s, "congestion", size_bytes=0, end_s=1e5, load=0.5)

    waits_s = [at_s - float(topic) for at_s, _, topic in timeline.arrived]
    assert sum(waits_s) / len(waits_s) == pytest.approx(0.006, rel=0.08)


def test_a_reset_is_noticed_by_both_ends_and_loses_what_was_under_way(timeline):
    """A message in retransmission is given up; the peers learn it at once."""
    network = one_way(Loss(1.0, Streams(1).stream("up", "loss")), tcp=Tcp())
    log = []
    network.on_link_changed(lambda node, peer, is_up: log.append((timeline.now, node, peer, is_up)))
    play(timeline, network, [9.9], "conn_reset")

    assert log == [(10, "a", "b", False), (10, "b", "a", False)]
    assert [cause for _, _, cause in timeline.lost] == ["connection reset"]


@pytest.mark.parametrize(("reconnects", "second"), [(False, [(14.0, "b", "a", False)]), (True, [])])
def test_a_slow_close_is_learnt_late_and_not_at_all_by_a_new_connection(timeline, reconnects, second):
    """4 s later, unless the client has opened another one."""
    network = one_way(tcp=Tcp())
    log = []
    network.on_link_changed(lambda node, peer, is_up: log.append((timeline.now, node, peer, is_up)))
    if reconnects:
        timeline.send_at(11.0, network, "a", "b", connect_message(Connect(client_id="a")))
    play(timeline, network, [9.0], "slow_close", late_s=4.0)

    assert log == [(10, "a", "b", False), *second]


def test_a_stalled_connection_keeps_silent_and_is_closed_in_the_end(timeline):
    """Nothing arrives from 10 s on; at 20 s both ends learn that it is over."""
    network = one_way(tcp=Tcp())
    log = []
    network.on_link_changed(lambda node, _peer, is_up: log.append((timeline.now, node, is_up)))
    play(timeline, network, [9.0, 12.0], "conn_stall")

    assert log == [(20, "a", False), (20, "b", False)]
    assert timeline.times[:1] == [pytest.approx(9.1)]
    assert len(timeline.arrived) + len(timeline.lost) == 2


@pytest.mark.parametrize("count", range(4, 12))
def test_in_a_ring_of_majorities_every_node_sees_one_and_no_two_the_same(count):
    """As Jepsen defines it."""
    nodes = [f"n{number:02d}" for number in range(count)]
    is_severed = severs("majorities_ring", nodes)
    seen = [frozenset(b for b in nodes if not is_severed(a, b)) for a in nodes]

    assert all(len(group) > count / 2 for group in seen)
    assert len(set(seen)) == count


def test_a_bridge_sees_both_halves_which_do_not_see_each_other():
    """Five nodes: two, the bridge, two."""
    is_severed = severs("bridge", "abcde")

    assert {a + b for a in "abcde" for b in "abcde" if a < b and is_severed(a, b)} == {"ad", "ae", "bd", "be"}


@pytest.mark.parametrize(("count", "alone"), [(4, 1), (6, 1), (7, 2), (9, 2), (10, 3)])
def test_a_minority_third_is_smaller_than_a_third_of_the_nodes(count, alone):
    """At least one, the last by name."""
    nodes = [f"n{number:02d}" for number in range(count)]
    is_severed = severs("minority_third", nodes)

    assert [node for node in nodes if is_severed(nodes[0], node)] == nodes[-alone:]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_below_four_nodes_nobody_is_fewer_than_a_third(count):
    """One of three is a third."""
    with pytest.raises(InputError, match="wants 4 nodes or more"):
        severs("minority_third", [f"n{number}" for number in range(count)])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_needs_enough_nodes_and_is_symmetric(shape):
    """And leaves strangers alone."""
    with pytest.raises(InputError, match="nodes or more"):
        severs(shape, "a")
    is_severed = severs(shape, "abcdefg")
    assert all(is_severed(a, b) == is_severed(b, a) for a in "abcdefg" for b in "abcdefg")
    assert not is_severed("a", "stranger")


@pytest.mark.parametrize(
    ("verb", "figures", "text"),
    [
        ("corrupt", {"share": 1.5}, "from 0 to 100 %"),
        ("duplicate", {"share": -0.1}, "from 0 to 100 %"),
        ("corrupt", {"share": 0.5, "correlation": 1.0}, "below 100 %"),
        ("duty_cycle", {"share": 0.0}, "above 0 %"),
        ("duty_cycle", {"share": 0.1}, "give 'rate'"),
        ("congestion", {"load": 0.5}, "give 'rate'"),
        ("fade", {"bad_s": 0.0}, "above zero"),
        ("surge", {"add_s": 0.1, "deviation_s": 0.1, "distribution": "normla"}, "did you mean 'normal'"),
        ("rate", {"rate_bps": 0.0}, "above zero"),
    ],
)
def test_a_figure_that_cannot_be_is_refused_before_the_run(verb, figures, text):
    """With what was expected."""
    with pytest.raises(InputError, match=text):
        fault(verb, one_way(), Streams(1), link="up", **figures)


@pytest.mark.parametrize(
    "stage",
    [
        Jitter(one_way_law(0.1), Streams(1).stream("x", "jitter")),
        GilbertElliott(0.1, 0.3, Streams(1).stream("x", "burst")),
    ],
)
def test_stages_with_a_memory_stand_it_when_an_earlier_fault_ends(stage):
    """Then messages reach them that overtake what the fault delayed."""
    for now in (0.0, 30.0, 1.0, 1.5, 40.0):
        released_s = stage.release(now, 10)
        assert released_s is None or released_s >= now
