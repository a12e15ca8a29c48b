from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from twin.cloud.broker import Broker
from twin.kernel.behaviour import Drop, LinkChanged, Received, Send, Started, Woken
from twin.kernel.randomness import Stream
from twin.message import Message
from twin.mqtt.packets import Connect, connect_message
from twin.mqtt.topics import matches

CLIENTS = st.sampled_from(["a", "b", "c"])
FILTERS = st.sampled_from(["t/1", "t/+", "#", "t/2"])
TOPICS = st.sampled_from(["t/1", "t/2", "u"])


class Context:
    """A node without a world."""

    node, now, trace, random = "broker", 0.0, 0, Stream(1, "broker", "behaviour")


class Conservation(RuleBasedStateMachine):
    """Publications times matching subscriptions = delivered + dropped + waiting, after every step.

    The model knows who is subscribed to what; it counts from the effects only.
    """

    def __init__(self):
        super().__init__()
        self.broker = Broker(queue_limit=3)
        self.filters = {}  # client -> filters, while its session exists
        self.clean = {}  # client -> whether its session is clean, while it is connected
        self.unacknowledged = {"a": set(), "b": set(), "c": set()}
        self.released = {"a": set(), "b": set(), "c": set()}
        self.due = 0
        self.settled = Counter()
        self.react(Started())

    def react(self, event):
        """Let the broker react and count what became of deliveries."""
        for effect in self.broker.react(event, Context()):
            if isinstance(effect, Drop):
                self.settled[effect.cause] += 1
            elif isinstance(effect, Send) and effect.message.kind == "publish" and not effect.message.dup:
                self.delivered(effect.to, effect.message)

    def delivered(self, client, message):
        """QoS 0 is done when sent, QoS 1 and 2 when the client has it."""
        if message.qos == 0:
            self.settled["delivered"] += 1
        else:
            self.unacknowledged[client].add((message.packet_id, message.qos))

    def take(self, client, message):
        """Hand the broker one packet of the client."""
        self.react(Received(message, client, 0.0))

    def session_ends(self, client):
        """The model forgets a session; the broker must have dropped what it held."""
        self.filters.pop(client, None)
        self.unacknowledged[client].clear()
        self.released[client].clear()

    @rule(client=CLIENTS, is_clean=st.booleans())
    def connect(self, client, is_clean):
        """A client connects, whether it was connected before or not."""
        if is_clean or self.clean.get(client):
            self.session_ends(client)
        self.clean[client] = is_clean
        self.filters.setdefault(client, {})
        self.take(client, connect_message(Connect(client, 0.0, is_clean)))

    @rule(client=CLIENTS, in_good_order=st.booleans())
    def leave(self, client, in_good_order):
        """A client disconnects, or its link breaks."""
        if client not in self.clean:
            return
        if self.clean.pop(client):
            self.session_ends(client)
        if in_good_order:
            self.take(client, Message("", kind="disconnect"))
        else:
            self.react(LinkChanged(client, is_up=False))

    @rule(client=CLIENTS)
    def expire(self, client):
        """The session of an absent client expires."""
        if client in self.filters and client not in self.clean:
            self.session_ends(client)
            self.react(Woken(client))

    @rule(client=CLIENTS, topic_filter=FILTERS, qos=st.sampled_from([0, 1, 2]))
    def subscribe(self, client, topic_filter, qos):
        """A connected client subscribes."""
        if client in self.clean:
            self.filters[client][topic_filter] = qos
            self.take(client, Message(topic_filter, qos=qos, kind="subscribe", packet_id=1))

    @rule(client=CLIENTS, topic_filter=FILTERS)
    def unsubscribe(self, client, topic_filter):
        """A connected client unsubscribes."""
        if client in self.clean:
            self.filters[client].pop(topic_filter, None)
            self.take(client, Message(topic_filter, kind="unsubscribe", packet_id=1))

    @rule(topic=TOPICS, qos=st.sampled_from([0, 1, 2]), count=st.sampled_from([1, 9]))
    def publish(self, topic, qos, count):
        """A local node publishes."""
        for _ in range(count):
            for filters in self.filters.values():
                self.due += any(matches(topic_filter, topic) for topic_filter in filters)
            self.take("device", Message(topic, b"x", qos=qos))

    @rule(client=CLIENTS, data=st.data())
    def acknowledge(self, client, data):
        """A connected client acknowledges one of its deliveries."""
        if client in self.clean and self.unacknowledged[client]:
            packet_id, qos = data.draw(st.sampled_from(sorted(self.unacknowledged[client])))
            self.unacknowledged[client].remove((packet_id, qos))
            self.settled["delivered"] += 1
            if qos == 2:
                self.released[client].add(packet_id)
            self.take(client, Message("", kind="puback" if qos == 1 else "pubrec", packet_id=packet_id))

    @rule(client=CLIENTS)
    def complete(self, client):
        """A connected client completes its deliveries at QoS 2."""
        while client in self.clean and self.released[client]:
            self.take(client, Message("", kind="pubcomp", packet_id=self.released[client].pop()))

    @invariant()
    def nothing_is_lost_or_made(self):
        """The sum holds."""
        assert self.due == self.settled.total() + self.broker.waiting_count


TestConservation = Conservation.TestCase
TestConservation.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
