"""The client's side of MQTT 5."""

from twin.kernel.behaviour import Drop, Received, Send
from twin.message import Message, Properties
from twin.mqtt.client import TIMER, ClientSession
from twin.mqtt.packets import PLAIN, Connack, connack_message, packet_bytes, read_connect


def session(context, limits=None, **options):
    """A connected session whose broker said its limits."""
    client = ClientSession("broker", "gateway", version="5", **options)
    client.start(context)
    take(client, context, connack_message(Connack(version="5", **(limits or {}))))
    return client


def take(client, context, message):
    return client.received(Received(message, "broker", 0.0), context)


def sent(effects):
    return [effect.message for effect in effects if isinstance(effect, Send)]


def test_a_connect_asks_for_the_session_to_stay(context):
    """Session expiry goes with CONNECT, unless the session is clean."""
    for is_clean, expected in ((False, 100), (True, 0)):
        client = ClientSession("broker", "a", version="5", clean_session=is_clean, session_expiry_s=99.5)
        connect = read_connect(sent(client.start(context))[0])
        assert (connect.version, connect.session_expiry_s) == ("5", expected)


def test_every_packet_speaks_the_version(context):
    """Publications, subscriptions, acknowledgements and pings carry their (empty) properties."""
    client = session(context)
    packets = sent(client.publish(Message("t", qos=1), context)) + sent(client.subscribe("t"))
    packets += sent(take(client, context, Message("t", qos=1, packet_id=3, properties=PLAIN))[0])
    context.now = 60.0
    packets += sent(client.woken(TIMER, context)) + sent(client.unsubscribe("t")) + sent(client.close())
    assert [packet.kind for packet in packets] == [
        "publish",
        "subscribe",
        "puback",
        "pingreq",
        "unsubscribe",
        "disconnect",
    ]
    assert {packet.properties for packet in packets} == {PLAIN}


def test_what_arrives_is_handed_on_without_its_properties(context):
    """Alias and expiry belong to the hop."""
    arrival = Message("t", b"x", properties=Properties(message_expiry_s=9))
    assert take(session(context), context, arrival)[1] == [Message("t", b"x")]


def test_a_topic_is_named_once_for_each_connection(context):
    """The second publication goes by the alias, 33 bytes shorter; a new connection starts over."""
    client = session(context, {"topic_alias_maximum": 10}, topic_alias_count=5)
    reading = Message("t" * 35, b"x" * 100, qos=1)
    first, second = [sent(client.publish(reading, context))[0] for _ in range(2)]
    assert (first.properties.topic_alias, first.properties.is_topic_omitted) == (1, False)
    assert (second.properties.topic_alias, second.properties.is_topic_omitted) == (1, True)
    assert packet_bytes(second) == 143 - 33

    client.link_changed(False, context)
    client.woken(TIMER, context)
    connack = connack_message(Connack(0, True, "5", topic_alias_maximum=10))
    again = sent(take(client, context, connack)[0])
    assert [message.properties.is_topic_omitted for message in again] == [False, True]
    assert all(message.dup for message in again)


def test_no_more_topics_get_an_alias_than_both_ends_agree(context):
    """The smaller of the client's wish and the broker's maximum counts."""
    client = session(context, {"topic_alias_maximum": 1}, topic_alias_count=5)
    aliases = [
        sent(client.publish(Message(topic), context))[0].properties.topic_alias for topic in ("a", "b", "a")
    ]
    assert aliases == [1, 0, 1]


def test_the_window_is_the_brokers_receive_maximum(context):
    """With 2 in flight the third waits."""
    client = session(context, {"receive_maximum": 2})
    sizes = [len(sent(client.publish(Message("t", qos=1), context))) for _ in range(3)]
    assert sizes == [1, 1, 0]


def test_a_keep_alive_that_the_broker_dictates_holds(context):
    """[MQTT-3.2.2-21]: it pings after the broker's time, not its own."""
    client = session(context, {"keep_alive_s": 10}, keep_alive_s=600.0)
    context.now = 10.0
    assert [packet.kind for packet in sent(client.woken(TIMER, context))] == ["pingreq"]


def test_what_is_longer_than_the_broker_takes_is_given_up(context):
    """It is accounted for, and not sent."""
    client = session(context, {"maximum_packet_bytes": 20})
    long = Message("t", b"x" * 20)
    assert client.publish(long, context) == [Drop(long, "packet too large")]


def test_a_message_that_expires_while_it_waits_is_given_up(context):
    """Offline for longer than its time: dropped; the other says how long it has left."""
    client = session(context)
    client.link_changed(False, context)
    for payload, expiry_s in ((b"1", 5), (b"2", 50)):
        client.publish(Message("t", payload, properties=Properties(message_expiry_s=expiry_s)), context)
    context.now = 10.0
    client.woken(TIMER, context)
    effects, _ = take(client, context, connack_message(Connack(0, True, "5")))
    assert [each.cause for each in effects if isinstance(each, Drop)] == ["expired"]
    assert sent(effects) == [Message("t", b"2", properties=Properties(message_expiry_s=40))]


def test_subscription_options_go_with_the_subscription(context):
    """At once, and again on a connection without session."""
    client = session(context)
    options = Properties(is_no_local=True)
    assert sent(client.subscribe("t", 1, options))[0].properties == options
    client.link_changed(False, context)
    client.woken(TIMER, context)
    again = sent(take(client, context, connack_message(Connack(version="5")))[0])
    assert again[0].properties == options


def test_a_refused_publication_is_done(context):
    """A PUBREC with reason 0x97 (quota exceeded) ends it without PUBREL."""
    client = session(context)
    client.publish(Message("t", qos=2), context)
    refusal = Message("", kind="pubrec", packet_id=1, properties=Properties(0x97))
    assert sent(take(client, context, refusal)[0]) == []
    assert client.outbox.inflight == {}
