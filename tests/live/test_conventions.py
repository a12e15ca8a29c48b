"""Foreign conventions: packet by packet, and with a cloud of somebody else's behind a real broker."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import client as paho

from scenarios.live import run_live
from scenarios.shipped import load
from twin.errors import InputError
from twin.live.conventions import AwsShadow, Field, field_of
from twin.live.endpoint import endpoint
from twin.live.history import marked
from twin.live.sparkplug_node import SparkplugSession, sparkplug
from twin.live.templates import PayloadTemplate, TopicTemplate, templates
from twin.message import Message, Properties
from twin.mqtt.packets import Connack, Connect, Will, connack_message, connect_message, read_connect
from twin.mqtt.sparkplug import Datatype, Metric, Payload, decode, encode
from twin.mqtt.topics import matches
from twin.service.brokers import broker
from windtunnel.convention_options import convention_of

ROOT = Path(__file__).parents[2]
OURS = "site/home/boom_gate/gate-1/telemetry"
PLACES = {
    name: Field(site, "boom_gate", name, "")
    for site, name in (("home", "gate-1"), ("away", "gate-2"), ("home", "gate-3"))
}
CONNECT = connect_message(Connect("g", will=Will("site/home/boom_gate/gate-1/session", b'{"online":false}')))
LEVEL = st.text(st.characters(exclude_characters="+#/\0", codec="utf-8"), min_size=1, max_size=5)
FIELDS = st.builds(Field, LEVEL, LEVEL, LEVEL, st.lists(LEVEL, min_size=1, max_size=3).map("/".join))
TEMPLATES = ["plant/{site}/{kind}/{thing}/{what}", "{thing}/x-{kind}.{site}/{what}", "v1/{thing}/{what}"]


# templates ------------------------------------------------------------------------------------------------


@given(FIELDS, st.sampled_from(TEMPLATES[:1]))
def test_a_topic_of_a_template_is_read_as_it_was_written(found, text):
    """Every part comes back, odd letters too."""
    template = TopicTemplate(text)

    assert Field(**template.match(template.topic(found))) == found


@given(FIELDS, st.sampled_from(TEMPLATES), st.lists(st.booleans(), min_size=4, max_size=4), st.booleans())
def test_a_filter_of_a_template_covers_what_ours_covered(found, text, is_wild, is_open):
    """Whichever parts are wildcards: no message is missed."""
    template = TopicTemplate(text)
    wanted = Field(*("+" if wild else part for wild, part in zip(is_wild[:3], found[:3])), found.what)
    wanted = wanted._replace(what="#") if is_open else wanted

    assert matches(template.topic_filter(wanted), template.topic(found))


def test_a_session_renames_what_goes_and_what_comes():
    """Publications, filters, the will; an order comes back under the name the node knows."""
    session = convention_of("topics:dt/{site}/{thing}/{what}")("gateway", PLACES)
    (connect,), _ = session.outward(CONNECT, 5)
    (out,), _ = session.outward(Message(OURS, b'{"v":1}', qos=1, packet_id=7), 5)
    (asked,), _ = session.outward(Message("site/home/+/+/cmd/#", kind="subscribe", packet_id=8), 5)
    order = Message("dt/home/gate-1/cmd/open", b"{}", qos=1, packet_id=3)
    to_broker, (heard,) = session.inward(order, 5)

    assert read_connect(connect).will.topic == "dt/home/gate-1/session"
    assert (out.topic, out.payload, out.qos, out.packet_id) == ("dt/home/gate-1/telemetry", b'{"v":1}', 1, 7)
    assert (asked.topic, asked.packet_id) == ("dt/home/+/cmd/#", 8)
    assert (heard.topic, heard.packet_id, list(to_broker)) == ("site/home/boom_gate/gate-1/cmd/open", 3, [])


def test_what_nobody_asked_for_is_acknowledged_and_let_go():
    """A foreign filter may cover more than ours; the broker must not wait for us."""
    session = convention_of("topics:dt/{thing}/{what}")("gateway", PLACES)
    session.outward(Message("site/home/boom_gate/gate-1/cmd/#", kind="subscribe", packet_id=1), 5)

    assert session.inward(Message("dt/gate-1/cmd/open", b"{}", qos=1, packet_id=3), 5).to_node
    assert session.inward(Message("dt/gate-2/cmd/open", b"{}", qos=1, packet_id=4), 5) == (
        [Message("", kind="puback", packet_id=4)],
        (),
    )


def test_a_reported_state_is_said_under_a_topic_and_a_wish_for_it_is_an_order():
    """Devices that follow their shadow need not know; versions grow."""
    session = templates("dt/{thing}/{what}", "cmd/{thing}/{what}")("gateway", PLACES)
    report = marked(b'{"state":{"reported":{"gate": "open"}}}', "g:1:1")
    (out,), _ = session.outward(Message("$aws/things/gate-1/shadow/update", report), 5)
    (other,), _ = session.outward(Message("$aws/things/nobody/shadow/update", report), 5)
    (asked,), _ = session.outward(Message("$aws/things/+/shadow/update/delta", kind="subscribe"), 5)
    _, (wish,) = session.inward(Message("cmd/gate-1/cmd/set", b'{"gate":"closed"}'), 7000)

    assert (out.topic, out.payload) == ("dt/gate-1/state", b'{"gate": "open"}')
    assert other.topic == "$aws/things/nobody/shadow/update"
    assert asked.topic == "cmd/+/cmd/set"
    assert wish.topic == "$aws/things/gate-1/shadow/update/delta"
    assert json.loads(wish.payload) == {"version": 7000, "timestamp": 7, "state": {"gate": "closed"}}


def test_orders_may_have_topics_of_their_own():
    """And acknowledgements of orders come from the thing."""
    session = templates("dt/{thing}/{what}", "cmd/{thing}/{what}")("gateway", PLACES)
    (out,), _ = session.outward(Message(OURS.replace("telemetry", "cmd/open/ack")), 5)
    (asked,), _ = session.outward(Message("site/home/boom_gate/gate-1/cmd/#", kind="subscribe"), 5)

    assert (out.topic, asked.topic) == ("dt/gate-1/cmd/open/ack", "cmd/gate-1/cmd/#")


def test_a_payload_is_wrapped_and_comes_back_byte_for_byte():
    """Numbers stay as they were written; what is no JSON goes as it is."""
    template = PayloadTemplate(
        {"id": "{site}:{thing}", "at": "{ms}", "data": {"v": ["{what}"], "p": "{payload}"}}
    )
    values = {**Field("home", "boom_gate", "gate-1", "telemetry")._asdict(), "ms": 5}
    data = template.wrapped(b'{"v": 1.0e2,  "w":1}', values)

    assert json.loads(data) == {
        "id": "home:gate-1", "at": 5, "data": {"v": ["telemetry"], "p": {"v": 100.0, "w": 1}},
    }  # fmt: skip
    assert template.unwrapped(data) == b'{"v": 1.0e2,  "w":1}'
    assert template.wrapped(b"\xff", values) == b"\xff"
    assert template.unwrapped(b'{"data": 7}') == b'{"data": 7}'


def test_an_alias_stands_for_no_other_topic():
    """MQTT 5: the broker learnt the alias for nothing yet."""
    session = convention_of("topics:dt/{thing}/{what}")("gateway", PLACES)
    given_alias = Message(OURS, properties=Properties(topic_alias=1, is_topic_omitted=True))
    (out,), _ = session.outward(given_alias, 5)

    assert out.properties == Properties()


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("sparkplug", "did you mean sparkplug-b"),
        ("sparkplug-b:", "is not empty"),
        ("sparkplug-b:a/b", "has no"),
        ("topics:plant/{thing}", "has {thing} and {what}"),
        ("topics:plant/{thing}/{what}/{vendor}", "has {thing} and {what}"),
        ("topics:plant/+/{thing}/{what}", "no wildcards"),
        ("nowhere.yaml", "cannot be read"),
        ("oauth", "There are: aws-shadow"),
    ],
)
def test_a_convention_that_is_none_is_refused_in_one_sentence(asked, part):
    """With what there is."""
    with pytest.raises(InputError) as told:
        convention_of(asked)

    assert part in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "is no YAML"),
        ("a: 1", "says no topics"),
        ("topics: '{thing}/{what}'\npayloads: x", "there is no 'payloads'"),
        ("topics: 7", "topics is a text"),
        ("topics: '{thing}/{what}'\npayload: {a: 1}", "as one of its values"),
        ("topics: '{thing}/{what}'\npayload: {a: '{payload}', b: '{vendor}'}", "not {vendor}"),
    ],
)
def test_a_file_that_is_no_convention_is_refused_in_one_sentence(tmp_path, text, part):
    """With what was expected."""
    path = tmp_path / "ours.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as told:
        convention_of(str(path))

    assert part in str(told.value)
    assert "\n" not in str(told.value)


# AWS ------------------------------------------------------------------------------------------------------


def test_telemetry_becomes_the_reported_state_of_a_shadow():
    """Without the ledger's mark; everything else stays."""
    session = AwsShadow()
    (out,), _ = session.outward(Message(OURS, marked(b'{"v":1}', "g:1:1"), qos=1, packet_id=7), 5)
    delta = Message("$aws/things/gate-1/shadow/update/delta", b"{}")

    assert (out.topic, out.qos, out.packet_id) == ("$aws/things/gate-1/shadow/update", 1, 7)
    assert json.loads(out.payload) == {"state": {"reported": {"v": 1}}}
    assert list(session.inward(delta, 5).to_node) == [delta]
    for other in (Message(OURS, b"\xff"), Message(OURS.replace("telemetry", "event/x"), b"{}"), CONNECT):
        assert list(session.outward(other, 5).to_broker) == [other]


