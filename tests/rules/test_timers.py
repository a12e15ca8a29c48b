"""FOR, COOLDOWN, ABSENT FOR and CLEAR WHEN, on a clock that the test holds."""

import pytest

from twin.state.records import Transaction

HOT = {"temp": 70}
COLD = {"temp": 20}


@pytest.fixture
def rules(bench, rule_text):
    """A bench of one rule with these clauses after WHERE temp > 60."""

    def make(clauses, condition="WHERE temp > 60"):
        return bench(rule_text(f"{condition} {clauses}"))

    return make


def times(firings):
    return [(at_s, what) for at_s, _, _, what in firings]


def test_for_fires_when_the_condition_has_held_for_long_enough(rules):
    """By the clock, without a further message, once for as long as it holds."""
    bench = rules("FOR 2s")
    assert bench.say(0, **HOT) == bench.say(1, **HOT) == []
    assert times(bench.wait(10)) == [(2.0, "fired")]
    assert bench.say(11, **HOT) == []


def test_for_begins_anew_when_the_condition_was_false(rules):
    """What is Undefined says nothing, so it ends nothing."""
    bench = rules("FOR 2s")
    bench.say(0, **HOT)
    bench.say(1, **COLD)
    bench.say(1.5, **HOT)
    bench.say(2.5, other=1)
    assert times(bench.wait(10)) == [(3.5, "fired")]
    bench.say(11, **COLD)
    bench.say(12, **HOT)
    assert times(bench.wait(20)) == [(14.0, "fired")]


def test_for_is_told_for_each_device(rules):
    """One device that is hot says nothing about another."""
    bench = rules("FOR 2s")
    bench.say(0, "sensor/a/telemetry", **HOT)
    bench.say(1, "sensor/b/telemetry", **HOT)
    bench.say(1.5, "sensor/a/telemetry", **COLD)
    assert [(at_s, thing) for at_s, _, thing, _ in bench.wait(10)] == [(3.0, "b")]


def test_a_clock_that_wakes_late_changes_nothing(rules):
    """A message finds what time had brought before it, with the times at which it was due."""
    bench = rules("FOR 2s COOLDOWN 5s")
    bench.say(0, **HOT)
    bench._elapse = lambda _now_s: None
    assert times(bench.say(100, **COLD)) == [(2.0, "fired")]


def test_cooldown_is_the_least_time_between_firings(rules):
    """Measured from the firing; what comes meanwhile is counted."""
    bench = rules("COOLDOWN 10s")
    found = [times(bench.say(at_s, **HOT)) for at_s in (0, 5, 9.9, 10, 25)]
    assert found == [[(0, "fired")], [], [], [(10, "fired")], [(25, "fired")]]
    assert bench.observed["rule_suppressed"] == 2


def test_for_with_cooldown_repeats_while_the_condition_holds(rules):
    """At the first message after the cool-down."""
    bench = rules("FOR 2s COOLDOWN 10s")
    bench.say(0, **HOT)
    assert times(bench.wait(5)) == [(2.0, "fired")]
    assert bench.say(6, **HOT) == []
    assert times(bench.say(13, **HOT)) == [(13, "fired")]


def test_what_holds_by_the_end_of_the_cooldown_fires_then(rules):
    """A device that speaks of changes only says nothing more; what is over by then does not fire."""
    bench = rules("FOR 2s COOLDOWN 30s THEN ALARM MAJOR 'hot' CLEAR WHEN temp < 45")
    bench.say(0, **HOT)
    assert times(bench.say(3, **COLD)) == [(2.0, "fired"), (3, "cleared")]
    assert bench.say(4, **HOT) == bench.say(10, **HOT) == []
    assert times(bench.wait(100)) == [(32.0, "fired")]
    assert times(bench.say(101, **COLD)) == [(101, "cleared")]
    bench.say(102, **HOT)
    assert times(bench.wait(105)) == [(104.0, "fired")]
    bench.say(106, **COLD)
    bench.say(107, **HOT)
    assert bench.wait(110) == bench.say(120, temp=50) == bench.wait(200) == []


def test_who_falls_silent_during_the_cooldown_is_missed_when_it_is_over(rules):
    """Nothing else would ever say so; who speaks before that is not missed."""
    bench = rules("ABSENT FOR 10s COOLDOWN 60s")
    bench.say(0, **HOT)
    assert times(bench.say(12, **HOT)) == [(10.0, "fired"), (12, "cleared")]
    assert times(bench.wait(100)) == [(70.0, "fired")]
    assert times(bench.say(101, **HOT)) == [(101, "cleared")]
    assert bench.say(128, **HOT) == []
    assert times(bench.wait(300)) == [(138.0, "fired")]


