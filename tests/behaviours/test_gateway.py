import msgspec
import pytest

from devices_models.gateway.gateway import Gateway
from twin.kernel.behaviour import Drop, LinkChanged, Received, Send, Started, Wake, Woken
from twin.message import Message
from twin.mqtt.client import ClientSession
from twin.mqtt.packets import Connack, connack_message

DEVICES = {
    "s1": "smoke_detector",
    "g1": "gas_sensor",
    "b1": "parking_bay_sensor",
    "GA": "boom_gate",
    "h1": "sounder",
    "h2": "sounder",
}
ALARM = Message("smoke_detector/s1/event/alarm", b'{"ts":1,"value":14}', qos=1)


def gateway(**options):
    options.setdefault("upstream", "broker")
    return Gateway(site="park", devices=dict(DEVICES), **options)


def started(context, **options):
    """A gateway whose broker has accepted the connection."""
    node = gateway(**options)
    list(node.react(Started(), context))
    if node.upstream:
        list(node.react(from_broker(connack_message(Connack())), context))
    return node


def from_broker(message):
    return Received(message, "broker", 0.0)


def reacted(node, message, source, context):
    return list(node.react(Received(message, source, 0.0), context))


def sends(effects, to):
    return [effect.message for effect in effects if type(effect) is Send and effect.to == to]


def reading(ppm, ts=1):
    return Message("gas_sensor/g1/telemetry", f'{{"ts":{ts},"carbon_monoxide_ppm":{ppm}}}'.encode())


@pytest.fixture
def context(at_node):
    return at_node("gw")


def test_a_gateway_connects_and_asks_for_its_commands(context):
    """It connects at the start; on acceptance it subscribes to orders, deltas and the rules' heartbeat."""
    node = gateway()
    kinds = [message.kind for message in sends(node.react(Started(), context), "broker")]
    assert kinds == ["connect"]

    effects = list(node.react(from_broker(connack_message(Connack())), context))

    assert [message.topic for message in sends(effects, "broker")] == [
        "site/park/+/+/cmd/#",
        "$aws/things/+/shadow/update/delta",
        "rule/heartbeat",
    ]


def test_a_reading_goes_up_under_the_name_of_the_site(context):
    """The prefix is added, the QoS raised to 1, the payload untouched."""
    effects = reacted(started(context), reading(3), "g1", context)

    assert sends(effects, "broker") == [
        Message("site/park/gas_sensor/g1/telemetry", reading(3).payload, qos=1, packet_id=4)
    ]


def test_with_qos_0_a_reading_goes_up_at_most_once(context):
    """The option is a lower bound: an event of QoS 1 keeps its QoS."""
    node = started(context, qos=0)

    assert sends(reacted(node, reading(3), "g1", context), "broker")[0].qos == 0
    assert sends(reacted(node, ALARM, "s1", context), "broker")[0].qos == 1


def test_local_subscribers_see_field_topics(context):
    """A rule engine on the gateway reads what a device says, without prefix, at the lower QoS of both."""
    node = started(context)
    reacted(node, Message("+/+/event/alarm", kind="subscribe", qos=0), "rules", context)

    effects = reacted(node, ALARM, "s1", context)

    assert sends(effects, "rules") == [Message(ALARM.topic, ALARM.payload)]


def test_a_publisher_does_not_hear_itself(context):
    """The local bus leaves the sender out."""
    node = started(context)
    reacted(node, Message("#", kind="subscribe"), "rules", context)

    assert sends(reacted(node, Message("rule/alarm", b"{}"), "rules", context), "rules") == []


def test_subscriptions_are_bounded(context):
    """One too many is dropped by name."""
    node = started(context)
    node.subscription_count = 1_000
    one_more = Message("a/#", kind="subscribe")

    assert reacted(node, one_more, "rules", context) == [Drop(one_more, "too many subscriptions")]


def test_a_local_command_goes_to_its_device_only(context):
    """It neither waits for the WAN nor bothers it."""
    order = Message("boom_gate/GA/cmd/open", b"{}", qos=1)

    assert reacted(started(context), order, "rules", context) == [Send("GA", order)]


