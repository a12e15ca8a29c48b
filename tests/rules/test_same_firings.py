"""The same rules and messages give the same firings at the same times, wherever and however time passes."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from every_clause import RULES, firing_of, replayed

from twin.cloud.rule_engine import RuleEngine
from twin.kernel.behaviour import Send, Started, Wake, Woken
from twin.kernel.kernel import Kernel, NodeSpec
from twin.kernel.pacing import VirtualPacer
from twin.kernel.randomness import Streams
from twin.message import Message
from twin.state.rules.component import Rules
from twin.state.rules.language import LanguageRules
from twin.state.rules.program import compile_rules
from twin.state.twins import Twins

END_S = 400.0
COMPILED = compile_rules(RULES.format(scale=""))
SAYING = st.fixed_dictionaries(
    {},
    optional={
        "temp": st.sampled_from([20, 50, 70, 90, "70", None]),
        "smoke": st.sampled_from([0, 0.5]),
        "ts": st.integers(0, 400_000),
    },
)
MESSAGES = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, 3.75, 11.0, 40.0]),
        st.sampled_from("ab"),
        st.sampled_from(["telemetry", "event/alarm"]),
        SAYING,
    ),
    max_size=25,
)


def timed(messages):
    """(time, topic, payload) of what is said after one another."""
    at_s, found = 0.5, []
    for gap_s, thing, rest, fields in messages:
        at_s += gap_s
        found.append((at_s, f"site/s/sensor/{thing}/{rest}", json.dumps(fields).encode()))
    return found


def in_the_twins(told, *, is_punctual=True):
    """The firings of the component; an unpunctual clock lets time pass with messages only, and at the end."""
    found = []
    rules = Rules(COMPILED, on_firing=lambda firing, _actions, _t: found.append(firing_of(firing)))
    twins = Twins([rules])
    for at_s, topic, payload in told:
        if is_punctual:
            twins.elapse(at_s)
        twins.handle(Message(topic, payload), at_s)
    twins.elapse(END_S)
    return found


class Logged(LanguageRules):
    """Notes what comes and when, and what fires."""

    def watch(self):
        self.heard, self.found = [], []
        self.component.on_firing = lambda firing, _actions, _t: self.found.append(firing_of(firing))
        return self

    def evaluate(self, message, now_s):
        self.heard.append((now_s, f"site/s/{message.topic}", message.payload))
        return super().evaluate(message, now_s)


class Host:
    """A broker that hands the messages over at their times."""

    def __init__(self, told):
        self.told = told

    def react(self, event, _context):
        match event:
            case Started():
                return [Wake(at_s, str(number)) for number, (at_s, *_) in enumerate(self.told)]
            case Woken(tag):
                _, topic, payload = self.told[int(tag)]
                return [Send("rules", Message(topic, payload))]
        return []


class Prompt:
    """A carrier that takes a hundredth of a second."""

    def carry(self, flight, timeline):
        timeline.schedule(timeline.now + 0.01, flight, (timeline.arrive,))


def in_the_kernel(told):
    """What the simulated engine heard and when, and what fired there."""
    rules = Logged(COMPILED, "cloud", {}, "s").watch()
    engine = RuleEngine("broker", rules, "s", heartbeat_s=0.0)
    specs = {
        "broker": NodeSpec(lambda: Host(told)),
        "rules": NodeSpec(lambda: engine),
        "d": NodeSpec(lambda: Host([])),
    }
    kernel = Kernel(specs, Prompt(), Streams(1), VirtualPacer())
    kernel.run(END_S)
    rules.elapse(END_S)
    return rules.heard, rules.found


def by_device(firings):
    """Those of each rule and device in their order; between devices there is none."""
    return sorted(firings, key=lambda each: (each[1], each[2]))


@given(MESSAGES)
@settings(max_examples=150, deadline=None)
def test_the_component_and_the_replay_fire_alike(messages):
    """Message by message, in the same order and at the same times."""
    told = timed(messages)
    assert in_the_twins(told) == replayed(COMPILED, told, END_S)


@given(MESSAGES)
@settings(max_examples=150, deadline=None)
def test_an_unpunctual_clock_changes_nothing(messages):
    """Nobody looks at the deadlines but at messages of the same device, and once at the end."""
    told = timed(messages)
    assert by_device(in_the_twins(told, is_punctual=False)) == by_device(in_the_twins(told))


@given(MESSAGES)
@settings(max_examples=60, deadline=None)
def test_the_simulated_engine_fires_as_the_replay_of_what_it_heard(messages):
    """The kernel's clock, its wakes and its order of events add nothing."""
    heard, found = in_the_kernel(timed(messages))
    assert found == replayed(COMPILED, heard, END_S)


def test_these_rules_do_fire():
    """Every one of them, on the right messages; else the laws above would be of nothing."""
    fields = [{"temp": 70, "smoke": 0.5}, {"temp": 70, "ts": 9_000}, {"temp": 20, "smoke": 0}]
    told = [
        (3.0 * number + 0.5, f"site/s/sensor/{thing}/{rest}", json.dumps(fields[number % 3]).encode())
        for number in range(30)
        for thing in "ab"
        for rest in ("telemetry", "event/alarm")
    ]
    fired = {name for _, name, *_ in in_the_twins(told)}
    assert fired == {each.name for each in COMPILED}
    assert in_the_twins(told) == replayed(COMPILED, told, END_S)


@pytest.mark.parametrize("cut", [0, 3, 17, 40, 100])
def test_a_restart_between_messages_changes_nothing(bench, cut):
    """The records go through their JSON at any point."""
    told = [
        (0.7 * number, f"site/s/sensor/{'ab'[number % 2]}/telemetry", {"temp": 20 + 17 * (number % 5)})
        for number in range(120)
    ]
    whole, other = bench(RULES.format(scale="")), bench(RULES.format(scale=""))
    expected, found = [], []
    for number, (at_s, topic, fields) in enumerate(told):
        expected += whole.say(at_s, topic, **fields)
        found += other.say(at_s, topic, **fields)
        if number == cut:
            other.restart()
    assert found + other.wait(END_S) == expected + whole.wait(END_S)