# Sparkplug ------------------------------------------------------------------------------------------------


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


# live -----------------------------------------------------------------------------------------------------

SITE = """
scenario: 1
sites: {here: {metro: singapore}, cloud: {metro: singapore}}
fleets:
  gates: {device: boom_gate, count: 2, at: here, via: gateway, link: ethernet}
  meters: {device: periodic, count: 3, at: here, via: gateway, link: ethernet, every: 500 ms}
nodes:
  gateway: {kind: gateway, at: here}
  broker: {kind: mqtt_broker, at: cloud}
links:
  - {between: [gateway, broker], path: wan, access: gpon, qos: 1}
requirements:
  - {name: opened, expect: count(gate_open) == 1}
run: {duration: 6 s}
"""


class Cloud:
    """Somebody else's cloud: listens to everything, and orders once."""

    def __init__(self, port, order_when="never", topic="", payload=b"", topics="#"):
        self.heard, self.ordered = [], threading.Event()
        self.order_when, self.order = order_when, (topic, payload)
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_message = self._on_message
        self.client.on_connect = lambda client, *_: client.subscribe(topics, 1)
        self.client.reconnect_delay_set(0.05, 0.2)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _on_message(self, client, _data, message):
        if message.retain:  # what somebody left on the broker long ago
            return
        self.heard.append((message.topic, message.payload))
        if not self.ordered.is_set() and self.order_when in message.topic:
            self.ordered.set()
            client.publish(*self.order)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        time.sleep(0.3)
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def variant(tmp_path):
    path = tmp_path / "site.scenario.yaml"
    path.write_text(SITE)
    return load(path).variants[0]


