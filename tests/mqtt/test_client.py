import math

import pytest

from twin.errors import InputError
from twin.kernel.behaviour import Drop, Received, Send, Wake
from twin.message import Message
from twin.mqtt.client import IDLE_TIMER, TIMER, ClientSession
from twin.mqtt.outbox import INFLIGHT_LIMIT
from twin.mqtt.packets import Connack, Connect, Will, connack_message, connect_message


def from_broker(message):
    return Received(message, "broker", 0.0)


def reading(number, qos=1):
    return Message(f"t/{number}", b"x", qos=qos)


def session(**options):
    return ClientSession("broker", "gateway", **options)


def connected(context, *, is_session_present=False, **options):
    """A session whose handshake is done."""
    client = session(**options)
    client.start(context)
    acknowledge_connect(client, context, is_session_present=is_session_present)
    return client


def acknowledge_connect(client, context, *, is_session_present=False, return_code=0):
    connack = connack_message(Connack(return_code, is_session_present))
    return client.received(from_broker(connack), context)[0]


def acknowledge(client, context, packet_id):
    return client.received(from_broker(Message("", kind="puback", packet_id=packet_id)), context)[0]


def sent(effects):
    return [effect.message for effect in effects if isinstance(effect, Send)]


def test_a_warm_session_connects_at_the_start(context):
    """The first handshake of a warm session happens at time 0."""
    client = session(will=Will("bye"))
    connect = connect_message(Connect("gateway", 60.0, False, Will("bye")))
    assert client.start(context) == [Send("broker", connect), Wake(10.0, TIMER)]
    assert not client.is_connected


def test_a_session_that_starts_connected_sends_no_connect(context):
    """With `starts_connected` only the subscriptions go out at time 0."""
    client = session(starts_connected=True)
    client.subscribe("cmd/#")
    subscribe = Message("cmd/#", qos=1, kind="subscribe", packet_id=1)
    assert client.start(context) == [Send("broker", subscribe), Wake(60.0, TIMER)]
    assert client.is_connected


def test_after_a_restart_even_a_session_that_started_connected_connects(context):
    """A node that comes up in mid-run has no connection from before."""
    context.now = 100.0
    assert [message.kind for message in sent(session(starts_connected=True).start(context))] == ["connect"]


def test_a_message_that_waited_stays_in_its_own_causal_chain(context):
    """What is sent later than published, or again, carries the chain in which it was published."""
    client = session()
    client.start(context)
    context.trace = 5
    client.publish(reading(1), context)
    context.trace = 9
    first = acknowledge_connect(client, context)[0]
    assert first == Send("broker", Message("t/1", b"x", qos=1, packet_id=1), trace=5)
    client.link_changed(False, context)
    client.woken(TIMER, context)
    again = acknowledge_connect(client, context, is_session_present=True)[0]
    assert again == Send("broker", Message("t/1", b"x", qos=1, packet_id=1, dup=True), trace=5)


def test_what_is_published_before_the_connection_goes_out_with_it(context):
    """Publications wait in order and leave after the subscriptions when the broker has accepted."""
    client = session()
    client.start(context)
    client.subscribe("cmd/#", 1)
    assert client.publish(reading(1), context) == []
    assert client.publish(reading(2, qos=0), context) == []
    assert client.waiting_count == 2

    effects = acknowledge_connect(client, context)

    assert effects == [
        Send("broker", Message("cmd/#", qos=1, kind="subscribe", packet_id=1)),
        Send("broker", Message("t/1", b"x", qos=1, packet_id=2)),
        Send("broker", Message("t/2", b"x")),
        Wake(60.0, TIMER),
    ]
    assert client.is_connected


def test_a_present_session_needs_no_subscription(context):
    """When the broker kept the session its subscriptions are still there."""
    client = session()
    client.start(context)
    client.subscribe("cmd/#", 1)
    assert acknowledge_connect(client, context, is_session_present=True) == [Wake(60.0, TIMER)]


def test_a_session_of_a_connect_whose_answer_was_lost_is_subscribed_again(context):
    """A partition lets a CONNECT through and loses its CONNACK: what the next one finds may be new."""
    client = connected(context, keep_alive_s=0)
    client.subscribe("cmd/#", 1)
    client.link_changed(False, context)
    client.woken(TIMER, context)
    client.woken(TIMER, context)
    client.woken(TIMER, context)
    again = sent(acknowledge_connect(client, context, is_session_present=True))
    client.link_changed(False, context)
    client.woken(TIMER, context)
    sure = sent(acknowledge_connect(client, context, is_session_present=True))

    assert [(message.kind, message.topic) for message in again] == [("subscribe", "cmd/#")]
    assert sure == []


