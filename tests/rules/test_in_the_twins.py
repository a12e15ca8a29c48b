"""Rules among the other components: what they ask for is done in the transaction of the message."""

import json

import pytest

from twin.message import Message
from twin.state.records import Transaction
from twin.state.registry.registry import Registry
from twin.state.registry.things import Thing
from twin.state.rules.component import Rules
from twin.state.rules.program import compile_rules
from twin.state.rules.sinks import SINK_TOPIC, SinkError, Sinks
from twin.state.standard import TwinSettings, component, standard_twins

FIRE = """
RULE fire_gate PRIORITY 10
SELECT thing() AS detector, temp FROM 'smoke_detector/+/telemetry'
WHERE temp > 60 FOR 2s
THEN DESIRE 'boom_gate/*' SET gate='open' EXPIRES 15m;
     ALARM CRITICAL 'fire' 'it burns at ${detector}';
     COMMAND 'boom_gate/*' open TIMEOUT 5s;
     PUBLISH 'note/${detector}' 'fire';
     FORWARD database
CLEAR WHEN temp < 45 FOR 60s
RULE again SELECT * FROM 'smoke_detector/+/event/test' WHERE shadow('gate-1', 'desired.gate') = 'open'
THEN ALARM MINOR 'wanted'
"""


@pytest.fixture
def twins():
    """All components, two gates and a detector."""
    made = standard_twins(TwinSettings(rules=compile_rules(FIRE)))
    registry = component(made, Registry)
    transaction = Transaction(made.records, 0.0)
    for name, kind in (("gate-1", "boom_gate"), ("gate-2", "boom_gate"), ("L2-D07", "smoke_detector")):
        registry.register(Thing(name=name, type=kind, site="s"), transaction)
    return made


def hot(temp):
    return Message("site/s/smoke_detector/L2-D07/telemetry", json.dumps({"temp": temp}).encode())


def test_everything_a_rule_asks_for_is_in_one_transaction(twins):
    """Desired values with their end, the alarm, the command, messages and the document for the sink."""
    twins.handle(hot(71), 10.0)
    done = twins.elapse(12.0)
    records = twins.records
    assert records.get("shadow", "gate-1").state.tree() == {"desired": {"gate": "open"}}
    assert records.get("shadow", "gate-2").due_s == 912.0
    alarm = records.get("alarm", "L2-D07/fire")
    assert (alarm.severity, alarm.text, alarm.is_active) == ("critical", "it burns at L2-D07", True)
    assert sorted(each.thing for each in records.of("command").values()) == ["gate-1", "gate-2"]
    topics = [each.topic for each in done.messages]
    assert "site/s/note/L2-D07" in topics
    assert "site/s/boom_gate/gate-1/cmd/open" in topics
    assert SINK_TOPIC + "database" in topics
    twins.handle(hot(20), 20.0)
    twins.elapse(80.0)
    assert not records.get("alarm", "L2-D07/fire").is_active


def test_a_rule_may_ask_a_shadow(twins):
    """What another rule has wanted."""
    test = Message("site/s/smoke_detector/L2-D07/event/test", b"{}")
    twins.handle(test, 1.0)
    assert twins.records.get("alarm", "L2-D07/wanted") is None
    twins.handle(hot(71), 2.0)
    twins.elapse(4.0)
    twins.handle(test, 5.0)
    assert twins.records.get("alarm", "L2-D07/wanted").is_active


def test_what_is_refused_stops_nothing_else(twins):
    """A thing that can have no shadow; the other actions are done."""
    rules = component(twins, Rules)
    text = "RULE r SELECT * FROM 'x/+/telemetry' THEN DESIRE 'no such name!' SET a=1; ALARM MAJOR 'other'"
    rules.put_rule(text, Transaction(twins.records, 0.0))
    done = twins.handle(Message("site/s/x/y/telemetry", b"{}"), 1.0)
    assert ("rule_refused", 1.0) in done.observations
    assert twins.records.get("alarm", "y/other") is not None


def test_a_rule_wishes_for_what_its_type_lets_it(twins):
    """A lock is for people; the gate of the same action is told."""
    transaction = Transaction(twins.records, 0.0)
    component(twins, Registry).register(Thing(name="lock-1", type="lock", site="s"), transaction)
    then = "DESIRE 'lock-1' SET locked=true; DESIRE 'gate-1' SET gate='open'"
    text = f"RULE r SELECT * FROM 'x/+/telemetry' THEN {then}"
    component(twins, Rules).put_rule(text, transaction)
    done = twins.handle(Message("site/s/x/y/telemetry", b"{}"), 1.0)
    assert ("rule_refused", 1.0) in done.observations
    assert twins.records.of("shadow").keys() == {"gate-1"}


class TestSinks:
    """Documents leave one after the other."""

    def message(self, name="database"):
        return Message(SINK_TOPIC + name, b'{"a":1}')

    def test_a_document_is_written(self):
        """Only what is for a sink is taken."""
        written = []

        class Kept:
            def write(self, document):
                written.append(document)

        sinks = Sinks({"database": Kept()})
        assert not sinks.take(Message("site/s/x"))
        assert sinks.take(self.message())
        assert sinks.drain() == 0
        assert (written, sinks.sent_count) == ([{"a": 1}], 1)

    def test_a_failing_sink_is_tried_again_and_given_up(self):
        """After so many attempts the document is lost, and counted."""

        class Broken:
            def write(self, _document):
                raise SinkError

        sinks = Sinks({"database": Broken()}, attempts=2)
        sinks.take(self.message())
        assert [sinks.drain(), sinks.drain()] == [1, 0]
        assert (sinks.failed_count, sinks.sent_count) == (1, 0)

    def test_what_has_no_place_is_dropped(self):
        """A full queue, or no such sink."""
        sinks = Sinks({"database": None}, limit=2)
        for name in ("database", "database", "database", "nowhere"):
            sinks.take(self.message(name))
        assert (sinks.dropped_count, len(sinks.waiting)) == (2, 2)
