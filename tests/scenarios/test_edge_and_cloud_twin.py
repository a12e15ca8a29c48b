"""A twin on a gateway and a twin in the cloud, kept the same across a WAN that breaks."""

import pytest

from scenarios.format.issues import ScenarioError
from scenarios.shipped import load
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.members import scenes_of
from twin.errors import InputError
from twin.state.shadow import SHADOW

TEXT = """\
scenario: 1
sites: {yard: {metro: singapore}, cloud: {metro: ashburn}}
fleets:
  lamps:
    device: shadow_device
    count: 3
    at: yard
    via: gateway
    link: {medium: ethernet}
    properties: {lamp: {values: ["off", "on"]}, level: {values: [1, 2, 3, 4, 5], every: 20 s}}
nodes:
  gateway: {kind: gateway, at: yard}
  edge: {kind: twin, runs_on: gateway, sync: real_time}
  broker: {kind: mqtt_broker, at: cloud}
  twin: {kind: twin, runs_on: broker}
  desk:
    kind: operator
    runs_on: broker
    wishes:
      - {at: 50 s, things: "lamps*", set: {lamp: "on"}}
      - {at: 200 s, things: "lamps-001", set: {lamp: "off"}}
links:
  - {between: [gateway, broker], path: wan, transport: tcp}
timeline:
  - {at: 150 s, for: 120 s, fault: partition, between: [yard, cloud]}
requirements: [{name: alive, expect: count(changed) > 0}]
run: {duration: 600 s, seed: 1}
"""


@pytest.fixture
def ran(tmp_path):
    """The assembly of the scenario with text replaced, run."""

    def run(*changes):
        text = TEXT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "edge.scenario.yaml"
        path.write_text(text, encoding="utf-8")
        variant = load(path).variants[0]
        scenes = scenes_of(variant.scenario, variant.folder)
        assembly = Blueprint.of(variant.scenario, scenes, variant.folder).assemble(1, is_traced=True)
        assembly.run()
        return assembly

    return run


def shadows(assembly, node):
    """The states of all shadows of a twin."""
    records = assembly.kernel.behaviour(node).twins.records
    return {key: shadow.state.tree() for key, shadow in sorted(records.of(SHADOW).items())}


@pytest.mark.parametrize("strategy", ["real_time", "periodic"])
def test_after_an_outage_both_twins_know_the_same(ran, strategy):
    """What was reported and desired meanwhile is on both sides, and the devices did it."""
    assembly = ran(("sync: real_time", f"sync: {strategy}, sync_period: 15 s"))
    edge, cloud = shadows(assembly, "edge"), shadows(assembly, "twin")
    assert sorted(edge) == ["lamps-001", "lamps-002", "lamps-003"]
    assert {key: state["desired"] for key, state in edge.items()} == {
        "lamps-001": {"lamp": "off"},
        "lamps-002": {"lamp": "on"},
        "lamps-003": {"lamp": "on"},
    }
    assert {key: state["reported"]["lamp"] for key, state in cloud.items()} == {
        "lamps-001": "off",
        "lamps-002": "on",
        "lamps-003": "on",
    }


def test_the_cloud_catches_up_with_everything(ran):
    """At rest both documents are equal, values that changed in the outage among them."""
    assembly = ran(("every: 20 s", "every: 150 s"))
    assert shadows(assembly, "edge") == shadows(assembly, "twin")
    assert assembly.kernel.observations.samples("sync_refused") == ()


def test_the_yard_goes_on_while_the_line_is_dead(ran):
    """Devices speak with the edge twin only: no request of theirs crosses the WAN, and none is lost by it."""
    assembly = ran()
    transfers = {each.identity: each for each in assembly.kernel.transfers.all()}
    answered = [each for each in transfers.values() if each.source == "edge" and "accepted" in each.topic]
    assert any(150.0 < each.sent_s < 270.0 for each in answered)
    asked = [each for each in transfers.values() if each.to == "broker" and each.topic.endswith("/update")]
    assert asked
    assert {transfers[each.parent].source for each in asked if each.source == "gateway"} <= {"edge", "broker"}


def test_without_sync_the_cloud_hears_nothing(ran):
    """What the control shows: the same twin on the gateway keeps the devices' shadows to itself."""
    assembly = ran((", sync: real_time", ""))
    assert all("reported" not in state for state in shadows(assembly, "twin").values())


def test_a_twin_in_the_cloud_has_nobody_to_sync_with(ran):
    """It would hear its own answers."""
    with pytest.raises((InputError, ScenarioError), match="expected a gateway"):
        ran(("{kind: twin, runs_on: broker}", "{kind: twin, runs_on: broker, sync: real_time}"))
