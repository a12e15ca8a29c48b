import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import RefusedError
from twin.message import Message
from twin.state.alarms import Alarms, alarms
from twin.state.journal import RecordReader
from twin.state.records import Records, Transaction
from twin.state.twins import Twins


@pytest.fixture
def twins():
    return Twins([Alarms()])


def at(twins, now_s):
    return Transaction(twins.records, now_s)


def raised(twins, now_s, severity="major", text="hot", **more):
    return twins.components[0].raise_alarm("gate-1", "hot", severity, text, at(twins, now_s), **more)


def told(twins, now_s, topic="site/park/rule/alarm", **fields):
    document = {"severity": "major", "text": "hot", "thing": "gate-1", "type": "hot", **fields}
    return twins.handle(Message(topic, msgspec.json.encode(document)), now_s)


def restarted(twins):
    """The same twins after all that they know went through the journal's text and back."""
    reader, kept = RecordReader(twins.kinds), Records()
    for kind, key, record in twins.records:
        kept.put(kind, key, reader.read(kind, key, msgspec.json.encode(record)))
    return Twins(twins.components, kept)


def only(twins):
    (alarm,) = alarms(twins.records)
    return alarm


def test_an_alarm_that_stands_is_counted_not_doubled(twins):
    """The same type at the same thing: severity, text and details follow the latest."""
    first = raised(twins, 1.0)
    second = raised(twins, 2.0, severity="critical", text="hotter", details={"degrees": 80})

    assert (first.id, first.count) == (second.id, 1)
    assert (second.count, second.severity, second.raised_s, second.last_s) == (2, "critical", 1.0, 2.0)
    assert only(twins).details == {"degrees": 80}


def test_an_alarm_raised_again_after_its_end_is_a_new_one(twins):
    """It has an id of its own, and nobody has acknowledged it."""
    first = raised(twins, 1.0)
    twins.components[0].acknowledge("gate-1", "hot", "ann", at(twins, 2.0), "on my way")
    twins.components[0].clear("gate-1", "hot", at(twins, 3.0))
    second = raised(twins, 3.0)

    assert second.id != first.id
    assert (second.state, second.count) == ("active, unacknowledged", 1)


def test_the_four_states(twins):
    """Active or cleared, acknowledged or not, are independent."""
    alarms_of = twins.components[0]
    states = [raised(twins, 1.0).state]
    states.append(alarms_of.clear("gate-1", "hot", at(twins, 2.0)).state)
    states.append(alarms_of.acknowledge("gate-1", "hot", "ann", at(twins, 3.0)).state)
    raised(twins, 4.0)
    states.append(alarms_of.acknowledge("gate-1", "hot", "bob", at(twins, 5.0)).state)

    assert states == [
        "active, unacknowledged",
        "cleared, unacknowledged",
        "cleared, acknowledged",
        "active, acknowledged",
    ]


def test_an_alarm_is_retained_while_it_stands(twins):
    """At its end comes a last document, then the retained one is taken away."""
    begin, end = at(twins, 1.0), at(twins, 2.0)
    twins.components[0].raise_alarm("gate-1", "hot", "major", "hot", begin)
    twins.components[0].clear("gate-1", "hot", end)

    assert [(each.topic, each.retain) for each in begin.messages] == [("alarms/gate-1/hot", True)]
    assert [(each.retain, bool(each.payload)) for each in end.messages] == [(False, True), (True, False)]
    assert msgspec.json.decode(end.messages[0].payload)["state"] == "cleared, unacknowledged"


def test_a_rule_elsewhere_raises_and_clears(twins):
    """Through its site's topic, or on the local bus without a site."""
    told(twins, 1.0)
    told(twins, 2.0, topic="rule/alarm", cleared=True)

    assert (only(twins).state, only(twins).cleared_s) == ("cleared, unacknowledged", 2.0)


