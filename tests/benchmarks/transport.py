"""What TCP costs a message above a datagram over the same four hops: `python tests/benchmarks/transport.py`.

Prints microseconds of processor time a message and exits with 1 if TCP adds more than 4 us.
"""

import heapq
import itertools
import sys
import time

from network.carrier import Network
from network.link import Link
from network.stages.delay import Delay
from network.stages.rate import Rate
from network.topology import Topology
from network.transport import Tcp
from twin.kernel.flight import Flight
from twin.message import Message

MESSAGES = 20_000
ROUNDS = 9
MOST_US = 4.0  # a window, its acknowledgements and their delays cost one of them


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


def network(tcp):
    """Device, gateway, edge, region, cloud; each link has a rate and a delay, both ways."""
    topology = Topology()
    for a, b in itertools.pairwise(["device", "gateway", "edge", "region", "cloud"]):
        for source, to in ((a, b), (b, a)):
            topology.add_link(Link(f"{source}-{to}", source, to, [Rate(1e8), Delay(0.01)], tcp=tcp))
    return Network(topology)


def message_us(tcp):
    """Microseconds of processor time a message, best of some rounds."""
    best_ns = float("inf")
    message = Message("t" * 35, bytes(100), qos=1)
    for _ in range(ROUNDS):
        carrier, timeline = network(tcp), Timeline()
        started = time.process_time_ns()
        for index in range(MESSAGES):
            timeline.now += 0.01
            carrier.carry(Flight("device", "cloud", message, timeline.now, index), timeline)
            timeline.run()
        best_ns = min(best_ns, time.process_time_ns() - started)
    return best_ns / MESSAGES / 1e3


def main():
    """Print the two and their difference."""
    datagram_us, linux_us = message_us(None), message_us(Tcp(tls="1.3"))
    print(f"datagram       {datagram_us:6.2f} us a message over four hops")
    print(f"TCP, TLS 1.3   {linux_us:6.2f} us; {linux_us - datagram_us:.2f} us more (at most {MOST_US:g})")
    return int(linux_us - datagram_us > MOST_US)


if __name__ == "__main__":
    sys.exit(main())