def test_a_device_can_command_another(context):
    """Devices on one gateway reach each other through it."""
    order = Message("sounder/h2/cmd/sound", b"{}", qos=1)

    assert reacted(started(context), order, "s1", context) == [Send("h2", order)]


def test_a_command_for_another_gateway_goes_up(context):
    """The broker knows who holds that device."""
    order = Message("boom_gate/GZ/cmd/open", b"{}", qos=1)

    topics = [
        message.topic for message in sends(reacted(started(context), order, "rules", context), "broker")
    ]

    assert topics == ["site/park/boom_gate/GZ/cmd/open"]


def test_a_command_from_above_is_stripped_and_acknowledged(context):
    """The device sees the field topic."""
    order = Message("site/park/boom_gate/GA/cmd/open", b"{}", qos=1, packet_id=9, dup=True)

    effects = list(started(context).react(from_broker(order), context))

    assert effects == [
        Send("broker", Message("", kind="puback", packet_id=9)),
        Send("GA", Message("boom_gate/GA/cmd/open", b"{}", qos=1)),
    ]


def test_a_shadow_delta_is_handed_to_its_thing(context):
    """The device knows nothing of shadow topics; deltas of others' things are left alone."""
    node = started(context)

    def delta(thing):
        return from_broker(Message(f"$aws/things/{thing}/shadow/update/delta", b'{"state":{"gate":"open"}}'))

    assert list(node.react(delta("GA"), context)) == [
        Send("GA", Message("boom_gate/GA/delta", b'{"state":{"gate":"open"}}'))
    ]
    assert list(node.react(delta("GZ"), context)) == []


def test_a_shadow_report_goes_up_without_prefix(context):
    """Shadow topics belong to the broker's own name space."""
    report = Message("$aws/things/GA/shadow/update", b"{}", qos=1)

    assert [m.topic for m in sends(reacted(started(context), report, "GA", context), "broker")] == [
        report.topic
    ]


def test_gates_hear_the_gateway_every_ten_seconds(context):
    """At the start and then on every beat; nobody but gates does."""
    node = started(context)

    assert list(node.react(Woken("heartbeat"), context)) == [
        Send("GA", Message("gateway/heartbeat")),
        Wake(10.0, "heartbeat"),
    ]


@pytest.mark.parametrize("source", ["rules", "broker"])
def test_the_rules_heartbeat_is_passed_on_to_gates(source, context):
    """From a rule engine on this gateway or from one behind the broker; it is not forwarded."""
    effects = reacted(started(context), Message("rule/heartbeat"), source, context)

    assert effects == [Send("GA", Message("rule/heartbeat"))]


def test_the_panel_sounds_without_rules_or_wan(context):
    """On an alarm all sounders are commanded at once, and the detector need not repeat itself."""
    node = started(context, upstream="")

    assert reacted(node, ALARM, "s1", context) == [
        Send("h1", Message("sounder/h1/cmd/sound", b"{}", qos=1)),
        Send("h2", Message("sounder/h2/cmd/sound", b"{}", qos=1)),
        Send("s1", Message("smoke_detector/s1/cmd/ack", b"{}", qos=1)),
    ]


def test_without_a_panel_sounding_is_left_to_rules(context):
    """The alarm is acknowledged and forwarded all the same."""
    effects = reacted(started(context, local_panel=False), ALARM, "s1", context)

    assert sends(effects, "h1") == []
    assert len(sends(effects, "s1")) == len(sends(effects, "broker")) == 1


def test_the_last_reading_is_answered_on_get(context):
    """The device is not asked; a device that never reported has null."""
    node = started(context, upstream="")
    reacted(node, reading(3), "g1", context)

    def asked(name):
        return reacted(node, Message(f"gas_sensor/{name}/cmd/get"), "app", context)

    assert asked("g1") == [Send("app", Message("gas_sensor/g1/last", reading(3).payload))]
    assert asked("b1") == [Send("app", Message("gas_sensor/b1/last", b"null"))]


