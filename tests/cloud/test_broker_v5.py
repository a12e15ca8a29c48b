"""What MQTT 5 adds at the broker: limits, times, reasons and subscription options."""

import math

import pytest

from twin.cloud.broker import Broker
from twin.kernel.behaviour import Drop, LinkChanged, Received, Send, Started, Wake, Woken
from twin.message import Message, Properties
from twin.mqtt.packets import PLAIN, Connack, Connect, Will, connack_message, connect_message, packet_bytes

WINDOW, ALIASES = 20, 10


class Bench:
    """A broker on the bench whose clients speak MQTT 5."""

    def __init__(self, context, **options):
        self.context, self.broker = context, Broker(**options)
        list(self.broker.react(Started(), context))

    def react(self, event):
        return list(self.broker.react(event, self.context))

    def take(self, node, message):
        return self.react(Received(message, node, self.context.now))

    def connect(self, node, **details):
        details = {"keep_alive_s": 0.0, "clean_session": False, "session_expiry_s": 100, **details}
        return self.take(node, connect_message(Connect(node, version="5", **details)))

    def subscribe(self, node, topic_filter, qos=1, **options):
        said = Properties(**options)
        return self.take(node, Message(topic_filter, qos=qos, kind="subscribe", packet_id=9, properties=said))

    def publish(self, topic="t", payload=b"x", node="device", expiry_s=None, **details):
        said = Properties(message_expiry_s=expiry_s)
        return self.take(node, Message(topic, payload, properties=said, **details))

    def disconnect(self, node, **said):
        return self.take(node, Message("", kind="disconnect", properties=Properties(**said)))

    def lose(self, node):
        return self.react(LinkChanged(node, is_up=False))


@pytest.fixture
def bench(context):
    return Bench(context)


def accepted(**details):
    limits = {"receive_maximum": WINDOW, "topic_alias_maximum": ALIASES, **details}
    return connack_message(Connack(version="5", **limits))


def given(effects, kind="publish"):
    return [each.message for each in effects if isinstance(each, Send) and each.message.kind == kind]


def test_the_broker_says_what_it_takes(bench):
    """CONNACK carries receive maximum and topic alias maximum: 11 bytes."""
    (connack,) = given(bench.connect("a"), "connack")
    assert connack == accepted()
    assert packet_bytes(connack) == 11


def test_a_session_expiry_beyond_the_brokers_is_lowered_and_said(context):
    """The broker keeps sessions for at most its own time."""
    bench = Bench(context, session_expiry_s=60.0)
    assert given(bench.connect("a", session_expiry_s=0xFFFFFFFF), "connack") == [
        accepted(session_expiry_s=60)
    ]
    assert bench.lose("a") == [Wake(60.0, "a")]


def test_a_session_lives_as_long_as_its_client_asked(bench):
    """Expiry 100 s ends it then; expiry 0 with the connection; DISCONNECT may change it."""
    bench.connect("a")
    assert bench.lose("a") == [Wake(100.0, "a")]
    bench.connect("b", session_expiry_s=0)
    assert bench.lose("b") == [Wake(math.inf, "b")]
    bench.connect("a")
    assert bench.disconnect("a", session_expiry_s=7) == [Wake(7.0, "a")]


def test_a_clean_start_may_open_a_session_that_stays(bench):
    """Clean Start looks back, session expiry looks ahead."""
    bench.connect("a", clean_session=True)
    bench.subscribe("a", "t")
    bench.lose("a")
    assert given(bench.connect("a"), "connack") == [accepted(is_session_present=True)]


def will(delay_s, **details):
    return Will("bye", b"a", delay_s=delay_s, **details)


def heard(bench):
    """Client b listens to wills."""
    bench.connect("b")
    bench.subscribe("b", "bye", qos=0)
    return Message("bye", b"a", properties=PLAIN)


def test_a_will_waits_for_its_delay(bench):
    """The will speaks 30 s after the connection broke, and the session ends 70 s later."""
    testament = heard(bench)
    bench.connect("a", will=will(30))
    assert bench.lose("a") == [Wake(30.0, "a")]
    bench.context.now = 30.0
    assert bench.react(Woken("a")) == [Send("b", testament), Wake(70.0, "a")]
    bench.context.now = 100.0
    assert bench.react(Woken("a")) == []
    assert given(bench.connect("a"), "connack") == [accepted()]


