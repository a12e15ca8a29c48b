"""The timeline's faults on the wire are those of the simulation: at its times, and with a window each."""

import pytest

from network.carrier import Network
from network.wire.losses import OUTSIDE, Losses
from scenarios.format.loading import load
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.linking import build_topology
from scenarios.wiring.vocabulary import Vocabulary
from scenarios.wiring.wire_level import link_faults
from twin.kernel.randomness import Streams

SITE = """
scenario: 1
sites: {here: {metro: singapore}, cloud: {metro: ashburn}}
nodes:
  gateway: {kind: gateway, at: here}
  broker: {kind: mqtt_broker, at: cloud}
links:
  - {name: uplink, between: [gateway, broker], path: wan, access: gpon, tls: "1.3"}
run: {duration: 100 s}
timeline:
"""


@pytest.fixture
def both(tmp_path):
    """When the faults of a timeline begin in the simulation, and what is planned on the wire."""

    def made(entry, seed=7):
        path = tmp_path / "site.scenario.yaml"
        path.write_text(f"{SITE}  - {entry}\n", encoding="utf-8")
        scenario = load(path, catalogue=Vocabulary()).variants[0].scenario
        blueprint = Blueprint.of(scenario, {}, tmp_path)
        begun, system = [], blueprint.assemble(seed)
        system.announcements.listeners.append(
            lambda at_s, _, is_begin: begun.append(at_s) if is_begin else None
        )
        system.run()
        streams, losses = Streams(seed), Losses()
        network = Network(build_topology(scenario, blueprint.members, streams, tmp_path))
        (planned,) = link_faults(scenario, network, blueprint.fleets, streams, losses)
        return begun, planned, losses

    return made


def test_on_the_wire_a_fault_begins_when_it_does_in_the_simulation(both):
    """The random times of `jitter` too, for the same seed."""
    begun, planned, _ = both(
        "{at: 10 s, for: 1 s, every: 20 s, until: 80 s, jitter: 9 s, fault: down, link: uplink}"
    )

    assert planned.starts_s == tuple(begun)
    assert len({round(at_s % 20, 6) for at_s in begun}) == len(begun) == 4


@pytest.mark.parametrize("fault", ["region_outage, site: cloud", "dns_error, node: broker"])
def test_faults_of_the_way_to_a_node_are_on_the_wire_too(both, fault):
    """And what is lost meanwhile is theirs."""
    _, planned, losses = both(f"{{at: 10 s, for: 5 s, fault: {fault}}}")
    planned.fault.begin(10.0)
    losses.add("uplink", "x")
    planned.fault.end(15.0)
    losses.add("uplink", "x")

    assert [window for _, window, _ in losses.counts] == [fault.partition(",")[0], OUTSIDE]


def test_what_is_over_at_once_has_no_window(both):
    """A reset, say."""
    _, planned, losses = both("{at: 10 s, fault: conn_reset, link: uplink}")
    planned.fault.begin(10.0)
    losses.add("uplink", "x")

    assert [window for _, window, _ in losses.counts] == [OUTSIDE]
