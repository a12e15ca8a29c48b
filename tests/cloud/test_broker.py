import math

import pytest

from twin.cloud.broker import FILTER_LIMIT, RETAINED_LIMIT, SESSION_LIMIT, Broker
from twin.kernel.behaviour import Drop, LinkChanged, Received, Send, Started, Wake, Woken
from twin.message import Message
from twin.mqtt.outbox import INFLIGHT_LIMIT
from twin.mqtt.packets import Connack, Connect, Will, connack_message, connect_message

PRESENT = connack_message(Connack(0, True))
NEW = connack_message(Connack(0, False))


class Bench:
    """A broker on the bench: each call hands it one packet and returns the effects."""

    def __init__(self, context, **options):
        self.context = context
        self.broker = Broker(**options)
        self.react(Started())

    def react(self, event):
        return list(self.broker.react(event, self.context))

    def take(self, node, message):
        return self.react(Received(message, node, self.context.now))

    def connect(self, node, **details):
        connect = Connect(**{"client_id": node, "clean_session": False, **details})
        return self.take(node, connect_message(connect))

    def subscribe(self, node, topic_filter, qos=1, packet_id=1):
        return self.take(node, Message(topic_filter, qos=qos, kind="subscribe", packet_id=packet_id))

    def publish(self, topic="t", payload=b"x", node="device", **details):
        return self.take(node, Message(topic, payload, **details))

    def say(self, node, kind, packet_id=0):
        return self.take(node, Message("", kind=kind, packet_id=packet_id))


@pytest.fixture
def bench(context):
    return Bench(context)


def test_a_connection_is_accepted_and_watched(bench):
    """CONNACK answers CONNECT, and the keep-alive is watched at 1.5 times its interval."""
    assert bench.connect("a", keep_alive_s=60.0) == [Send("a", NEW), Wake(90.0, "a")]


def test_keep_alive_zero_is_not_watched(bench):
    """A client with keep-alive 0 may stay silent for ever."""
    assert bench.connect("a", keep_alive_s=0.0)[-1] == Wake(math.inf, "a")


def test_a_subscription_is_granted_and_served_at_the_lower_qos(bench):
    """A subscriber gets a publication at the lower of the published and the granted QoS."""
    bench.connect("a")
    assert bench.subscribe("a", "t/+", qos=2, packet_id=4) == [
        Send("a", Message("", qos=2, kind="suback", packet_id=4))
    ]
    assert bench.publish("t/1", qos=1) == [Send("a", Message("t/1", b"x", qos=1, packet_id=1))]
    assert bench.publish("t/1", qos=0) == [Send("a", Message("t/1", b"x"))]
    bench.subscribe("a", "t/+", qos=0)
    assert bench.publish("t/1", qos=1) == [Send("a", Message("t/1", b"x"))]


def test_overlapping_filters_deliver_once(bench):
    """A client whose filters overlap gets one copy at the greatest granted QoS."""
    bench.connect("a")
    bench.subscribe("a", "t/#", qos=0)
    bench.subscribe("a", "t/+", qos=1)
    assert bench.publish("t/1", qos=1) == [Send("a", Message("t/1", b"x", qos=1, packet_id=1))]


def test_a_publication_at_qos_1_is_acknowledged(bench):
    """The publisher gets its PUBACK with its own packet id."""
    bench.connect("a")
    assert bench.publish(node="a", qos=1, packet_id=9) == [Send("a", Message("", kind="puback", packet_id=9))]


def test_an_unsubscribed_filter_delivers_nothing(bench):
    """UNSUBACK answers, and nothing matches any more."""
    bench.connect("a")
    bench.subscribe("a", "t")
    unsubscribe = Message("t", kind="unsubscribe", packet_id=2)
    assert bench.take("a", unsubscribe) == [Send("a", Message("", kind="unsuback", packet_id=2))]
    assert bench.publish("t") == []


def test_a_ping_is_answered(bench):
    """PINGRESP answers PINGREQ."""
    bench.connect("a")
    assert bench.say("a", "pingreq") == [Send("a", Message("", kind="pingresp"))]


def test_leading_wildcards_do_not_see_dollar_topics(bench):
    """A subscriber of '#' gets no message of the broker's own topics."""
    bench.connect("a")
    bench.subscribe("a", "#")
    assert bench.publish("$aws/things/g/shadow/update") == []


