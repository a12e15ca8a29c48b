"""The simulated broker with an authorisation: refused clients, publications, subscriptions and deliveries."""

import pytest
from cloud_attempts import Own, attempts, own_attempts

from twin.cloud.broker import Broker
from twin.kernel.behaviour import Drop, Received, Send
from twin.message import Message, Properties
from twin.mqtt.packets import Connect, Will, connect_message, read_connack
from twin.state.records import Records
from twin.state.registry.access import Guard
from twin.state.registry.policies import Client
from twin.state.registry.things import Thing

GATE = Own("gate-1", "boom_gate", "car_park")
OTHERS = [Own("gate-2", "boom_gate", "car_park"), Own("det-1", "smoke_detector", "car_park")]
VERSIONS = pytest.mark.parametrize("version", ["3.1.1", "5"])


@pytest.fixture
def guard():
    records = Records()
    for own in (GATE, *OTHERS):
        records.put("thing", own.thing, Thing(name=own.thing, type=own.type, site=own.site))
    records.put("client", "service", Client(name="service", role="service"))
    return Guard(records, lambda: 0.0)


@pytest.fixture
def broker(guard):
    return Broker(authorise=guard)


def _connected(broker, context, name, version):
    said = connect_message(Connect(name, 0.0, clean_session=True, version=version))
    return read_connack(_sent(broker.react(Received(said, name, 0), context), name)[0])


def _sent(effects, node):
    return [each.message for each in effects if isinstance(each, Send) and each.to == node]


def _said(version):
    return Properties() if version == "5" else None


def _give(broker, context, node, message):
    return list(broker.react(Received(message, node, 0), context))


@VERSIONS
def test_a_client_that_nobody_knows_is_refused_at_connect(broker, context, guard, version):
    """With the code of its version, and without a session."""
    assert _connected(broker, context, "stranger", version).return_code == {"3.1.1": 5, "5": 0x87}[version]
    assert broker.sessions == {}
    assert [(entry.who, entry.verb) for entry in guard.log] == [("stranger", "connect")]


@VERSIONS
def test_a_thousand_attempts_of_a_device_reach_nobody(broker, context, guard, version):
    """Publications arrive nowhere and are kept nowhere; subscriptions are refused; each is audited."""
    _connected(broker, context, "service", version)
    for number, topic_filter in enumerate(("#", "$aws/#", "$SYS/#"), 1):
        _give(broker, context, "service", Message(topic_filter, b"", 1, kind="subscribe", packet_id=number))
    _connected(broker, context, "gate-1", version)
    said, tried = _said(version), [each for each in attempts(1, GATE, OTHERS) if not each.is_malformed]
    for number, (verb, topic, _) in enumerate(tried, 1):
        message = Message(topic, b"x", 1, verb == "publish", verb, number, properties=said)
        effects = _give(broker, context, "gate-1", message)
        assert [each.cause for each in effects if isinstance(each, Drop)] in (
            ["not authorised"],
            ["subscription refused"],
        )
        answer = _sent(effects, "gate-1")[0]
        if verb == "subscribe":
            assert answer.qos == (0x87 if version == "5" else 0x80)
        elif version == "5":
            assert answer.properties.reason_code == 0x87
        assert _sent(effects, "service") == []
    assert broker.retained == {}
    assert broker.sessions["gate-1"].filters == {}
    assert [(entry.verb, entry.what) for entry in guard.log] == [each[:2] for each in tried]


@VERSIONS
def test_a_device_is_served_on_all_of_its_own_topics(broker, context, guard, version):
    """Every publication reaches the service, and every subscription is granted."""
    _connected(broker, context, "service", version)
    for number, topic_filter in enumerate(("#", "$aws/#"), 1):
        _give(broker, context, "service", Message(topic_filter, b"", 0, kind="subscribe", packet_id=number))
    _connected(broker, context, "gate-1", version)
    for number, (verb, topic, _) in enumerate(own_attempts(GATE), 1):
        message = Message(topic, b"x", 1, False, verb, number, properties=_said(version))
        effects = _give(broker, context, "gate-1", message)
        if verb == "publish":
            assert [each.topic for each in _sent(effects, "service")] == [topic]
        else:
            assert _sent(effects, "gate-1")[0].qos == 1
    assert list(guard.log) == []


@VERSIONS
def test_a_refused_publication_at_qos_2_goes_nowhere(broker, context, version):
    """MQTT 5 says so and ends the exchange; 3.1.1 goes through it and drops the publication."""
    _connected(broker, context, "gate-1", version)
    message = Message("$aws/things/gate-2/shadow/update", b"x", 2, packet_id=7, properties=_said(version))
    pubrec = _sent(_give(broker, context, "gate-1", message), "gate-1")[0]
    if version == "5":
        assert pubrec.properties.reason_code == 0x87
        assert broker.sessions["gate-1"].incoming == {}
    else:
        effects = _give(broker, context, "gate-1", Message("", kind="pubrel", packet_id=7))
        assert [each.cause for each in effects if isinstance(each, Drop)] == ["not authorised"]


def test_a_will_outside_ones_own_topics_is_not_published(broker, context):
    """The broker speaks for a client no further than it could itself."""
    said = Connect("gate-1", 0.0, clean_session=True, will=Will("alarms/gate-2/fire", b"x", 0, True))
    broker.react(Received(connect_message(said), "gate-1", 0), context)
    effects = broker._broken("gate-1", context)
    assert [each.cause for each in effects if isinstance(each, Drop)] == ["not authorised"]
    assert broker.retained == {}


def test_a_subscriber_that_lost_its_right_receives_nothing_more(broker, context, guard):
    """What was granted before its thing was disabled brings nothing now."""
    _connected(broker, context, "gate-1", "3.1.1")
    _connected(broker, context, "service", "3.1.1")
    topic = "site/car_park/boom_gate/gate-1/cmd/open"
    _give(broker, context, "gate-1", Message(topic, b"", 0, kind="subscribe", packet_id=1))
    assert _sent(_give(broker, context, "service", Message(topic, b"{}")), "gate-1")

    guard.records.put(
        "thing", "gate-1", Thing(name="gate-1", type="boom_gate", site="car_park", state="disabled")
    )
    assert _sent(_give(broker, context, "service", Message(topic, b"{}")), "gate-1") == []
