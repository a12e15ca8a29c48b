import json

from twin.cloud.broker import Broker
from twin.cloud.twin_service import TwinService
from twin.kernel.behaviour import LinkChanged, Observe, Received, Send, Started, Wake, Woken
from twin.message import Message
from twin.mqtt.packets import Connect, Will, connect_message

SHADOW = "$aws/things/GA/shadow"


def ask(service, context, suffix, document=None, shadow=SHADOW):
    """Hand the service one request; return its observations and its answers by topic."""
    payload = b"" if document is None else json.dumps(document).encode()
    effects = list(service.react(Received(Message(f"{shadow}/{suffix}", payload), "broker", 0.0), context))
    answers = {
        effect.message.topic.removeprefix(f"{shadow}/"): json.loads(effect.message.payload)
        for effect in effects
        if isinstance(effect, Send)
    }
    return [effect for effect in effects if isinstance(effect, Observe)], answers


def test_the_service_subscribes_to_requests_only(context):
    """Its own answers do not come back to it."""
    effects = list(TwinService("broker").react(Started(), context))
    assert {(effect.to, effect.message.kind) for effect in effects} == {("broker", "subscribe")}
    filters = [effect.message.topic for effect in effects if effect.message.topic.startswith("$aws/")]
    assert len(filters) == 6
    assert f"{SHADOW}/update".replace("GA", "+") in filters
    assert all(topic_filter.endswith(("update", "get", "delete")) for topic_filter in filters)


def test_a_desired_value_opens_a_delta_that_a_report_closes(context):
    """The delta goes out while the gate differs, and the time it stood is observed when it empties."""
    service = TwinService("broker")
    context.now = 10.0
    observed, answers = ask(service, context, "update", {"state": {"desired": {"gate": "open"}}})
    assert observed == []
    assert answers["update/delta"]["state"] == {"gate": "open"}

    context.now = 11.0
    observed, answers = ask(service, context, "update", {"state": {"reported": {"gate": "closed"}}})
    assert observed == []
    assert set(answers) == {"update/accepted", "update/delta", "update/documents"}

    context.now = 12.5
    observed, answers = ask(service, context, "update", {"state": {"reported": {"gate": "open"}}})
    assert observed == [Observe("shadow_delta_open", 2.5)]
    assert set(answers) == {"update/accepted", "update/documents"}


def test_get_and_delete_are_answered_below_the_shadow(context):
    """A named shadow has its own topics; a second delete is refused, and that is observed."""
    service, named = TwinService("broker"), f"{SHADOW}/name/cfg"
    ask(service, context, "update", {"state": {"desired": {"a": 1}}}, named)
    assert ask(service, context, "get", None, named)[1]["get/accepted"]["state"]["delta"] == {"a": 1}
    assert set(ask(service, context, "delete", None, named)[1]) == {"delete/accepted"}
    observed, answers = ask(service, context, "delete", None, named)
    assert observed == [Observe("shadow_rejected", 404)]
    assert set(answers) == {"delete/rejected"}


def test_answers_are_no_requests(context):
    """A published answer does not make the service speak again."""
    assert ask(TwinService("broker"), context, "update/accepted", {}) == ([], {})


def test_the_broker_and_the_service_find_each_other(context):
    """Through a broker, a request on the shadow topic reaches the service once, and no other message does."""
    service, broker = TwinService("broker"), Broker()
    for effect in service.react(Started(), context):
        broker.react(Received(effect.message, "twin", 0.0), context)
    request = Message(f"{SHADOW}/update", b"{}", qos=1)
    assert [effect.to for effect in broker.react(Received(request, "GA", 0.0), context)] == ["twin"]
    answer = Message(f"{SHADOW}/update/accepted", b"{}", qos=1)
    assert broker.react(Received(answer, "twin", 0.0), context) == []


def test_a_desired_value_ends_in_the_node_too(context):
    """The node asks to be woken when something falls due, and publishes what came of it."""
    service = TwinService("broker", desired_expiry_s=30.0)
    context.now = 10.0
    payload = json.dumps({"state": {"desired": {"gate": "open"}}}).encode()
    effects = service.react(Received(Message(f"{SHADOW}/update", payload), "broker", 0.0), context)
    assert [effect for effect in effects if isinstance(effect, Wake)] == [Wake(30.0, "due")]

    context.now = 40.0
    effects = list(service.react(Woken("due"), context))
    assert Observe("shadow_delta_open", 30.0) in effects
    assert Observe("shadow_desired_ended", 1) in effects
    assert [each.message.topic for each in effects if isinstance(each, Send)] == [
        f"{SHADOW}/update/documents"
    ]
    assert not any(isinstance(each, Wake) for each in effects), "nothing falls due any more"


def test_a_will_on_a_reserved_topic_is_none(context):
    """A client that dies cannot report to a shadow; its will on another topic is published."""
    for topic, is_published in ((f"{SHADOW}/update", False), ("site/park/gate/GA/session", True)):
        broker = Broker()
        service = TwinService("broker")
        for effect in service.react(Started(), context):
            broker.react(Received(effect.message, "twin", 0.0), context)
        will = Will(topic, b'{"state":{"reported":{"gate":"gone"}}}', qos=1)
        connect = connect_message(Connect("GA", 10.0, clean_session=True, will=will))
        broker.react(Received(connect, "GA", 0.0), context)
        effects = list(broker.react(LinkChanged("GA", is_up=False), context))
        assert any(isinstance(each, Send) and each.to == "twin" for each in effects) is is_published
