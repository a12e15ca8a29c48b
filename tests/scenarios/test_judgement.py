"""What one replication's observations say about an expression."""

import math
from dataclasses import dataclass, field

import pytest

from scenarios.format.expression import parse
from scenarios.judging.judgement import evaluate, samples_of

NEVER = math.inf


@dataclass
class Recorded:
    """Observations written down by hand: (at, node, value, trace) by measure."""

    by_measure: dict = field(default_factory=dict)
    nodes: dict = field(default_factory=dict)
    left: dict = field(default_factory=dict)
    windows: dict = field(default_factory=dict)
    duration_s: float = 100.0
    warm_up_s: float = 0.0

    def samples(self, measure):
        """The samples of a measure."""
        return self.by_measure.get(measure, [])

    def nodes_of(self, measure):
        """Every node that reports it."""
        return self.nodes.get(measure, sorted({node for _, node, _, _ in self.samples(measure)}))

    def bytes(self, kind, scope):
        """Bytes that left."""
        return self.left.get((kind, scope), 0)

    def fault_windows(self, fault):
        """When a fault was at work."""
        return self.windows.get(fault, [])


def _judge(text, **recorded):
    return evaluate(parse(text), Recorded(**recorded))


def _samples(text, **recorded):
    (metric,) = parse(f"max({text}) < 1 s").metrics
    return samples_of(metric, Recorded(**recorded))


FIRE = {
    "alarm": [(10.0, "S1", 1.0, 1), (12.0, "S2", 1.0, 2)],
    "gate_open": [(14.0, "GA", 1.0, 1), (15.5, "GB", 1.0, 1), (60.0, "GA", 0.0, 0)],
}


def test_a_latency_has_one_sample_for_each_node_that_reports_the_end():
    """From the first alarm anywhere to the opening of each gate."""
    assert _samples("alarm -> gate_open", by_measure=FIRE) == [4.0, 5.5]


def test_an_end_that_never_comes_is_infinite():
    """A third gate that stays shut."""
    samples = _samples("alarm -> gate_open", by_measure=FIRE, nodes={"gate_open": ["GA", "GB", "GC"]})

    assert samples == [4.0, 5.5, NEVER]


def test_an_end_that_already_holds_takes_no_time():
    """A gate that stood open before the alarm; one that was closed again must open anew."""
    samples = _samples(
        "alarm -> gate_open",
        by_measure={
            "alarm": [(10.0, "S1", 1.0, 1)],
            "gate_open": [
                (1.0, "GA", 1.0, 0),
                (2.0, "GB", 1.0, 0),
                (3.0, "GB", 0.0, 0),
                (13.0, "GB", 1.0, 0),
            ],
        },
    )

    assert samples == [0.0, 3.0]


def test_a_closing_is_no_opening():
    """The value 0 ends nothing."""
    record = {"alarm": [(1.0, "S", 1.0, 0)], "gate_open": [(2.0, "GA", 0.0, 0), (5.0, "GA", 1.0, 0)]}

    assert _samples("alarm -> gate_open", by_measure=record) == [4.0]


def test_without_a_start_there_is_no_latency():
    """No alarm, no sample; the requirement is not met and says why."""
    judged = _judge("max(alarm -> gate_open) < 35 s", by_measure={"gate_open": [(1.0, "GA", 1.0, 0)]})

    assert not judged.is_met
    assert math.isnan(judged.value)
    assert judged.text == "alarm never happened: max(alarm -> gate_open) < 35 s"


def test_a_chain_latency_has_one_sample_for_each_trace():
    """Answers are told apart by their chain, not by their order."""
    record = {
        "request": [(1.0, "u", 1.0, 7), (2.0, "u", 1.0, 8)],
        "response": [(2.5, "u", 1.0, 8), (4.0, "u", 1.0, 7)],
    }

    assert _samples("request => response", by_measure=record) == [3.0, 0.5]


def test_a_chain_without_an_end_is_infinite():
    """A request that was lost."""
    record = {"request": [(1.0, "u", 1.0, 7), (2.0, "u", 1.0, 8)], "response": [(2.5, "u", 1.0, 8)]}

    assert _samples("request => response", by_measure=record) == [NEVER, 0.5]


def test_chains_that_may_still_end_are_left_out():
    """The longest answer took 3 s, so a request that waited 1 s says nothing; one that was answered does."""
    record = {
        "request": [(1.0, "u", 1.0, 1), (97.0, "u", 1.0, 2), (98.0, "u", 1.0, 3), (99.0, "u", 1.0, 4)],
        "response": [(4.0, "u", 1.0, 1), (98.5, "u", 1.0, 3)],
    }

    assert _samples("request => response", by_measure=record) == [3.0, NEVER, 0.5]


@pytest.mark.parametrize(
    "text",
    ["share(request => response < 2 s) >= 90 %", "p95(request => response) < 2 s"],
)
def test_a_chain_that_waited_beyond_the_limit_is_not_left_out(text):
    """One answer took 50 s; the requests at 60 to 97 s are overdue at the end, whatever comes later."""
    record = {
        "request": [(1.0, "u", 1.0, 1), *((60.0 + i, "u", 1.0, 2 + i) for i in range(38))],
        "response": [(51.0, "u", 1.0, 1)],
    }

    judged = _judge(text, by_measure=record)

    assert not judged.is_met
    assert judged.value in {0.0, NEVER}


