"""A broker of a scenario that lets each client reach its own topics only."""

from pathlib import Path

import pytest

from scenarios.shipped import LIBRARY, load
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.members import scenes_of
from twin.state.registry.access import may
from twin.state.registry.things import Thing

FOLDER = Path(LIBRARY)


def _assembly(scenario, *, is_authorised, seed=1):
    scenario = scenario.model_copy(deep=True)
    for node in scenario.nodes.values():
        if node.kind == "mqtt_broker":
            node.__pydantic_extra__["authorise"] = is_authorised
    return Blueprint.of(scenario, scenes_of(scenario, FOLDER), FOLDER).assemble(seed)


def _observed(assembly):
    kept = assembly.kernel.observations
    return {measure: list(kept.samples(measure)) for measure in kept.measures()}


@pytest.mark.parametrize("name", ["gate_hazard", "reconnect_loss"])
def test_whoever_keeps_to_its_own_topics_notices_nothing(name):
    """Same seed, same observations; nobody is refused."""
    scenario = load(name).variants[0].scenario
    with_it, without = (_assembly(scenario, is_authorised=each) for each in (True, False))
    with_it.run()
    without.run()
    assert list(with_it.guard.log) == []
    assert without.guard is None
    assert _observed(with_it) == _observed(without)


def test_devices_are_registered_with_their_place():
    """As the scene has it, behind the gateway that speaks for them; services have roles."""
    records = _assembly(load("car_park_fire").variants[0].scenario, is_authorised=True).guard.records
    bay = records.get("thing", "L1-B060")
    assert (bay.type, bay.site, bay.level, bay.bay) == ("parking_bay_sensor", "car_park", "L1", "L1-B060")
    assert bay.via == "gateway"
    assert len(bay.position) == 2
    assert may(records, "gateway", "publish", "site/car_park/parking_bay_sensor/L1-B060/telemetry")
    assert may(records, "rules", "publish", "site/car_park/boom_gate/G1/cmd/open")
    assert not may(records, "L1-B060", "publish", "site/car_park/boom_gate/G1/cmd/open")


def test_a_disabled_device_is_refused_and_seen_as_such():
    """Each attempt to connect is observed at the client and stands in the audit log."""
    assembly = _assembly(load("gate_hazard").variants[0].scenario, is_authorised=True)
    name = next(iter(assembly.guard.records.of("thing")))
    disabled = Thing(name=name, type="shadow_device", state="disabled")
    assembly.guard.records.put("thing", name, disabled)
    assembly.run()
    assert {(entry.who, entry.verb) for entry in assembly.guard.log} == {(name, "connect")}
    refused = list(assembly.kernel.observations.samples("access_refused"))
    assert len(refused) == len(assembly.guard.log.entries) > 1
    assert {sample.node for sample in refused} == {name}
