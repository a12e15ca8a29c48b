import heapq
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from twin.cloud.broker import Broker
from twin.kernel.behaviour import Received, Send, Started, Wake, Woken
from twin.kernel.randomness import Streams
from twin.message import Message
from twin.mqtt.client import ClientSession

DELAY_S = 0.1
END_S = 2_000.0


@dataclass
class Pair:
    """A client and a broker on a wire with outages (begin and end in seconds).

    As over TCP, what is sent during an outage arrives in order when it heals, unless a new connection was
    opened in the meantime.
    """

    outages: list[tuple[float, float]]
    client: ClientSession = field(
        default_factory=lambda: ClientSession("broker", "client", keep_alive_s=20.0)
    )
    broker: Broker = field(default_factory=Broker)
    streams: Streams = field(default_factory=lambda: Streams(1))
    at_local: list[bytes] = field(default_factory=list)
    at_client: list[bytes] = field(default_factory=list)
    now: float = 0.0
    trace: int = 0
    node: str = ""
    queue: list = field(default_factory=list)
    wakes: dict = field(default_factory=dict)
    last_s: dict = field(default_factory=dict)
    connections: int = 0
    number: int = 0

    @property
    def random(self):
        return self.streams.stream(self.node, "behaviour")

    def at(self, at_s, node, event):
        self.number += 1
        heapq.heappush(self.queue, (at_s, self.number, node, event))
        return self.number

    def send(self, source, effect):
        """Put a packet on the wire, in the connection that is the newest."""
        self.connections += effect.message.kind == "connect"
        at_s = self.now
        for begin_s, end_s in sorted(self.outages):
            at_s = end_s if begin_s <= at_s < end_s else at_s
        at_s = self.last_s[source] = max(at_s + DELAY_S, self.last_s.get(source, 0.0))
        self.at(at_s, effect.to, (self.connections, Received(effect.message, source, self.now)))

    def perform(self, node, effects):
        for effect in effects:
            if isinstance(effect, Wake):
                self.wakes[node, effect.tag] = self.at(self.now + effect.after_s, node, Woken(effect.tag))
            elif isinstance(effect, Send) and effect.to == "local":
                self.at_local.append(effect.message.payload)
            elif isinstance(effect, Send):
                self.send(node, effect)

    def step(self, number, node, event):
        self.node = node
        if isinstance(event, Woken) and self.wakes[node, event.tag] != number:
            return
        if isinstance(event, tuple):
            connection, event = event
            if connection != self.connections:
                return
        if node == "broker":
            self.perform(node, self.broker.react(event, self))
        elif isinstance(event, Message):
            self.perform(node, self.client.publish(event, self))
        elif isinstance(event, Woken):
            self.perform(node, self.client.woken(event.tag, self))
        else:
            effects, messages = self.client.received(event, self)
            self.perform(node, effects)
            self.at_client += [message.payload for message in messages]

    def run(self, upward, downward, qos=1):
        """Publish at these times from either end, one number each, and run to the end."""
        self.perform("broker", self.broker.react(Started(), self))
        self.at(0.0, "broker", Received(Message("up", kind="subscribe"), "local", 0.0))
        self.client.subscribe("down", qos)
        self.perform("client", self.client.start(self))
        for number, at_s in enumerate(upward):
            self.at(at_s, "client", Message("up", b"%d" % number, qos=qos))
        for number, at_s in enumerate(downward):
            self.at(at_s, "broker", Received(Message("down", b"%d" % number, qos=qos), "local", at_s))
        while self.queue and self.queue[0][0] < END_S:
            self.now, number, node, event = heapq.heappop(self.queue)
            self.step(number, node, event)


def numbers(count):
    return [b"%d" % number for number in range(count)]


TIMES = st.lists(st.floats(1.0, 300.0), max_size=30).map(sorted)
OUTAGES = st.lists(st.tuples(st.floats(1.0, 300.0), st.floats(0.1, 100.0)), max_size=3).map(
    lambda outages: [(begin, begin + lasts) for begin, lasts in outages]
)


@given(TIMES, TIMES, OUTAGES)
@settings(max_examples=60, deadline=None)
def test_qos_1_arrives_at_least_once_whatever_the_wire_does(upward, downward, outages):
    """Each publication arrives at least once in both directions, and nothing stays behind."""
    pair = Pair(outages)
    pair.run(upward, downward)

    assert sorted(set(pair.at_local)) == sorted(numbers(len(upward)))
    assert sorted(set(pair.at_client)) == sorted(numbers(len(downward)))
    assert (pair.client.waiting_count, pair.broker.waiting_count) == (0, 0)


@given(TIMES, TIMES, OUTAGES, st.sampled_from(["3.1.1", "5"]))
@settings(max_examples=60, deadline=None)
def test_qos_2_arrives_exactly_once_whatever_the_wire_does(upward, downward, outages, version):
    """Each publication arrives once in both directions, in order, and nothing stays behind."""
    pair = Pair(outages, ClientSession("broker", "client", keep_alive_s=20.0, version=version))
    pair.run(upward, downward, qos=2)

    assert pair.at_local == numbers(len(upward))
    assert pair.at_client == numbers(len(downward))
    assert (pair.client.waiting_count, pair.broker.waiting_count) == (0, 0)
    assert (pair.client.received_ids, pair.broker.sessions["client"].incoming) == (set(), {})


@given(TIMES, TIMES)
@settings(max_examples=20, deadline=None)
def test_an_unbroken_connection_delivers_once_and_in_order(upward, downward):
    """Without an outage nothing is repeated, however long an acknowledgement takes."""
    pair = Pair([])
    pair.run(upward, downward)

    assert pair.at_local == numbers(len(upward))
    assert pair.at_client == numbers(len(downward))


def test_a_session_that_starts_connected_needs_no_handshake():
    """Both ends agree on a connection that is older than the run."""
    pair = Pair([])
    pair.client.starts_connected = True
    pair.run([1.0], [2.0])

    assert (pair.at_local, pair.at_client) == ([b"0"], [b"0"])
    assert pair.broker.mqtt_nodes == set()


def test_a_message_reaches_a_cold_client_after_its_handshake():
    """A cold session pays the handshake with its first publication, and closes when idle."""
    pair = Pair([])
    pair.client.session = "cold"
    pair.run([5.0], [5.5])

    assert (pair.at_local, pair.at_client) == ([b"0"], [b"0"])
    assert pair.broker.clients == {"local": "local"}
