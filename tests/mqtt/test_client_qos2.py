"""The client's two sides of exactly once."""

import pytest

from twin.kernel.behaviour import Received, Send
from twin.message import Message
from twin.mqtt.client import TIMER, ClientSession
from twin.mqtt.packets import Connack, connack_message

PUBLICATION = Message("t", b"x", qos=2)


@pytest.fixture
def client(context):
    session = ClientSession("broker", "gateway", keep_alive_s=0.0)
    session.start(context)
    take(session, context, connack_message(Connack()))
    return session


def take(session, context, message):
    return session.received(Received(message, "broker", 0.0), context)


def answer(session, context, kind, packet_id=1):
    return take(session, context, Message("", kind=kind, packet_id=packet_id))[0]


def reconnect(session, context, *, is_session_present):
    session.link_changed(False, context)
    session.woken(TIMER, context)
    effects, _ = take(session, context, connack_message(Connack(0, is_session_present)))
    return [each.message for each in effects if isinstance(each, Send)]


def packet(kind, packet_id=1):
    return Message("", kind=kind, packet_id=packet_id)


def test_a_publication_takes_four_packets(client, context):
    """PUBLISH, PUBREC, PUBREL, PUBCOMP; it has arrived with the second."""
    sent = Message("t", b"x", qos=2, packet_id=1)
    assert client.publish(PUBLICATION, context) == [Send("broker", sent)]
    assert client.waiting_count == 1
    assert answer(client, context, "pubrec") == [Send("broker", packet("pubrel"))]
    assert client.waiting_count == 0
    assert answer(client, context, "pubcomp") == []
    assert client.outbox.inflight == {}


def test_before_the_receipt_the_publication_is_repeated_and_after_it_the_release(client, context):
    """On reconnect PUBLISH with DUP, or PUBREL."""
    client.publish(PUBLICATION, context)
    client.publish(PUBLICATION, context)
    answer(client, context, "pubrec", 1)
    assert reconnect(client, context, is_session_present=True) == [
        packet("pubrel", 1),
        Message("t", b"x", qos=2, packet_id=2, dup=True),
    ]


def test_a_broker_without_the_session_gets_only_what_it_never_received(client, context):
    """Once more after PUBREC would be twice."""
    client.publish(Message("t", b"received", qos=2), context)
    client.publish(Message("t", b"not received", qos=2), context)
    answer(client, context, "pubrec", 1)
    sent = reconnect(client, context, is_session_present=False)
    assert [message.payload for message in sent] == [b"not received"]


def test_an_arrival_is_handed_on_once(client, context):
    """A PUBLISH that is repeated before PUBREL is acknowledged, and not handed on."""
    arrival = Message("t", b"x", qos=2, packet_id=5)
    pubrec = [Send("broker", packet("pubrec", 5))]
    assert take(client, context, arrival) == (pubrec, [arrival])
    reconnect(client, context, is_session_present=True)
    assert take(client, context, arrival) == (pubrec, [])
    assert answer(client, context, "pubrel", 5) == [Send("broker", packet("pubcomp", 5))]
    assert take(client, context, arrival) == (pubrec, [arrival])


def test_a_lost_session_is_forgotten_at_both_ends(client, context):
    """With a new session an old packet id means a new message."""
    arrival = Message("t", b"x", qos=2, packet_id=5)
    take(client, context, arrival)
    reconnect(client, context, is_session_present=False)
    assert take(client, context, arrival)[1] == [arrival]
