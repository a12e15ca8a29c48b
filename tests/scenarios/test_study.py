"""From judged replications to the document that reports read."""

import math

import pytest

from scenarios.judging.runner import Plan, simulate
from scenarios.judging.study import study_of, summary_of
from scenarios.results import Study, decode, encode
from scenarios.shipped import load

SCENARIO = """\
scenario: 1
title: Study
sites: {site: {metro: singapore}, cloud: {metro: ashburn}}
fleets:
  meters: {device: periodic, count: 3, at: site, via: gateway, link: thread, every: 1 s}
nodes:
  gateway: {kind: gateway, at: site}
  broker: {kind: mqtt_broker, at: cloud}
  database: {kind: database, runs_on: broker}
  app: {kind: application, at: cloud, database: database}
  manager: {kind: user, at: site, application: app, every: 2 s}
links:
  - {name: uplink, between: [gateway, broker], path: wan, access: gpon, tls: "1.3", qos: 1}
variants:
  whole: {why: nothing is wrong}
  cut: {timeline: [{at: 5 s, fault: partition, between: [site, cloud]}], fails: [answers]}
requirements:
  - {name: answers, expect: p95(request => response) < 2 s, probability: 0.9, indifference: 0.1}
run: {duration: 20 s, seed: 5, replications: 3}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "study.scenario.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    scenario = load(path)
    runs = simulate(scenario, Plan(workers=1)).runs
    return study_of(scenario, runs, version="0", created="now", host="here", wall_s=1.0)


def test_each_variant_has_its_verdict_and_what_was_expected(study):
    """The cut one fails as its file says."""
    found = [
        (each.name, each.requirements[0].verdict, each.expectation(each.requirements[0]), each.seeds)
        for each in study.variants
    ]

    assert [row[:2] + row[3:] for row in found] == [
        ("whole", "PASS", [5, 6, 7]),
        ("cut", "FAIL", [5, 6, 7]),
    ]
    assert "unexpected" not in [row[2] for row in found]


def test_every_message_is_accounted_for(study):
    """Sent is delivered, lost or still under way, in every variant."""
    for variant in study.variants:
        ledger = variant.ledger
        assert ledger.sent == ledger.delivered + sum(ledger.lost.values()) + ledger.queued
        assert ledger.sent > 100


def test_a_requirement_counts_its_runs_and_names_its_worst_seed(study):
    """Two runs decide 0.9 against 0.1 either way; the third one counts for the estimate all the same."""
    whole, cut = (variant.requirements[0] for variant in study.variants)

    assert (whole.met, whole.runs, cut.met, cut.runs, cut.worst_seed) == (3, 3, 0, 3, 5)
    assert (whole.low, whole.high) == pytest.approx((0.2924, 1.0), abs=1e-3)  # Clopper-Pearson, 3 of 3
    assert (cut.low, cut.high) == pytest.approx((0.0, 0.7076), abs=1e-3)
    assert cut.value_text == "never"


def test_the_figures_of_the_network_name_their_sources(study):
    """Radio, access and wide area, each once."""
    names = [each.name for each in study.provenance]

    assert len(names) == len(set(names))
    assert any("Thread" in name for name in names)
    assert any("singapore" in name and "ashburn" in name for name in names)
    assert all(each.source and each.kind in {"published", "derived", "default"} for each in study.provenance)


def test_a_study_survives_its_file(study):
    """Written and read again it is the same, infinities too."""
    assert encode(decode(encode(study), Study)) == encode(study)


def test_a_summary_is_mean_interval_and_quantiles():
    """t(0.975, 4) = 2.776 times the standard error of 1 to 5."""
    found = summary_of([1.0, 2.0, 3.0, 4.0, 5.0], "s")

    half = 2.7764 * math.sqrt(2.5) / math.sqrt(5)
    assert (found.mean, found.low, found.high) == pytest.approx((3.0, 3.0 - half, 3.0 + half), abs=1e-3)
    assert found.unit == "s"


@pytest.mark.parametrize("values", [[1.0], [math.inf, 1.0], [math.inf, math.inf]])
def test_a_summary_of_one_or_of_infinite_values_is_no_error(values):
    """One value has no interval, and something that never came no mean."""
    found = summary_of(values, "s")

    assert found.mean == sum(values) / len(values)
    assert not math.isnan(found.high)
