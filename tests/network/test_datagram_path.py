"""Datagrams over links: times, losses, routes."""

from network.carrier import Network
from network.link import Link
from network.stages.delay import Delay
from network.stages.rate import Rate
from network.topology import Topology
from twin.message import Message


def line(*delays_s):
    topology = Topology()
    for index, delay_s in enumerate(delays_s):
        topology.add_link(Link(f"l{index}", f"n{index}", f"n{index + 1}", [Delay(delay_s)]))
    return topology


def test_a_message_arrives_after_the_delays_of_its_links(timeline):
    """0.01 + 0.005 + 0.11 s, one after the other."""
    network = Network(line(0.01, 0.005, 0.11))
    timeline.send_at(1.0, network, "n0", "n3", Message("reading"))
    timeline.run()
    assert timeline.arrived == [(1.0 + 0.01 + 0.005 + 0.11, "n3", "reading")]


def test_messages_share_a_transmitter_one_after_the_other(timeline):
    """200 bytes at 1 Mbit/s take 1.6 ms each; propagation overlaps."""
    topology = Topology()
    topology.add_link(Link("l", "a", "b", [Rate(1e6), Delay(0.01)]))
    network = Network(topology)
    for name in ("first", "second"):
        timeline.send_at(0.0, network, "a", "b", Message(name, bytes(200)))
    timeline.run()
    assert timeline.arrived == [(0.0016 + 0.01, "b", "first"), (0.0032 + 0.01, "b", "second")]


def test_a_pair_without_a_path_loses_its_messages(timeline):
    """Nothing goes back over one direction."""
    network = Network(line(0.01))
    timeline.send_at(0.0, network, "n1", "n0")
    timeline.run()
    assert timeline.lost == [(0.0, "n1", "no route")]


def test_a_full_queue_drops_at_the_tail(timeline):
    """Room for two messages of 100 bytes: the third is lost on the link, with the cause."""
    topology = Topology()
    topology.add_link(Link("thin", "a", "b", [Rate(800, queue_bytes=200)]))
    network = Network(topology)
    for name in "123":
        timeline.send_at(0.0, network, "a", "b", Message(name, bytes(100)))
    timeline.run()
    assert timeline.arrived == [(1.0, "b", "1"), (2.0, "b", "2")]
    assert timeline.lost == [(0.0, "thin", "queue full")]


def test_a_node_reaches_itself_at_once(timeline):
    """No link is needed."""
    network = Network(line(0.01))
    timeline.send_at(2.0, network, "n0", "n0")
    timeline.run()
    assert timeline.times == [2.0]


def test_a_link_without_stages_takes_no_time(timeline):
    """A host and what runs on it are joined by such a link."""
    topology = Topology()
    topology.add_link(Link("local", "broker", "rules"))
    timeline.send_at(3.0, Network(topology), "broker", "rules")
    timeline.run()
    assert timeline.times == [3.0]


def test_a_link_counts_what_entered_it(timeline):
    """Messages, bytes, and bytes of personal fields."""
    topology = line(0.01)
    network = Network(topology)
    timeline.send_at(0.0, network, "n0", "n1", Message("t", bytes(30), personal_bytes=8))
    timeline.send_at(0.0, network, "n0", "n1", Message("t", bytes(12)))
    timeline.run()
    link = topology.links["l0"]
    assert (link.message_count, link.byte_count, link.personal_byte_count) == (2, 42, 8)