def test_a_client_that_returns_in_time_cancels_its_will(bench):
    """Nothing is heard of a will whose client came back."""
    heard(bench)
    bench.connect("a", will=will(30))
    bench.lose("a")
    assert given(bench.connect("a")) == []
    bench.disconnect("a")
    bench.context.now = 100.0
    assert given(bench.react(Woken("a"))) == []


def test_a_will_speaks_when_its_session_ends_before_the_delay(bench):
    """Expiry, and a clean start, bring it forward [MQTT-3.1.3-9]."""
    testament = heard(bench)
    bench.connect("a", will=will(3600))
    assert bench.lose("a") == [Wake(100.0, "a")]
    bench.context.now = 100.0
    assert given(bench.react(Woken("a"))) == [testament]
    bench.connect("a", will=will(3600))
    bench.lose("a")
    assert given(bench.connect("a", clean_session=True)) == [testament]


def test_a_client_may_leave_with_its_will(bench):
    """DISCONNECT with reason 0x04 lets the will speak."""
    testament = heard(bench)
    bench.connect("a", will=will(0))
    assert given(bench.disconnect("a", reason_code=4)) == [testament]


def test_no_more_is_in_flight_than_the_client_takes(bench):
    """Receive maximum 2: the third delivery waits for a PUBACK."""
    bench.connect("a", receive_maximum=2)
    bench.subscribe("a", "t")
    assert [len(given(bench.publish(qos=1))) for _ in range(3)] == [1, 1, 0]


def test_a_client_that_exceeds_the_receive_maximum_is_cut_off(bench):
    """The twenty-first publication at QoS 2 without a release closes the connection: 0x93."""
    bench.connect("a")
    for number in range(1, WINDOW + 1):
        bench.publish(node="a", qos=2, packet_id=number)
    effects = bench.publish(node="a", qos=2, packet_id=WINDOW + 1)
    assert given(effects, "disconnect") == [Message("", kind="disconnect", properties=Properties(0x93))]
    assert "a" not in bench.broker.clients


def test_what_is_longer_than_the_client_takes_is_not_sent(bench):
    """A packet of 6 bytes fits a limit of 6; one of 7 is given up [MQTT-3.1.2-24]."""
    bench.connect("a", maximum_packet_bytes=7)
    bench.subscribe("a", "t", qos=0)
    assert given(bench.publish(payload=b"x")) == [Message("t", b"x", properties=PLAIN)]
    assert [type(each) for each in bench.publish(payload=b"xx")] == [Drop]


def test_a_client_that_sends_too_much_in_one_packet_is_cut_off(context):
    """The broker's own limit: reason 0x95."""
    bench = Bench(context, maximum_packet_bytes=20)
    assert given(bench.connect("a"), "connack") == [accepted(maximum_packet_bytes=20)]
    effects = bench.publish(node="a", payload=b"x" * 20)
    assert given(effects, "disconnect") == [Message("", kind="disconnect", properties=Properties(0x95))]


def test_a_message_expires_in_the_queue(bench):
    """Of two messages the one that waited beyond its time is given up, and the other says what is left."""
    bench.connect("a")
    bench.subscribe("a", "t")
    bench.lose("a")
    bench.publish(payload=b"1", qos=1, expiry_s=5)
    bench.publish(payload=b"2", qos=1, expiry_s=50)
    bench.context.now = 10.5
    effects = bench.connect("a")
    assert [each.cause for each in effects if isinstance(each, Drop)] == ["expired"]
    assert given(effects) == [
        Message("t", b"2", qos=1, packet_id=1, properties=Properties(message_expiry_s=40))
    ]


def test_a_retained_message_expires(bench):
    """It greets with the time that is left, and no more after it."""
    bench.publish(payload=b"1", retain=True, expiry_s=5)
    bench.connect("a")
    bench.context.now = 3.0
    (greeting,) = given(bench.subscribe("a", "t"))
    assert greeting.properties == Properties(message_expiry_s=2)
    bench.context.now = 5.0
    assert given(bench.subscribe("a", "t")) == []
    assert bench.broker.retained == {}


def test_an_old_client_gets_no_properties(bench):
    """MQTT 3.1.1 has no place for the expiry, which holds all the same."""
    bench.take("old", connect_message(Connect("old", 0.0, clean_session=False)))
    bench.take("old", Message("t", qos=1, kind="subscribe", packet_id=1))
    assert given(bench.publish(qos=1, expiry_s=5)) == [Message("t", b"x", qos=1, packet_id=1)]
    bench.lose("old")
    bench.publish(payload=b"late", qos=1, expiry_s=5)
    bench.context.now = 6.0
    effects = bench.take("old", connect_message(Connect("old", 0.0, clean_session=False)))
    assert [message.payload for message in given(effects)] == [b"x"]