def test_an_offline_client_gets_what_was_queued(bench):
    """A persistent session queues QoS 1 while its client is away, and QoS 0 is given up."""
    bench.connect("a")
    bench.subscribe("a", "t", qos=1)
    bench.say("a", "disconnect")
    assert bench.publish(payload=b"1", qos=1) == []
    assert bench.publish(payload=b"2", qos=0) == [Drop(Message("t", b"2"), "subscriber offline")]
    assert bench.connect("a") == [
        Send("a", PRESENT),
        Send("a", Message("t", b"1", qos=1, packet_id=1)),
        Wake(90.0, "a"),
    ]


def test_the_offline_queue_is_bounded(context):
    """The newest message goes when a session's queue is full."""
    bench = Bench(context, queue_limit=1)
    bench.connect("a")
    bench.subscribe("a", "t", qos=1)
    bench.say("a", "disconnect")
    bench.publish(payload=b"1", qos=1)
    assert bench.publish(payload=b"2", qos=1) == [Drop(Message("t", b"2", qos=1), "queue full")]


def test_a_clean_session_ends_with_its_connection(bench):
    """A clean session leaves neither subscription nor messages behind."""
    bench.connect("a", clean_session=True)
    bench.subscribe("a", "t", qos=1)
    bench.publish(qos=1)
    held = Message("t", b"x", qos=1, packet_id=1)
    assert bench.say("a", "disconnect") == [Drop(held, "session ended"), Wake(math.inf, "a")]
    assert bench.publish(qos=1) == []
    assert bench.connect("a")[0] == Send("a", NEW)


def test_connecting_clean_ends_the_old_session(bench):
    """A client that asks for a clean session loses what the broker held for it."""
    bench.connect("a")
    bench.subscribe("a", "t", qos=1)
    bench.publish(qos=1)
    effects = bench.connect("a", clean_session=True)
    assert Drop(Message("t", b"x", qos=1, packet_id=1), "session ended") in effects
    assert effects[-2:] == [Send("a", NEW), Wake(90.0, "a")]
    assert bench.publish(qos=1) == []


def test_the_unacknowledged_is_repeated_only_on_reconnect(bench):
    """QoS 1 is redelivered with DUP when the client comes back; an acknowledged message is not."""
    bench.connect("a")
    bench.subscribe("a", "t", qos=1)
    bench.publish(payload=b"1", qos=1)
    bench.publish(payload=b"2", qos=1)
    assert bench.say("a", "puback", packet_id=1) == []
    bench.react(LinkChanged("a", is_up=False))
    assert bench.connect("a")[1] == Send("a", Message("t", b"2", qos=1, packet_id=2, dup=True))


def test_at_most_twenty_deliveries_are_in_flight(bench):
    """The window of a session holds 20; a PUBACK makes room for the next."""
    bench.connect("a")
    bench.subscribe("a", "t", qos=1)
    sends = [effect for number in range(21) for effect in bench.publish(payload=b"%d" % number, qos=1)]
    assert len(sends) == INFLIGHT_LIMIT
    assert bench.say("a", "puback", packet_id=3) == [Send("a", Message("t", b"20", qos=1, packet_id=21))]


def test_the_session_of_a_client_that_stays_away_expires(context):
    """After `session_expiry_s` the queue is given up and the session is gone."""
    bench = Bench(context, session_expiry_s=100.0)
    bench.connect("a")
    bench.subscribe("a", "t", qos=1)
    assert bench.say("a", "disconnect") == [Wake(100.0, "a")]
    bench.publish(qos=1)
    assert bench.react(Woken("a")) == [Drop(Message("t", b"x", qos=1), "expired")]
    assert bench.connect("a")[0] == Send("a", NEW)


def test_the_last_retained_message_greets_a_new_subscriber(bench):
    """A retained message is delivered on subscribe with its flag, and to live subscribers without."""
    bench.connect("a")
    bench.publish("state/1", b"old", retain=True)
    bench.publish("state/1", b"new", retain=True, qos=1)
    assert bench.subscribe("a", "state/+", qos=1)[1:] == [
        Send("a", Message("state/1", b"new", qos=1, retain=True, packet_id=1))
    ]
    assert bench.publish("state/1", b"live", retain=True) == [Send("a", Message("state/1", b"live"))]


def test_an_empty_retained_message_clears_the_topic(bench):
    """After an empty payload nothing is retained."""
    bench.publish("state/1", b"old", retain=True)
    bench.publish("state/1", b"", retain=True)
    bench.connect("a")
    assert len(bench.subscribe("a", "state/+")) == 1


def will_of(bench):
    """Client a leaves a will, client b listens for it."""
    bench.connect("b", keep_alive_s=0.0)
    bench.subscribe("b", "bye", qos=0)
    bench.connect("a", keep_alive_s=60.0, will=Will("bye", b"a"))
    return Send("b", Message("bye", b"a"))


