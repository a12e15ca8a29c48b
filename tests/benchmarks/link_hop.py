"""What a stage call and a hop cost: `python tests/benchmarks/link_hop.py` prints nanoseconds."""

import heapq
import itertools
import time

from network.carrier import Network
from network.link import Link
from network.stages.delay import Delay
from network.stages.rate import Rate
from network.topology import Topology
from twin.kernel.flight import Flight
from twin.message import Message

CALLS = 200_000
ROUNDS = 7


class Timeline:
    """The least event queue a carrier can run on."""

    def __init__(self):
        self.now = 0.0
        self.heap = []
        self.number = 0

    def schedule(self, at_s, flight, then):
        self.number += 1
        flight.callbacks = then
        heapq.heappush(self.heap, (at_s, self.number, flight))

    def arrive(self, flight):
        pass

    def lose(self, _flight, where, cause):
        raise AssertionError((where, cause))

    def run(self):
        heap = self.heap
        while heap:
            self.now, _, flight = heapq.heappop(heap)
            flight.callbacks[0](flight)


def best_ns(action, count):
    """Nanoseconds a call, best of some rounds, in processor time."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        action()
        best = min(best, time.process_time_ns() - start)
    return best / count


def call(release):
    def action():
        now = 0.0
        for _ in range(CALLS):
            now += 0.01
            release(now, 200)

    return action


def network():
    topology = Topology()
    nodes = ["device", "gateway", "edge", "cloud"]
    for source, to in itertools.pairwise(nodes):
        topology.add_link(Link(f"{source}-{to}", source, to, [Rate(1e6), Delay(0.01)]))
    return Network(topology)


def fly(carrier, count):
    timeline = Timeline()
    message = Message("t", bytes(200))

    def action():
        for index in range(count):
            timeline.now += 0.01
            carrier.carry(Flight("device", "cloud", message, timeline.now, index), timeline)
            timeline.run()

    return action


def main():
    link = Link("l", "a", "b", [Rate(1e6), Delay(0.01)])
    loop_ns = best_ns(call(lambda now, _size: now), CALLS)
    for name, release in (
        ("rate stage", Rate(1e6).release),
        ("delay stage", Delay(0.01).release),
        ("link of rate and delay", link.release),
    ):
        print(f"{name:28s} {best_ns(call(release), CALLS):7.0f} ns")
    print(f"{'(loop and an empty function)':28s} {loop_ns:7.0f} ns")
    flights = 20_000
    print(
        f"{'hop in the carrier':28s} {best_ns(fly(network(), flights), flights) / 3:7.0f} ns (heap included)"
    )


if __name__ == "__main__":
    main()
