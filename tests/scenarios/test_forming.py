"""How a requirement stands while its replication still runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.format.expression import parse
from scenarios.judging.forming import standing
from scenarios.judging.judgement import evaluate

END_S = 100.0


class Happening:
    """What has happened by `now_s` of all that will happen."""

    warm_up_s = 0.0

    def __init__(self, samples, now_s=END_S, leaving=0):
        self.all = samples
        self.duration_s = now_s
        self.leaving = leaving

    def samples(self, measure):
        return [each for each in self.all.get(measure, []) if each[0] <= self.duration_s]

    def nodes_of(self, measure):
        return {"opened": ["a", "b"]}.get(measure, [])

    def bytes(self, kind, scope):
        del kind, scope
        return int(self.leaving * self.duration_s)

    def fault_windows(self, fault):
        del fault
        return [(20.0, 60.0)]


def one(at_s, node="a", value=1.0, trace=0):
    return (at_s, node, value, trace)


def stands(expect, samples, now_s, **options):
    return tuple(standing(parse(expect), Happening(samples, now_s, **options)))


OPENING = {"alarm": [one(10.0)], "opened": [one(15.0, "a"), one(30.0, "b")]}


@pytest.mark.parametrize(
    ("now_s", "state", "text"),
    [
        (5.0, "open", "no alarm yet"),
        (12.0, "open", "2 of 2 not yet, 2.0 s after alarm"),
        (20.0, "open", "1 of 2 not yet, 10.0 s after alarm"),
        (29.0, "missed", "at least 19 s misses max(alarm -> opened) < 18 s"),
        (40.0, "missed", "20 s misses max(alarm -> opened) < 18 s"),
    ],
)
def test_a_latency_is_missed_as_soon_as_the_wait_is_too_long(now_s, state, text):
    """Also where the end has not come; until then it is open."""
    assert stands("max(alarm -> opened) < 18 s", OPENING, now_s) == (state, text)


def test_a_latency_is_met_when_every_node_has_ended_in_time():
    """And stays met."""
    assert stands("max(alarm -> opened) < 25 s", OPENING, 31.0) == (
        "met",
        "20 s meets max(alarm -> opened) < 25 s",
    )


@pytest.mark.parametrize(
    ("expect", "now_s", "state"),
    [
        ("count(m) == 2", 5.0, "open"),
        ("count(m) == 2", 25.0, "met so far"),
        ("count(m) == 2", 35.0, "missed"),
        ("count(m) > 1", 15.0, "open"),
        ("count(m) > 1", 25.0, "met"),
        ("max(m) < 30", 5.0, "open"),
        ("max(m) < 30", 15.0, "met so far"),
        ("max(m) < 30", 35.0, "missed"),
        ("min(m) >= 10", 15.0, "met so far"),
        ("p95(m) < 25", 25.0, "met so far"),
        ("p95(m) < 25", 35.0, "open"),
        ("count(m) > 1 and max(m) < 30", 35.0, "missed"),
        ("count(m) > 1 and max(m) < 30", 15.0, "open"),
    ],
)
def test_what_more_samples_cannot_change_is_final(expect, now_s, state):
    """Counts and maxima rise, minima fall; a quantile may still turn."""
    samples = {"m": [one(10.0, value=10.0), one(20.0, value=20.0), one(30.0, value=30.0)]}

    assert stands(expect, samples, now_s)[0] == state


def test_bytes_that_left_do_not_come_back():
    """Once there are too many, there are."""
    assert stands("bytes(personal, leaving here) == 0", {}, 10.0)[0] == "met so far"
    assert stands("bytes(personal, leaving here) == 0", {}, 10.0, leaving=2)[0] == "missed"


def test_at_the_end_it_is_the_judgement():
    """Nothing is open when nothing more can happen."""
    data = Happening(OPENING)
    for expect in ("max(alarm -> opened) < 18 s", "p95(never) < 1"):
        judged = evaluate(parse(expect), data)
        formed = standing(parse(expect), data, is_over=True)

        assert formed == ("met" if judged.is_met else "missed", judged.text)


VALUES = st.floats(-50.0, 50.0).map(lambda value: round(value, 1))
EVENTS = st.lists(
    st.tuples(st.floats(0.0, END_S), st.sampled_from("ab"), VALUES, st.integers(0, 3)), max_size=8
).map(sorted)
CLAUSES = st.tuples(
    st.sampled_from(
        ["count(m)", "max(m)", "min(m)", "mean(m)", "last(m)", "p90(m)", "count(m during partition)"]
    ),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.integers(-3, 9),
).map(lambda parts: f"{parts[0]} {parts[1]} {parts[2]}")
LATENCIES = st.tuples(
    st.sampled_from(
        ["max(alarm -> opened)", "min(alarm -> opened)", "p50(alarm -> opened)", "max(alarm => opened)"]
    ),
    st.sampled_from(["<", ">="]),
    st.integers(1, 60),
).map(lambda parts: f"{parts[0]} {parts[1]} {parts[2]} s")


@given(
    st.fixed_dictionaries({"m": EVENTS, "alarm": EVENTS, "opened": EVENTS}),
    st.lists(CLAUSES | LATENCIES, min_size=1, max_size=2),
    st.floats(0.0, END_S),
)
def test_a_final_verdict_is_that_of_the_whole_replication(samples, clauses, now_s):
    """Whatever happens later: met stays met, missed stays missed."""
    expression = parse(" and ".join(clauses))
    formed = standing(expression, Happening(samples, now_s))
    whole = evaluate(expression, Happening(samples))

    if formed.state == "met":
        assert whole.is_met
    if formed.state == "missed":
        assert not whole.is_met
    assert formed.text
