"""What a rule asks for when it fires, and what of it becomes of a scenario."""

import json

import pytest

from twin.message import Message
from twin.state.rules.language import LanguageRules
from twin.state.rules.port import Alarm, Command, Desire, Forward, Publish
from twin.state.rules.program import compile_rules

DEVICES = {"gate-1": "boom_gate", "gate-2": "boom_gate", "horn": "sounder", "L2-D07": "smoke_detector"}


def actions_of(text, payload=None, columns="*", site=""):
    """What a rule with these actions asks for about one alarm of L2-D07."""
    rule = compile_rules(f"RULE r SELECT {columns} FROM 'smoke_detector/+/event/alarm' THEN {text}")
    rules = LanguageRules(rule, "edge", DEVICES, site)
    data = json.dumps({"temp": 71.5, "who": "gate-2", "plate": "S1"} if payload is None else payload)
    return rules.evaluate(Message("smoke_detector/L2-D07/event/alarm", data.encode()), 12.0)


@pytest.mark.parametrize(
    ("text", "actions"),
    [
        (
            "DESIRE 'gate-*' SET gate='open', why=temp EXPIRES 15m",
            [Desire(f"gate-{n}", {"gate": "open", "why": 71.5}, 900.0) for n in (1, 2)],
        ),
        ("DESIRE 'boom_gate/*' SET a=1", [Desire("gate-1", {"a": 1}), Desire("gate-2", {"a": 1})]),
        ("DESIRE '${who}' SET a=1, b=missing", [Desire("gate-2", {"a": 1})]),
        ("DESIRE 'unknown' SET a=1", [Desire("unknown", {"a": 1})]),
        ("DESIRE 'nobody-*' SET a=1", []),
        (
            "ALARM CRITICAL 'fire' '${thing()}: ${temp} C, ${missing}'",
            [Alarm("critical", "L2-D07: 71.5 C, undefined", "fire", "L2-D07")],
        ),
        ("ALARM minor 'fire'", [Alarm("minor", "fire", "fire", "L2-D07")]),
        ("ALARM MAJOR 'fire' ON 'garage'", [Alarm("major", "fire", "fire", "garage")]),
        ("ALARM MAJOR 'hot' 'it''s hot'", [Alarm("major", "it's hot", "hot", "L2-D07")]),
        ("PUBLISH 'note/${thing()}' 'hello ${who}' QOS 0", [Publish("note/L2-D07", b"hello gate-2", 0)]),
        ("PUBLISH 'note' {t: temp, m: missing}", [Publish("note", b'{"t":71.5}', 1)]),
        ("PUBLISH 'copy/${topic()}'", [Publish("copy/smoke_detector/L2-D07/event/alarm", None, 1)]),
        (
            "COMMAND 'sounder/*' sound (for=3, mode='slow') TIMEOUT 2s".replace("for", "long"),
            [
                Command(
                    "sounder", "horn", "sound", {"long": 3, "mode": "slow"}, 2.0, "r:L2-D07:12000000:0:horn"
                )
            ],
        ),
        (
            "FORWARD database (MASK plate)",
            [
                Forward(
                    "database",
                    {
                        "rule": "r",
                        "thing": "L2-D07",
                        "at_s": 12.0,
                        "document": {"temp": 71.5, "who": "gate-2", "plate": "***"},
                    },
                )
            ],
        ),
    ],
)
def test_actions(text, actions):
    """Patterns name things of the place, texts take values, what is Undefined is left out."""
    found = actions_of(text)
    if found and isinstance(found[0], Publish) and actions[0].payload is None:
        assert found[0].topic == actions[0].topic
    else:
        assert found == actions


def test_select_makes_the_document():
    """Columns by their names; what is Undefined is not in it."""
    (found,) = actions_of("PUBLISH 'x'", columns="temp, temp > 60 AS hot, missing, thing() AS t, lower(who)")
    assert json.loads(found.payload) == {"temp": 71.5, "hot": True, "t": "L2-D07", "lower": "gate-2"}


def test_a_pattern_follows_the_place_of_the_message():
    """The devices of the level that burns."""
    (found,) = actions_of("COMMAND '${substring(thing(), 0, 2)}-*' ack")
    assert found.thing == "L2-D07"


class TestAtAPlace:
    """The same text at a gateway and at a broker."""

    TEXT = """
    RULE near AT edge SELECT * FROM 'smoke_detector/+/event/alarm' THEN ALARM MINOR 'near'
    RULE far AT cloud SELECT * FROM 'smoke_detector/+/event/alarm' THEN ALARM MINOR 'far'
    RULE sites SELECT * FROM 'site/+/smoke_detector/+/event/alarm' THEN ALARM MINOR '${topic(2)}'
    """

    def types(self, place, site, topic):
        rules = LanguageRules(compile_rules(self.TEXT), place, {}, site)
        return [each.type for each in rules.evaluate(Message(topic), 0.0)]

    def test_a_gateway_sees_its_field(self):
        """Rules of the sites find nothing there."""
        rules = LanguageRules(compile_rules(self.TEXT), "edge")
        assert list(rules.subscriptions()) == ["smoke_detector/+/event/alarm"]
        assert self.types("edge", "", "smoke_detector/a/event/alarm") == ["near"]

    def test_a_broker_sees_its_sites(self):
        """The engine takes its own site off before; a rule that asks for it sees it all the same."""
        rules = LanguageRules(compile_rules(self.TEXT), "cloud", {}, "s")
        assert len(rules.subscriptions()) == 2
        assert self.types("cloud", "s", "smoke_detector/a/event/alarm") == ["far", "s"]
        assert self.types("cloud", "s", "site/t/smoke_detector/a/event/alarm") == ["far", "t"]


def test_time_fires_rules_of_an_engine():
    """The engine asks when, and is told what."""
    rules = LanguageRules(compile_rules("RULE r SELECT * FROM 'a/b' FOR 2s THEN ALARM MINOR 'x'"), "edge")
    assert rules.due() is None
    assert rules.evaluate(Message("a/b"), 1.0) == []
    assert rules.due() == 3.0
    assert [each.type for each in rules.elapse(3.0)] == ["x"]
    assert rules.elapse(9.0) == []
