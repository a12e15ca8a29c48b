"""Acknowledgements go with data or alone, are lost, and are said again."""

from __future__ import annotations

from math import inf

import pytest

from network.acknowledgements import Acknowledgements
from network.carrier import Network
from network.link import Link
from network.stages import Delay
from network.topology import Topology
from network.transport import Tcp
from twin.message import Message

ONE_WAY_S, ANSWER_S = 0.1, 5e-4
WINDOW = 10  # messages that a new connection may have underway


class Expected:
    """A stage that is expected to take longer, or less long, than it takes."""

    def __init__(self, mean_s, takes_s):
        self.mean_s, self.takes_s = mean_s, takes_s

    def release(self, now, _size_bytes):
        return now + self.takes_s


def pair(*back):
    tcp = Tcp()
    topology = Topology()
    topology.add_link(Link("up", "a", "b", [Delay(ONE_WAY_S)], tcp=tcp))
    topology.add_link(Link("down", "b", "a", [*back, Delay(ONE_WAY_S)], tcp=tcp))
    return Network(topology)


def waited_until_s(timeline, network):
    """When a message leaves that found the window full; b answers each soon after it came."""
    timeline.send_at(0.0, network, "a", "b")
    timeline.send_at(ONE_WAY_S + ANSWER_S, network, "b", "a")
    for number in range(WINDOW):
        timeline.send_at(1.0 + number / 1e3, network, "a", "b")
        timeline.send_at(1.0 + number / 1e3 + ONE_WAY_S + ANSWER_S, network, "b", "a")
    timeline.send_at(1.05, network, "a", "b", Message("waiting"))
    timeline.run()
    return next(at_s for at_s, _, topic in timeline.arrived if topic == "waiting") - ONE_WAY_S


@pytest.mark.parametrize(("mean_s", "takes_s"), [(0.0, 0.0), (0.0, 0.03), (0.03, 0.0)])
def test_what_data_acknowledges_is_known_when_the_data_is_there(timeline, mean_s, takes_s):
    """Whatever the way back was expected to take."""
    network = pair(Expected(mean_s, takes_s))
    assert waited_until_s(timeline, network) == pytest.approx(1.0 + 2 * ONE_WAY_S + ANSWER_S + takes_s)


def test_what_was_lost_with_data_comes_with_the_next(timeline, fates):
    """The next data comes a millisecond later. The first message was acknowledged alone, then answered."""
    network = pair(fates("passed", "passed", "lost"))
    assert waited_until_s(timeline, network) == pytest.approx(1.0 + 2 * ONE_WAY_S + ANSWER_S + 1e-3)


def test_each_says_what_the_earlier_ones_have_said():
    """Two are known at 2 s; the first was underway with something slower."""
    acks = Acknowledgements()
    for edge in (1, 2, 3):
        acks.add((1, 1, edge))
    acks.hear(1, 5.0)
    acks.hear(2, 2.0)
    assert [(at_s, edge) for at_s, _, _, edge in acks.pending] == [(2.0, 1), (2.0, 2), (inf, 3)]


def test_what_was_known_earlier_stays_known():
    """The second is later than the first, which does not wait for it."""
    acks = Acknowledgements()
    acks.add((1, 1, 1))
    acks.hear(1, 1.0)
    acks.add((1, 1, 2))
    acks.hear(2, 3.0)
    assert [at_s for at_s, *_ in acks.pending] == [1.0, 3.0]


def test_what_a_lost_one_said_of_data_behind_a_gap_comes_with_a_later_one():
    """Not with one that left before it."""
    acks = Acknowledgements()
    acks.add((1, 0, 0))
    before = acks.count
    acks.add((1, 0, 0))
    acks.keep((7, 1.0, 0.2))
    assert acks.hear(before, 1.1) is None
    assert acks.hear(acks.count, 1.5) == (7, 1.5, pytest.approx(0.7))
    assert acks.hear(acks.count, 1.6) is None