def ran(variant, port, convention):
    return run_live(variant, {"broker": endpoint(f"mqtt://127.0.0.1:{port}")}, convention=convention)


@pytest.mark.live
def test_a_host_of_sparkplug_sees_births_orders_a_gate_and_sees_it_open(variant, mosquitto_port):
    """Nothing but Sparkplug is on the broker; seq has no gap; the death comes at the end."""
    order = encode(Payload(0, (Metric("cmd/open", True),)))
    with Cloud(
        mosquitto_port, "DBIRTH/gateway/gates-001", "spBv1.0/plant/DCMD/gateway/gates-001", order
    ) as cloud:
        found = ran(variant, mosquitto_port, sparkplug("plant"))
    ours = [each for each in cloud.heard if "/DCMD/" not in each[0]]
    kinds = [topic.split("/")[2] for topic, _ in ours]
    names, values = {}, []
    for topic, payload in ours:
        for metric in decode(payload).metrics:
            if metric.name:
                names[topic.rpartition("/")[2], metric.alias] = metric.name
            values.append((names.get((topic.rpartition("/")[2], metric.alias)), metric.value))

    assert found.outcome.judgements["opened"].is_met
    assert {topic.split("/")[0] for topic, _ in ours} == {"spBv1.0"}
    assert kinds[0] == "NBIRTH"
    assert kinds[-1] == "NDEATH"
    assert kinds.count("DDATA") > 10
    assert [decode(payload).seq for _, payload in ours[:-1]] == [
        number % 256 for number in range(len(ours) - 1)
    ]
    assert values.index(("state/gate", "closed")) < values.index(("state/gate", "open"))