def test_an_alarm_without_a_thing_is_the_sites(twins):
    """The oldest form of the message carries severity and text only."""
    payload = b'{"severity": "critical", "text": "FIRE"}'
    twins.handle(Message("site/park/rule/alarm", payload), 1.0)

    assert (only(twins).thing, only(twins).type, only(twins).severity) == ("park", "rule", "critical")


def test_an_old_event_changes_nothing(twins):
    """A raise that was sent before the end and arrives after it, in either session."""
    told(twins, 1.0, ts=1000, session=2)
    told(twins, 2.0, ts=3000, session=2, cleared=True)

    assert told(twins, 3.0, ts=2000, session=2).observations == [("alarm_late", 1.0)]
    assert told(twins, 4.0, ts=9000, session=1).observations == [("alarm_late", 1.0)]
    assert only(twins).state == "cleared, unacknowledged"


def test_a_new_session_starts_its_clock_anew(twins):
    """A rule engine that restarted may have an earlier clock, and is heard."""
    told(twins, 1.0, ts=9000, session=1)
    told(twins, 2.0, ts=1000, session=2, cleared=True)

    assert only(twins).state == "cleared, unacknowledged"


def test_an_end_that_overtakes_its_beginning_wins(twins):
    """No alarm is left behind that nobody will clear."""
    told(twins, 1.0, ts=2000, cleared=True)
    told(twins, 2.0, ts=1000)

    assert alarms(twins.records) == []


def test_the_same_event_twice_counts_once(twins):
    """QoS 1 delivers at least once."""
    told(twins, 1.0, ts=1000)
    told(twins, 1.5, ts=1000)

    assert only(twins).count == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"no",
        b"[]",
        b'{"severity": "bad"}',
        b"\xff",
        b'{"severity": "major", "thing": "a/b"}',
        b'{"severity": "major", "thing": "a", "type": "#"}',
        b'{"severity": "major", "thing": "a", "details": {"x": ' + b"[" * 99_999,
        b'{"severity": "major", "thing": "a", "details": {"x": ' + b"[" * 64 + b"]" * 64 + b"}}",
    ],
)
def test_an_unreadable_alarm_is_set_aside(twins, payload):
    """It is counted, kept with its reason, and raises nothing."""
    transaction = twins.handle(Message("rule/alarm", payload), 1.0)

    assert transaction.observations == [("alarm_refused", 1.0)]
    assert transaction.changes[0].entry["reason"]
    assert alarms(twins.records) == []


def test_too_many_active_alarms_are_refused(twins):
    """The limit counts what is active; what is over makes room."""
    few = Alarms(active_limit=2, kept_limit=2)
    for name in ("a", "b"):
        few.raise_alarm(name, "hot", "major", "", at(twins, 1.0))
    with pytest.raises(RefusedError, match="limit") as refused:
        few.raise_alarm("c", "hot", "major", "", at(twins, 2.0))
    few.clear("a", "hot", at(twins, 3.0))
    few.raise_alarm("c", "hot", "major", "", at(twins, 4.0))

    assert refused.value.code == 429
    assert sorted(alarm.thing for alarm in alarms(twins.records)) == ["b", "c"]


def test_acknowledging_what_is_not_there_is_refused(twins):
    """With the code of HTTP."""
    with pytest.raises(RefusedError) as refused:
        twins.components[0].acknowledge("gate-1", "hot", "ann", at(twins, 1.0))

    assert refused.value.code == 404


def test_the_list_shows_the_worst_first(twins):
    """And filters by thing, least severity and state."""
    for second, (thing, severity) in enumerate([("a", "minor"), ("b", "critical"), ("c", "minor")]):
        twins.components[0].raise_alarm(thing, "hot", severity, "", at(twins, float(second)))
    twins.components[0].clear("c", "hot", at(twins, 9.0))

    assert [alarm.thing for alarm in alarms(twins.records)] == ["b", "c", "a"]
    assert [alarm.thing for alarm in alarms(twins.records, severity="major")] == ["b"]
    assert [alarm.thing for alarm in alarms(twins.records, is_active=False)] == ["c"]
    assert [alarm.thing for alarm in alarms(twins.records, thing="a", limit=1)] == ["a"]