def test_subscribing_while_connected_goes_out_at_once(context):
    """A subscription made on a live connection is sent, and repeated on a connection without session."""
    client = connected(context)
    assert [message.kind for message in sent(client.subscribe("a/+"))] == ["subscribe"]
    client.link_changed(False, context)
    client.woken(TIMER, context)
    assert [message.topic for message in sent(acknowledge_connect(client, context))] == ["a/+"]


def test_an_unacknowledged_publication_is_repeated_only_on_reconnect(context):
    """QoS 1 is redelivered with DUP and the same packet id, on reconnect and never by a timer."""
    client = connected(context)
    client.publish(reading(1), context)
    context.now = 59.0
    assert sent(client.woken(TIMER, context)) == []

    client.link_changed(False, context)
    client.woken(TIMER, context)
    effects = acknowledge_connect(client, context, is_session_present=True)

    assert sent(effects) == [Message("t/1", b"x", qos=1, packet_id=1, dup=True)]
    assert client.waiting_count == 1


def test_without_a_session_the_unacknowledged_are_published_anew(context):
    """A broker that lost the session gets the messages as new ones, in their order, before later ones."""
    client = connected(context)
    client.publish(reading(1), context)
    client.publish(reading(2), context)
    client.link_changed(False, context)
    client.publish(reading(3), context)
    client.woken(TIMER, context)

    effects = acknowledge_connect(client, context)

    assert [(each.topic, each.dup) for each in sent(effects)] == [
        ("t/1", False),
        ("t/2", False),
        ("t/3", False),
    ]


def test_an_acknowledged_publication_is_done(context):
    """PUBACK frees the message; a second one is harmless."""
    client = connected(context)
    client.publish(reading(1), context)
    assert acknowledge(client, context, 1) == []
    assert acknowledge(client, context, 1) == []
    assert client.waiting_count == 0


def test_at_most_twenty_publications_are_in_flight(context):
    """The twenty-first QoS 1 publication waits for a PUBACK; QoS 0 does not."""
    client = connected(context)
    effects = [effect for number in range(21) for effect in client.publish(reading(number), context)]
    assert len(effects) == INFLIGHT_LIMIT
    assert sent(client.publish(reading(99, qos=0), context)) == [reading(99, qos=0)]
    assert [message.topic for message in sent(acknowledge(client, context, 1))] == ["t/20"]


@pytest.mark.parametrize(("drop", "lost", "kept"), [("newest", 3, [1, 2]), ("oldest", 1, [2, 3])])
def test_a_full_queue_drops_by_its_policy(context, drop, lost, kept):
    """The offline queue is bounded; the newest or the oldest message goes, and is accounted."""
    client = session(queue_limit=2, drop=drop)
    client.start(context)
    effects = [effect for number in (1, 2, 3) for effect in client.publish(reading(number), context)]
    assert effects == [Drop(reading(lost), "queue full")]
    assert [held.message.topic for held in client.outbox.queue] == [f"t/{number}" for number in kept]


def test_a_publication_received_is_handed_on_and_acknowledged(context):
    """QoS 1 from the broker is answered with PUBACK, QoS 0 is not; both reach the owner."""
    client = connected(context)
    command = Message("cmd/open", b"{}", qos=1, packet_id=7)
    assert client.received(from_broker(command), context) == (
        [Send("broker", Message("", kind="puback", packet_id=7))],
        [command],
    )
    telemetry = Message("t", b"1")
    assert client.received(from_broker(telemetry), context) == ([], [telemetry])


def test_what_others_send_is_not_for_the_session(context):
    """A message of another node is left to the owner."""
    client = connected(context)
    assert client.received(Received(reading(1), "smoke-001", 0.0), context) == ([], [])


def test_a_quiet_connection_is_pinged_and_found_dead(context):
    """After K of silence a ping goes out; no reply within another K means the connection is dead."""
    client = connected(context, keep_alive_s=30.0)
    context.now = 30.0
    assert client.woken(TIMER, context) == [Send("broker", Message("", kind="pingreq")), Wake(30.0, TIMER)]
    context.now = 60.0
    (back_off,) = client.woken(TIMER, context)
    assert 0.0 <= back_off.after_s < 1.0
    assert not client.is_connected


