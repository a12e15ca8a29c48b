import json
from dataclasses import dataclass, field

import pytest

from twin.cloud.rule_engine import RuleEngine
from twin.kernel.behaviour import LinkChanged, Observe, Received, Send, Started, Wake, Woken
from twin.message import Message
from twin.state.rules.fire import FireRules
from twin.state.rules.port import Alarm, Command, Desire, Forward, Publish

ALARM = Message("smoke_detector/L2-D07/event/alarm", b"{}", qos=1)


@dataclass
class Scripted:
    """Rules that answer with what the test put in."""

    actions: list = field(default_factory=list)
    due_s: float | None = None
    seen: list = field(default_factory=list)

    def subscriptions(self):
        return ["+/+/event/#"]

    def evaluate(self, message, now_s):
        self.seen.append((message.topic, now_s))
        return self.actions

    def due(self):
        return self.due_s

    def elapse(self, now_s):
        self.seen.append(("elapsed", now_s))
        self.due_s = None
        return self.actions


def from_host(message):
    return Received(message, "broker", 0.0)


def test_the_engine_subscribes_and_beats_at_the_start(context):
    """At a broker field topics carry the site; the heartbeat is for every gateway, and repeats."""
    engine = RuleEngine("broker", Scripted(), "car_park")
    beat = [Send("broker", Message("rule/heartbeat")), Wake(10.0, "heartbeat")]
    subscribe = Message("site/car_park/+/+/event/#", qos=1, kind="subscribe")
    assert list(engine.react(Started(), context)) == [Send("broker", subscribe), *beat]
    assert list(engine.react(Woken("heartbeat"), context)) == beat


def test_an_engine_on_a_gateway_uses_the_topics_of_the_local_bus(context):
    """Without a site the topics are those of the field; without an interval there is no heartbeat."""
    engine = RuleEngine("gateway", Scripted(), heartbeat_s=0.0)
    subscribe = Message("+/+/event/#", qos=1, kind="subscribe")
    assert list(engine.react(Started(), context)) == [Send("gateway", subscribe)]
    assert list(engine.react(LinkChanged("gateway", is_up=True), context)) == [Send("gateway", subscribe)]


def test_rules_see_field_topics_only(context):
    """The site is removed before the rules see a message."""
    rules = Scripted()
    context.now = 7.0
    engine = RuleEngine("broker", rules, "car_park")
    site_alarm = Message(f"site/car_park/{ALARM.topic}", b"{}", qos=1)
    assert list(engine.react(from_host(site_alarm), context)) == []
    assert rules.seen == [(ALARM.topic, 7.0)]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (Publish("note", b"hi", 0), Message("site/s/note", b"hi")),
        (Publish("site/other/note", b"hi", 0), Message("site/other/note", b"hi")),
        (
            Desire("GA", {"gate": "open"}, expires_s=900.0),
            Message(
                "$aws/things/GA/shadow/update",
                b'{"state":{"desired":{"gate":"open"}},"expiresIn":900.0}',
                qos=1,
            ),
        ),
        (
            Command("boom_gate", "GA", "open", {"by": 1}, timeout_s=2.0, key="k"),
            Message("site/s/boom_gate/GA/cmd/open", b'{"id":"k","args":{"by":1},"expires":2000}', qos=1),
        ),
        (Command("", "GA", "open"), Message("things/GA/cmd/open", b"{}", qos=1)),
        (
            Desire("GA", {"gate": "open"}),
            Message("$aws/things/GA/shadow/update", b'{"state":{"desired":{"gate":"open"}}}', qos=1),
        ),
        (Command("boom_gate", "GA", "open"), Message("site/s/boom_gate/GA/cmd/open", b"{}", qos=1)),
        (
            Alarm("critical", "it burns", "fire", "L2-D07"),
            Message(
                "site/s/rule/alarm",
                b'{"severity":"critical","type":"fire","text":"it burns","thing":"L2-D07","cleared":false}',
                qos=1,
            ),
        ),
    ],
)
def test_each_action_becomes_a_message_to_the_host(context, action, message):
    """The engine turns what the rules ask for into publications at its host."""
    engine = RuleEngine("broker", Scripted([action]), "s")
    assert list(engine.react(from_host(ALARM), context)) == [
        Observe("rule_fired", 1),
        Send("broker", message),
    ]


def test_what_is_forwarded_goes_to_the_sink_itself(context):
    """A sink is a node of the scenario; the document says which rule and thing it is from."""
    document = {"rule": "r", "thing": "D07", "at_s": 0.0, "document": {"temp": 71}}
    engine = RuleEngine("broker", Scripted([Forward("database", document)]), "s")
    _, sent = engine.react(from_host(ALARM), context)
    assert (sent.to, sent.message.topic) == ("database", "rule/forward/r/D07")
    assert json.loads(sent.message.payload) == document


def test_the_engine_wakes_when_time_may_fire_a_rule(context):
    """The wake is asked for once, and the rules are then told the time."""
    rules = Scripted(due_s=130.0)
    engine = RuleEngine("broker", rules)
    context.now = 10.0
    assert list(engine.react(from_host(ALARM), context)) == [Wake(120.0, "due")]
    context.now = 20.0
    assert list(engine.react(from_host(ALARM), context)) == []
    context.now = 130.0
    assert list(engine.react(Woken("due"), context)) == []
    assert rules.seen[-1] == ("elapsed", 130.0)


def test_an_alarm_opens_the_gate(context):
    """The fire rules in the engine: one alarm, one open command to the gate."""
    engine = RuleEngine("gateway", FireRules(devices={"GA": "boom_gate"}))
    effects = list(engine.react(Received(ALARM, "gateway", 0.0), context))
    assert Send("gateway", Message("boom_gate/GA/cmd/open", b"{}", qos=1)) in effects


def test_what_others_send_is_ignored(context):
    """Only the host's publications are evaluated."""
    engine = RuleEngine("gateway", FireRules(devices={"GA": "boom_gate"}))
    assert list(engine.react(Received(ALARM, "L2-D07", 0.0), context)) == []
