"""The star3 workload on Windtunnel's kernel and on plain SimPy, interleaved; prints the ratio per CPU second.

    python tests/benchmarks/star3.py [devices] [rounds]

N devices in groups of 100 behind gateways, one edge, one cloud; Poisson arrivals of 1 message/s a device,
replayed; each message of 200 bytes crosses three FIFO links (1 Mbit/s + 10 ms, 1 Mbit/s + 5 ms,
3200 N bit/s + 110 ms) and one FIFO server of 0.6/N s. All engines must agree to all printed digits.
"""

import random
import statistics
import sys
import time

import simpy

from devices_models.workloads import Replay
from network.carrier import Network
from network.link import Link
from network.stages.delay import Delay
from network.stages.rate import Rate
from network.topology import Topology
from twin.kernel.behaviour import Received
from twin.kernel.kernel import Kernel, NodeSpec
from twin.kernel.randomness import Streams
from twin.kernel.station import FifoStation

HORIZON_S, SIZE_BYTES, GROUP = 60.0, 200, 100
ACCESS, BACKHAUL, WAN_DELAY_S = (1e6, 0.010), (1e6, 0.005), 0.110

# delivered and mean, p50, p99 in ms for seed 1, agreed on by six independent engines
GOLDEN = {
    100: (5_982, 5_960, 143.918, 141.655, 166.888),
    1_000: (59_814, 59_680, 129.833, 129.584, 132.536),
    10_000: (598_591, 597_299, 128.504, 128.347, 130.277),
}


def wan_bps(devices):
    return 3200.0 * devices


def service_s(devices):
    return 0.6 / devices


def arrivals(device, seed=1):
    """Arrival times of one device: the same for every engine."""
    draw = random.Random(f"{seed}/{device}")
    now_s, times = draw.expovariate(1.0), []
    while now_s < HORIZON_S:
        times.append(now_s)
        now_s += draw.expovariate(1.0)
    return times


def summary(sent, latencies):
    """(sent, delivered, mean, p50, p99), latencies in ms to three digits."""
    ordered = sorted(latencies)
    count = len(ordered)
    figures = (sum(ordered) / count, ordered[count // 2], ordered[int(count * 0.99)])
    return (sent, count, *(round(1e3 * figure, 3) for figure in figures))


class Cloud:
    """Notes the latency of everything it receives."""

    def __init__(self, latencies):
        self.latencies = latencies

    def react(self, event, context):
        if type(event) is Received:
            self.latencies.append(context.now - event.sent_s)
        return ()


def star(devices):
    """The topology: leaves, gateways, edge, cloud."""
    topology = Topology()
    for number in range(devices):
        gateway = f"gateway-{number // GROUP}"
        rate_bps, delay_s = ACCESS
        topology.add_link(Link(f"a{number}", f"device-{number}", gateway, [Rate(rate_bps), Delay(delay_s)]))
    for group in range(-(-devices // GROUP)):
        rate_bps, delay_s = BACKHAUL
        topology.add_link(Link(f"b{group}", f"gateway-{group}", "edge", [Rate(rate_bps), Delay(delay_s)]))
    queue_bytes = 1e9
    topology.add_link(Link("wan", "edge", "cloud", [Rate(wan_bps(devices), queue_bytes), Delay(WAN_DELAY_S)]))
    return topology


def windtunnel(devices, times, *, is_traced=False):
    """Run star3 on the kernel, each device a node of its own."""
    latencies = []
    nodes = {
        f"device-{number}": NodeSpec(
            lambda number=number: Replay("cloud", times_s=times[number], payload_bytes=SIZE_BYTES)
        )
        for number in range(devices)
    }
    each_s = service_s(devices)
    nodes["cloud"] = NodeSpec(lambda: Cloud(latencies), FifoStation(lambda: each_s, queue_limit=10**9))
    kernel = Kernel(nodes, Network(star(devices)), Streams(1), is_traced=is_traced)
    kernel.run(HORIZON_S)
    return summary(kernel.ledger.sent, latencies)


def traced(devices, times):
    """The same with every transfer kept."""
    return windtunnel(devices, times, is_traced=True)


def naive(devices, times):
    """The idiomatic SimPy model: a process a message, a Resource a link."""
    env, latencies, sent = simpy.Environment(), [], [0]
    access = [simpy.Resource(env, 1) for _ in range(devices)]
    backhaul = [simpy.Resource(env, 1) for _ in range(-(-devices // GROUP))]
    wan, cloud = simpy.Resource(env, 1), simpy.Resource(env, 1)
    bits = SIZE_BYTES * 8

    def message(number, born_s):
        hops = (
            (access[number], bits / ACCESS[0], ACCESS[1]),
            (backhaul[number // GROUP], bits / BACKHAUL[0], BACKHAUL[1]),
            (wan, bits / wan_bps(devices), WAN_DELAY_S),
        )
        for link, transmission_s, delay_s in hops:
            with link.request() as request:
                yield request
                yield env.timeout(transmission_s)
            yield env.timeout(delay_s)
        with cloud.request() as request:
            yield request
            yield env.timeout(service_s(devices))
        latencies.append(env.now - born_s)

    def device(number):
        last_s = 0.0
        for at_s in times[number]:
            yield env.timeout(at_s - last_s)
            last_s = at_s
            sent[0] += 1
            env.process(message(number, env.now))

    for number in range(devices):
        env.process(device(number))
    env.run(until=HORIZON_S)
    return summary(sent[0], latencies)


def main(devices=1_000, rounds=5):
    """Print CPU seconds of each engine, interleaved, and the ratios of their medians."""
    times = [arrivals(number) for number in range(devices)]
    engines = {"naive SimPy": naive, "windtunnel": windtunnel, "windtunnel, traced": traced}
    taken = {name: [] for name in engines}
    for _ in range(rounds):
        for name, engine in engines.items():
            started = time.process_time()
            result = engine(devices, times)
            taken[name].append(time.process_time() - started)
            assert result == GOLDEN.get(devices, result), (name, result)
    base = statistics.median(taken["naive SimPy"])
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        print(
            f"{name:20} {median:7.3f} CPU s {result[1] / median:9,.0f} messages/CPU s {base / median:5.2f} x"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