# inactivity ------------------------------------------------------------------------------------------


def test_a_watched_thing_that_falls_silent_raises_an_alarm_until_it_is_heard(twins):
    """Telemetry, events and reports are signs of life."""
    twins.components[0].watch("lamp", 60.0, at(twins, 0.0))
    twins.handle(Message("site/park/lamp/lamp/telemetry", b"{}"), 50.0)

    assert twins.elapse(100.0).observations == []
    assert twins.elapse(110.0).observations[-1] == ("alarm_active", 1.0)
    assert twins.elapse(500.0).observations == []
    assert twins.handle(Message("site/park/lamp/lamp/event/on"), 600.0).observations == [
        ("alarm_cleared", 1.0),
        ("alarm_active", 0.0),
    ]
    assert twins.next_due_s() == 660.0


def test_a_death_and_a_retained_birth_are_no_signs_of_life(twins):
    """The broker sends them, not the thing."""
    twins.components[0].watch("lamp", 60.0, at(twins, 0.0))
    twins.handle(Message("site/park/lamp/lamp/session", b'{"online": false, "session": 1}'), 50.0)
    twins.handle(Message("site/park/lamp/lamp/session", b'{"online": true, "session": 1}', 1, True), 55.0)

    assert twins.next_due_s() == 60.0


def test_alarms_and_watches_outlive_a_restart(twins):
    """What is active stays active, and what is watched is watched on."""
    raised(twins, 1.0, details={"degrees": 80})
    twins.components[0].watch("lamp", 60.0, at(twins, 1.0))
    again = restarted(twins)

    assert list(again.records) == list(twins.records)
    again.elapse(61.0)
    assert [alarm.type for alarm in alarms(again.records)] == ["hot", "inactivity"]


def test_nobody_watched_is_nobody_alarmed(twins):
    """Ending the watch ends the alarm."""
    twins.components[0].watch("lamp", 60.0, at(twins, 0.0))
    twins.elapse(61.0)
    twins.components[0].unwatch("lamp", at(twins, 62.0))

    assert alarms(twins.records, is_active=True) == []
    assert twins.next_due_s() == math.inf


steps = st.lists(st.tuples(st.sampled_from(["hear", "elapse"]), st.floats(0.0, 100.0)), max_size=40)


@given(steps)
def test_an_inactivity_alarm_stands_exactly_while_the_thing_is_silent(script):
    """Whatever order signs of life and deadlines come in, none is left behind."""
    twins = Twins([Alarms()])
    twins.components[0].watch("lamp", 60.0, at(twins, 0.0))
    now_s = last_s = 0.0
    for what, after_s in script:
        now_s += after_s
        if what == "hear":
            twins.handle(Message("site/park/lamp/lamp/telemetry"), now_s)
            last_s = now_s
        else:
            twins.elapse(now_s)
        is_due = what == "elapse" and now_s >= last_s + 60.0
        is_active = bool(alarms(twins.records, is_active=True))
        assert is_active == is_due if what == "elapse" else not is_active


events = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 5), st.booleans()).map(
        lambda event: (event[0], event[1] * 1000, event[2])
    ),
    max_size=12,
)


@given(events, st.randoms(use_true_random=False))
def test_the_order_and_number_of_deliveries_do_not_matter(history, chance):
    """What stands is what the last event of the last session says; at one instant the end wins."""
    twins = Twins([Alarms()])
    delivered = [*history, *history]
    chance.shuffle(delivered)
    for now_s, (session, ts, is_end) in enumerate(delivered):
        told(twins, float(now_s), session=session, ts=ts, cleared=is_end)

    expected = max(history, default=(0, 0, True))
    assert bool(alarms(twins.records, is_active=True)) == (not expected[2])
    tally = twins.records.get("alarm_tally", "")
    assert (tally.active_count if tally else 0) == len(alarms(twins.records, is_active=True))
