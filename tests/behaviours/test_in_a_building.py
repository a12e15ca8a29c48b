"""Devices placed by a scene, in the burning car park: what the world offers is what they sense."""

import functools

import pytest

from devices_models.catalogue import DEVICES
from devices_models.gateway.gateway import Gateway
from devices_models.world.building import Building
from devices_models.world.scene import carpark
from devices_models.world.settings import FireSettings, WorldSettings
from twin.cloud.rule_engine import RuleEngine
from twin.kernel.kernel import Kernel, NodeSpec
from twin.kernel.randomness import Streams
from twin.state.rules.fire import FireRules

DELAY_S = 0.05
WORKLOADS = {"periodic", "poisson", "burst", "replay"}


class Nearby:
    """Every message takes 50 ms; the events of devices are remembered on their way to the gateway."""

    def __init__(self):
        self.events = []

    def carry(self, flight, timeline):
        if "/event/" in flight.message.topic and flight.to == "gateway":
            self.events.append(flight.message)
        timeline.schedule(timeline.now + DELAY_S, flight, (timeline.arrive,))


def placed(scene):
    """(node, feature, device name) of every device that the scene carries, the heat detectors aside."""
    for feature in scene.features:
        for name, device in DEVICES.items():
            spot = device.placement
            if spot and name != "heat_detector" and spot.accepts(feature.kind, feature.text("type")):
                yield spot.node(feature.id), feature.id, name


@functools.cache
def evacuated():
    """Eight minutes of a fire in a car park of three levels, with every device a scene places."""
    scene = carpark(3, 120)
    places = list(placed(scene))
    devices = {node: DEVICES[name].kind for node, _, name in places}
    specs = {node: NodeSpec(functools.partial(DEVICES[name].make, "gateway", {})) for node, _, name in places}
    specs["gateway"] = NodeSpec(lambda: Gateway(devices=devices))
    specs["rules"] = NodeSpec(lambda: RuleEngine("gateway", FireRules(devices=devices)))
    carrier, streams = Nearby(), Streams(1)
    kernel = Kernel(specs, carrier, streams)
    settings = WorldSettings(fire=FireSettings("L2-B016"), people=60, cars=30)
    building = kernel.world = Building(kernel.env, scene, settings, streams, kernel.observe)
    for node, feature, _ in places:
        building.place(node, feature)
    building.start()
    kernel.run(480.0)
    return kernel, carrier


def first(measure, node=None):
    kernel, _ = evacuated()
    return next(s for s in kernel.observations.samples(measure) if node in (None, s.node))


def test_the_detector_next_to_the_fire_alarms_first():
    """It hangs 2.4 m away; at 3.5 m a medium fire is detected after 78 s."""
    alarm = first("alarm")

    assert alarm.node.startswith("L2-D")
    assert 50.0 < alarm.at_s < 78.0


@pytest.mark.parametrize(
    ("measure", "node", "hops", "acting_s"),
    [
        ("sounding", "L1-sounder", 2, 0.0),
        ("gate_open", "GA", 4, 1.8),
        ("lift_recalled", None, 4, 0.0),
        ("sign_shown", None, 4, 0.0),
        ("chargers_isolated", "L2-chargers", 4, 0.0),
    ],
)
def test_the_alarm_reaches_every_actuator(measure, node, hops, acting_s):
    """The panel sounds after two hops; what the rule orders takes four, and the boom its own time."""
    assert first(measure, node).at_s == pytest.approx(first("alarm").at_s + hops * DELAY_S + acting_s)


def test_people_leave_and_the_fans_follow():
    """The sounders start the evacuation; when the burning level is empty its counters say so."""
    kernel, _ = evacuated()

    assert first("evacuation_start").at_s == first("sounding").at_s
    assert first("people_out").at_s < 480.0
    clear_s = max(s.at_s for s in kernel.observations.samples("level_clear") if s.node.startswith("L2"))
    assert first("fan_running").at_s == pytest.approx(clear_s + 4 * DELAY_S)


def events(name):
    _, carrier = evacuated()
    return [message for message in carrier.events if message.topic.endswith(f"/event/{name}")]


def test_each_car_that_leaves_is_read_once():
    """All thirty cars are out, through open gates; no plate was read twice."""
    assert first("cars_out").at_s < 480.0

    plates = {(message.topic, message.payload.split(b'"plate":')[1]) for message in events("plate")}

    assert len(plates) == len(events("plate")) == 30
    assert {message.personal_bytes for message in events("plate")} == {10}


def test_each_bay_that_empties_says_so():
    """Thirty cars left thirty bays, and none came."""
    left = {message.topic for message in events("change") if b'"occupied":false' in message.payload}

    assert len(left) == len(events("change")) == 30


def test_every_placed_device_is_in_the_scene():
    """All types that a scene can place occur in a generated car park."""
    names = {name for _, _, name in placed(carpark(3, 120))}

    placed_types = {name for name, device in DEVICES.items() if device.placement} - {"heat_detector"}
    assert names == placed_types