def test_a_slow_answer_counts_wherever_it_began():
    """Two requests that took 60 s are two bad answers of three, although the run ended at 100 s."""
    record = {
        "request": [(1.0, "u", 1.0, 1), (39.0, "u", 1.0, 2), (40.0, "u", 1.0, 3)],
        "response": [(1.5, "u", 1.0, 1), (99.0, "u", 1.0, 2), (100.0, "u", 1.0, 3)],
    }

    judged = _judge("share(request => response < 2 s) >= 99 %", by_measure=record)

    assert judged.value == pytest.approx(1 / 3)


def test_what_belongs_to_no_chain_has_no_chain_latency():
    """Trace 0 stands for none."""
    record = {"request": [(1.0, "u", 1.0, 0)], "response": [(2.0, "u", 1.0, 0)]}

    assert _samples("request => response", by_measure=record) == []


def test_a_window_takes_what_began_within_it():
    """`during` a fault, and `after` a time."""
    record = {"request": [(t, "u", 1.0, int(t)) for t in (10.0, 20.0, 30.0)]}
    record["response"] = [(t + t / 10, "u", 1.0, int(t)) for t in (10.0, 20.0, 30.0)]

    inside = _samples("request => response during cut", by_measure=record, windows={"cut": [(15.0, 30.0)]})
    later = _samples("request => response after 20 s", by_measure=record)

    assert inside == [pytest.approx(2.0)]
    assert later == [pytest.approx(2.0), pytest.approx(3.0)]


VALUES = {"m": [(float(i), "n", float(v), 0) for i, v in enumerate([3, 1, 4, 1, 5])]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("max(m)", 5.0),
        ("min(m)", 1.0),
        ("mean(m)", 2.8),
        ("median(m)", 3.0),
        ("sum(m)", 14.0),
        ("count(m)", 5.0),
        ("last(m)", 5.0),
        ("p50(m)", 3.0),
        ("p90(m)", 5.0),
        ("p20(m)", 1.0),
        ("count(m after 3 s)", 2.0),
    ],
)
def test_the_functions_of_samples(value, expected):
    """Computed by hand from 3 1 4 1 5."""
    assert _judge(f"{value} >= 0", by_measure=VALUES).value == pytest.approx(expected)


def test_a_rate_is_a_count_over_the_length_of_its_window():
    """Five in 100 s; two in the last 97 s."""
    assert _judge("rate(m) < 1 /s", by_measure=VALUES).value == pytest.approx(0.05)
    assert _judge("rate(m after 3 s) < 1 /s", by_measure=VALUES).value == pytest.approx(2 / 97)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("rate(m) < 1 /s", 5 / 80),
        ("rate(m after 3 s) < 1 /s", 5 / 80),
        ("rate(m after 50 s) < 1 /s", 4 / 50),
        ("rate(m during cut) < 1 /s", 2 / 30),
    ],
)
def test_a_rate_is_over_the_judged_time(text, rate):
    """The first 20 s of 100 s are left out; the two cuts overlap, and one began before."""
    values = {"m": [(at_s, "n", 1.0, 0) for at_s in (25.0, 55.0, 60.0, 70.0, 80.0)]}
    windows = {"cut": [(10.0, 40.0), (30.0, 45.0), (55.0, 60.0)]}

    judged = _judge(text, by_measure=values, windows=windows, warm_up_s=20.0)

    assert judged.value == pytest.approx(rate)


def test_a_share_counts_the_samples_that_keep_the_limit():
    """Two of five are at most 1."""
    judged = _judge("share(m <= 1) >= 50 %", by_measure=VALUES)

    assert judged == (False, 0.4, "40 % misses share(m <= 1) >= 50 %")


def test_bytes_come_from_the_account_of_the_network():
    """By kind and by the place that they left."""
    judged = _judge("bytes(personal, leaving singapore) == 0", left={("personal", "singapore"): 1200})

    assert judged == (False, 1200.0, "1.2 kB misses bytes(personal, leaving singapore) == 0")


@pytest.mark.parametrize("value", ["max", "min", "mean", "median", "last", "p99"])
def test_what_never_happened_is_not_met(value):
    """Also where any number would do."""
    judged = _judge(f"{value}(alarm) >= 0")

    assert not judged.is_met
    assert judged.text == f"alarm never happened: {value}(alarm) >= 0"


@pytest.mark.parametrize("value", ["count", "sum"])
def test_counts_and_sums_of_nothing_are_zero(value):
    """No failed request is good news."""
    assert _judge(f"{value}(request_failed) == 0") == (True, 0.0, f"0 meets {value}(request_failed) == 0")


def test_nothing_in_a_window_is_told_from_nothing_at_all():
    """The measure happened, but not then."""
    judged = _judge("max(m after 90 s) < 9", by_measure=VALUES)

    assert judged.text == "m never happened in that time: max(m after 90 s) < 9"


def test_all_clauses_must_hold_and_the_first_that_fails_decides():
    """The text says it of each."""
    judged = _judge("max(m) < 9 and min(m) > 2 and count(m) > 9", by_measure=VALUES)

    assert judged == (False, 1.0, "5 meets max(m) < 9; 1 misses min(m) > 2; 5 misses count(m) > 9")


def test_an_infinite_latency_reads_as_never():
    """Infinity is no word of an architect."""
    judged = _judge("max(alarm -> gate_open) < 35 s", by_measure=FIRE, nodes={"gate_open": ["GC"]})

    assert judged == (False, NEVER, "never misses max(alarm -> gate_open) < 35 s")
