"""A twin that runs on a gateway: shadows are kept in the building, and nothing of them crosses the uplink."""

import pytest

from scenarios.shipped import load
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.members import scenes_of

TEXT = """\
scenario: 1
sites: {site: {metro: singapore}, cloud: {metro: ashburn}}
fleets:
  lamps:
    device: shadow_device
    count: 2
    at: site
    via: gateway
    link: ethernet
    properties: {lamp: {values: ["off", "on"]}}
  signs: {device: sign, count: 1, at: site, via: gateway, link: ethernet}
nodes:
  gateway: {kind: gateway, at: site}
  broker: {kind: mqtt_broker, at: cloud}
  twin: {kind: twin, runs_on: HOST}
  boss:
    kind: operator
    runs_on: HOST
    wishes:
      - {at: 30 s, things: "lamps-*", set: {lamp: "on"}}
      - {at: 40 s, things: "signs-001", set: {"on": true}}
links:
  - {name: uplink, between: [gateway, broker], path: wan, access: gpon, tls: "1.3"}
requirements: [{name: met, expect: max(desired_unmet) < 5 s}]
run: {duration: 60 s, seed: 1}
"""


@pytest.fixture
def ran(tmp_path):
    """The assembly after its run, with the twin on this host."""

    def run(host):
        path = tmp_path / f"{host}.scenario.yaml"
        path.write_text(TEXT.replace("HOST", host), encoding="utf-8")
        variant = load(path).variants[0]
        scenes = scenes_of(variant.scenario, variant.folder)
        assembly = Blueprint.of(variant.scenario, scenes, variant.folder).assemble(1, is_traced=True)
        assembly.run()
        return assembly

    return run


@pytest.mark.parametrize(
    ("host", "crosses", "least_s", "most_s"), [("gateway", 0, 0.0, 0.05), ("broker", 1, 0.1, 1.0)]
)
def test_wishes_reach_devices_behind_a_gateway_from_either_side(ran, host, crosses, least_s, most_s):
    """At the edge in milliseconds and without the uplink, from the cloud after half a round trip."""
    assembly = ran(host)
    unmet = [sample.value for sample in assembly.kernel.observations.samples("desired_unmet")]
    over = [
        each for each in assembly.kernel.transfers.all() if "/shadow/" in each.topic and each.to == "broker"
    ]

    assert len(unmet) == 3
    assert all(least_s < value < most_s for value in unmet)
    assert bool([each for each in over if (each.source, each.kind) == ("gateway", "publish")]) == bool(
        crosses
    )


def test_a_device_behind_a_gateway_gets_the_answers_that_it_subscribed_to(ran):
    """An accepted of its own, and of no other."""
    transfers = ran("broker").kernel.transfers.all()
    answered = {
        (each.to, each.topic) for each in transfers if each.source == "gateway" and "accepted" in each.topic
    }

    assert ("lamps-001", "$aws/things/lamps-001/shadow/update/accepted") in answered
    assert not [to for to, topic in answered if to.startswith("lamps") and to not in topic]
