import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import InputError
from twin.message import Message
from twin.state.alarms import Alarms
from twin.state.branch import branch_at, diff, live_branch, moment, seconds_of
from twin.state.memory_store import MemoryStore
from twin.state.records import Transaction
from twin.state.standard import component, standard_twins


class Bench:
    """Twins whose transactions are kept."""

    def __init__(self):
        self.twins, self.store = standard_twins(), MemoryStore()

    def report(self, thing, values, now_s, section="reported"):
        import msgspec

        payload = msgspec.json.encode({"state": {section: values}})
        self.store.commit([self.twins.handle(Message(f"$aws/things/{thing}/shadow/update", payload), now_s)])

    def alarm(self, thing, now_s):
        transaction = Transaction(self.twins.records, now_s)
        component(self.twins, Alarms).raise_alarm(thing, "fire", "critical", "it burns", transaction)
        self.store.commit([transaction])

    def branch(self, at="now"):
        return branch_at(self.store, self.twins.kinds, at)


@pytest.fixture
def bench():
    made = Bench()
    made.report("gate-1", {"gate": "closed", "lamp": {"on": True, "hue": 3}}, 10.0)
    made.report("gate-2", {"gate": "closed"}, 20.0)
    made.report("gate-1", {"gate": "open"}, 30.0)
    return made


def found(branch, live):
    return [(each.thing, each.kind, each.path, each.branch, each.live) for each in diff(branch, live).found]


def test_a_branch_is_the_twins_as_they_were(bench):
    """Now, at a sequence, or at a time."""
    assert list(bench.branch().records) == list(bench.twins.records)
    clocks = [bench.branch(at).at_s for at in ("now", "2", "25s", "1970-01-01T00:00:25Z", "99s")]
    assert clocks == [30.0, 20.0, 25.0, 25.0, 30.0], "the time asked for, as far as the journal goes"
    assert bench.branch("25s").records.get("shadow", "gate-1").state.reported["gate"] == "closed"
    assert bench.branch("1").records.of("shadow").keys() == {"gate-1"}
    assert bench.branch("0").records.of("shadow") == {}


def test_what_happens_in_a_branch_stays_there(bench):
    """Neither the twins nor the store learn of it."""
    before, last = list(bench.twins.records), bench.store.bounds()
    branch = live_branch(bench.twins.records, last.last, last.last_s)
    twins = standard_twins()
    twins.records = branch.records
    twins.handle(Message("$aws/things/gate-1/shadow/update", b'{"state":{"reported":{"gate":"shut"}}}'), 40.0)

    assert list(bench.twins.records) == before
    assert bench.store.bounds() == last
    assert found(branch.records, bench.twins.records) == [
        ("gate-1", "shadow", "reported.gate", "shut", "open")
    ]


def test_a_difference_names_each_value(bench):
    """Leaf by leaf for shadows; what only one of the two has is named as a whole; times do not count."""
    then = bench.branch("20s")
    bench.report("gate-1", {"lamp": {"hue": None}}, 40.0)
    bench.report("gate-2", {"gate": "open"}, 40.0, "desired")
    bench.report("gate-2", {"gate": "closed"}, 41.0)
    bench.alarm("gate-2", 50.0)
    differences = diff(then.records, bench.twins.records)

    assert [(each.thing, each.kind, each.what, each.path) for each in differences.found] == [
        ("gate-1", "shadow", "differs", "reported.gate"),
        ("gate-1", "shadow", "differs", "reported.lamp.hue"),
        ("gate-2", "alarm", "only_live", ""),
        ("gate-2", "shadow", "differs", "desired"),
    ]
    assert differences.found[2].live["severity"] == "critical"
    assert (differences.found[3].branch, differences.found[3].live) == (None, {"gate": "open"})


def test_equal_branches_do_not_differ(bench):
    """Whether they share their records or were read twice."""
    assert diff(bench.branch().records, bench.branch().records).found == []
    assert diff(bench.twins.records, bench.twins.records).found == []


def test_a_difference_is_bounded(bench):
    """And says that there is more."""
    for number in range(20):
        bench.report(f"lamp-{number:02}", {"on": True}, 60.0)
    differences = diff(bench.branch("30s").records, bench.twins.records, limit=5)

    assert len(differences.found) == 5
    assert differences.is_cut
    assert not diff(bench.branch("30s").records, bench.twins.records, limit=20).is_cut


@given(one=st.dictionaries(st.sampled_from("abc"), st.booleans() | st.integers(0, 2) | st.floats(0, 2)))
def test_true_is_no_number(one):
    """As JSON has it: 1 equals 1.0, and true neither."""
    bench = Bench()
    bench.report("a", one or {"a": 1}, 1.0)
    other = Bench()
    other.report("a", {k: (float(v) if isinstance(v, int) and not isinstance(v, bool) else v)
                       for k, v in (one or {"a": 1}).items()}, 1.0)  # fmt: skip
    assert diff(bench.twins.records, other.twins.records).found == []

    flipped = {k: (not v if isinstance(v, bool) else v == 1) for k, v in (one or {"a": 1}).items()}
    third = Bench()
    third.report("a", flipped, 1.0)
    assert len(diff(bench.twins.records, third.twins.records).found) == len(flipped)


def test_a_moment_can_be_written_in_several_ways(bench):
    """And nothing else is taken for one."""
    assert [moment(bench.store, each) for each in ("now", "2", "12.5s")] == [
        bench.store.bounds().last,
        2,
        bench.branch("10s").sequence,
    ]
    assert seconds_of("2026-03-01T12:00:00Z") == 1772366400.0
    assert seconds_of("2026-03-01T13:00:00+01:00") == 1772366400.0
    for text in ("yesterday", "12:00", "2026-03-01T12:00:00", "-5", "s", ""):
        with pytest.raises(InputError, match="is no moment"):
            moment(bench.store, text)
    assert not math.isnan(seconds_of("1e3s"))


def test_a_moment_that_has_not_come_is_refused(bench):
    """It is named, with how far the journal reaches."""
    with pytest.raises(InputError, match="has not reached sequence 99"):
        bench.branch("99")
