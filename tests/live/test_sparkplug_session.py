"""A node as a Sparkplug edge node, packet by packet."""

import json

from live_places import CONNECT, OURS, PLACES

from twin.live.conventions import field_of
from twin.live.sparkplug_node import SparkplugSession
from twin.message import Message
from twin.mqtt.packets import Connack, connack_message, read_connect
from twin.mqtt.sparkplug import Datatype, Metric, Payload, decode, encode


def begun(session, now_ms=10):
    """A session that the broker has accepted; what it said."""
    (connect,), _ = session.outward(CONNECT, now_ms)
    spoken = session.inward(connack_message(Connack()), now_ms)
    return read_connect(connect), list(spoken.to_broker)


def said(session, what, **members):
    """What a publication of the gate becomes: the kind of message, and what it carries."""
    topic = OURS.replace("telemetry", what)
    (out,), back = session.outward(Message(topic, json.dumps(members).encode(), qos=1, packet_id=9), 20)
    assert out.qos == 0
    assert not out.retain
    assert list(back) == [Message("", kind="puback", packet_id=9)]
    return out.topic.split("/")[2], decode(out.payload)


def test_an_edge_node_is_born_and_leaves_its_death_as_will():
    """The will has the bdSeq of the birth, one more for each connection; orders are listened for first."""
    session = SparkplugSession("plant", "gateway", PLACES)
    for number in (0, 1):
        connect, (ncmd, dcmd, birth) = begun(session)
        will, born = decode(connect.will.payload), decode(birth.payload)

        assert connect.clean_session
        assert (connect.will.topic, connect.will.qos, will.seq) == ("spBv1.0/plant/NDEATH/gateway", 1, None)
        assert [(each.name, each.value) for each in will.metrics] == [("bdSeq", number)]
        assert (ncmd.kind, ncmd.topic) == ("subscribe", "spBv1.0/plant/NCMD/gateway")
        assert (dcmd.kind, dcmd.topic) == ("subscribe", "spBv1.0/plant/DCMD/gateway/#")
        assert (birth.topic, birth.qos, born.seq) == ("spBv1.0/plant/NBIRTH/gateway", 0, 0)
        assert [(each.name, each.value) for each in born.metrics] == [
            ("bdSeq", number), ("Node Control/Rebirth", False),
        ]  # fmt: skip


def test_a_device_is_born_with_its_first_message_and_then_sends_by_alias():
    """A metric that is new, or of another type, needs another birth; seq counts through all of them."""
    session = SparkplugSession("plant", "gateway", PLACES)
    begun(session)
    kind, born = said(session, "telemetry", v=1, gate="closed", ok=True)
    aliases = {each.name: each.alias for each in born.metrics}
    then, data = said(session, "telemetry", v=2, gate="open")
    again, reborn = said(session, "report", done=[1, 2])
    typed, retyped = said(session, "telemetry", v="high")
    gone, nothing = said(session, "telemetry", v=None)

    assert [kind, then, again, typed, gone] == ["DBIRTH", "DDATA", "DBIRTH", "DBIRTH", "DDATA"]
    assert [each.seq for each in (born, data, reborn, retyped, nothing)] == [1, 2, 3, 4, 5]
    assert [(each.name, each.datatype) for each in born.metrics] == [
        ("telemetry/v", Datatype.DOUBLE),
        ("telemetry/gate", Datatype.STRING),
        ("telemetry/ok", Datatype.BOOLEAN),
    ]  # fmt: skip
    assert [(each.name, each.alias, each.value) for each in data.metrics] == [
        ("", aliases["telemetry/v"], 2.0), ("", aliases["telemetry/gate"], "open"),
    ]  # fmt: skip
    assert {each.name: each.value for each in reborn.metrics} == {
        "telemetry/v": 2.0, "telemetry/gate": "open", "telemetry/ok": True, "report/done": "[1,2]",
    }  # fmt: skip
    assert len({each.alias for each in reborn.metrics}) == 4
    assert (nothing.metrics[0].value, nothing.metrics[0].datatype) == (None, Datatype.STRING)


def test_seq_begins_anew_with_every_birth_of_the_node_and_after_255():
    """As hosts check it."""
    session = SparkplugSession("plant", "gateway", PLACES)
    begun(session)
    found = [said(session, "telemetry", v=1)[1].seq for _ in range(300)]
    _, (*_, birth) = begun(session)

    assert found == [(number + 1) % 256 for number in range(300)]
    assert decode(birth.payload).seq == 1
    assert birth.topic == "spBv1.0/plant/DBIRTH/gateway/gate-1"


