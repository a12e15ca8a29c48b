"""Twins in a scenario beside the truth: what is measured of which node, and what a crash leaves of a twin."""

import pytest

from scenarios.shipped import load
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.members import scenes_of
from scenarios.wiring.mirrors import TRUTH_MEASURES
from twin.errors import InputError

TEXT = """\
scenario: 1
sites: {site: {metro: singapore}, cloud: {metro: ashburn}}
fleets:
  lamps:
    device: shadow_device
    count: 2
    at: site
    via: broker
    link: {medium: lte-m, path: wan, transport: tcp, keep_alive: 10 s}
    properties: {lamp: {values: ["off", "on"]}}
  signs: {device: sign, count: 1, at: site, via: gateway, link: ethernet}
nodes:
  gateway: {kind: gateway, at: site}
  broker: {kind: mqtt_broker, at: cloud}
  twin: {kind: twin, runs_on: broker}
  boss:
    kind: operator
    runs_on: broker
    wishes:
      - {at: 30 s, things: "lamps-*", set: {lamp: "on"}}
      - {at: 70 s, every: 10 s, until: 90 s, things: "lamps-*", set: {lamp: "off"}}
      - {at: 40 s, things: "signs-001", set: {"on": true}}
links:
  - {name: uplink, between: [gateway, broker], path: wan, access: gpon, tls: "1.3"}
requirements: [{name: met, expect: max(desired_unmet) < 5 s}]
run: {duration: 120 s, seed: 1}
"""


@pytest.fixture
def observed(tmp_path):
    """The samples of a run by measure."""

    def run(*changes, more=""):
        text = TEXT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "mirrors.scenario.yaml"
        path.write_text(text + more, encoding="utf-8")
        variant = load(path).variants[0]
        scenes = scenes_of(variant.scenario, variant.folder)
        assembly = Blueprint.of(variant.scenario, scenes, variant.folder).assemble(1)
        assembly.run()
        return assembly.kernel.observations.samples

    return run


def values(samples):
    return [sample.value for sample in samples]


def test_each_property_that_a_twin_knows_is_measured_at_the_end(observed):
    """Two lamps, and the sign behind its gateway; under the name of the twin."""
    samples = observed()

    for measure in TRUTH_MEASURES.values():
        assert {sample.node for sample in samples(measure)} <= {"twin"}
    assert len(samples("twin_age")) == len(samples("twin_wrong_share")) == 3


def test_an_operator_desires_at_its_times_of_the_things_that_match(observed):
    """Once, or again and again until it is enough; the devices follow within a round trip or so."""
    samples = observed()

    at = [(round(sample.at_s, 3), sample.node) for sample in samples("desired")]
    assert (
        at
        == [(30, "boss")] * 2 + [(40, "boss")] + [(70, "boss")] * 2 + [(80, "boss")] * 2 + [(90, "boss")] * 2
    )
    assert len(samples("desired_unmet")) == 5
    assert all(0.1 < value < 2.0 for value in values(samples("desired_unmet")))


def test_a_wish_for_nobody_is_an_error(observed):
    """Else a scenario would test nothing."""
    with pytest.raises(InputError, match=r"'lmaps-\*', which is no device; devices: lamps-001"):
        observed(('{at: 30 s, things: "lamps-*"', '{at: 30 s, things: "lmaps-*"'))


def test_a_wish_during_a_partition_is_unmet_until_the_device_is_back(observed):
    """From 30 s to after 60 s."""
    fault = "timeline: [{at: 25 s, for: 40 s, fault: partition, between: [site, cloud]}]\n"
    samples = observed(more=fault)

    assert max(values(samples("desired_unmet"))) > 35.0


@pytest.mark.parametrize(("store", "is_known"), [("memory", False), ("durable", True)])
def test_a_crash_takes_what_a_twin_knows_unless_its_store_lasts(observed, store, is_known):
    """Versions begin anew, so to the devices what is wished at 70 and 80 s looks old; they report at 90 s."""
    fault = "timeline: [{at: 50 s, for: 2 s, fault: crash, node: twin}]\n"
    samples = observed(("kind: twin,", f"kind: twin, store: {store},"), more=fault)
    unknown = values(samples("twin_unknown_share"))

    assert (max(unknown) == 0.0) == is_known
    assert is_known or min(each for each in unknown if each) == pytest.approx(38 / 119, abs=0.02)


def test_without_a_twin_nothing_is_measured(observed):
    """Devices are not watched then."""
    samples = observed(
        ("  twin: {kind: twin, runs_on: broker}\n", ""), ("desired_unmet) < 5 s", "changed) < 5")
    )

    assert not samples("twin_age")