def test_no_local_keeps_a_client_from_hearing_itself(bench):
    """Its own publication does not come back through that filter, and others' do."""
    bench.connect("a")
    bench.subscribe("a", "t", is_no_local=True)
    assert given(bench.publish(node="a")) == []
    assert len(given(bench.publish())) == 1


def test_retain_as_published_keeps_the_flag(bench):
    """Only a subscription with the option sees whether a live message was to be retained."""
    bench.connect("a")
    bench.connect("b")
    bench.subscribe("a", "t", is_retain_as_published=True)
    bench.subscribe("b", "t")
    sends = [each for each in bench.publish(retain=True) if isinstance(each, Send)]
    assert {each.to: each.message.retain for each in sends} == {"a": True, "b": False}


@pytest.mark.parametrize(("handling", "expected"), [(0, [1, 1]), (1, [1, 0]), (2, [0, 0])])
def test_retain_handling_says_when_to_greet(bench, handling, expected):
    """0: at each subscription; 1: at a new one; 2: never."""
    bench.publish(retain=True)
    bench.connect("a")
    assert [len(given(bench.subscribe("a", "t", retain_handling=handling))) for _ in range(2)] == expected


def test_a_group_shares_its_messages_in_turn(bench):
    """Each message goes to one member; who is not a member gets its own."""
    for node in ("a", "b", "other"):
        bench.connect(node)
    bench.subscribe("a", "$share/g/t/+")
    bench.subscribe("b", "$share/g/t/+")
    bench.subscribe("other", "t/#")
    shares = [{each.to for each in bench.publish("t/1") if isinstance(each, Send)} for _ in range(4)]
    assert shares == [{"a", "other"}, {"b", "other"}] * 2


def test_a_group_prefers_members_that_are_there(bench):
    """A member that is away gets nothing while another is there, and all when it is the last."""
    for node in ("a", "b"):
        bench.connect(node)
        bench.subscribe(node, "$share/g/t")
    bench.lose("a")
    assert [message.payload for message in given(bench.publish(payload=b"1", qos=1))] == [b"1"]
    bench.lose("b")
    bench.publish(payload=b"2", qos=1)
    assert bench.broker.sessions["a"].outbox.waiting_count == 1


def test_two_groups_get_a_copy_each_and_retained_messages_greet_none(bench):
    """$share/g and $share/h are two subscriptions."""
    bench.publish(retain=True)
    bench.connect("a")
    assert given(bench.subscribe("a", "$share/g/t")) == []
    bench.subscribe("a", "$share/h/t")
    assert len(given(bench.publish())) == 2


@pytest.mark.parametrize("topic_filter", ["$share/g", "$share//t", "$share/+/t", "$share/g/a#"])
def test_a_malformed_group_is_refused(bench, topic_filter):
    """SUBACK says that the filter is not valid: 0x8F."""
    bench.connect("a")
    assert given(bench.subscribe("a", topic_filter), "suback")[0].qos == 0x8F


def test_unsubscribing_says_whether_there_was_a_subscription(bench):
    """Reason 0x11: there was none."""
    bench.connect("a")
    bench.subscribe("a", "$share/g/t")
    unsubscribe = Message("$share/g/t", kind="unsubscribe", packet_id=1, properties=PLAIN)
    reasons = [given(bench.take("a", unsubscribe), "unsuback")[0].properties for _ in range(2)]
    assert reasons == [Properties(0), Properties(0x11)]
    assert given(bench.publish()) == []


def test_a_connection_that_is_closed_is_told_why(bench):
    """0x8E: taken over; 0x8D: silent for one and a half times its keep-alive."""
    bench.connect("a", keep_alive_s=10.0)
    again = Connect("a", 10.0, False, version="5", session_expiry_s=100)
    effects = bench.take("elsewhere", connect_message(again))
    assert effects[0] == Send("a", Message("", kind="disconnect", properties=Properties(0x8E)))
    bench.context.now = 15.0
    effects = bench.react(Woken("a"))
    assert effects[0] == Send("elsewhere", Message("", kind="disconnect", properties=Properties(0x8D)))


def test_a_client_of_before_the_run_speaks_its_own_version(bench):
    """A client that began with MQTT 5 packets is answered in MQTT 5."""
    assert given(bench.subscribe("early", "t"), "suback")[0].properties == PLAIN
