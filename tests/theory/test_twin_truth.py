"""The measures of a twin against closed forms: toggles of rate r as a Poisson process, reports lost with p.

A lost toggle makes a right twin wrong and a wrong one right, since there are two values. After a toggle the
twin is right with q = (1 - p) + p (1 - q), so q = 1 / (1 + p).
"""

import math
import random
from itertools import accumulate, takewhile

import pytest

from scenarios.judging.runner import replicate
from scenarios.shipped import load
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.members import scenes_of
from twin.state.truth import Mirrored, Truth

MEAN_S = 10.0
TEXT = """\
scenario: 1
sites: {{site: {{metro: singapore}}}}
fleets:
  gates:
    device: shadow_device
    count: 4
    at: site
    via: broker
    link: {{medium: ethernet, {figures}}}
    properties: {{gate: {{values: [closed, open], toggles_every: 10 s}}}}
nodes:
  broker: {{kind: mqtt_broker, at: site}}
  twin: {{kind: twin, runs_on: broker}}
requirements: [{{name: measured, expect: max(twin_wrong_share) < 100 %}}]
run: {{duration: 24 h, seed: 1}}
"""


@pytest.fixture
def figures(tmp_path):
    """Mean over four gates of each figure, after a day with 8,640 toggles each."""

    def measure(link):
        path = tmp_path / "toggles.scenario.yaml"
        path.write_text(TEXT.format(figures=link), encoding="utf-8")
        variant = load(path).variants[0]
        scenes = scenes_of(variant.scenario, variant.folder)
        assembly = Blueprint.of(variant.scenario, scenes, variant.folder).assemble(1)
        assembly.run()
        observed = assembly.kernel.observations
        names = ("twin_wrong_share", "twin_age", "twin_age_p95", "twin_staleness")
        samples = {name: observed.samples(name) for name in names}
        assert {len(each) for each in samples.values()} == {4}
        return {name: sum(sample.value for sample in each) / 4 for name, each in samples.items()}

    return measure


@pytest.mark.parametrize("lost", [0.2, 0.5])
def test_with_lost_reports(figures, lost):
    """Wrong p / (1 + p) of the time; age exponential with mean 1 / (r (1 - p)); a wrong time is exponential
    with mean 1 / r, as any toggle ends it, so staleness is p / (1 + p) / r.
    """
    found = figures(f"loss: {lost * 100:g} %, delay: 0 ms")
    wrong, age_s = lost / (1 + lost), MEAN_S / (1 - lost)

    assert found["twin_wrong_share"] == pytest.approx(wrong, rel=0.06)
    assert found["twin_age"] == pytest.approx(age_s, rel=0.03)
    assert found["twin_age_p95"] == pytest.approx(-math.log(0.05) * age_s, rel=0.04)
    assert found["twin_staleness"] == pytest.approx(wrong * MEAN_S, rel=0.09)


def test_with_late_reports(figures):
    """Behind a constant delay d the twin is what truth was d ago: wrong if it toggled an odd number of times
    since, (1 - exp(-2 r d)) / 2; the age is longer by d.
    """
    delay_s = 4.0
    found = figures("delay: 4 s")

    assert found["twin_wrong_share"] == pytest.approx((1 - math.exp(-2 * delay_s / MEAN_S)) / 2, rel=0.03)
    assert found["twin_age"] == pytest.approx(MEAN_S + delay_s, rel=0.03)


def test_the_measures_can_be_required(tmp_path):
    """In a requirement, judged as any other measure."""
    path = tmp_path / "toggles.scenario.yaml"
    text = TEXT.format(figures="loss: 20 %").replace("24 h", "1 h").replace("< 100 %", "< 10 %")
    path.write_text(text, encoding="utf-8")
    (variant,) = load(path).variants

    assert not replicate(variant, 1).judgements["measured"].is_met


def two_hours(seed):
    """A gate that toggles every 30 s, heartbeats of 10 s that repeat the time of the last toggle, a fifth of
    all lost, and a partition of 120 s: age, staleness and wrong share.
    """
    draws, truth, end_s = random.Random(seed), Truth(), 7200.0
    toggles_s = list(takewhile(end_s.__gt__, accumulate(draws.expovariate(1 / 30) for _ in range(1000))))
    beats_s = [draws.uniform(0, 10) + 10 * number for number in range(719)]
    value, event_s = 0, 0.0
    truth.know("gate", {"gate": value}, 0.0)
    truth.mirror("twin", "gate", {"gate": Mirrored(value, 0.0)}, {}, 0.0)
    for at_s, is_toggle in sorted([(at_s, True) for at_s in toggles_s] + [(at_s, False) for at_s in beats_s]):
        if is_toggle:
            value, event_s = 1 - value, at_s
            truth.know("gate", {"gate": value}, at_s)
        if draws.random() >= 0.2 and not 1000 <= at_s < 1120:
            truth.mirror("twin", "gate", {"gate": Mirrored(value, event_s)}, {}, at_s)
    (found,) = truth.figures(end_s)
    return found.age_s, found.staleness_s, found.wrong_share


def test_age_alone_condemns_a_twin_that_is_nearly_always_right():
    """An independent program had 33.3 s, 0.4 s and 4.5 % in one run."""
    runs = [two_hours(seed) for seed in range(60)]
    age_s, staleness_s, wrong = (sum(each) / len(runs) for each in zip(*runs))

    assert age_s == pytest.approx(33.3, rel=0.05)
    assert staleness_s == pytest.approx(0.4, abs=0.1)
    assert wrong == pytest.approx(0.045, abs=0.01)
