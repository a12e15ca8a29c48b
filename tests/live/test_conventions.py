"""Foreign conventions, packet by packet: templates of topics and payloads, and AWS shadows."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_places import CONNECT, OURS, PLACES

from twin.errors import InputError
from twin.live.conventions import AwsShadow, Field
from twin.live.history import marked
from twin.live.templates import PayloadTemplate, TopicTemplate, templates
from twin.message import Message, Properties
from twin.mqtt.packets import read_connect
from twin.mqtt.topics import matches
from windtunnel.convention_options import convention_of

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