def test_nothing_of_a_device_comes_before_the_birth_of_its_node():
    """What was said before the broker's answer is in the birth."""
    session = SparkplugSession("plant", "gateway", PLACES)
    session.outward(CONNECT, 5)
    early = session.outward(Message(OURS, b'{"v":1}', qos=1, packet_id=9), 5)
    spoken = session.inward(connack_message(Connack()), 5)

    assert list(early.to_broker) == []
    assert [each.topic.split("/")[2] for each in spoken.to_broker] == ["NCMD", "DCMD", "NBIRTH", "DBIRTH"]


def test_a_refused_connection_has_no_birth():
    """The node hears of it."""
    session = SparkplugSession("plant", "gateway", PLACES)
    session.outward(CONNECT, 5)
    refusal = connack_message(Connack(return_code=5))

    assert session.inward(refusal, 5) == ((), [refusal])


def test_orders_reach_the_device_and_a_host_may_ask_for_all_births():
    """By name or alias; of other devices, and of bytes that are none, nothing comes."""
    session = SparkplugSession("plant", "gateway", PLACES)
    begun(session)
    _, born = said(session, "telemetry", v=1)
    alias = born.metrics[0].alias

    def inward(topic, *metrics, payload=None):
        data = encode(Payload(5, metrics)) if payload is None else payload
        return session.inward(Message(f"spBv1.0/plant/{topic}", data, qos=1, packet_id=4), 5)

    by_name = inward("DCMD/gateway/gate-1", Metric("cmd/open", True), Metric("reset", 2.5))
    by_alias = inward("DCMD/gateway/gate-1", Metric(value=7, alias=alias))
    again = inward("NCMD/gateway", Metric("Node Control/Rebirth", True))

    report = Message("$aws/things/gate-1/shadow/update", b'{"state":{"reported":{"gate":"open"}}}')
    session.outward(report, 5)
    (wish,) = inward("DCMD/gateway/gate-1", Metric("state/gate", "closed")).to_node

    assert wish.topic == "$aws/things/gate-1/shadow/update/delta"
    assert json.loads(wish.payload)["state"] == {"gate": "closed"}
    assert [(field_of(each.topic).what, each.payload) for each in by_name.to_node] == [
        ("cmd/open", b'{"value":true}'), ("cmd/reset", b'{"value":2.5}'),
    ]  # fmt: skip
    assert [field_of(each.topic).what for each in by_alias.to_node] == ["cmd/telemetry/v"]
    assert [each.kind for each in by_name.to_broker] == ["puback"]
    assert [each.topic.split("/")[2:3] for each in again.to_broker] == [[], ["NBIRTH"], ["DBIRTH"]]
    assert list(inward("DCMD/gateway/gate-9", Metric("cmd/open", True)).to_node) == []
    assert list(inward("DCMD/gateway/gate-1", payload=b"\xff").to_node) == []


def test_the_node_is_answered_for_what_does_not_reach_the_broker():
    """Filters of field topics, QoS 2, its presence; a farewell is a death first."""
    session = SparkplugSession("plant", "gateway", PLACES)
    begun(session)
    subscribed = session.outward(Message("site/home/+/+/cmd/#", qos=1, kind="subscribe", packet_id=3), 5)
    other = Message("rule/heartbeat", qos=1, kind="subscribe", packet_id=4)
    exact = session.outward(Message(OURS, b'{"v":1}', qos=2, packet_id=5), 5)
    released = session.outward(Message("", kind="pubrel", packet_id=5), 5)
    presence = Message(OURS.replace("telemetry", "session"), b'{"online":true}', qos=1, packet_id=6)
    present = session.outward(presence, 5)
    death, farewell = session.outward(Message("", kind="disconnect"), 5).to_broker

    assert subscribed == ((), [Message("", qos=1, kind="suback", packet_id=3)])
    assert list(session.outward(other, 5).to_broker) == [other]
    assert [each.kind for each in exact.to_node] == ["pubrec"]
    assert released == ((), [Message("", kind="pubcomp", packet_id=5)])
    assert (list(present.to_broker), [each.kind for each in present.to_node]) == ([], ["puback"])
    assert (death.topic, farewell.kind) == ("spBv1.0/plant/NDEATH/gateway", "disconnect")
