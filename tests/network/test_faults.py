"""Network faults: what they do between their begin and their end."""

import pytest

from network.carrier import HOLD_LIMIT, Network
from network.faults import fault, groups
from network.link import Link
from network.stages.delay import Delay
from network.stages.rate import Rate
from network.topology import Topology
from network.transport import Tcp
from twin.errors import InputError
from twin.kernel.randomness import Streams
from twin.message import Message

STREAMS = Streams(5)


def pair(*stages, tcp=None):
    topology = Topology()
    topology.add_link(Link("up", "a", "b", stages or [Delay(0.1)], tcp=tcp))
    topology.add_link(Link("down", "b", "a", [Delay(0.1)], tcp=tcp))
    return Network(topology)


def london_link():
    """Mumbai to London, as it was before May 2026."""
    topology = Topology()
    topology.add_link(
        Link.wan(
            "mumbai",
            "london",
            Streams(1),
            source="a",
            to="b",
            name="sea",
            round_trip_s=0.114,
            is_public=False,
        )
    )
    return Network(topology)


def play(timeline, network, times_s, begin_s, end_s, verb, **options):
    """Send at the times, with the fault in force from begin to end."""
    failing = fault(verb, network, STREAMS, **options)
    timeline.call_at(begin_s, failing.begin)
    timeline.call_at(end_s, failing.end)
    for at_s in times_s:
        timeline.send_at(at_s, network, "a", "b", Message(str(at_s)))
    timeline.run()


def test_a_partition_begins_and_heals(timeline):
    """Messages at 5 s pass, at 15 s are lost, at 25 s pass."""
    play(timeline, pair(), [5, 15, 25], 10, 20, "partition", between=["a", "b"])
    assert timeline.times == [5.1, 25.1]
    assert timeline.lost == [(15, "up", "partition")]


def test_a_link_down_is_noticed_by_both_ends(timeline):
    """And loses datagrams for want of a route."""
    network = pair()
    log = []
    network.on_link_changed(lambda node, peer, is_up: log.append((timeline.now, node, peer, is_up)))
    play(timeline, network, [15], 10, 20, "down", between=["a", "b"])
    assert log == [(10, "a", "b", False), (10, "b", "a", False), (20, "a", "b", True), (20, "b", "a", True)]
    assert timeline.lost == [(15, "a", "no route")]


def test_a_message_under_way_meets_a_link_that_went_down(timeline):
    """Its path was chosen before."""
    topology = Topology()
    topology.add_link(Link("first", "a", "m", [Delay(1.0)]))
    topology.add_link(Link("second", "m", "b", [Delay(1.0)]))
    play(timeline, Network(topology), [0], 0.5, 9, "down", link="second")
    assert timeline.lost == [(1.0, "second", "link down")]


def test_a_hold_keeps_messages_and_releases_them_in_order(timeline):
    """Held at 12 s and 13 s, they leave at 20 s."""
    play(timeline, pair(), [12, 13, 25], 10, 20, "hold", link="up")
    assert timeline.arrived == [(20.1, "b", "12"), (20.1, "b", "13"), (25.1, "b", "25")]


def test_a_hold_keeps_what_runs_over_tcp_too(timeline):
    """The attempt is kept, not lost."""
    play(timeline, pair(tcp=Tcp()), [12, 13], 10, 20, "hold", link="up")
    assert timeline.arrived == [(20.1, "b", "12"), (20.1, "b", "13")]


def test_held_messages_are_counted_and_bounded(timeline):
    """The message over the limit is lost with its cause."""
    network = pair()
    fault("hold", network, STREAMS, link="up").begin(0.0)
    for _ in range(HOLD_LIMIT + 1):
        timeline.send_at(0.0, network, "a", "b")
    timeline.run()
    assert network.held_count == HOLD_LIMIT
    assert timeline.lost == [(0.0, "up", "hold queue full")]


