"""Every message handed to the network has exactly one fate, whatever goes wrong."""

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from network.carrier import Network
from network.coap import Coap
from network.faults import fault
from network.link import Link
from network.mqtt_sn import MqttSn
from network.quic import Quic
from network.stages.jitter import Jitter
from network.stages.loss import Loss
from network.stages.rate import Rate
from network.topology import Topology
from network.transport import Tcp, rfc
from network.wan import one_way_law
from twin.kernel.randomness import Streams
from twin.message import Message
from twin.mqtt.packets import Connect, connect_message

FIGURES = {
    "partition": {},
    "down": {},
    "hold": {},
    "surge": {"factor": 4.0},
    "burst": {"loss_ratio": 0.7},
    "duplicate": {"share": 0.5},
    "corrupt": {"share": 0.5},
    "reorder": {"share": 0.5, "delay_s": 2.0},
    "conn_reset": {},
    "conn_stall": {},
    "slow_close": {"late_s": 3.0},
    "limit_data": {"limit_bytes": 500.0},
    "data_cap": {"limit_bytes": 500.0},
}
CONNECT = connect_message(Connect(client_id="c"))


def three_nodes(streams, tcp):
    """Device, gateway, broker: lossy, jittery links with short queues, both ways."""
    topology = Topology()
    for source, to in (("d", "g"), ("g", "d"), ("g", "b"), ("b", "g")):
        name = source + to
        stages = [
            Rate(20_000, queue_bytes=6000),
            Loss(0.1, streams.stream(name, "loss")),
            Jitter(one_way_law(0.1), streams.stream(name, "jitter")),
        ]
        topology.add_link(Link(name, source, to, stages, tcp=tcp if "b" in name else None))
    return Network(topology)


def random_message(dice):
    kind = dice.choice(["publish"] * 8 + ["connect", "disconnect"])
    if kind == "connect":
        return CONNECT
    return (
        Message("t", bytes(dice.choice([dice.randint(0, 100), 5000])), kind=kind)
        if kind == "publish"
        else Message("", kind=kind)
    )


def transport(dice, streams):
    """Any that a link may have."""
    tcp = [Tcp(tls=tls, is_name_unknown=bool(dice.randint(0, 1))) for tls in (None, "1.2", "1.3")]
    others = [rfc(), Tcp(rto_margin_s=0.2), Quic(), Quic(is_early=True), MqttSn()]
    return dice.choice([*tcp, *others, Coap(streams.stream("gb", "time-out"))])


def play(timeline, seed):
    """A random script of sends and faults; returns the network and the times of sending."""
    dice = random.Random(seed)
    streams = Streams(seed)
    network = three_nodes(streams, transport(dice, streams))
    sent = []

    def send(now):
        sent.append(now)
        source, to = dice.sample("dgb", 2)
        timeline.send_at(now, network, source, to, random_message(dice))

    for _ in range(150):
        timeline.call_at(dice.uniform(0, 60), send)
    for _ in range(4):
        verb = dice.choice(sorted(FIGURES))
        failing = fault(verb, network, Streams(seed), between=dice.choice(["dg", "gb"]), **FIGURES[verb])
        begin_s = dice.uniform(0, 50)
        timeline.call_at(begin_s, failing.begin)
        timeline.call_at(begin_s + dice.uniform(0, 30), failing.end)
    return network, sent


@given(seed=st.integers(0, 10**6))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_sent_is_arrived_lost_flying_and_held(new_timeline, seed):
    """At any time, and when all is over nothing flies or is held."""
    timeline = new_timeline()
    network, sent = play(timeline, seed)
    for until_s in (10.0, 30.0, 60.0, 90.0, float("inf")):
        timeline.run(until_s)
        ended = len(timeline.arrived) + len(timeline.lost)
        assert len(sent) + network.copied_count == ended + timeline.flying() + network.held_count
    assert timeline.flying() == network.held_count == 0
