"""Devices that hold their own MQTT session with a broker, over TCP and TLS on their own link."""

import msgspec
import pytest

from scenarios.format.issues import ScenarioError
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
    via: broker
    link: {medium: lte-m, path: wan, transport: tcp, tls: "1.3", keep_alive: 10 s}
    properties: {lamp: {values: ["off", "on"], toggles_every: 20 s}}
  gates:
    device: boom_gate
    count: 1
    at: site
    via: broker
    heartbeat: 0 s
    link: {medium: ethernet, path: wan, transport: tcp}
nodes:
  broker: {kind: mqtt_broker, at: cloud}
  twin: {kind: twin, runs_on: broker}
  rules: {kind: rule_engine, runs_on: broker}
requirements: [{name: alive, expect: count(changed) > 0}]
run: {duration: 100 s, seed: 1}
"""


@pytest.fixture
def ran(tmp_path):
    """Everything that went from node to node, and the assembly, of the scenario with text replaced."""

    def run(*changes, more=""):
        text = TEXT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "direct.scenario.yaml"
        path.write_text(text + more, encoding="utf-8")
        variant = load(path).variants[0]
        blueprint = Blueprint.of(
            variant.scenario, scenes_of(variant.scenario, variant.folder), variant.folder
        )
        assembly = blueprint.assemble(1, is_traced=True)
        assembly.run()
        return assembly, sorted(assembly.kernel.transfers.all(), key=lambda each: each.sent_s)

    return run


def of(transfers, source, kind="publish", topic=""):
    return [each for each in transfers if each.source == source and each.kind == kind and topic in each.topic]


def test_a_device_connects_with_handshakes_across_the_wide_area(ran):
    """TCP and TLS 1.3: two round trips of 0.22 s before CONNECT, and half a one with it."""
    _, transfers = ran()
    connect = of(transfers, "lamps-001", "connect")[0]

    assert connect.sent_s <= 1.0
    assert 2.5 * 0.21 < connect.ended_s - connect.sent_s < 2.5 * 0.4


def test_reports_and_deltas_go_through_the_devices_own_session(ran):
    """An accepted comes back to the device; its birth is retained at the broker under its own topic."""
    assembly, transfers = ran()

    assert of(transfers, "broker", topic="lamps-001/shadow/update/accepted")
    birth = assembly.kernel.behaviour("broker").retained["site/site/shadow_device/lamps-001/session"]
    assert msgspec.json.decode(birth.payload)["online"] is True
    assert {each.to for each in of(transfers, "broker", topic="things/lamps-001/shadow/update/")} <= {
        "lamps-001",
        "twin",
    }


def test_any_device_type_may_have_its_own_session(ran):
    """A boom gate reports its shadow without a gateway."""
    _, transfers = ran()

    assert of(transfers, "gates-001", topic="$aws/things/gates-001/shadow/update")


def test_after_a_partition_the_will_has_spoken_and_the_session_number_has_risen(ran):
    """Keep-alive finds the dead connection on both sides."""
    fault = "timeline: [{at: 20 s, for: 40 s, fault: partition, between: [site, cloud]}]\n"
    assembly, transfers = ran(more=fault)
    kept = assembly.kernel.behaviour("broker").retained["site/site/shadow_device/lamps-001/session"]
    said = msgspec.json.decode(kept.payload)

    assert said["online"] is True
    assert said["session"] > 1
    assert len([each for each in of(transfers, "lamps-001", "connect") if each.outcome == "delivered"]) == 2


def test_a_partition_of_the_two_sites_cuts_the_devices_own_links(ran):
    """Nothing arrives meanwhile, in either direction."""
    fault = "timeline: [{at: 20 s, for: 40 s, fault: partition, between: [site, cloud]}]\n"
    _, transfers = ran(more=fault)

    arrived = [each for each in transfers if each.outcome == "delivered" and each.to.startswith("lamps")]
    assert not [each for each in arrived if 20.5 < each.ended_s < 60.0]
    assert [each for each in arrived if each.ended_s > 60.0]


def test_a_round_trip_of_the_path_may_be_given_and_not_below_the_fibre(ran):
    """As for a link between nodes."""
    _, transfers = ran(
        ("path: wan, transport: tcp, tls", "path: wan, round_trip: 800 ms, transport: tcp, tls")
    )
    connect = of(transfers, "lamps-001", "connect")[0]
    assert connect.ended_s - connect.sent_s > 2.5 * 0.8

    with pytest.raises(ScenarioError, match="faster than light"):
        ran(("path: wan, transport: tcp, tls", "path: wan, round_trip: 20 ms, transport: tcp, tls"))


@pytest.mark.parametrize("link", ["{medium: lte-m, tls: '1.3'}", "{medium: lte-m, resumed: true}"])
def test_tls_without_a_connection_is_an_error(ran, link):
    """Datagrams are not encrypted here."""
    with pytest.raises(ScenarioError, match=r"'tls' wants|'resumed' wants"):
        ran(('{medium: lte-m, path: wan, transport: tcp, tls: "1.3", keep_alive: 10 s}', link))
