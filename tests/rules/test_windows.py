"""Windows: when they are looked at, and what they hold then."""

import pytest


@pytest.fixture
def rules(bench):
    """A bench whose rule publishes what it sees of a window."""

    def make(window, columns="count(*) AS n, sum(v) AS total", having="", head="", where=""):
        text = f"RULE r SELECT {columns} FROM 'sensor/+/telemetry' {head} {where} WINDOW {window} {having}"
        return Seen(bench(text + " THEN FORWARD sink"))

    return make


class Seen:
    """Hands messages with a value to a bench and takes (time, document) of what was forwarded."""

    def __init__(self, bench):
        self.bench = bench

    def say(self, at_s, v, thing="a", **fields):
        self.bench.say(at_s, f"site/s/sensor/{thing}/telemetry", v=v, **fields)
        return self.taken()

    def wait(self, until_s):
        self.bench.wait(until_s)
        return self.taken()

    def taken(self):
        taken, self.bench.performed[:] = list(self.bench.performed), []
        return [(each.document["at_s"], tuple(each.document["document"].values())) for each in taken]


def test_a_tumbling_window_is_looked_at_when_it_ends(rules):
    """It ends at a multiple of its length; what comes at its very end belongs to the next one."""
    seen = rules("TUMBLING 10s")
    assert seen.say(3, 1) == seen.say(9.9, 2) == []
    assert seen.say(10, 4) == [(10.0, (2, 3))]
    assert seen.wait(100) == [(20.0, (1, 4))]


def test_a_tumbling_window_of_tenths_ends_where_it_should(rules):
    """0.3 is no multiple of 0.1 in floating point, but it is in a rule."""
    seen = rules("TUMBLING 100ms")
    seen.say(0.25, 1)
    assert seen.say(0.3, 2) == [(0.3, (1, 1))]
    assert seen.wait(1) == [(0.4, (1, 2))]


def test_a_hopping_window_looks_back_its_length_at_each_hop(rules):
    """Until nothing is left in it."""
    seen = rules("HOPPING 10s EVERY 5s")
    found = seen.say(1, 1) + seen.say(6, 2) + seen.wait(100)
    assert found == [(5.0, (1, 1)), (10.0, (2, 3)), (15.0, (1, 2))]


def test_a_sliding_window_looks_back_at_each_message(rules):
    """What is as old as its length is out."""
    seen = rules("SLIDING 10s")
    found = [seen.say(at_s, v) for at_s, v in ((0, 1), (5, 2), (10, 4), (30, 8))]
    assert found == [[(0, (1, 1))], [(5, (2, 3))], [(10, (2, 6))], [(30, (1, 8))]]


def test_a_sliding_window_that_has_emptied_lets_for_begin_anew(bench):
    """What held before a silence is over, so a second time is a second firing."""
    made = bench("""RULE r SELECT avg(v) AS m FROM 'sensor/+/telemetry' WINDOW SLIDING 10s HAVING avg(v) > 50
    FOR 3s THEN ALARM MAJOR 'hot'""")
    found = [made.say(at_s, v=70) for at_s in (0, 2, 4, 6, 100, 102, 104)]
    assert [each[0][0] for each in found if each] == [4, 104]


@pytest.mark.parametrize(
    ("window", "ends", "times"),
    [
        ("TUMBLING 10s", "", [10.0, 20.0]),
        ("HOPPING 20s EVERY 10s", "", [10.0, 30.0]),
        ("HOPPING 20s EVERY 10s", "FOR 15s", [10.0, 45.0]),
        ("SLIDING 10s", "", [3.0, 13.0]),
    ],
)
def test_a_window_that_has_emptied_may_clear(bench, window, ends, times):
    """Nobody says anything more, and that is what the alarm is over by; a restart changes nothing."""
    made = bench(f"""RULE r SELECT * FROM 'sensor/+/telemetry' WINDOW {window} HAVING count(*) >= 3
    THEN ALARM MAJOR 'many' CLEAR WHEN count(*) < 2 {ends}""")
    found = [*made.say(1, v=1), *made.say(2, v=1), *made.say(3, v=1)]
    made.restart()
    found += made.wait(10)
    made.restart()
    found += made.wait(1000)
    assert [(at_s, what) for at_s, _, _, what in found] == [(times[0], "fired"), (times[1], "cleared")]
    assert len(made.records.of("rule_state")) == 0


def test_a_session_ends_when_nothing_comes_for_a_while(rules):
    """Or when it has been going on for too long."""
    seen = rules("SESSION 5s WITHIN 8s")
    found = seen.say(0, 1) + seen.say(3, 2) + seen.say(7, 4) + seen.say(9, 8) + seen.wait(100)
    assert found == [(8.0, (3, 7)), (14.0, (1, 8))]


def test_a_count_window_is_full_after_so_many(rules):
    """It then begins anew."""
    seen = rules("COUNT 3")
    found = [seen.say(at_s, v) for at_s, v in enumerate((1, 2, 4, 8))]
    assert found == [[], [], [(2, (3, 7))], []]


def test_a_count_window_may_move_by_fewer(rules):
    """The last three at every second message."""
    seen = rules("COUNT 3 EVERY 2")
    found = [seen.say(at_s, v) for at_s, v in enumerate((1, 2, 4, 8))]
    assert found == [[], [(1, (2, 3))], [], [(3, (3, 14))]]


def test_a_state_window_is_open_from_one_message_to_another(rules):
    """What is outside does not count."""
    seen = rules("STATE WHEN v = 1 UNTIL v = 9")
    found = [seen.say(at_s, v) for at_s, v in enumerate((5, 1, 3, 9, 4))]
    assert found == [[], [], [], [(3, (3, 13))], []]