def test_a_recorded_detour_plays_in_mid_run(timeline):
    """Mumbai-London 114 -> 170 ms and back: the median delay is half the round trip in force."""
    network = london_link()
    times_s = [float(t) for t in range(300)]
    play(timeline, network, times_s, 100, 200, "route_change", link="sea", event="mumbai-london-2026-05")
    delays_s = {int(float(topic)): at_s - float(topic) for at_s, _, topic in timeline.arrived}
    for begin, half_s in ((0, 0.057), (100, 0.085), (200, 0.057)):
        window = sorted(delays_s[t] for t in range(begin, begin + 100) if t in delays_s)
        assert window[len(window) // 2] == pytest.approx(half_s, rel=0.01)
        assert window[0] >= 0.985 * half_s


@pytest.mark.parametrize(
    ("figure", "rtt_s"), [({"round_trip_s": 0.2}, 0.2), ({"ratio": 1.5}, 0.171)], ids=str
)
def test_a_route_changes_to_a_round_trip_or_by_a_ratio(figure, rtt_s):
    """And returns to the figure it had, provenance included."""
    network = london_link()
    wide_area = network.topology.links["sea"].wide_area
    before = wide_area.figure
    change = fault("route_change", network, STREAMS, link="sea", **figure)
    change.begin(0.0)
    assert wide_area.figure.rtt_s == pytest.approx(rtt_s)
    change.end(1.0)
    assert wide_area.figure == before
    assert wide_area.jitter.law.p50_s == before.rtt_s / 2


def test_a_surge_multiplies_and_adds_to_the_delay_but_not_the_transmission(timeline):
    """1 s of transmission, 0.1 s x 3 + 0.5 s of delay."""
    network = pair(Rate(800), Delay(0.1))
    failing = fault("surge", network, STREAMS, link="up", factor=3.0, add_s=0.5)
    failing.begin(0.0)
    timeline.send_at(0.0, network, "a", "b", Message("t", bytes(100)))
    timeline.run()
    assert timeline.times == [pytest.approx(1.8)]
    failing.end(9.0)
    timeline.send_at(9.0, network, "a", "b", Message("t", bytes(100)))
    timeline.run()
    assert timeline.times[1] == pytest.approx(10.1)


def test_surges_that_overlap_end_in_any_order():
    """The stages are the old ones again."""
    network = pair()
    stages = network.topology.links["up"].stages
    first, second = (fault("surge", network, STREAMS, link="up", factor=factor) for factor in (2.0, 3.0))
    first.begin(0.0)
    second.begin(1.0)
    assert network.topology.links["up"].release(2.0, 1) == pytest.approx(2.6)
    first.end(3.0)
    assert network.topology.links["up"].release(4.0, 1) == pytest.approx(4.3)
    second.end(5.0)
    assert network.topology.links["up"].stages == stages


def test_a_burst_loses_a_share_while_it_lasts(timeline):
    """Everything, here."""
    play(timeline, pair(), [5, 15, 25], 10, 20, "burst", link="up", loss_ratio=1.0)
    assert timeline.times == [5.1, 25.1]
    assert timeline.lost == [(15, "up", "loss")]


def test_groups_come_from_names_halves_or_one_against_all():
    """The three ways to aim a partition."""
    topology = pair().topology
    assert groups(topology, between=["a", "b"]) == (("a",), ("b",))
    assert groups(topology, isolate="b") == (("b",), ("a",))
    assert groups(topology, is_halves=True) == (("a",), ("b",))


@pytest.mark.parametrize(
    ("verb", "options", "text"),
    [
        ("partitoin", {}, "did you mean 'partition'"),
        ("partition", {}, "two sites or nodes"),
        ("down", {"link": "upp"}, "did you mean 'up'"),
        ("down", {"between": ["a", "nowhere"]}, "neither a site nor a node"),
        ("down", {"between": ["a", "a"]}, "no link joins"),
        ("hold", {}, "a link, or two sites"),
        ("surge", {"link": "up", "factor": 0.5}, "longer"),
        ("surge", {"link": "up", "speed": 2}, "unexpected keyword"),
        ("route_change", {"link": "up", "ratio": 2.0}, "wide area link"),
        ("route_change", {"link": "up"}, "one of"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(verb, options, text):
    """Before the run begins, with what was expected."""
    with pytest.raises(InputError, match=text):
        fault(verb, pair(), STREAMS, **options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"event": "osaka-tokyo-2023-04"}, "is about osaka-tokyo"),
        ({"event": "osaka-tokyo-2023"}, "did you mean 'osaka-tokyo-2023-04'"),
        ({"round_trip_s": 0.01}, "impossible"),
    ],
)
def test_a_route_that_cannot_be_is_refused(options, text):
    """Another pair's event, an unknown event, a round trip faster than light in glass."""
    with pytest.raises(InputError, match=text):
        fault("route_change", london_link(), STREAMS, link="sea", **options)
