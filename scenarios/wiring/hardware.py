"""What devices are made of: their microcontroller, their battery, and what both say at the end of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from devices_models.microcontroller import Microcontroller
from devices_models.power import Battery, Currents, Usage, battery_life_days
from network.media.radio import activity, radio
from network.topology import Topology
from scenarios.format import schema
from scenarios.wiring.linking import access_of
from scenarios.wiring.members import Member
from twin.kernel.kernel import Kernel


def hardware_measures(scenario: schema.Scenario, member: Member) -> tuple[str, ...]:
    """What the member reports at the end of a run."""
    fleet, node = scenario.fleets.get(member.fleet), scenario.nodes.get(member.node)
    mcu = fleet.mcu if fleet else node.station.mcu if node and node.station else None
    given = {"battery": fleet.battery_c if fleet else None, "mcu": mcu}
    return tuple(schema.HARDWARE_MEASURES[key] for key, value in given.items() if value is not None)


def observe_hardware(
    fleets: Mapping[str, schema.Fleet],
    members: Iterable[Member],
    topology: Topology,
    kernel: Kernel,
) -> None:
    """Observe the life of each battery, and how many messages each controller was late with."""
    stations = kernel.stations()
    for member in members:
        fleet = fleets.get(member.fleet)
        if fleet is not None and fleet.battery_c is not None:
            days = _life_days(fleet, fleet.battery_c, member, topology, kernel.now)
            kernel.observe(member.node, schema.HARDWARE_MEASURES["battery"], days)
        controller = stations.get(member.node)
        if isinstance(controller, Microcontroller):
            kernel.observe(member.node, schema.HARDWARE_MEASURES["mcu"], controller.late_count)


def _life_days(
    fleet: schema.Fleet, capacity_c: float, member: Member, topology: Topology, elapsed_s: float
) -> float:
    access = access_of(fleet)
    up = topology.links[f"{member.node}>{member.via}"]
    down = topology.links[f"{member.via}>{member.node}"]
    done = activity(access.medium, up, down, access.hops)
    known = radio(access.medium)
    currents = Currents(known.tx_a, known.rx_a, known.sleep_a)
    return battery_life_days(Battery(capacity_c), currents, Usage(elapsed_s, done.tx_s, done.rx_s))