def test_a_reply_keeps_the_connection(context):
    """PINGRESP ends the wait, and the next ping comes K after the last traffic."""
    client = connected(context, keep_alive_s=30.0)
    context.now = 30.0
    client.woken(TIMER, context)
    context.now = 30.2
    client.received(from_broker(Message("", kind="pingresp")), context)
    context.now = 60.0
    assert [message.kind for message in sent(client.woken(TIMER, context))] == ["pingreq"]


def test_traffic_both_ways_puts_the_ping_off(context):
    """No ping is due within K of the older of the last packets sent and received."""
    client = connected(context, keep_alive_s=30.0)
    context.now = 10.0
    client.publish(reading(1), context)
    context.now = 11.0
    acknowledge(client, context, 1)
    context.now = 30.0
    assert client.woken(TIMER, context) == [Wake(10.0, TIMER)]


def test_keep_alive_zero_switches_pings_off(context):
    """A session with keep-alive 0 sets no timer."""
    client = session(keep_alive_s=0.0)
    client.start(context)
    assert acknowledge_connect(client, context) == [Wake(math.inf, TIMER)]


def test_back_off_doubles_to_its_limit_with_full_jitter(context):
    """The k-th failure in a row waits a uniform time below min(30, 2^k) seconds; success starts over."""
    client = session()
    client.start(context)
    waits = []
    for _ in range(40):
        (wake,) = client.woken(TIMER, context)
        waits.append(wake.after_s)
        client.woken(TIMER, context)
    limits = [min(30.0, 2.0**failure) for failure in range(40)]
    assert all(0.0 <= wait < limit for wait, limit in zip(waits, limits))
    assert max(waits) > 15.0

    acknowledge_connect(client, context)
    (wake,) = client.link_changed(False, context)
    assert wake.after_s < 1.0


def test_a_refused_connection_is_tried_again(context):
    """A CONNACK with an error leads to the back-off."""
    client = session()
    client.start(context)
    (wake,) = acknowledge_connect(client, context, return_code=3)
    assert wake.tag == TIMER
    assert [message.kind for message in sent(client.woken(TIMER, context))] == ["connect"]


def test_a_closed_connection_is_opened_again(context):
    """When the broker closes the connection the client waits, then connects."""
    client = connected(context)
    (wake,) = client.received(from_broker(Message("", kind="disconnect")), context)[0]
    assert wake.after_s < 1.0
    assert [message.kind for message in sent(client.woken(TIMER, context))] == ["connect"]


def test_a_link_that_comes_back_ends_the_wait(context):
    """A client that waits connects at once when its own interface comes back."""
    client = connected(context)
    client.link_changed(False, context)
    assert [message.kind for message in sent(client.link_changed(True, context))] == ["connect"]


def test_a_cold_session_connects_on_demand_and_leaves_when_idle(context):
    """The first publication opens the connection; 30 s without one close it in good order."""
    client = session(session="cold")
    assert client.start(context) == []
    assert [message.kind for message in sent(client.publish(reading(1), context))] == ["connect"]
    context.now = 1.0
    effects = acknowledge_connect(client, context)
    assert [message.topic for message in sent(effects)] == ["t/1"]
    assert effects[-1] == Wake(30.0, IDLE_TIMER)
    acknowledge(client, context, 1)

    context.now = 11.0
    client.publish(reading(2, qos=0), context)
    context.now = 31.0
    assert client.woken(IDLE_TIMER, context) == [Wake(10.0, IDLE_TIMER)]
    context.now = 41.0
    assert client.woken(IDLE_TIMER, context) == [
        Send("broker", Message("", kind="disconnect")),
        Wake(math.inf, TIMER),
        Wake(math.inf, IDLE_TIMER),
    ]


def test_a_cold_session_stays_while_it_waits_for_an_acknowledgement(context):
    """An idle connection with a publication in flight is kept open."""
    client = session(session="cold")
    client.publish(reading(1), context)
    acknowledge_connect(client, context)
    context.now = 30.0
    assert client.woken(IDLE_TIMER, context) == [Wake(30.0, IDLE_TIMER)]


def test_a_cold_session_with_nothing_to_say_does_not_reconnect(context):
    """A lost cold connection with no message waiting stays closed."""
    client = session(session="cold")
    client.publish(reading(1, qos=0), context)
    acknowledge_connect(client, context)
    assert sent(client.link_changed(False, context)) == []
    assert sent(client.woken(TIMER, context)) == []


def test_a_qos_of_three_is_refused(context):
    """The client says which QoS levels there are."""
    with pytest.raises(InputError, match="0, 1 or 2"):
        connected(context).publish(reading(1, qos=3), context)
