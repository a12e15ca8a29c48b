"""Exactly once: the four packets of QoS 2 at either side of the broker."""

import pytest

from twin.cloud.broker import Broker
from twin.kernel.behaviour import Drop, LinkChanged, Received, Send, Started
from twin.message import Message
from twin.mqtt.packets import Connect, connect_message


class Bench:
    """A publisher "p" and a subscriber "s" of topic "t", both connected."""

    def __init__(self, context):
        self.context, self.broker = context, Broker()
        list(self.broker.react(Started(), context))
        for node in ("p", "s"):
            self.connect(node)
        self.say("s", "subscribe", 1, topic="t", qos=2)

    def take(self, node, message):
        return list(self.broker.react(Received(message, node, 0.0), self.context))

    def say(self, node, kind, packet_id=0, topic="", qos=0):
        return self.take(node, Message(topic, qos=qos, kind=kind, packet_id=packet_id))

    def connect(self, node, *, is_clean=False):
        return self.take(node, connect_message(Connect(node, 0.0, is_clean)))

    def publish(self, packet_id, *, dup=False):
        return self.take("p", Message("t", b"x", qos=2, packet_id=packet_id, dup=dup))

    def lose(self, node):
        return list(self.broker.react(LinkChanged(node, is_up=False), self.context))


@pytest.fixture
def bench(context):
    return Bench(context)


def packet(node, kind, packet_id):
    return Send(node, Message("", kind=kind, packet_id=packet_id))


DELIVERY = Message("t", b"x", qos=2, packet_id=1)


def test_a_publication_is_passed_on_at_its_release(bench):
    """PUBREC answers PUBLISH; PUBREL makes the broker deliver, and is answered with PUBCOMP."""
    assert bench.publish(7) == [packet("p", "pubrec", 7)]
    assert bench.say("p", "pubrel", 7) == [packet("p", "pubcomp", 7), Send("s", DELIVERY)]


def test_a_publication_that_is_repeated_is_held_once(bench):
    """A second PUBLISH with the id of the first is acknowledged, and changes nothing."""
    bench.publish(7)
    bench.lose("p")
    bench.connect("p")
    assert bench.publish(7, dup=True) == [packet("p", "pubrec", 7)]
    assert len(bench.say("p", "pubrel", 7)) == 2
    assert bench.say("p", "pubrel", 7) == [packet("p", "pubcomp", 7)]


def test_a_release_answers_the_receipt_of_a_subscriber(bench):
    """PUBREC is answered with PUBREL; PUBCOMP ends the delivery."""
    bench.publish(7)
    bench.say("p", "pubrel", 7)
    assert bench.say("s", "pubrec", 1) == [packet("s", "pubrel", 1)]
    assert bench.broker.waiting_count == 0
    assert bench.say("s", "pubcomp", 1) == []
    assert bench.broker.sessions["s"].outbox.inflight == {}


def test_what_was_not_received_is_repeated_whole_and_what_was_by_its_release(bench):
    """On reconnect PUBLISH goes out again before PUBREC has come, and PUBREL after it."""
    for packet_id in (7, 8):
        bench.publish(packet_id)
        bench.say("p", "pubrel", packet_id)
    bench.say("s", "pubrec", 1)
    bench.lose("s")
    assert bench.connect("s")[1:3] == [
        packet("s", "pubrel", 1),
        Send("s", Message("t", b"x", qos=2, packet_id=2, dup=True)),
    ]


def test_a_session_that_ends_gives_up_what_was_not_released(bench):
    """A clean start drops what the publisher never released."""
    bench.publish(7)
    assert Drop(Message("t", b"x", qos=2, packet_id=7), "session ended") in bench.connect("p", is_clean=True)


def test_qos_2_is_lowered_to_what_was_granted(bench):
    """A subscriber at QoS 1 gets PUBLISH at QoS 1."""
    bench.say("s", "subscribe", 2, topic="t", qos=1)
    bench.publish(7)
    assert bench.say("p", "pubrel", 7)[1] == Send("s", Message("t", b"x", qos=1, packet_id=1))