@pytest.mark.live
def test_things_with_connections_of_their_own_are_born_again_when_the_broker_is_back(tmp_path):
    """Each an edge node; what a host hears of it last is the death of its last birth."""
    own = "via: broker, link: {medium: ethernet, path: direct, transport: tcp}"
    text = SITE.partition("links:")[0].replace("via: gateway, link: ethernet", own)
    text = text.replace("  gateway: {kind: gateway, at: here}\n", "") + "run: {duration: 12 s}\n"
    path = tmp_path / "own.scenario.yaml"
    path.write_text(text)
    with broker("embedded") as real:

        def fall():
            time.sleep(3.0)
            real.child.kill()
            time.sleep(0.3)
            real.child.start()

        trouble = threading.Thread(target=fall)
        with Cloud(real.endpoint.port, topics="spBv1.0/#") as cloud:
            trouble.start()
            run_live(load(path).variants[0], {"broker": real.endpoint}, convention=sparkplug("plant"))
            trouble.join()
    numbers = {}
    for topic, payload in cloud.heard:
        _, _, kind, node, *_ = topic.split("/")
        if kind in ("NBIRTH", "NDEATH"):
            values = {each.name: each.value for each in decode(payload).metrics}
            numbers.setdefault(node, []).append((kind, values["bdSeq"]))

    assert len(numbers) == 5
    for said_of_it in numbers.values():
        births = [number for kind, number in said_of_it if kind == "NBIRTH"]
        assert births[0] == 0
        assert births == sorted(set(births))
        death, last = said_of_it[-1]
        assert death == "NDEATH"
        assert last > 0  # born again, though perhaps before the host was back to hear of it
        assert births[-1] <= last


@pytest.mark.live
def test_a_cloud_with_topics_and_payloads_of_its_own_orders_a_gate(variant, mosquitto_port, tmp_path):
    """From a file, as the page has it."""
    text = (ROOT / "docs" / "live.md").read_text("utf-8")
    (tmp_path / "ours.yaml").write_text(text.partition("```yml\n# ours.yaml\n")[2].partition("```")[0])
    convention = convention_of(str(tmp_path / "ours.yaml"))
    with Cloud(mosquitto_port, "gates-001", "cmd/here/gates-001/cmd/open", b"{}") as cloud:
        found = ran(variant, mosquitto_port, convention)
    first = msgspec.json.decode(next(data for topic, data in cloud.heard if "meters-001" in topic))

    assert found.outcome.judgements["opened"].is_met
    assert {topic.split("/")[0] for topic, _ in cloud.heard} == {"dt", "cmd"}
    assert first["device"] == "here/meters-001"
    assert abs(first["at"] / 1000 - time.time()) < 60
    assert first["data"] == {}
    states = [msgspec.json.decode(data)["data"] for topic, data in cloud.heard if "gates-001/state" in topic]
    assert [each["gate"] for each in states] == ["closed", "open"]


@pytest.mark.live
def test_telemetry_reaches_the_shadows_of_somebody_elses_cloud(variant, mosquitto_port):
    """And its delta reaches the gate, which reports."""
    delta = json.dumps({"version": 3, "state": {"gate": "open"}}).encode()
    topic = "$aws/things/gates-001/shadow/update/delta"
    with Cloud(mosquitto_port, "gates-001", topic, delta) as cloud:
        cloud.client.subscribe("$aws/#", 1)
        found = ran(variant, mosquitto_port, convention_of("aws-shadow"))
    reported = [
        msgspec.json.decode(data)["state"]["reported"]
        for topic, data in cloud.heard
        if topic.startswith("$aws/things/meters-001/shadow/update")
    ]

    assert found.outcome.judgements["opened"].is_met
    assert len(reported) > 5


@pytest.mark.live
def test_the_command_takes_a_convention(tmp_path, mosquitto_port):
    """As the page says it; one that is none ends with exit code 2 before anything starts."""
    (tmp_path / "my_site.scenario.yaml").write_text(SITE.replace("== 1", "== 0").replace("6 s", "2 s"))
    command = [sys.executable, "-m", "windtunnel", "live", "my_site.scenario.yaml", "--json", "--broker"]
    command += [f"mqtt://127.0.0.1:{mosquitto_port}", "--no-check", "--convention"]

    def run(asked):
        return subprocess.run(
            [*command, asked], cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""}, timeout=60,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    done, refused = run("sparkplug-b:plant"), run("sparkplug-c:plant")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["is_real_time"] in (True, False)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "did you mean sparkplug-b" in refused.stderr