def test_the_last_reading_can_be_asked_from_above(context):
    """The answer goes up like any publication."""
    node = started(context)
    reacted(node, reading(3), "g1", context)

    effects = list(node.react(from_broker(Message("site/park/gas_sensor/g1/cmd/get")), context))

    assert [(m.topic, m.payload) for m in sends(effects, "broker")] == [
        ("site/park/gas_sensor/g1/last", reading(3).payload)
    ]


def test_a_frame_becomes_json(context):
    """A bay sensor's byte is converted, and stamped with the time of its arrival."""
    context.now = 2.0
    frame = Message("parking_bay_sensor/b1/telemetry", b"\x01")

    [sent] = sends(reacted(started(context), frame, "b1", context), "broker")

    assert sent.payload == b'{"ts":2000,"occupied":true}'


def test_an_impossible_reading_is_dropped_by_cause(context):
    """2,000 ppm lie outside the range of the cell."""
    node = started(context)

    assert reacted(node, reading(2000), "g1", context) == [Drop(reading(2000), "out of range")]
    assert node.account.dropped == {"out of range": 1}


def test_cleansing_can_be_switched_off(context):
    """Then everything goes up."""
    assert len(sends(reacted(started(context, cleanse=False), reading(2000), "g1", context), "broker")) == 1


def test_an_aggregated_kind_goes_up_once_a_window(context):
    """Two readings become one message with count, mean, least, greatest and last value."""
    context.now = 60.0
    node = started(context, aggregate=["gas_sensor"])
    assert reacted(node, reading(4, ts=1), "g1", context) == []
    assert reacted(node, reading(2, ts=2), "g1", context) == []

    effects = list(node.react(Woken("window"), context))

    [summary] = sends(effects, "broker")
    assert summary.topic == "site/park/gas_sensor/gw/telemetry"
    assert msgspec.json.decode(summary.payload) == {
        "ts": 60000,
        "window_s": 60.0,
        "count": 2,
        "fields": {
            "carbon_monoxide_ppm": {"count": 2, "mean": 3.0, "min": 2.0, "max": 4.0, "last": 2.0},
        },
    }
    assert effects[-1] == Wake(60.0, "window")
    assert sends(node.react(Woken("window"), context), "broker") == []


def plate():
    payload = b'{"ts":1,"plate":"SAA0007H","gate":"GA"}'
    return Message("plate_camera/c1/event/plate", payload, qos=1, personal_bytes=10)


def test_a_masked_plate_leaves_as_a_pseudonym(context):
    """No personal byte goes up, local rules still see the plate, and equal plates stay equal."""
    node = started(context, mask=["plate"])
    reacted(node, Message("#", kind="subscribe", qos=1), "rules", context)

    effects = reacted(node, plate(), "c1", context)

    [sent] = sends(effects, "broker")
    assert sends(effects, "rules") == [plate()]
    assert sent.personal_bytes == 0
    assert b"SAA0007H" not in sent.payload
    assert sends(reacted(node, plate(), "c1", context), "broker")[0].payload == sent.payload


def test_pseudonyms_of_two_gateways_differ(context, at_node):
    """The key is each gateway's own, so nobody joins plates across sites."""
    payloads = {
        sends(reacted(started(each, mask=["plate"]), plate(), "c1", each), "broker")[0].payload
        for each in (context, at_node("gw2"))
    }

    assert len(payloads) == 2


def test_a_plate_can_be_removed(context):
    """`mask_by: remove` leaves no trace of it."""
    node = started(context, mask=["plate"], mask_by="remove")

    [sent] = sends(reacted(node, plate(), "c1", context), "broker")

    assert (sent.payload, sent.personal_bytes) == (b'{"ts":1,"gate":"GA"}', 0)


def test_without_a_mask_the_plate_leaves(context):
    """The personal bytes stay counted, so that a requirement can find them."""
    [sent] = sends(reacted(started(context), plate(), "c1", context), "broker")

    assert (sent.payload, sent.personal_bytes) == (plate().payload, 10)