def test_windows_are_by_device_unless_the_rule_says_otherwise(rules):
    """BY puts together what has the same value."""
    each, both = rules("COUNT 2"), rules("COUNT 2 BY substring(thing(), 0, 2)")
    for seen in (each, both):
        assert seen.say(0, 1, "L2-a") == []
    assert each.say(1, 2, "L2-b") == []
    assert both.say(1, 2, "L2-b") == [(1, (2, 3))]
    assert both.say(1, 2, "L3-b") == []


def test_two_different_devices_are_told_apart(rules):
    """Two detectors confirm, one that knocks twice does not."""
    seen = rules("SLIDING 60s BY 'all'", having="HAVING count(DISTINCT thing()) >= 2")
    assert seen.say(0, 1, "a") == seen.say(1, 1, "a") == []
    assert len(seen.say(2, 1, "b")) == 1


@pytest.mark.parametrize(
    ("aggregate", "value"),
    [
        ("count(*)", 4),
        ("count(v)", 3),
        ("count(DISTINCT v)", 2),
        ("sum(v)", 16.0),
        ("avg(v)", 16 / 3),
        ("min(v)", 4),
        ("max(v)", 6.0),
        ("first(v)", 6.0),
        ("last(v)", None),
        ("stddev(v)", (8 / 9) ** 0.5),
        ("count(*) FILTER (WHERE v > 5)", 2),
        ("max(v) FILTER (WHERE v < 5)", 4),
        ("max(v) - min(v)", 2.0),
    ],
)
def test_aggregates(rules, aggregate, value):
    """Of 6, 4, 6 and null; null counts as a message and not as a value."""
    seen = rules("COUNT 4", f"{aggregate} AS x")
    for at_s, v in enumerate((6.0, 4, 6.0)):
        seen.say(at_s, v)
    assert seen.say(3, None) == [(3, (pytest.approx(value),))]


def test_an_aggregate_of_nothing_is_undefined(rules):
    """SELECT leaves it out."""
    assert rules("COUNT 1", "avg(x) AS x").say(0, 1) == [(0, ())]


def test_having_decides_on_the_window(rules):
    """WHERE decides which messages are in it."""
    seen = rules("COUNT 2", having="HAVING sum(v) > 5", where="WHERE v > 1")
    found = [seen.say(at_s, v) for at_s, v in enumerate((2, 1, 3, 3, 3))]
    assert found == [[], [], [], [], [(4, (2, 6))]]


def test_for_asks_that_having_holds_at_every_look(rules):
    """For so long, from the first look at which it did."""
    seen = rules("TUMBLING 10s", having="HAVING sum(v) > 5 FOR 10s", columns="sum(v) AS s")
    found = seen.say(1, 6) + seen.say(11, 6) + seen.say(21, 1) + seen.say(31, 6) + seen.wait(100)
    assert found == [(20.0, (6,))]


def test_clear_may_look_at_the_window_too(bench):
    """A mean that has come down."""
    made = bench(
        "RULE r SELECT * FROM 'sensor/+/telemetry' WINDOW COUNT 2 HAVING avg(v) > 10"
        " THEN ALARM MINOR 'x' CLEAR WHEN avg(v) < 5"
    )
    found = [len(made.say(at_s, v=v)) for at_s, v in enumerate((20, 20, 8, 8, 1, 1))]
    assert found == [0, 1, 0, 0, 0, 1]


class TestEventTime:
    """The time that the device says, `ts` in milliseconds."""

    def test_late_messages_are_awaited_for_a_while(self, rules):
        """The window ends later by as much; what is later still is counted."""
        seen = rules("TUMBLING 10s", head="ON EVENT TIME LATE 5s")
        assert seen.say(9, 1, ts=9000) == seen.say(12, 2, ts=8000) == seen.say(12, 4, ts=11000) == []
        assert seen.wait(15) == [(15.0, (2, 3))]
        assert seen.say(16, 9, ts=9500) == []
        assert seen.bench.observed["rule_late"] == 1
        assert seen.wait(100) == [(25.0, (1, 4))]

    def test_a_device_ahead_of_the_clock_speaks_now(self, rules):
        """A wrong clock neither loses a message nor keeps a window open."""
        seen = rules("TUMBLING 10s", head="ON EVENT TIME")
        seen.say(5, 1, ts=9_000_000)
        assert seen.wait(10) == [(10.0, (1, 1))]


@pytest.mark.parametrize(
    "window",
    ["TUMBLING 4s", "HOPPING 6s EVERY 2s", "SLIDING 3s", "SESSION 2s WITHIN 5s", "COUNT 3", "COUNT 3 EVERY 2",
     "STATE WHEN v = 1 UNTIL v = 3"],
)  # fmt: skip
def test_windows_survive_a_restart(rules, window):
    """What they hold goes through the JSON of the journal after every message."""
    columns = "count(*) AS n, sum(v) AS s, stddev(v) AS d, last(v) AS l, count(DISTINCT v) AS k, min(v) AS m"
    whole, cut = rules(window, columns), rules(window, columns)
    told = [(at_s * 0.7, at_s % 5) for at_s in range(30)]
    expected, found = [], []
    for at_s, v in told:
        expected += whole.say(at_s, v)
        found += cut.say(at_s, v)
        cut.bench.restart()
    assert found == expected
    assert len(found) > 2


def test_a_sliding_window_keeps_a_thousand_messages(rules):
    """More push out the oldest; memory has a bound."""
    seen = rules("SLIDING 1h", "count(*) AS n")
    for number in range(1_100):
        (last,) = seen.say(number * 0.01, 1)
    assert last[1] == (1_000,)