def test_who_falls_silent_again_before_it_is_over_stays_missed(rules):
    """One word of a device does not clear what asks for a minute without alarm."""
    bench = rules("ABSENT FOR 10s THEN ALARM MAJOR 'silent' CLEAR WHEN temp > 0 FOR 60s")
    bench.say(0, **HOT)
    assert times(bench.say(20, **HOT)) == [(10.0, "fired")]
    assert bench.wait(200) == bench.say(201, **HOT) == []
    assert [bench.say(at_s, **HOT) for at_s in range(208, 260, 9)] == [[]] * 6
    assert times(bench.wait(262)) == [(261.0, "cleared")]


def test_a_state_is_forgotten_when_nothing_is_left_of_it(rules):
    """After the cool-down no record remains."""
    bench = rules("COOLDOWN 10s")
    bench.say(0, **HOT)
    assert len(bench.records.of("rule_state")) == 1
    bench.wait(11)
    assert len(bench.records.of("rule_state")) == 0


def test_what_clears_fires_once_until_it_is_over(rules):
    """Between the two thresholds nothing happens."""
    bench = rules("THEN ALARM MAJOR 'hot' CLEAR WHEN temp < 45 FOR 60s")
    assert times(bench.say(0, **HOT)) == [(0, "fired")]
    assert bench.say(1, **HOT) == bench.say(2, temp=50) == bench.say(3, **HOT) == []
    assert bench.say(10, **COLD) == []
    assert bench.say(20, temp=50) == []
    assert bench.say(30, **COLD) == bench.say(40, **COLD) == []
    assert times(bench.wait(100)) == [(90.0, "cleared")]
    assert [(each.type, each.is_cleared) for each in bench.performed] == [("hot", False), ("hot", True)]
    assert times(bench.say(101, **HOT)) == [(101, "fired")]


def test_what_is_true_again_is_not_over(rules):
    """The condition itself ends the time in which it clears."""
    bench = rules("THEN ALARM MAJOR 'hot' CLEAR WHEN other = 1 FOR 10s")
    bench.say(0, **HOT)
    bench.say(1, temp=20, other=1)
    bench.say(5, temp=70, other=1)
    assert bench.wait(100) == []


def test_clear_may_do_something_itself(bench):
    """After the alarm is cleared, in the order of the rule."""
    text = """RULE r SELECT * FROM 'sensor/+/telemetry' WHERE temp > 60
    THEN ALARM MAJOR 'hot'; COMMAND 'fan' on CLEAR WHEN temp < 45 THEN COMMAND 'fan' off"""
    made = bench(text)
    made.say(0, **HOT)
    made.say(1, **COLD)
    assert [getattr(each, "name", each.__class__.__name__) for each in made.performed] == [
        "Alarm", "on", "Alarm", "off",
    ]  # fmt: skip


def test_absent_fires_when_a_device_falls_silent(rules):
    """Counted from its last message that WHERE takes; the next one ends it."""
    bench = rules("ABSENT FOR 45m", "WHERE temp > 0")
    bench.say(0, **HOT)
    bench.say(600, **HOT)
    bench.say(700, temp=-1)
    assert times(bench.wait(9000)) == [(3300.0, "fired")]
    assert times(bench.say(9001, **HOT)) == [(9001, "cleared")]
    assert [each.is_cleared for each in bench.performed] == [False, True]
    assert times(bench.wait(99999)) == [(11701.0, "fired")]


@pytest.mark.parametrize(
    "clauses",
    [
        "FOR 2s",
        "COOLDOWN 9s",
        "ABSENT FOR 3s",
        "FOR 1s COOLDOWN 2s",
        "FOR 1s COOLDOWN 9s",
        "ABSENT FOR 3s COOLDOWN 9s",
    ],
)
def test_timers_survive_a_restart(rules, clauses):
    """The state goes through the JSON of the journal and on from there."""
    whole, cut = rules(clauses), rules(clauses)
    told = [(0, HOT), (0.5, HOT), (4, COLD), (5, HOT), (8.1, HOT), (20, HOT)]
    expected = [each for at_s, fields in told for each in whole.say(at_s, **fields)]
    found = []
    for at_s, fields in told:
        found += cut.say(at_s, **fields)
        cut.restart()
    assert found == expected
    assert found != []


def test_a_fork_goes_on_from_the_same_state(rules):
    """Each side fires for itself."""
    bench = rules("FOR 2s")
    bench.say(0, **HOT)
    trunk, branch = bench.records, bench.records.fork()
    bench.say(1, **COLD)
    bench.records = branch
    assert times(bench.wait(5)) == [(2.0, "fired")]
    bench.records = trunk
    assert bench.wait(5) == []


def test_a_rule_that_is_changed_forgets_its_state(bench, rule_text):
    """The alarm of the old text is cleared, as nobody else would."""
    made = bench(rule_text("WHERE temp > 60 THEN ALARM MINOR 'x' CLEAR WHEN temp < 45"))
    made.say(0, **HOT)
    transaction = Transaction(made.records, 5.0)
    made.rules.put_rule(rule_text("WHERE temp > 90"), transaction)
    assert [each.is_cleared for each in made.performed] == [False, True]
    assert made.records.of("rule_state") == {}