def test_what_cannot_be_masked_does_not_leave(context):
    """Personal bytes in an opaque payload are dropped rather than leaked."""
    opaque = Message("plate_camera/c1/event/plate", b"\xff\xd8", qos=1, personal_bytes=2)

    assert reacted(started(context, mask=["plate"]), opaque, "c1", context) == [
        Drop(opaque, "cannot be masked")
    ]


def test_what_waited_goes_up_in_order_and_in_its_own_chain(context):
    """While the link is down messages wait; after reconnection they leave oldest first."""
    node = started(context)
    list(node.react(LinkChanged("broker", is_up=False), context))
    for trace, ppm in ((11, 1), (12, 2)):
        context.trace = trace
        assert sends(reacted(node, reading(ppm, ts=ppm), "g1", context), "broker") == []
    assert node.buffered_count == 2

    list(node.react(LinkChanged("broker", is_up=True), context))
    context.trace = 99
    effects = list(node.react(from_broker(connack_message(Connack(is_session_present=True))), context))

    assert [(e.message.payload, e.trace) for e in effects if type(e) is Send] == [
        (reading(1, ts=1).payload, 11),
        (reading(2, ts=2).payload, 12),
    ]
    assert node.buffered_count == 0


def test_the_session_holds_no_more_than_its_window(context):
    """Twenty publications may be unacknowledged; each acknowledgement makes room for the next."""
    node = started(context, cleanse=False)
    for number in range(25):
        reacted(node, reading(number), "g1", context)
    assert node.buffered_count == 5

    effects = list(node.react(from_broker(Message("", kind="puback", packet_id=4)), context))

    assert [message.payload for message in sends(effects, "broker")] == [reading(20).payload]
    assert node.buffered_count == 4


def test_a_full_buffer_drops_by_policy(context):
    """The oldest reading goes, with its cause."""
    node = started(context, buffer=1)
    list(node.react(LinkChanged("broker", is_up=False), context))
    reacted(node, reading(1, ts=1), "g1", context)

    [dropped] = reacted(node, reading(2, ts=2), "g1", context)

    assert (dropped.message.payload, dropped.cause) == (reading(1, ts=1).payload, "buffer full")


def test_a_cold_session_connects_for_the_first_publication(context):
    """Nothing is sent at the start; the publication waits for the handshake."""
    node = gateway(session=ClientSession("broker", "gw", session="cold"))
    assert sends(node.react(Started(), context), "broker") == []
    assert [m.kind for m in sends(reacted(node, reading(1), "g1", context), "broker")] == ["connect"]

    effects = list(node.react(from_broker(connack_message(Connack())), context))

    assert sends(effects, "broker")[-1].payload == reading(1).payload


def test_without_an_upstream_nothing_is_sent_up_or_kept(context):
    """A gateway alone is an edge node with a local bus."""
    node = started(context, upstream="", aggregate=["gas_sensor"])

    assert reacted(node, reading(1), "g1", context) == []
    assert (node.account.accepted_count, node.buffered_count) == (0, 0)


def test_what_comes_before_the_start_is_ignored(context):
    """Without a session there is nothing to answer to."""
    order = Message("site/park/boom_gate/GA/cmd/open", b"{}", qos=1, packet_id=1)

    assert list(gateway().react(from_broker(order), context)) == []


def test_last_values_are_bounded(context):
    """The node that was silent longest is forgotten."""
    node = started(context, upstream="", cleanse=False)
    node.last_values.update((f"old{number}", b"{}") for number in range(10_000))

    reacted(node, reading(3), "g1", context)

    assert len(node.last_values) == 10_000
    assert "old0" not in node.last_values
    assert "g1" in node.last_values


def test_without_heartbeats_gates_hear_nothing(context):
    """`heartbeat_s` 0 switches them off."""
    assert sends(gateway(heartbeat_s=0.0).react(Started(), context), "GA") == []
