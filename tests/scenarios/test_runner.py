"""Replications of variants: how many are run, in what order they count, and what an interrupt leaves."""

import multiprocessing
import signal
import threading

import pytest

from scenarios.judging import runner
from scenarios.judging.comparing import differences, units_of, values_of
from scenarios.judging.runner import Interrupted, Plan, clean_runs, pool, simulate, uninterrupted
from scenarios.judging.statistics import SequentialTest
from scenarios.shipped import load
from twin.errors import InputError

SCENARIO = """\
scenario: 1
title: Runner
sites: {site: {metro: singapore}, cloud: {metro: ashburn}}
nodes:
  gateway: {kind: gateway, at: site}
  broker: {kind: mqtt_broker, at: cloud}
  database: {kind: database, runs_on: broker}
  app: {kind: application, at: cloud, database: database}
  manager: {kind: user, at: site, application: app, every: 2 s}
links:
  - {name: uplink, between: [gateway, broker], path: wan, access: gpon, tls: "1.3", qos: 1}
variants:
  far: {}
  near: {sites.cloud.metro: singapore}
requirements:
  - {name: answers, expect: p95(request => response) < 2 s}
  - {name: close, expect: p95(request => response) < 100 ms}
run: {duration: 10 s, seed: 5}
"""


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "runner.scenario.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return load(path)


class Seen:
    """A watcher that remembers, and may stop the run."""

    def __init__(self, stop_at=None):
        self.steps = []
        self.judged_counts = []
        self.stop_at = stop_at

    def advance(self, label, done, planned):
        self.steps.append((label, done, planned))
        if done == self.stop_at:
            raise KeyboardInterrupt

    def judged(self, run):
        self.judged_counts.append(len(run.outcomes))


def test_eighteen_clean_runs_decide_the_default_requirement():
    """ln(0.05 / 0.95) / ln(0.80 / 0.95), as Wald's test has it."""
    assert clean_runs(SequentialTest(0.95, 0.80)) == 18


def test_all_requirements_are_run_until_the_last_is_decided(scenario):
    """`close` fails early at far, but `answers` needs its eighteen clean runs."""
    [far] = simulate(scenario, Plan(["far"], workers=1)).runs

    assert [outcome.seed for outcome in far.outcomes] == list(range(5, 23))
    assert {name: test.verdict.value for name, test in far.tests.items()} == {
        "answers": "PASS",
        "close": "FAIL",
    }


def test_a_failed_requirement_has_its_message_chain(scenario):
    """Of the first replication that missed it, run again with the same seed."""
    [far] = simulate(scenario, Plan(["far"], replications=4, workers=1)).runs

    assert list(far.traced) == ["close"]
    assert far.traced["close"].seed == far.worst("close").seed == 5
    assert next(hop.source for hop in far.traced["close"].chains["close"]) == "manager"
    assert far.traced["close"].metrics == far.outcomes[0].metrics


def test_progress_counts_each_replication_once(scenario):
    """Variant by variant, up to what was planned."""
    seen = Seen()
    simulate(scenario, Plan(replications=2, workers=1), seen)

    assert seen.steps == [("far", 1, 4), ("far", 2, 4), ("near", 3, 4), ("near", 4, 4)]
    assert seen.judged_counts == [1, 2, 1, 2]


def test_an_interrupt_hands_over_what_is_finished(scenario):
    """Three replications: two of far, one of near."""
    with pytest.raises(Interrupted) as caught:
        simulate(scenario, Plan(replications=2, workers=1), Seen(stop_at=3))

    kept = {run.variant.name: len(run.outcomes) for run in caught.value.runs}
    assert kept == {"far": 2, "near": 1}


def test_an_interrupt_leaves_no_worker(scenario):
    """The processes of the pool are ended, also those in mid-run."""
    with pytest.raises(Interrupted):
        simulate(scenario, Plan(replications=4, workers=2), Seen(stop_at=1))

    assert multiprocessing.active_children() == []


def test_interrupts_are_ignored_for_a_moment_only():
    """And the handler of before is back afterwards; in another thread nothing changes."""
    before = signal.getsignal(signal.SIGINT)
    with uninterrupted():
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    inside = []

    def elsewhere():
        with uninterrupted():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert [signal.getsignal(signal.SIGINT), *inside] == [before, before]


def test_one_worker_means_this_process_and_nothing_is_run_unasked():
    """A call is made when its result is wanted, once."""
    calls = []
    with pool(1) as executor:
        future = executor.submit(calls.append, 1)
        assert calls == []
        future.result()
        future.result()

    assert calls == [1]


def test_variants_share_their_random_numbers(scenario):
    """Replication r of every variant has the same seed, so differences are paired."""
    far, near = simulate(scenario, Plan(replications=3, workers=1)).runs
    found = differences(("far", "near"), values_of(far), values_of(near), units_of(far.variant.requirements))
    row = next(each for each in found if each.metric == "close")

    assert (row.pairs, row.unit) == (3, "s")
    gaps = [
        a.judgements["close"].value - b.judgements["close"].value for a, b in zip(far.outcomes, near.outcomes)
    ]
    assert row.mean_difference == pytest.approx(sum(gaps) / 3)
    assert row.low < row.mean_difference < row.high


def test_a_variant_compared_with_itself_differs_by_nothing(scenario):
    """Common random numbers to the bit."""
    [far] = simulate(scenario, Plan(["far"], replications=2, workers=1)).runs
    found = differences(("far", "far"), values_of(far), values_of(far), units_of(far.variant.requirements))

    assert {(each.mean_difference, each.low, each.high) for each in found} == {(0.0, 0.0, 0.0)}


def test_an_unknown_variant_is_named_before_anything_runs(scenario):
    """With the nearest name."""
    with pytest.raises(InputError, match="did you mean 'near'"):
        simulate(scenario, Plan(["naer"]))


def test_blueprints_are_made_once_a_process_and_their_number_is_bounded(scenario, monkeypatch):
    """Two replications share one; of many variants the oldest go."""
    monkeypatch.setattr(runner, "_BLUEPRINTS", {})
    monkeypatch.setattr(runner, "_MOST_BLUEPRINTS", 1)
    simulate(scenario, Plan(["far"], replications=2, workers=1))
    first = dict(runner._BLUEPRINTS)
    simulate(scenario, Plan(["near"], replications=1, workers=1))

    assert len(first) == len(runner._BLUEPRINTS) == 1
    assert first.keys() != runner._BLUEPRINTS.keys()


def test_a_run_may_end_by_a_rate(tmp_path):
    """The rate is over the time that has passed when `stop_when` is asked, every ten seconds."""
    path = tmp_path / "ending.scenario.yaml"
    text = SCENARIO.replace("{duration: 10 s,", '{duration: 60 s, stop_when: "rate(request) > 0.1 /s",')
    path.write_text(text, encoding="utf-8")

    assert runner.replicate(load(path).variant("near"), 5).duration_s == pytest.approx(10.0)
