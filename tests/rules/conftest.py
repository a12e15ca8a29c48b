"""Rules, messages and a clock in the test's hand."""

import json

import msgspec
import pytest

from twin.message import Message
from twin.state.records import Records, Transaction
from twin.state.rules.component import Rules
from twin.state.rules.program import compile_rules


class Bench:
    """A component with its records; `say` hands it a message, `wait` lets time pass, both return firings."""

    def __init__(self, text, **settings):
        self.found = []
        self.performed = []
        self.observed = {}
        self.records = Records()
        self.rules = Rules(
            compile_rules(text),
            lambda action, _transaction: self.performed.append(action),
            on_firing=lambda firing, actions, _transaction: self.found.append((firing, actions)),
            **settings,
        )

    def say(self, at_s, topic="site/s/sensor/a/telemetry", payload=None, **fields):
        """A message at a time, after what time has brought until then."""
        self._elapse(at_s)
        transaction = Transaction(self.records, at_s)
        data = json.dumps(fields).encode() if payload is None else payload
        self.rules.handle(Message(topic, data), transaction)
        return self._taken(transaction)

    def wait(self, until_s):
        """What time alone brings."""
        self._elapse(until_s)
        return self._taken()

    def restart(self):
        """Everything that is known, written down as JSON and read again."""
        stored = [(kind, key, msgspec.json.encode(record)) for kind, key, record in self.records]
        self.records = Records()
        for kind, key, data in stored:
            self.records.put(kind, key, msgspec.json.decode(data, type=self.rules.kinds[kind]))

    def _elapse(self, now_s):
        transaction = Transaction(self.records, now_s)
        while (deadline := self.records.take_due(now_s)) is not None:
            self.rules.expire(deadline.kind, deadline.key, transaction)
        self._count(transaction)

    def _count(self, transaction):
        for measure, value in transaction.observations:
            self.observed[measure] = self.observed.get(measure, 0) + value

    def _taken(self, transaction=None):
        if transaction is not None:
            self._count(transaction)
        taken, self.found = self.found, []
        return [
            (firing.at_s, firing.rule.name, firing.thing, "cleared" if firing.is_cleared else "fired")
            for firing, _ in taken
        ]


@pytest.fixture
def bench():
    """Makes a bench of a rule file."""
    return Bench


@pytest.fixture
def rule_text():
    """A rule around a condition, which alarms."""

    def make(condition, source="sensor/+/telemetry", head="", columns="*"):
        then = "" if "THEN" in condition else "THEN ALARM MINOR 'x'"
        return f"RULE r {head} SELECT {columns} FROM '{source}' {condition} {then}"

    return make
