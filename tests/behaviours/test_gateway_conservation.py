"""Whatever happens, the gateway can say where each accepted publication is."""

from hypothesis import given, settings
from hypothesis import strategies as st

from devices_models.gateway.gateway import Gateway
from twin.kernel.behaviour import Drop, LinkChanged, Received, Send, Started, Woken
from twin.message import Message
from twin.mqtt.packets import Connack, connack_message

DEVICES = {"g1": "gas_sensor", "p1": "people_counter", "s1": "smoke_detector"}

readings = st.builds(
    lambda ppm, ts: (
        "g1",
        Message("gas_sensor/g1/telemetry", b'{"ts":%d,"carbon_monoxide_ppm":%d}' % (ts, ppm)),
    ),
    st.sampled_from([0, 100, 900, 5000]),
    st.integers(0, 3),
)
counts = st.builds(
    lambda passed, ts: (
        "p1",
        Message("people_counter/p1/telemetry", b'{"ts":%d,"passed":%d}' % (ts, passed)),
    ),
    st.integers(0, 500),
    st.integers(0, 9),
)
alarms = st.just(("s1", Message("smoke_detector/s1/event/alarm", b"{}", qos=1)))
opaque = st.just(("s1", Message("smoke_detector/s1/event/photo", b"\xff", personal_bytes=1)))
publications = st.one_of(readings, counts, alarms, opaque).map(lambda sent: Received(sent[1], sent[0], 0.0))
happenings = st.one_of(
    publications,
    publications,
    publications,
    st.sampled_from(
        [
            LinkChanged("broker", is_up=False),
            LinkChanged("broker", is_up=True),
            Received(connack_message(Connack(is_session_present=True)), "broker", 0.0),
            Received(connack_message(Connack()), "broker", 0.0),
            Woken("window"),
            Woken("mqtt/connection"),
        ]
    ),
    st.integers(1, 60).map(lambda i: Received(Message("", kind="puback", packet_id=i), "broker", 0.0)),
)


@settings(max_examples=100, deadline=None)
@given(
    script=st.lists(happenings, max_size=80),
    buffer=st.integers(1, 5),
    drop=st.sampled_from(["oldest", "newest", "priority"]),
)
def test_accepted_equals_forwarded_merged_dropped_and_buffered(at_node, script, buffer, drop):
    """The account adds up at every instant, agrees with the effects, and the buffer keeps its bound."""
    gateway = Gateway(
        "broker", "park", DEVICES, buffer=buffer, drop=drop, aggregate=["people_counter"], mask=["face"]
    )
    context, given_up, distinct = at_node("gw"), 0, set()

    for event in [Started(), *script]:
        effects = list(gateway.react(event, context))
        given_up += sum(type(effect) is Drop for effect in effects)
        distinct |= {
            effect.message.packet_id
            for effect in effects
            if type(effect) is Send and effect.to == "broker" and effect.message.kind == "publish"
        }
        account = gateway.account
        went = account.forwarded_count + account.merged_count + account.dropped.total()
        assert account.accepted_count + account.summary_count == went + gateway.buffered_count
        assert gateway.buffered_count <= buffer
        assert given_up == account.dropped.total()

    accepted = sum(type(event) is Received and event.source != "broker" for event in script)
    assert gateway.account.accepted_count == accepted
    assert len(distinct) <= gateway.account.forwarded_count
