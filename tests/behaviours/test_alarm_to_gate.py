"""Detector, gateway, rules and gate together, on the kernel: at the edge, through a broker, and cut off."""

import pytest

from devices_models.actuators import BoomGate, Switch
from devices_models.gateway.gateway import Gateway
from devices_models.sensors import SmokeDetector
from twin.cloud.broker import Broker
from twin.cloud.rule_engine import RuleEngine
from twin.kernel.kernel import Kernel, NodeSpec
from twin.kernel.randomness import Streams
from twin.state.rules.fire import FireRules

FIELD_S = 0.05
WAN_S = 0.125
SMOKE_AT_S = 78.0
DEVICES = {"s1": "smoke_detector", "GA": "boom_gate", "h1": "sounder"}


class Paths:
    """One delay in the field, one across the WAN; the WAN is cut from `cut_s` on."""

    def __init__(self, cut_s):
        self.cut_s = cut_s

    def carry(self, flight, timeline):
        ends = {flight.source, flight.to}
        if ends == {"gateway", "broker"} and timeline.now >= self.cut_s:
            timeline.lose(flight, "wan", "cut")
        else:
            delay_s = 0.0 if "rules" in ends else WAN_S if "broker" in ends else FIELD_S
            timeline.schedule(timeline.now + delay_s, flight, (timeline.arrive,))


class Fire:
    """Smoke from `SMOKE_AT_S` on; remembers what was done to the world."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.acts = []

    def sense(self, _node, _quantity):
        return 20.0 if self.kernel.now >= SMOKE_AT_S else 0.0

    def watch(self, _node, _quantity, _threshold, notify):
        self.kernel.call_at(SMOKE_AT_S, notify)

    def actuate(self, node, name, value):
        self.acts.append((round(self.kernel.now, 3), node, name, value))


def run(rules_at, *, cut_s=1e9, **gate):
    """A run of 120 s: (first times of the measures, acts on the world)."""
    site = "park" if rules_at == "broker" else ""
    make = {
        "s1": lambda: SmokeDetector("gateway"),
        "GA": lambda: BoomGate("gateway", **gate),
        "h1": lambda: Switch("gateway", "sounder"),
        "gateway": lambda: Gateway("broker", "park", DEVICES),
        "broker": Broker,
        "rules": lambda: RuleEngine(rules_at, FireRules(devices=DEVICES), site),
    }
    kernel = Kernel({name: NodeSpec(each) for name, each in make.items()}, Paths(cut_s), Streams(1))
    fire = kernel.world = Fire(kernel)
    kernel.run(120.0)
    measures = kernel.observations.measures()
    first = {name: round(kernel.observations.samples(name)[0].at_s, 3) for name in measures}
    return first, fire.acts


def test_with_rules_at_the_edge_the_gate_opens_after_two_hops():
    """Alarm, 50 ms to the gateway, 50 ms to the gate, 1.8 s of movement."""
    first, acts = run("gateway")

    assert first["alarm"] == SMOKE_AT_S
    assert first["gate_command"] == pytest.approx(78.1)
    assert first["gate_open"] == pytest.approx(79.9)
    assert (79.9, "GA", "boom", 1.0) in acts


def test_with_rules_in_the_cloud_the_wan_is_paid_twice():
    """Two hops in the field and two across the WAN."""
    first, _ = run("broker")

    assert first["gate_command"] == pytest.approx(78.0 + 2 * FIELD_S + 2 * WAN_S)


@pytest.mark.parametrize("rules_at", ["gateway", "broker"])
def test_the_panel_sounds_without_waiting_for_rules(rules_at):
    """The sounder starts two field hops after the alarm, wherever the rules run."""
    first, acts = run(rules_at)

    assert first["sounding"] == pytest.approx(78.1)
    assert (78.1, "h1", "sound", 1.0) in acts


def test_a_gate_that_trusts_cloud_rules_opens_alone_when_the_wan_is_cut():
    """Cut at 60 s: the last heartbeat left at 50 s, and 30 s after its arrival the gate opens itself."""
    first, _ = run("broker", cut_s=60.0, heartbeat_from="rule")

    assert "gate_command" not in first
    assert first["gate_opened_alone"] == pytest.approx(50.0 + WAN_S + FIELD_S + 30.0)
    assert first["gate_open"] == pytest.approx(50.0 + WAN_S + FIELD_S + 31.8)


def test_with_the_wan_cut_rules_at_the_edge_lose_nothing():
    """The edge needs no WAN."""
    first, _ = run("gateway", cut_s=60.0)

    assert first["gate_open"] == pytest.approx(79.9)
    assert "gate_opened_alone" not in first
