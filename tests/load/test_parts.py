"""The parts of a load that need neither Locust nor a broker."""

import math
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.figures import Figures, added
from loadtests.judging import judge, why_not
from loadtests.ledger import Ledger, Marks
from loadtests.plan import LoadPlan
from loadtests.roster import roster_of, scaled
from scenarios.format.expression import parse
from scenarios.shipped import load
from twin.live.endpoint import endpoint


@given(st.lists(st.integers(1, 60)))
def test_marks_know_what_was_marked(numbers):
    """In any order, with repetitions."""
    marks, seen = Marks(), set()
    for number in numbers:
        assert marks.add(number) is (number not in seen)
        seen.add(number)

    assert {number for number in range(1, 62) if number in marks} == seen


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=40))
def test_every_message_is_in_one_place(fates):
    """Attempted at QoS 1: acknowledged or not, and come never, once or twice."""
    ledger, pending = Ledger(1, has_delivery=True), []
    for sequence, (is_acknowledged, arrivals) in enumerate(fates, 1):
        if is_acknowledged:
            ledger.acknowledge(0, sequence)
        else:
            pending.append((0, sequence))
        for _ in range(arrivals):
            ledger.deliver(0, sequence)
    account = ledger.close([SimpleNamespace(sequence=len(fates))], pending)
    counts = Counter((is_acknowledged, arrivals > 0) for is_acknowledged, arrivals in fates)

    assert account.lost == counts[True, False]
    assert account.recovered == counts[False, True]
    assert account.undelivered == counts[False, False]
    assert account.attempted == account.delivered + account.lost + account.undelivered
    assert account.attempted == account.acknowledged + account.unacknowledged
    assert account.duplicated == sum(arrivals == 2 for _, arrivals in fates)


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 1000), min_size=1), st.integers(1, 100_000))
def test_a_scaled_count_adds_up(counts, total):
    """And no fleet is off by one or more."""
    found = scaled(counts, total)

    assert sum(found.values()) == total
    for name, count in counts.items():
        assert abs(found[name] - count * total / sum(counts.values())) < 1


def test_devices_publish_what_their_behaviour_says():
    """Period, topic at the broker, size and QoS of a drill button come from the button itself."""
    roster = roster_of(load("alarm_drill").variants[0])
    (pattern,) = roster.patterns["buttons_a"]

    assert pattern.topic == "site/a/drill_button/{}/event/alarm"
    assert pattern.qos == 1
    assert pattern.period_s == pytest.approx(2.0, rel=0.02)
    assert roster.patterns["gate_a"] == []
    assert len(roster.devices) == 110


def test_shares_are_disjoint_and_whole():
    """Three users carry all devices, and none twice."""
    roster = roster_of(load("alarm_drill").variants[0], 1000)
    names = [each.name for number in range(3) for each in roster.share(number, 3)]

    assert len(names) == len(set(names)) == 1000


def figures_of(*, delivered=(), lost=0):
    figures = Figures(published_s=2.0)
    for duration_s in delivered:
        figures.delivery.add(duration_s)
    figures.account.delivered, figures.account.lost = len(delivered), lost
    return figures


def test_what_never_came_took_for_ever():
    """A lost message counts in a quantile as one that is later than all."""
    figures = figures_of(delivered=[0.1] * 98, lost=2)

    assert judge(parse("p90(publish => delivery) < 200 ms"), figures).is_met
    judged = judge(parse("p99(publish => delivery) < 200 ms"), figures)
    assert not judged.is_met
    assert math.isinf(judged.value)
    assert judge(parse("share(publish => delivery < 200 ms) == 98 %"), figures).is_met
    assert judge(parse("count(lost) == 2 and rate(delivered) >= 49 /s"), figures).is_met


def test_a_latency_that_nobody_measured_is_not_met():
    """Nothing measured is no success."""
    assert not judge(parse("max(publish => delivery) < 10 s"), Figures()).is_met


@pytest.mark.parametrize(
    "text",
    ["max(alarm -> gate_open) < 35 s", "max(lost) < 3", "max(connect after 3 s) < 1 s", "count(losst) == 0"],
)
def test_what_a_load_cannot_judge_has_a_reason(text):
    """It is never judged by something else."""
    assert why_not(parse(text))


def test_figures_add_up_and_survive_the_way_to_the_master():
    """Told, heard and added: counts are sums, and the time of publishing is the longest."""
    one, other = figures_of(delivered=[0.1, 0.2]), figures_of(delivered=[0.3], lost=1)
    other.trouble["ended"]["reset"] = 2
    whole = added(Figures.heard(each.told()) for each in (one, other))

    assert (whole.account.delivered, whole.account.lost, whole.delivery.count) == (3, 1, 3)
    assert whole.trouble["ended"] == {"reset": 2}
    assert whole.published_s == 2.0


def test_links_delay_as_in_the_simulation():
    """The way from a site in Singapore to a broker in Virginia takes half of 221 ms, at times a repair."""
    from loadtests.in_driver import Ways

    ways = Ways(roster_of(load("alarm_drill").variants[0]).blueprint, seed=1)
    delays = sorted(ways.up_s("buttons_a-001", 100) for _ in range(2000))

    assert delays[1000] == pytest.approx(0.112, abs=0.006)
    assert delays[0] > 0.1
    assert 0.4 < delays[-1] < 5.0


def test_an_endpoint_is_part_of_the_plan():
    """A plan without options is a whole copy of the scenario."""
    plan = LoadPlan(variant=load("alarm_drill").variants[0], broker=endpoint("mqtt://127.0.0.1"))

    assert (plan.device_count, plan.sharing_count, plan.links) == (0, 1, "none")