def test_the_will_speaks_when_the_keep_alive_expires(bench):
    """A client silent for 1.5 times its keep-alive is taken for dead; one that spoke is not."""
    will = will_of(bench)
    bench.context.now = 50.0
    bench.say("a", "pingreq")
    bench.context.now = 90.0
    assert bench.react(Woken("a")) == [Wake(50.0, "a")]
    bench.context.now = 140.0
    assert bench.react(Woken("a")) == [Wake(3600.0, "a"), will]


def test_the_will_is_discarded_by_a_disconnect(bench):
    """A client that leaves in good order leaves no will."""
    will_of(bench)
    assert bench.say("a", "disconnect") == [Wake(3600.0, "a")]


def test_the_will_speaks_when_the_link_breaks(bench):
    """The broker's own interface going down ends the connection abnormally."""
    will = will_of(bench)
    assert will in bench.react(LinkChanged("a", is_up=False))
    assert bench.react(LinkChanged("a", is_up=True)) == []


def test_a_client_id_that_connects_elsewhere_takes_the_session_over(bench):
    """The old connection is closed, its will speaks, and the session moves with its subscriptions."""
    will = will_of(bench)
    bench.subscribe("a", "t", qos=0)
    effects = bench.connect("new", client_id="a")
    assert effects[0] == Send("a", Message("", kind="disconnect"))
    assert will in effects
    assert Send("new", PRESENT) in effects
    assert bench.publish("t") == [Send("new", Message("t", b"x"))]


def test_a_client_without_its_connection_is_told_to_close(bench):
    """What a client sends on a connection that the broker does not have is given up and closed."""
    bench.connect("a")
    bench.react(LinkChanged("a", is_up=False))
    lost = Message("t", b"x")
    assert bench.take("a", lost) == [Drop(lost, "not connected"), Send("a", Message("", kind="disconnect"))]


def test_a_client_that_connected_before_the_run_is_known(bench):
    """At a broker that is up since time 0, a client that begins with packet ids has a session."""
    assert bench.subscribe("a", "t", qos=1, packet_id=1) == [
        Send("a", Message("", qos=1, kind="suback", packet_id=1))
    ]
    assert bench.publish(qos=1) == [Send("a", Message("t", b"x", qos=1, packet_id=1))]


def test_a_broker_that_restarted_knows_no_client(context):
    """A broker that came up in mid-run closes the connections of before."""
    context.now = 100.0
    bench = Bench(context)
    assert bench.publish(node="a", qos=1, packet_id=3)[-1] == Send("a", Message("", kind="disconnect"))


def test_a_local_subscriber_needs_no_session(bench):
    """A plain "subscribe" is served at QoS 0, without acknowledgement and for ever."""
    assert bench.subscribe("rules", "t", qos=1, packet_id=0) == []
    assert bench.publish(qos=1) == [Send("rules", Message("t", b"x"))]
    assert bench.react(LinkChanged("rules", is_up=False)) == []
    assert bench.publish(node="rules", topic="t", payload=b"mine") == [Send("rules", Message("t", b"mine"))]


def test_an_invalid_topic_or_filter_is_given_up(bench):
    """A publication with a wildcard and a filter with a misplaced one reach nobody, and are accounted."""
    bench.connect("a")
    assert bench.publish("t/+") == [Drop(Message("t/+", b"x"), "invalid topic")]
    suback, drop = bench.subscribe("a", "t/#/x")
    assert suback.message.qos == 128
    assert drop.cause == "subscription refused"


def test_sessions_are_bounded(bench):
    """A broker with a million sessions refuses the next client with return code 3."""
    bench.broker.sessions.update(dict.fromkeys(range(SESSION_LIMIT)))
    assert bench.connect("a") == [Send("a", connack_message(Connack(3)))]


def test_the_filters_of_a_client_are_bounded(bench):
    """The subscription after the ten-thousandth is refused; one that is there may still change."""
    bench.connect("a")
    for number in range(FILTER_LIMIT):
        bench.subscribe("a", f"t/{number}")
    assert bench.subscribe("a", "t/more")[0].message.qos == 128
    assert bench.subscribe("a", "t/0")[0].message.qos == 1


def test_retained_messages_are_bounded(bench):
    """A further topic is not retained when the store is full; one that is there may still change."""
    bench.broker.retained.update(dict.fromkeys(map(str, range(RETAINED_LIMIT)), Message("x")))
    assert bench.publish("0", b"new", retain=True) == []
    assert bench.publish("more", retain=True) == [Drop(Message("more", b"x", retain=True), "retained full")]
